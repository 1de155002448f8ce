"""The asynchronous door: the work is done on the caller's own event loop."""

import asyncio
import threading
from asyncio import AbstractEventLoop

from supercompat.api.application import unavailable
from supercompat.api.exchange import Frames, Request, Response
from supercompat.errors import ClosedError, SupercompatError
from supercompat.transport.core import DoorTimeoutError, ProcessGuard, Start, StartedRuntime


class AsyncDoor:
    """Keeps one runtime for each event loop on which it is used.

    The user's own asynchronous provider client belongs to the first of them; later ones get a pool of their own.

    Args:
        drain: seconds that `close` waits for running runs.
    """

    def __init__(self, start: Start, *, drain: float) -> None:
        self._start = start
        self._drain = drain
        self._guard = ProcessGuard()
        self._lock = threading.Lock()
        self._runtimes: dict[AbstractEventLoop, asyncio.Task[StartedRuntime]] = {}
        self._orphans: list[str] = []
        self._used = False
        self._closed = False

    async def handle(self, request: Request) -> Response:
        """Answer a request.

        Raises:
            DoorTimeoutError: the request's read timeout has passed.
        """
        try:
            runtime = await self._started()
        except SupercompatError as error:
            return unavailable(error)
        # The work is a task of its own: it goes on when its caller stops waiting or is cancelled.
        work = asyncio.ensure_future(runtime.application.handle(request))
        try:
            async with asyncio.timeout(request.read_timeout):
                return await asyncio.shield(work)
        except TimeoutError:
            raise DoorTimeoutError from None

    async def close(self) -> None:
        """Drain, hand over, let go of everything. Idempotent."""
        with self._lock:
            runtimes, self._runtimes, self._closed = self._runtimes, {}, True
        if self._guard.forked:
            return
        here = asyncio.get_running_loop()
        for loop, starting in runtimes.items():
            if loop is here and (runtime := _finished(starting)):
                await runtime.close(self._drain)
            else:
                _close_elsewhere(loop, starting, self._drain)

    def close_later(self) -> None:
        """Close from a finalizer, outside of any loop."""
        if self._guard.forked:
            return
        with self._lock:
            runtimes, self._runtimes, self._closed = self._runtimes, {}, True
        for loop, starting in runtimes.items():
            _close_elsewhere(loop, starting, self._drain)

    async def _started(self) -> StartedRuntime:
        self._guard.enter()
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._closed:
                raise ClosedError("The client was closed.")
            starting = self._runtimes.get(loop)
            if starting is None:
                self._bury()
                starting = loop.create_task(self._start(own_pool=self._used, orphans_of=tuple(self._orphans)))
                self._runtimes[loop] = starting
                self._used = True
        try:
            return await asyncio.shield(starting)
        except SupercompatError:
            self._runtimes.pop(loop, None)
            raise

    def _bury(self) -> None:
        """Let go of the runtimes whose loops have ended; their runs are for whoever starts next."""
        for loop in [loop for loop in self._runtimes if loop.is_closed()]:
            runtime = _finished(self._runtimes.pop(loop))
            if runtime is not None:
                self._orphans.append(runtime.owner)
                runtime.abandon()


def _finished(starting: "asyncio.Task[StartedRuntime]") -> StartedRuntime | None:
    if starting.done() and not starting.cancelled() and starting.exception() is None:
        return starting.result()
    return None


def _close_elsewhere(loop: AbstractEventLoop, starting: "asyncio.Task[StartedRuntime]", drain: float) -> None:
    """Close a runtime that lives on another loop, or whose loop is gone."""
    runtime = _finished(starting)
    if runtime is None:
        return
    if loop.is_running():
        asyncio.run_coroutine_threadsafe(runtime.close(drain), loop)
    else:
        runtime.abandon()


async def timed(frames: Frames, timeout: float | None) -> Frames:
    """The frames, each within `timeout` seconds of the wish for it.

    Raises:
        DoorTimeoutError: one did not come in time.
    """
    try:
        while True:
            try:
                async with asyncio.timeout(timeout):
                    frame = await anext(frames)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise DoorTimeoutError from None
            if frame:
                yield frame
    finally:
        await frames.aclose()
