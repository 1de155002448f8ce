"""Sends one answer over one connection: as a stream or a body, on time, and with its planned accidents."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import cycle
from typing import Any, NamedTuple, Protocol

from supercompat.testing.replies import EmptyChunk, Failure, Gate, Reply
from supercompat.testing.scripted.broadcast import Replay
from supercompat.testing.scripted.connection import Connection
from supercompat.testing.scripted.received import Received

_JSON = "application/json"
_EVENTS = "text/event-stream; charset=utf-8"


class Event(NamedTuple):
    """One server-sent event, and when it is due: in seconds after the request was read, 0 for at once."""

    data: bytes
    due: float = 0.0


class Stream(NamedTuple):
    """A reply as events with the gates between them; no last event if the connection is to be dropped.

    `ending` is called when all but the last event was sent.
    """

    steps: list[Event | Gate]
    last: bytes | None
    ending: Callable[[], None] | None = None


class Wire(Protocol):
    """How one provider writes what is to be answered to a request. Pure."""

    def headers(self) -> Mapping[str, str]:
        """Those of every answer, such as the id of the request."""
        ...

    def is_streamed(self, received: Received) -> bool:
        """Whether the request asks for a stream."""
        ...

    def stream(self, reply: Reply, received: Received) -> Stream:
        """The reply as server-sent events, with how it ends; all of it ahead of the first byte."""
        ...

    def body(self, reply: Reply, received: Received) -> dict[str, Any]:
        """The reply as one object."""
        ...

    def error(self, failure: Failure) -> dict[str, Any]:
        """The body of an answer that is an error."""
        ...


def encode(value: Any) -> bytes:
    """JSON as it goes over the wire."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def last_due(reply: Reply) -> float:
    """When the last piece of a paced reply is due, in seconds after the request was read."""
    paced = sum(not isinstance(step, Gate | EmptyChunk) for step in reply.steps)
    return reply.first + reply.interval * max(paced - 1, 0)


class Player:
    """Plays the answer to one request. `started` is the loop's time at which that was read.

    Its methods return True if the whole answer was sent, False if the connection was dropped instead.
    """

    def __init__(self, connection: Connection, received: Received, wire: Wire, started: float) -> None:
        self._connection = connection
        self._received = received
        self._wire = wire
        self._started = started

    async def play(self, answer: Reply | Failure | Replay | dict[str, Any]) -> bool:
        """A reply, an error, a broadcast to follow, or an object to answer with."""
        if isinstance(answer, dict):
            return await self._respond(200, encode(answer))
        if isinstance(answer, Replay):
            return await self._follow(answer)
        if answer.gate:
            await answer.gate.pass_through()
        if isinstance(answer, Failure):
            return await self._fail(answer)
        if answer.ending == "unanswered":
            return self._drop()
        if self._wire.is_streamed(self._received):
            return await self._stream(answer)
        return await self._complete(answer)

    async def _fail(self, failure: Failure) -> bool:
        if failure.raw is not None:
            headers = {"content-type": "text/html", **failure.headers}
            return await self._respond(failure.status, failure.raw.encode(), headers)
        body = encode(self._wire.error(failure))
        return await self._respond(failure.status, body, failure.headers)

    async def _complete(self, reply: Reply) -> bool:
        for step in reply.steps:
            if isinstance(step, Gate):
                await step.pass_through()
        await self._until(last_due(reply))
        if isinstance(reply.ending, Failure):
            return await self._fail(reply.ending)
        body = encode(self._wire.body(reply, self._received))
        half = body[: len(body) // 2]
        if reply.ending == "dropped":
            await self._begin(200, {"content-type": _JSON, "content-length": str(len(body))}, half)
            return self._drop()
        return await self._respond(200, half if reply.ending == "malformed" else body)

    async def _stream(self, reply: Reply) -> bool:
        # Encoded ahead of the first byte, so that nothing but the schedule is between two events.
        stream = self._wire.stream(reply, self._received)
        await self._begin(200, {"content-type": _EVENTS, "transfer-encoding": "chunked"})
        cutter = _Cutter(reply.sizes)
        for step in stream.steps:
            if isinstance(step, Gate):
                await self._send(cutter.rest())
                await step.pass_through()
            else:
                await self._until(step.due)
                await self._send(cutter.pieces(step.data))
        if stream.last is None:
            await self._send(cutter.rest())
            return self._drop()
        if stream.ending:
            stream.ending()
        *pieces, last = [*cutter.pieces(stream.last), *cutter.rest()]
        await self._send(pieces)
        await self._connection.send_last(last)
        return True

    async def _follow(self, replay: Replay) -> bool:
        await self._begin(200, {"content-type": _EVENTS, "transfer-encoding": "chunked"})
        cutter = _Cutter(replay.sizes)
        try:
            async for data, is_last in replay.broadcast.read(replay.start, breaks=replay.breaks):
                pieces = [*cutter.pieces(data), *(cutter.rest() if is_last else ())]
                if is_last:
                    await self._send(pieces[:-1])
                    await self._connection.send_last(pieces[-1])
                    return True
                await self._send(pieces)
        except EOFError:
            await self._send(cutter.rest())
            return self._drop()
        await self._send(cutter.rest())
        await self._connection.send_end()
        return True

    async def _send(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            await self._connection.send(piece)

    async def _respond(self, status: int, body: bytes, extra: Mapping[str, str] | None = None) -> bool:
        await self._begin(
            status, {"content-type": _JSON, "content-length": str(len(body)), **(extra or {})}, body
        )
        return True

    async def _begin(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        self._received.status = status
        await self._connection.begin(status, {**self._wire.headers(), **headers}, body)

    def _drop(self) -> bool:
        self._connection.drop()
        return False

    async def _until(self, due: float) -> None:
        delay = due and self._started + due - asyncio.get_running_loop().time()
        if delay > 0:
            await asyncio.sleep(delay)


class _Cutter:
    """Cuts a stream into pieces of these sizes, in turn; without sizes it leaves each event whole."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self._sizes = cycle(sizes) if sizes else None
        self._size = 0
        self._held = b""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What is ready to be sent with this."""
        if self._sizes is None:
            yield data
            return
        self._held += data
        self._size = self._size or next(self._sizes)
        while len(self._held) >= self._size:
            yield self._held[: self._size]
            self._held = self._held[self._size :]
            self._size = next(self._sizes)

    def rest(self) -> Iterator[bytes]:
        """What is still held back."""
        if self._held:
            yield self._held
        self._held = b""
