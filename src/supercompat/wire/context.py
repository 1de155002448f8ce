"""What a run sent to the model, as an object: an extension, of which the API knows nothing."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from supercompat.wire.objects import CalledFunction, ImageUrl, JsonObject, Tool, WireObject, absent


class SentText(WireObject):
    type: Literal["text"] = "text"
    text: str


class SentImage(WireObject):
    type: Literal["image_url"] = "image_url"
    image_url: ImageUrl


SentPart: TypeAlias = Annotated[SentText | SentImage, Field(discriminator="type")]


class SentCall(WireObject):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class SentMessage(WireObject):
    """One turn of the conversation. An answer with calls is of a message, of a step, or of one of each."""

    message_id: str | None = Field(default=None, exclude_if=absent)
    step_id: str | None = Field(default=None, exclude_if=absent)
    role: Literal["user", "assistant", "tool"]
    content: list[SentPart]
    tool_calls: list[SentCall] | None = Field(default=None, exclude_if=absent)
    tool_call_id: str | None = Field(default=None, exclude_if=absent)


class SentParameters(WireObject):
    """Those that were asked for. What is absent was left to the provider."""

    temperature: float | None = Field(default=None, exclude_if=absent)
    top_p: float | None = Field(default=None, exclude_if=absent)
    reasoning_effort: str | None = Field(default=None, exclude_if=absent)
    max_completion_tokens: int | None = Field(default=None, exclude_if=absent)
    response_format: JsonObject | None = Field(default=None, exclude_if=absent)
    tool_choice: str | JsonObject | None = Field(default=None, exclude_if=absent)
    parallel_tool_calls: bool | None = Field(default=None, exclude_if=absent)


class LeftOut(WireObject):
    """What was not sent.

    Args:
        reason: what kept it out.
        limit: the number of messages or tokens that this stands for.
        messages: how many of the thread's. Those that were deleted since don't count.
    """

    reason: Literal["last_messages", "max_prompt_tokens", "context_window"]
    limit: int
    messages: int


class PassContext(WireObject):
    """One call of the model.

    Args:
        messages: what was sent of the conversation and is still there.
        deleted_messages: how many were sent and have been deleted since.
        estimated_tokens: the size of the prompt, as it was estimated before it was sent.
        context_window: tokens that the model takes, prompt and answer together, as far as we know.
    """

    sent_at: int
    model: str
    instructions: str | None
    messages: list[SentMessage]
    deleted_messages: int
    tools: list[Tool]
    parameters: SentParameters
    estimated_tokens: int
    context_window: int
    left_out: LeftOut | None


class RunContext(WireObject):
    """What a run sent to the model, the oldest pass first."""

    object: Literal["thread.run.context"] = "thread.run.context"
    thread_id: str
    run_id: str
    passes: list[PassContext]
