"""The asynchronous door: the work is done on the caller's own event loop."""

import asyncio
import atexit
import logging
import threading
import weakref
from asyncio import AbstractEventLoop
from contextlib import suppress
from typing import Self, TypeAlias

from supercompat.api.exchange import Frames, Request, Response
from supercompat.transport.core import (
    Answers,
    DoorTimeoutError,
    ProcessGuard,
    Start,
    StartedRuntime,
    closed,
    failure,
)

logger = logging.getLogger(__name__)

Starting: TypeAlias = "asyncio.Task[StartedRuntime]"

#: Seconds beyond its drain in which a runtime on another loop has to be closed.
GRACE = 10.0


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
        self._runtimes: dict[AbstractEventLoop, Starting] = {}
        self._first_loop: weakref.ref[AbstractEventLoop] | None = None
        self._orphans: set[str] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def handle(self, request: Request) -> Response:
        """Answer a request.

        Raises:
            DoorTimeoutError: the request's read timeout has passed.
        """
        try:
            async with asyncio.timeout(request.read_timeout):
                runtime = await asyncio.shield(self._started())
                return await answered(runtime, request)
        except TimeoutError:
            raise DoorTimeoutError from None
        except Exception as error:
            return failure(error)

    async def close(self) -> None:
        """Drain, hand over, let go of everything. Idempotent."""
        if self._guard.forked:
            return
        here = asyncio.get_running_loop()
        for loop, starting in self._take().items():
            if loop is here:
                await _close(starting, self._drain)
            elif loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(_close(starting, self._drain), loop)
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.wrap_future(closing), self._drain + GRACE)
            else:
                self._close_when_it_runs(loop, starting)

    def reopen(self) -> None:
        """Answer again, after `close`: on another loop than the first with a pool of its own, as ever."""
        with self._lock:
            if self._is_closed:
                self._is_closed = False
                atexit.register(self._close_at_exit)

    def close_later(self) -> None:
        """Close from a finalizer, outside of any loop and in any thread."""
        if self._guard.forked:
            return
        for loop, starting in self._take().items():
            self._close_when_it_runs(loop, starting)

    def _close_at_exit(self) -> None:
        """Loops that were left without being closed get to run once more."""
        if self._guard.forked:
            return
        for loop, starting in self._take().items():
            # A loop that is stopped half-way is beyond help.
            with suppress(TimeoutError, RuntimeError):
                if loop.is_closed():
                    _abandon(starting)
                elif loop.is_running():
                    closing = asyncio.run_coroutine_threadsafe(_close(starting, self._drain), loop)
                    closing.result(self._drain + GRACE)
                else:
                    loop.run_until_complete(_close(starting, self._drain))

    def _started(self) -> Starting:
        self._guard.enter()
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._is_closed:
                raise closed()
            starting = self._runtimes.get(loop)
            if starting is None or _has_failed(starting):
                self._bury()
                if self._first_loop is None:
                    self._first_loop = weakref.ref(loop)
                    atexit.register(self._close_at_exit)
                starting = self._runtimes[loop] = loop.create_task(self._start_on(loop))
            return starting

    async def _start_on(self, loop: AbstractEventLoop) -> StartedRuntime:
        assert self._first_loop is not None
        orphans = tuple(self._orphans)
        runtime = await self._start(own_pool=self._first_loop() is not loop, orphans_of=orphans)
        self._orphans.difference_update(orphans)
        return runtime

    def _bury(self) -> None:
        """Let go of the runtimes whose loops have ended; their runs are for whoever starts next."""
        for loop in [loop for loop in self._runtimes if loop.is_closed()]:
            runtime = _abandon(self._runtimes.pop(loop))
            if runtime is not None:
                self._orphans.add(runtime.owner)

    def _take(self) -> dict[AbstractEventLoop, Starting]:
        """All runtimes, to be closed. No other is started from now on."""
        with self._lock:
            runtimes, self._runtimes, self._is_closed = self._runtimes, {}, True
        atexit.unregister(self._close_at_exit)
        return runtimes

    def _close_when_it_runs(self, loop: AbstractEventLoop, starting: Starting) -> None:
        # A loop that was closed has closed its runtime, or can't any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._begin_to_close, loop, starting)

    def _begin_to_close(self, loop: AbstractEventLoop, starting: Starting) -> None:
        closing = loop.create_task(_close(starting, self._drain))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


async def answered(runtime: Answers, request: Request) -> Response:
    """What a runtime answers. The work is a task of its own: it goes on when its caller is cancelled."""
    work = asyncio.ensure_future(runtime.handle(request))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        request.caller.leave()
        # Nobody is left to whom its failure, as a timeout of its own, could be told.
        work.add_done_callback(_note_failure)
        caller = asyncio.current_task()
        if work.cancelled() and caller is not None and not caller.cancelling():
            return failure(closed())
        raise


def _note_failure(work: "asyncio.Task[Response]") -> None:
    if not work.cancelled() and (error := work.exception()) is not None:
        logger.info("What a request asked for failed after its caller had left", exc_info=error)


def _has_failed(starting: Starting) -> bool:
    return starting.done() and (starting.cancelled() or starting.exception() is not None)


async def _close(starting: Starting, drain: float) -> None:
    await asyncio.wait([starting])
    if not _has_failed(starting):
        await starting.result().close(drain)


def _abandon(starting: Starting) -> StartedRuntime | None:
    """Let go of a runtime whose event loop is gone."""
    if not starting.done() or _has_failed(starting):
        return None
    runtime = starting.result()
    runtime.abandon()
    return runtime


class TimedFrames:
    """The frames of a stream, each within `timeout` seconds of the wish for it.

    Args:
        frames: closed with this.
        timeout: None for no limit.
    """

    def __init__(self, frames: Frames, timeout: float | None) -> None:
        self._frames = frames
        self._timeout = timeout
        self._waiting: asyncio.Timeout | None = None
        self._is_left = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next frame.

        Raises:
            DoorTimeoutError: it did not come in time.
            StopAsyncIteration: there is none, or the frames were closed meanwhile.
        """
        frame = b""
        while not frame and not self._is_left:
            try:
                async with asyncio.timeout(self._timeout) as self._waiting:
                    frame = await anext(self._frames)
            except TimeoutError:
                if not self._is_left:
                    raise DoorTimeoutError from None
            finally:
                self._waiting = None
        if not frame:
            raise StopAsyncIteration
        return frame

    async def aclose(self) -> None:
        """Stop reading, also while another task waits for a frame."""
        self._is_left = True
        if self._waiting is None:
            await self._frames.aclose()
        else:
            self._waiting.reschedule(asyncio.get_running_loop().time())
