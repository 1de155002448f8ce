"""The synchronous door: callers in any thread, the work on a loop of ours."""

import atexit
import threading
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress

from supercompat.api.exchange import Request, Response
from supercompat.transport.core import (
    DoorTimeoutError,
    ProcessGuard,
    Start,
    StartedRuntime,
    closed,
    failure,
)
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
        self._starting: Future[StartedRuntime] | None = None
        self._is_closed = False
        self._ended = threading.Event()

    def handle(self, request: Request) -> tuple[Response, Pump | None]:
        """Answer a request. A streamed body is read from the pump.

        Raises:
            DoorTimeoutError: the request's read timeout has passed.
        """
        timeout = request.read_timeout
        try:
            loop, starting = self._started()
            response = _awaited(loop, loop.submit(starting.result(timeout).handle(request)), request)
            if isinstance(response.body, bytes):
                return response, None
            return response, Pump(loop, response.body, timeout)
        except CancelledError:
            return failure(closed()), None
        except TimeoutError:
            raise DoorTimeoutError from None
        except Exception as error:
            return failure(error), None

    def close(self) -> None:
        """Drain, hand over, let go of the loop. Idempotent, and callable from any thread."""
        if self._guard.forked:
            return
        with self._lock:
            is_first, self._is_closed = not self._is_closed, True
            loop, starting = self._loop, self._starting
        if not is_first or loop is None or starting is None:
            return
        try:
            wait([starting])
            if not _has_failed(starting):
                loop.submit(starting.result().close(self._drain)).result()
        finally:
            self._let_go(loop)

    def close_later(self) -> None:
        """Close from a finalizer, which may run in any thread, the loop's own included."""
        if self._loop is None or self._guard.forked:
            return
        # While the interpreter exits no thread starts any more, and `_close_at_exit` is about to come.
        with suppress(RuntimeError):
            threading.Thread(target=self.close, name="supercompat-close", daemon=True).start()

    def _let_go(self, loop: HomeLoop) -> None:
        try:
            loop.stop()
        finally:
            atexit.unregister(self._close_at_exit)
            self._loop = self._starting = None
            self._ended.set()

    def _close_at_exit(self) -> None:
        self.close()
        if not self._guard.forked:
            self._ended.wait()

    def _started(self) -> tuple[HomeLoop, "Future[StartedRuntime]"]:
        self._guard.enter()
        with self._lock:
            if self._is_closed:
                raise closed()
            if self._loop is None:
                self._loop = HomeLoop()
                atexit.register(self._close_at_exit)
            if self._starting is None or _has_failed(self._starting):
                self._starting = self._loop.submit(self._start(own_pool=True))
            return self._loop, self._starting


def _awaited(loop: HomeLoop, work: "Future[Response]", request: Request) -> Response:
    try:
        return work.result(request.read_timeout)
    except BaseException:
        # Also when the calling thread is interrupted.
        loop.call(request.caller.leave)
        raise


def _has_failed(starting: "Future[StartedRuntime]") -> bool:
    return starting.done() and (starting.cancelled() or starting.exception() is not None)
