"""What a model is asked, in words that belong to no provider.

Client adapters translate a `ModelRequest` to their provider's wire. A field that is `None` was not asked for
and is not sent, so that the provider's own default holds.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, TypeAlias


@dataclass(frozen=True, slots=True)
class TextPart:
    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image by address: `url` is an http(s) or a data URL."""

    url: str
    detail: str = "auto"


Part: TypeAlias = TextPart | ImagePart


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model called. `arguments` is a JSON object as text, `{}` where there are none (C-100)."""

    id: str
    name: str
    arguments: str


def past_call(call_id: str, name: str, said: str) -> ToolCall:
    """A call as the model is reminded of it. `said` is what it gave as arguments.

    Models do write what is no JSON object. Providers that parse it would refuse the thread for good, so it goes as
    `{"arguments": …}`, which keeps the text.
    """
    try:
        is_object = isinstance(json.loads(said or "{}", parse_constant=_refuse), dict)
    except (ValueError, RecursionError):
        is_object = False
    arguments = said or "{}" if is_object else json.dumps({"arguments": said}, ensure_ascii=False)
    return ToolCall(call_id, past_name(name), arguments)


def past_name(said: str) -> str:
    """The name of a function that was called, as the model is reminded of it: one that no provider refuses."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", said)[:64] or "_"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


@dataclass(frozen=True, slots=True)
class UserTurn:
    content: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class AssistantTurn:
    """What the model said: text, calls, or both. `provider_state` is what a provider reported with it
    (`ProviderStateReported`): not necessarily the one that is asked now."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    provider_state: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ToolTurn:
    """The output of one call of the assistant turn before it."""

    call_id: str
    name: str
    output: str


Turn: TypeAlias = UserTurn | AssistantTurn | ToolTurn


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function that the model may call. `parameters` is a JSON schema of type object."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool = False


@dataclass(frozen=True, slots=True)
class HostedTool:
    """A tool that the provider carries out by itself.

    Args:
        kind: its `type`, in the provider's words.
        settings: the rest of what the provider is told of it.
    """

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class NamedTool:
    """A tool choice that leaves one function."""

    name: str


ToolChoice: TypeAlias = Literal["none", "auto", "required"] | NamedTool


@dataclass(frozen=True, slots=True)
class JsonObjectFormat:
    """The answer is some JSON object."""


@dataclass(frozen=True, slots=True)
class JsonSchemaFormat:
    """The answer is JSON that the schema admits."""

    name: str
    schema: Mapping[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


ResponseFormat: TypeAlias = JsonObjectFormat | JsonSchemaFormat


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of a model.

    Args:
        model: the name that the provider knows, after aliases were applied.
        instructions: the system text, before all turns.
        turns: the conversation, oldest first. A `ToolTurn` answers a call of the nearest `AssistantTurn` before it.
        response_format: None for free text.
        max_completion_tokens: upper bound of this one answer, in tokens.
        stop: texts before which the answer ends.
        hosted_tools: only for providers that have them.
        hosted_choice: the `kind` of the hosted tool that must be used; `tool_choice` is None then.
        may_continue: whether the provider may go on from an answer that it keeps; not where a budget decides what of
            the conversation is sent.
        may_truncate: whether the provider may leave out what its model has no room for.
        metadata: what the caller keeps with the run, for providers that keep their answers.
    """

    model: str
    turns: tuple[Turn, ...]
    instructions: str | None = None
    tools: tuple[FunctionTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_completion_tokens: int | None = None
    reasoning_effort: str | None = None
    stop: tuple[str, ...] = ()
    hosted_tools: tuple[HostedTool, ...] = ()
    hosted_choice: str | None = None
    may_continue: bool = True
    may_truncate: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
