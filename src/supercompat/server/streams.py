"""Answers on the wire of ASGI."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Final

import anyio
from starlette.types import Message, Receive, Send

from supercompat.api.exchange import Frames, Response

COMMENT: Final = b": keep-alive\n\n"

#: What keeps proxies from holding events back (nginx reads the second).
STREAM_HEADERS: Final = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}


async def send_response(response: Response, send: Send, *, keep_alive: float) -> None:
    """Send an answer. Of a stream, each event is flushed by itself; a reader that is slow is waited for.

    Args:
        keep_alive: as in `ServerOptions`.
    """
    if isinstance(response.body, bytes):
        size = {"content-length": str(len(response.body))}
        await send(_head(response.status, {**response.headers, **size}))
        await send({"type": "http.response.body", "body": response.body})
        return
    async with aclosing(response.body) as frames:
        await send(_head(response.status, {**response.headers, **STREAM_HEADERS}))
        await _Stream(send, keep_alive).send(frames)


async def gone(receive: Receive) -> None:
    """Wait until the client has gone. The request's body has to be read before."""
    while (await receive())["type"] != "http.disconnect":
        pass


class _Stream:
    """Args:
    keep_alive: seconds of silence before a comment.
    """

    def __init__(self, send: Send, keep_alive: float) -> None:
        self._send = send
        self._keep_alive = keep_alive
        self._sending = asyncio.Lock()
        self._last = 0.0

    async def send(self, frames: Frames) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._comment)
            async for frame in frames:
                if frame:
                    await self._say(frame)
            group.cancel_scope.cancel()
        await self._send({"type": "http.response.body", "body": b""})

    async def _comment(self) -> None:
        clock = asyncio.get_running_loop().time
        self._last = clock()
        while True:
            await asyncio.sleep(self._last + self._keep_alive - clock())
            if clock() >= self._last + self._keep_alive:
                await self._say(COMMENT)

    async def _say(self, data: bytes) -> None:
        # Middleware between here and the socket need not stand two senders at once.
        async with self._sending:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
            self._last = asyncio.get_running_loop().time()


def _head(status: int, headers: Mapping[str, str]) -> Message:
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": encoded}
