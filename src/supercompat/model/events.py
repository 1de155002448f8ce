"""What a model says while it answers, in words that belong to no provider.

A client adapter turns its provider's stream into these events, in the order in which things were said. It ends
with exactly one `Finished`; `UsageReported` may come before or after it, the last one counts. An answer that
stops without `Finished` broke off.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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
    | ProviderStateReported
    | UsageReported
    | Finished
)
