"""The objects that the API answers with, their keys in the order of the wire (section 1.4).

Every field is present, absent values as `null`, but for those marked `ABSENT`, which the wire leaves out.
Objects are frozen: a change is a copy (`changed`).
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Metadata: TypeAlias = dict[str, str]
JsonObject: TypeAlias = dict[str, Any]

RunStatus: TypeAlias = Literal[
    "queued",
    "in_progress",
    "requires_action",
    "cancelling",
    "cancelled",
    "failed",
    "completed",
    "incomplete",
    "expired",
]
#: A thread has at most one run with one of these.
ACTIVE_STATUSES: tuple[RunStatus, ...] = ("queued", "in_progress", "requires_action", "cancelling")

StepStatus: TypeAlias = Literal["in_progress", "completed", "failed", "cancelled", "expired"]
MessageStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]


def absent(value: object) -> bool:
    """Whether the wire leaves a field out instead of showing it as null."""
    return value is None


class WireObject(BaseModel):
    """Base of all objects of the API."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    def changed(self, **fields: Any) -> Self:
        """A copy with other values. They are not validated again."""
        return self.model_copy(update=fields)


class Resource(WireObject):
    """An object that has an id and is stored. `prefix` begins the ids that we make."""

    prefix: ClassVar[str]

    id: str


class FunctionDefinition(WireObject):
    name: str
    description: str | None = Field(default=None, exclude_if=absent)
    parameters: JsonObject = Field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = False


class FunctionTool(WireObject):
    type: Literal["function"] = "function"
    function: FunctionDefinition


class FileSearchSettings(WireObject):
    max_num_results: int | None = Field(default=None, exclude_if=absent)
    ranking_options: JsonObject = Field(
        default_factory=lambda: {
            "ranker": "default_2024_08_21",
            "score_threshold": 0.0,
            "hybrid_search": None,
        }
    )


class FileSearchTool(WireObject):
    type: Literal["file_search"] = "file_search"
    file_search: FileSearchSettings = Field(default_factory=FileSearchSettings)


class CodeInterpreterTool(WireObject):
    type: Literal["code_interpreter"] = "code_interpreter"


ProviderToolType: TypeAlias = Literal[
    "computer",
    "computer_use_preview",
    "image_generation",
    "mcp",
    "web_search",
    "web_search_preview",
]


class ProviderTool(WireObject):
    """A tool that this API does not know: what the Responses API calls it and wants to know of it, as it is there.

    Not shown in a repr, since there are secrets among it.
    """

    model_config = ConfigDict(extra="allow")

    type: ProviderToolType

    def __repr__(self) -> str:
        return f"ProviderTool(type={self.type!r}, …)"


Tool: TypeAlias = Annotated[
    FunctionTool | FileSearchTool | CodeInterpreterTool | ProviderTool, Field(discriminator="type")
]


class Assistant(Resource):
    prefix = "asst"

    object: Literal["assistant"] = "assistant"
    created_at: int
    name: str | None = None
    description: str | None = None
    model: str
    instructions: str | None = None
    tools: list[Tool] = Field(default_factory=list)
    top_p: float | None = 1.0
    temperature: float | None = 1.0
    reasoning_effort: str | None = None
    tool_resources: JsonObject = Field(default_factory=dict)
    metadata: Metadata = Field(default_factory=dict)
    response_format: str | JsonObject = "auto"


class Thread(Resource):
    prefix = "thread"

    object: Literal["thread"] = "thread"
    created_at: int
    metadata: Metadata = Field(default_factory=dict)
    tool_resources: JsonObject = Field(default_factory=dict)


class Text(WireObject):
    value: str
    annotations: list[JsonObject] = Field(default_factory=list)


class TextContent(WireObject):
    type: Literal["text"] = "text"
    text: Text


class ImageUrl(WireObject):
    url: str
    detail: str = "auto"


class ImageUrlContent(WireObject):
    type: Literal["image_url"] = "image_url"
    image_url: ImageUrl


class ImageFile(WireObject):
    file_id: str
    detail: str | None = Field(default=None, exclude_if=absent)


class ImageFileContent(WireObject):
    type: Literal["image_file"] = "image_file"
    image_file: ImageFile


class RefusalContent(WireObject):
    type: Literal["refusal"] = "refusal"
    refusal: str


Content: TypeAlias = Annotated[
    TextContent | ImageUrlContent | ImageFileContent | RefusalContent, Field(discriminator="type")
]


class IncompleteDetails(WireObject):
    reason: str


class Message(Resource):
    prefix = "msg"

    object: Literal["thread.message"] = "thread.message"
    created_at: int
    assistant_id: str | None = None
    thread_id: str
    run_id: str | None = None
    status: MessageStatus = "completed"
    incomplete_details: IncompleteDetails | None = None
    incomplete_at: int | None = None
    completed_at: int | None = None
    role: Literal["user", "assistant"]
    content: list[Content] = Field(default_factory=list)
    attachments: list[JsonObject] = Field(default_factory=list)
    metadata: Metadata = Field(default_factory=dict)


