"""What a script answers: replies as values, put together from pieces of text and tool calls."""

import asyncio
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias


class Gate:
    """A place at which a reply waits until the test lets it go on.

    Put it between two pieces (`text("Hel", gate, "lo")`) or before the whole answer
    (`text("Hello").after(gate)`). One gate may hold many replies; once open it stays open.
    Safe to use from any thread. A gate that is never opened holds its reply until the client
    leaves or the server closes.

    Attributes:
        reached: set as soon as a reply has come to the gate, everything before it being sent.
            In a coroutine wait for it with `await asyncio.to_thread(gate.reached.wait, 5)`.
    """

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._lock = threading.Lock()
        self._is_open = False
        self._held: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def open(self) -> None:
        """Lets go what is held here, and whatever comes later."""
        with self._lock:
            self._is_open = True
            for loop, opened in self._held:
                loop.call_soon_threadsafe(opened.set)

    async def pass_through(self) -> None:
        """Used by whoever plays the reply: returns when the gate is open."""
        held = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self.reached.set()
            if self._is_open:
                return
            self._held.append(held)
        try:
            await held[1].wait()
        finally:
            with self._lock:
                self._held.remove(held)


class EmptyChunk:
    """A chunk whose `choices` is empty, as some servers send first or in between; a keep-alive of responses."""


EMPTY_CHUNK = EmptyChunk()

Part: TypeAlias = str | Gate | EmptyChunk
"""What the constructors below take: one delta's text, a place to wait, or an empty chunk."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The token counts of an answer. `cached` is a part of `prompt`, `reasoning` one of `completion`."""

    prompt: int = 11
    completion: int = 7
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call, see `call`. Without an id it gets a new one each time it is played."""

    name: str
    arguments: tuple[Part, ...] = ()
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """One delta of text in one field of the message."""

    field: Literal["content", "refusal", "reasoning"]
    text: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """One delta of the arguments of the call that was opened last."""

    text: str


@dataclass(frozen=True, slots=True)
class Hosted:
    """An output item of a tool that the provider runs itself; made by the functions of `hosted`."""

    type: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fragment:
    """One delta of the hosted item that was opened last: of its code, its arguments, an unfinished image."""

    text: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """Says something of the piece of text before it; made by the functions of `hosted`."""

    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """The response is `failed`, with this error, see `Reply.then_fail`."""

    message: str
    code: str


ChatStep: TypeAlias = Piece | Call | Arguments | Gate | EmptyChunk
Step: TypeAlias = ChatStep | Hosted | Fragment | Annotation | Failed


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is an HTTP error, made with `error`. `nested` is of `Reply.then_error`."""

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    raw: str | None = None
    gate: Gate | None = None
    nested: bool = False

    def after(self, gate: Gate) -> "Failure":
        """The same, but nothing is sent until the gate is open."""
        return replace(self, gate=gate)


