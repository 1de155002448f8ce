"""One HTTP/1.1 connection: requests in, whole answers or streams out, and who ended it."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, cast


class Request(NamedTuple):
    """A request as it came; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Connection(asyncio.Protocol):
    """Serves one socket with a coroutine that reads and answers until the peer leaves, which cancels it.

    Keeps itself in `connections` from its making until its socket is closed. The server calls `watch`,
    `drop`, `read`, `begin`, `send`, `send_last` and `send_end`; the rest is the event loop's.
    """

    def __init__(
        self, serve: Callable[["Connection"], Coroutine[Any, Any, None]], connections: set["Connection"]
    ) -> None:
        self._serve = serve
        self._connections = connections
        self._connections.add(self)
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._flushed = asyncio.Event()
        self._flushed.set()
        self._left: threading.Event | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # asyncio does so itself only for sockets made with an explicit protocol number.
        sock: socket.socket = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Zero, so that what was written counts as sent only when the kernel has taken it.
        self._transport.set_write_buffer_limits(high=0)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._arrived.set()

    def eof_received(self) -> None:
        self._peer_left()

    def connection_lost(self, exc: Exception | None) -> None:
        self._peer_left()
        self._connections.discard(self)

    def pause_writing(self) -> None:
        self._flushed.clear()

    def resume_writing(self) -> None:
        self._flushed.set()

    def _peer_left(self) -> None:
        if self._left is not None:
            self._left.set()
            self._left = None
        self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._serve(self)
        finally:
            if self._transport:
                self._transport.close()

    def watch(self, left: threading.Event | None) -> None:
        """`left` is set if the peer closes the connection from here on; None ends that."""
        self._left = left

    def drop(self) -> None:
        """Closes the connection from this side, whatever was promised."""
        self._left = None
        if self._transport:
            self._transport.abort()

    async def read(self) -> Request:
        """The next request, with its whole body. Raises ValueError if it is not HTTP that is served here."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            await self._more()
        first, *lines = self._take(end + 4).decode("latin-1").split("\r\n")
        method, path, version = first.split(" ")
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if version != "HTTP/1.1" or "transfer-encoding" in headers:
            raise ValueError("expected HTTP/1.1 and a Content-Length")
        length = int(headers.get("content-length", "0"))
        while len(self._buffer) < length:
            await self._more()
        return Request(method, path, headers, self._take(length))

    async def begin(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """The head of an answer, and the body in the same write."""
        known = status in HTTPStatus.__members__.values()
        phrase = HTTPStatus(status).phrase if known else "Unknown"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await self._write(f"HTTP/1.1 {status} {phrase}\r\n{lines}\r\n".encode("latin-1") + body)

    async def send(self, data: bytes) -> None:
        """One piece of a chunked body, in one write."""
        await self._write(b"%x\r\n%b\r\n" % (len(data), data))

    async def send_last(self, data: bytes) -> None:
        """The last piece and the end of a chunked body, in one write."""
        # Apart, a peer that stops reading at the last event would leave before the end had come,
        # and could not use the connection again.
        await self._write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))

    async def send_end(self) -> None:
        """The end of a chunked body, where its last piece was not known to be the last."""
        await self._write(b"0\r\n\r\n")

    async def _write(self, data: bytes) -> None:
        if self._transport:
            self._transport.write(data)
            if self._transport.is_closing():
                # The write found the peer gone; the loop is about to tell, which cancels this.
                await asyncio.get_running_loop().create_future()
            await self._flushed.wait()

    async def _more(self) -> None:
        self._arrived.clear()
        await self._arrived.wait()

    def _take(self, length: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken
