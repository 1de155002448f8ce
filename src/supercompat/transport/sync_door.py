"""The synchronous door: callers in any thread, the work on a loop of ours."""

import asyncio
import atexit
import threading
from concurrent.futures import CancelledError

from supercompat.api.application import unavailable
from supercompat.api.exchange import Request, Response
from supercompat.errors import ClosedError, SupercompatError
from supercompat.transport.core import DoorTimeoutError, ProcessGuard, Start, StartedRuntime
from supercompat.transport.home_loop import HomeLoop
from supercompat.transport.pump import Pump


class SyncDoor:
    """Starts its loop and runtime at first use.

    Args:
        drain: seconds that `close` waits for running runs.
    """

    def __init__(self, start: Start, *, drain: float) -> None:
        self._start = start
        self._drain = drain
        self._guard = ProcessGuard()
        self._lock = threading.Lock()
        self._loop: HomeLoop | None = None
        self._runtime: StartedRuntime | None = None
        self._closed = False

    def handle(self, request: Request) -> tuple[Response, Pump | None]:
        """Answer a request. A streamed body is read from the pump.

        Raises:
            DoorTimeoutError: the request's read timeout has passed.
        """
        try:
            loop, runtime = self._started()
        except SupercompatError as error:
            return unavailable(error), None
        future = loop.submit(_shielded(runtime, request))
        try:
            response = future.result(request.read_timeout)
        except CancelledError:
            return unavailable(ClosedError("The client was closed.")), None
        except TimeoutError:
            raise DoorTimeoutError from None
        if isinstance(response.body, bytes):
            return response, None
        return response, Pump(loop, response.body, request.read_timeout)

    def close(self) -> None:
        """Drain, hand over, let go of the loop. Idempotent, and callable from any thread."""
        with self._lock:
            loop, runtime, self._loop, self._runtime = self._loop, self._runtime, None, None
            self._closed = True
            atexit.unregister(self.close)
        if loop is None or self._guard.forked:
            return
        if runtime is not None:
            loop.submit(runtime.close(self._drain)).result()
        loop.stop()

    def close_later(self) -> None:
        """Close from a finalizer, which may run in any thread, the loop's own included."""
        if self._loop is not None:
            threading.Thread(target=self.close, name="supercompat close", daemon=True).start()

    def _started(self) -> tuple[HomeLoop, StartedRuntime]:
        with self._lock:
            self._guard.enter()
            if self._closed:
                raise ClosedError("The client was closed.")
            if self._loop is None:
                self._loop = HomeLoop()
                atexit.register(self.close)
            if self._runtime is None:
                self._runtime = self._loop.submit(self._start(own_pool=True)).result()
            return self._loop, self._runtime


async def _shielded(runtime: StartedRuntime, request: Request) -> Response:
    """The work goes on when its caller stops waiting."""
    return await asyncio.shield(asyncio.ensure_future(runtime.application.handle(request)))