Ending: TypeAlias = Literal["whole", "dropped", "unanswered", "malformed"] | Failure


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the model, played as a stream or as one body, as the request asks.

    Made with `text`, `tool_calls`, `refusal`, `reasoning`, `hang` and `drop`; joined with `+`, where the
    finish reason, the usage, the pace and the ending are those of the right side, and the gate that
    `after` set is the left side's, if it has one.
    A reply is a value: its methods return a changed copy, and it may be played any number of times.
    """

    steps: tuple[Step, ...] = ()
    finish: str | None = "stop"
    usage: Usage | None = Usage()
    ending: Ending = "whole"
    first: float = 0.0
    interval: float = 0.0
    gate: Gate | None = None
    sizes: tuple[int, ...] = ()

    def __add__(self, other: "Reply") -> "Reply":
        return replace(other, steps=self.steps + other.steps, gate=self.gate or other.gate)

    @property
    def is_chat(self) -> bool:
        """Whether every model can say it; hosted tools, annotations and failed responses are the Responses API's."""
        return len(self.chat_steps) == len(self.steps)

    @property
    def chat_steps(self) -> tuple[ChatStep, ...]:
        """The steps that every model can take."""
        return tuple(step for step in self.steps if isinstance(step, ChatStep))

    def with_usage(self, usage: Usage | None) -> "Reply":
        """The same with other token counts, or with none at all, as some servers leave them out."""
        return replace(self, usage=usage)

    def paced(self, *, first: float, interval: float) -> "Reply":
        """The same, sent on a schedule: for benchmarks.

        Piece n (from 0) is due `first + n * interval` seconds after the request was read, by the
        server's clock, so that a late piece does not delay the next. The headers go out at once,
        the closing chunks right behind the last piece; a single body goes out when the last piece
        would. A gate does not move the schedule.
        """
        return replace(self, first=first, interval=interval)

    def cut(self, *sizes: int) -> "Reply":
        """The same, its stream written in pieces of so many bytes, in turn and over again, whatever they cut."""
        return replace(self, sizes=sizes)

    def after(self, gate: Gate) -> "Reply":
        """The same, but nothing is sent, not even the headers, until the gate is open."""
        return replace(self, gate=gate)

    def then_drop(self) -> "Reply":
        """The connection is dropped after the last piece: no finish reason, no end of the body."""
        return replace(self, ending="dropped")

    def then_error(
        self, message: str, *, type: str = "server_error", code: str | None = None, nested: bool = False
    ) -> "Reply":
        """After the last piece an error event instead of the end; unstreamed, a 500 with that error.

        `nested` is the other form in which the Responses API sends it: below `error`, which SDKs raise.
        """
        return replace(self, ending=Failure(500, message, type=type, code=code, nested=nested))

    def then_fail(self, message: str, code: str = "server_error") -> "Reply":
        """After the last piece the response is `failed`, streamed or not; only the Responses API has that."""
        return replace(self, steps=(*self.steps, Failed(message, code)))

    def then_malformed(self) -> "Reply":
        """After the last piece an event that is cut JSON; unstreamed, a body that is."""
        return replace(self, ending="malformed")

    def then_hang(self, gate: Gate | None = None) -> "Reply":
        """After the last piece nothing more comes, until the gate (if any) is open or the client leaves."""
        return replace(self, steps=(*self.steps, gate or Gate()))


def text(*parts: Part | Annotation, finish: str | None = "stop") -> Reply:
    """An answer in text, one delta a string; an annotation is of the string before it.

    `finish` is the finish reason (`stop`, `length`, `content_filter`, or what odd servers say);
    None ends the stream without one.
    """
    return Reply(tuple(_pieces("content", parts)), finish)


def reasoning(*parts: Part) -> Reply:
    """What the model thinks before it answers; `reasoning("Hm.") + text("Hello")`.

    Sent as `reasoning` under Groq's path, else as `reasoning_content`.
    """
    return Reply(tuple(_pieces("reasoning", parts)))


def refusal(*parts: Part) -> Reply:
    """An answer in the message's `refusal` field."""
    return Reply(tuple(_pieces("refusal", parts)))


def call(name: str, *arguments: Part, id: str | None = None) -> Call:
    """One call for `tool_calls`; each string is one delta of its JSON arguments.

    `id` defaults to a new `call_…` id each time the reply is played.
    """
    return Call(name, arguments, id)


def tool_calls(*calls: Call, finish: str | None = "tool_calls") -> Reply:
    """An answer that calls tools, one after the other; `text("Let me look.") + tool_calls(…)`.

    A call's first delta carries id and name, those that follow its arguments.
    """
    steps: list[Step] = []
    for one in calls:
        steps.append(one)
        steps.extend(Arguments(part) if isinstance(part, str) else part for part in one.arguments)
    return Reply(tuple(steps), finish)


def error(
    status: int,
    message: str = "The scripted server was told to fail.",
    *,
    type: str | None = None,
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
    raw: str | None = None,
) -> Failure:
    """An HTTP error in OpenAI's shape, or with `raw` any text, such as a proxy's HTML.

    `type` and, for 429, `code` default to what OpenAI sends. The SDKs repeat a request after 408, 409,
    429 and 5xx, and each repetition takes a reply of its own.
    """
    if status == 429:
        type, code = type or "requests", code or "rate_limit_exceeded"
    default = "server_error" if status >= 500 else "invalid_request_error"
    return Failure(status, message, type or default, param, code, dict(headers or {}), raw)


def hang() -> Reply:
    """No answer at all, not even headers, until the client leaves or the server closes."""
    return Reply(gate=Gate())


def drop() -> Reply:
    """The connection is dropped before a byte of an answer."""
    return Reply(ending="unanswered")


def _pieces(
    field: Literal["content", "refusal", "reasoning"], parts: Iterable[Part | Annotation]
) -> Iterable[Step]:
    return (Piece(field, part) if isinstance(part, str) else part for part in parts)
