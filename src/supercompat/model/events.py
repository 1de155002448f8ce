"""What a model says while it answers, in words that belong to no provider.

A client adapter turns its provider's stream into these events, in the order in which things were said. It ends
with exactly one `Finished`; `UsageReported` may come before or after it, the last one counts. An answer that
stops without `Finished` broke off.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Reasoning that the provider shows. It is not part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A function call begins. `index` counts the calls of this answer from 0, without gaps."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallArguments:
    """The next piece of a call's arguments. The pieces joined are JSON text."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class MessageStarted:
    """What is said from here on is a message of its own. An answer of one message need not say so."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """What a part of the message's text refers to.

    Args:
        start, end: the characters that refer, counted over the message's text as it was said.
        marker: for a citation that has no characters of its own: what is to stand at the end of the text so far, and
            refers. `start` and `end` mean nothing then.
        file_id: of a citation and of a path.
    """

    kind: Literal["file_citation", "file_path", "url_citation"]
    start: int = 0
    end: int = 0
    marker: str = ""
    file_id: str = ""
    url: str = ""
    title: str = ""


HostedKind: TypeAlias = Literal["file_search", "code_interpreter", "function"]


@dataclass(frozen=True, slots=True)
class HostedCallStarted:
    """The provider begins to carry out a tool by itself.

    Args:
        kind: how it is shown; all that the API has no words for is shown as a function.
        name: of such a function.
    """

    id: str
    kind: HostedKind
    name: str = ""


@dataclass(frozen=True, slots=True)
class HostedCallInput:
    """The next piece of the code, or of the function's arguments."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class HostedCallOutput:
    """One output of code: `logs`, or an image by data URL."""

    id: str
    logs: str | None = None
    image: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One result of a file search. `text` is what was found, if the provider tells it."""

    file_id: str
    file_name: str
    score: float
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    text: str | None = None


@dataclass(frozen=True, slots=True)
class HostedCallDone:
    """The call has ended.

    Args:
        output: what came back, where it is shown as a function: JSON, or a text.
        found: results of a file search.
        image: a data URL of an image that was made.
    """

    id: str
    output: str | None = None
    found: tuple[Found, ...] = ()
    image: str | None = None


@dataclass(frozen=True, slots=True)
class BackgroundStarted:
    """The provider goes on with this answer also when nobody listens. With `handle`, which is JSON, it is picked up
    again, or cancelled."""

    handle: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProviderStateReported:
    """What the provider wants back unchanged with this answer, as reasoning with its signature: JSON, of which the
    last one counts. It is kept with the answer, shown to nobody, and comes back as `AssistantTurn.provider_state`.

    Its one key names the provider, `{"anthropic": …}`: an adapter uses its own, and ignores any other's.
    """

    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or more answers. `cached` is part of `prompt`, `reasoning` part of `completion`."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.cached + other.cached,
            self.reasoning + other.reasoning,
        )


@dataclass(frozen=True, slots=True)
class UsageReported:
    usage: Usage


@dataclass(frozen=True, slots=True)
class Finished:
    reason: FinishReason


ModelEvent: TypeAlias = (
    TextDelta
    | RefusalDelta
    | ReasoningDelta
    | ToolCallStarted
    | ToolCallArguments
    | MessageStarted
    | Annotated
    | HostedCallStarted
    | HostedCallInput
    | HostedCallOutput
    | HostedCallDone
    | BackgroundStarted
    | ProviderStateReported
    | UsageReported
    | Finished
)
