"""Transports for one of the two HTTP libraries that the openai SDK uses: the same code for both.

`httpx1` and `httpx2` hand their library in. Nothing is raised from a transport but the request's own timeout; every
other failure is an error body.
"""

import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qsl

from supercompat.api.exchange import Frames, Request
from supercompat.transport.async_door import AsyncDoor, TimedFrames
from supercompat.transport.core import DoorTimeoutError
from supercompat.transport.pump import Pump
from supercompat.transport.sync_door import SyncDoor


class Binding:
    """Makes HTTP clients of one library whose requests go to a door.

    Args:
        http: the library: `httpx`, or `httpx2`.
    """

    def __init__(self, http: Any) -> None:
        self._http = http
        self._sync_transport, self._async_transport = _sync_transport(http), _async_transport(http)

    def client(self, door: SyncDoor) -> Any:
        """A client of the library. Closing it, or forgetting it, closes the door."""
        transport = self._sync_transport(door)
        weakref.finalize(transport, door.close_later).atexit = False
        return self._http.Client(transport=transport, trust_env=False)

    def async_client(self, door: AsyncDoor) -> Any:
        """The same for asynchronous callers."""
        transport = self._async_transport(door)
        weakref.finalize(transport, door.close_later).atexit = False
        return self._http.AsyncClient(transport=transport, trust_env=False)


def _request(request: Any, body: bytes) -> Request:
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    return Request(
        method=request.method,
        path=path,
        query=parse_qsl(query, keep_blank_values=True),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        read_timeout=_read_timeout(request),
    )


def _read_timeout(request: Any) -> float | None:
    return request.extensions.get("timeout", {}).get("read")


def _sync_transport(http: Any) -> Any:
    class FrameStream(http.SyncByteStream):
        def __init__(self, pump: Pump, request: Any) -> None:
            self._pump = pump
            self._request = request
            weakref.finalize(self, pump.close).atexit = False

        def __iter__(self) -> Iterator[bytes]:
            try:
                yield from self._pump
            except DoorTimeoutError:
                raise http.ReadTimeout("No event came in time.", request=self._request) from None

        def close(self) -> None:
            self._pump.close()

    class InProcessTransport(http.BaseTransport):
        """The synchronous door as a transport."""

        def __init__(self, door: SyncDoor) -> None:
            self._door = door

        def handle_request(self, request: Any) -> Any:
            try:
                response, pump = self._door.handle(_request(request, request.read()))
            except DoorTimeoutError:
                raise http.ReadTimeout("No answer came in time.", request=request) from None
            body: dict[str, Any] = {"content": response.body}
            if pump is not None:
                body = {"stream": FrameStream(pump, request)}
            return http.Response(response.status, headers=dict(response.headers), request=request, **body)

        def close(self) -> None:
            self._door.close()

    return InProcessTransport


def _async_transport(http: Any) -> Any:
    class FrameStream(http.AsyncByteStream):
        def __init__(self, frames: Frames, request: Any) -> None:
            self._frames = TimedFrames(frames, _read_timeout(request))
            self._request = request

        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for frame in self._frames:
                    yield frame
            except DoorTimeoutError:
                raise http.ReadTimeout("No event came in time.", request=self._request) from None

        async def aclose(self) -> None:
            await self._frames.aclose()

    class AsyncInProcessTransport(http.AsyncBaseTransport):
        """The asynchronous door as a transport."""

        def __init__(self, door: AsyncDoor) -> None:
            self._door = door

        async def handle_async_request(self, request: Any) -> Any:
            try:
                response = await self._door.handle(_request(request, await request.aread()))
            except DoorTimeoutError:
                raise http.ReadTimeout("No answer came in time.", request=request) from None
            body: dict[str, Any] = {"content": response.body}
            if not isinstance(response.body, bytes):
                body = {"stream": FrameStream(response.body, request)}
            return http.Response(response.status, headers=dict(response.headers), request=request, **body)

        async def aclose(self) -> None:
            await self._door.close()

    return AsyncInProcessTransport