class CachedTokens(WireObject):
    cached_tokens: int = 0


class ReasoningTokens(WireObject):
    reasoning_tokens: int = 0


class Usage(WireObject):
    """Tokens billed. Where nothing was, the details are absent (C-091)."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_token_details: CachedTokens | None = Field(default=None, exclude_if=absent)
    completion_tokens_details: ReasoningTokens | None = Field(default=None, exclude_if=absent)


class LastError(WireObject):
    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str


class CalledFunction(WireObject):
    name: str
    arguments: str


class RequiredCall(WireObject):
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class RequiredCalls(WireObject):
    tool_calls: list[RequiredCall]


class RequiredAction(WireObject):
    type: Literal["submit_tool_outputs"] = "submit_tool_outputs"
    submit_tool_outputs: RequiredCalls


class TruncationStrategy(WireObject):
    type: Literal["auto", "last_messages"] = "auto"
    last_messages: int | None = None


class Run(Resource):
    prefix = "run"

    object: Literal["thread.run"] = "thread.run"
    created_at: int
    assistant_id: str
    thread_id: str
    status: RunStatus = "queued"
    started_at: int | None = None
    expires_at: int | None = None
    cancelled_at: int | None = None
    failed_at: int | None = None
    completed_at: int | None = None
    required_action: RequiredAction | None = None
    last_error: LastError | None = None
    model: str
    instructions: str | None = None
    tools: list[Tool] = Field(default_factory=list)
    tool_resources: JsonObject = Field(default_factory=dict)
    metadata: Metadata = Field(default_factory=dict)
    temperature: float | None = 1.0
    top_p: float | None = 1.0
    reasoning_effort: str | None = None
    max_completion_tokens: int | None = None
    max_prompt_tokens: int | None = None
    truncation_strategy: TruncationStrategy = Field(default_factory=TruncationStrategy)
    incomplete_details: IncompleteDetails | None = None
    usage: Usage | None = None
    response_format: str | JsonObject = "auto"
    tool_choice: str | JsonObject = "auto"
    parallel_tool_calls: bool = True


class StepFunction(WireObject):
    name: str
    arguments: str
    output: str | None = None


class StepCall(WireObject):
    id: str
    type: Literal["function"] = "function"
    function: StepFunction


class FoundText(WireObject):
    type: Literal["text"] = "text"
    text: str


class SearchResult(WireObject):
    file_id: str
    file_name: str
    score: float
    attributes: JsonObject = Field(default_factory=dict)
    content: list[FoundText] | None = Field(default=None, exclude_if=absent)


class StepSearch(WireObject):
    ranking_options: JsonObject
    results: list[SearchResult] = Field(default_factory=list)


class SearchStepCall(WireObject):
    id: str
    type: Literal["file_search"] = "file_search"
    file_search: StepSearch


class CodeLogs(WireObject):
    type: Literal["logs"] = "logs"
    logs: str


class CodeImage(WireObject):
    type: Literal["image"] = "image"
    image: ImageFile


CodeOutput: TypeAlias = Annotated[CodeLogs | CodeImage, Field(discriminator="type")]


class StepCode(WireObject):
    input: str
    outputs: list[CodeOutput] = Field(default_factory=list)


class CodeStepCall(WireObject):
    id: str
    type: Literal["code_interpreter"] = "code_interpreter"
    code_interpreter: StepCode


AnyStepCall: TypeAlias = Annotated[StepCall | SearchStepCall | CodeStepCall, Field(discriminator="type")]


class ToolCallsDetails(WireObject):
    type: Literal["tool_calls"] = "tool_calls"
    tool_calls: Sequence[AnyStepCall] = ()


class CreatedMessage(WireObject):
    message_id: str


class MessageCreationDetails(WireObject):
    type: Literal["message_creation"] = "message_creation"
    message_creation: CreatedMessage


StepDetails: TypeAlias = Annotated[MessageCreationDetails | ToolCallsDetails, Field(discriminator="type")]


class RunStep(Resource):
    prefix = "step"

    object: Literal["thread.run.step"] = "thread.run.step"
    created_at: int
    run_id: str
    assistant_id: str
    thread_id: str
    type: Literal["message_creation", "tool_calls"]
    status: StepStatus = "in_progress"
    cancelled_at: int | None = None
    completed_at: int | None = None
    expires_at: int | None = None
    failed_at: int | None = None
    last_error: LastError | None = None
    step_details: StepDetails
    usage: Usage | None = None


class Deleted(WireObject):
    id: str
    object: Literal["assistant.deleted", "thread.deleted", "thread.message.deleted"]
    deleted: Literal[True] = True
