"""Synchronous SDK clients, driven from an event loop: a thread for each call, and a way to end a call that waits."""

import asyncio
import contextvars
import inspect
import itertools
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")

#: Items that a thread may be ahead of its reader. Then it waits, and so, in the end, does the provider.
QUEUE_SIZE = 64

#: Seconds for which leaving a call waits for its thread, which ends at once when its socket could be shut down.
GRACE = 0.1

#: Seconds for which closing waits for the threads of calls that were left before they had a socket.
LAST_GRACE = 1.0

_numbers = itertools.count(1)


class LeftError(BaseException):
    """The call was left: its thread has to end. Not an `Exception`, so that no SDK takes it for a failure to retry."""


class Call(Protocol):
    """What the function in a thread knows of its call."""

    def check(self) -> None:
        """To be called before what takes long. Requests of a client that is watched are checked anyway.

        Raises:
            LeftError: the call was left.
        """
        ...


def watch(client: object) -> None:
    """Let a synchronous httpx client tell on which sockets its requests wait, so that a call can be left.

    It gets one more hook for requests, once and for good. Requests from elsewhere pass it by. Any other object, which
    a user may have put in such a client's place, is left alone: then a call that is left ends at its timeout.
    """
    hooks: list[Any] | None = getattr(client, "event_hooks", {}).get("request")
    if hooks is not None and _before_request not in hooks:
        hooks.append(_before_request)


class ProviderThreads:
    """Threads for the calls of synchronous clients. Calls beyond the limit wait, first come, first served.

    Belongs to one event loop. The threads are daemons: none keeps the interpreter from exiting.

    Args:
        limit: how many calls may be under way at once. A call that was left counts until its thread has ended.
    """

    def __init__(self, limit: int = 64) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._calls: set[_ThreadCall[Any]] = set()

    @asynccontextmanager
    async def stream(
        self, function: Callable[[Call], AbstractContextManager[Iterable[T]]]
    ) -> AsyncIterator[AsyncIterator[T]]:
        """Enter `function(call)` in a thread, and read what it iterates. Gives control back when it was entered.

        Leaving ends the call at once, wherever its thread is: a socket on which it waits is shut down. Where none
        can be reached, the thread is left to end by itself, at its SDK's timeout.
        """
        await self._slots.acquire()
        call = _ThreadCall(function, on_end=self._forget)
        self._calls.add(call)
        call.start()
        try:
            await call.entered()
            yield call
        finally:
            await call.leave()

    async def run(self, function: Callable[[Call], T]) -> T:
        """What a function returns, called in a thread."""
        async with self.stream(lambda call: nullcontext((function(call),))) as results:
            return await anext(results)

    async def aclose(self) -> None:
        """Wait for the threads of calls that were left. While the loop goes on they are interrupted, later never."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_GRACE):
                for call in [call for call in self._calls if call.is_left]:
                    await call.ended()

    def _forget(self, call: "_ThreadCall[Any]") -> None:
        self._calls.discard(call)
        self._slots.release()


class _ThreadCall(Generic[T]):
    """A thread that fills a queue, and a loop that empties it.

    The thread wakes the loop once for everything that it did since the loop last looked, never once for each item.
    """

    def __init__(
        self,
        function: Callable[[Call], AbstractContextManager[Iterable[T]]],
        *,
        on_end: "Callable[[_ThreadCall[Any]], None]",
    ) -> None:
        self._function = function
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        # Everything from here on is shared with the thread, and changed under this lock.
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._has_told = False
        self._is_entered = False
        self._is_left = False
        self._is_over = False
        self._error: BaseException | None = None
        #: The httpcore network stream of the request that is under way.
        self._stream: Any = None
        self._thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(self._work,),
            name=f"supercompat-provider-{next(_numbers)}",
            daemon=True,
        )

    # On the loop.

    def start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError:
            self._on_end(self)
            if threading.main_thread().is_alive():
                raise
            # The interpreter exits, and starts no more threads: this is over, not broken.
            raise asyncio.CancelledError from None

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        await self._until(lambda: bool(self._items) or self._is_over)
        with self._changed:
            if self._items:
                self._changed.notify()
                return self._items.popleft()
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def entered(self) -> None:
        await self._until(lambda: self._is_entered or self._is_over)
        if self._error is not None and not self._is_entered:
            raise self._error

    @property
    def is_left(self) -> bool:
        return self._is_left

    async def ended(self) -> None:
        await self._ended.wait()

    async def leave(self) -> None:
        with self._changed:
            self._is_left = True
            self._items.clear()
            self._changed.notify()
        if self._is_over:
            return
        self._interrupt(0.05)
        if not self._is_entered:
            # The SDK may be sleeping before it would try again.
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await self._ended.wait()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while True:
            with self._changed:
                if holds():
                    return
                self._has_told = False
            await self._news.wait()
            self._news.clear()

    def _interrupt(self, pause: float) -> None:
        """Shut down the sockets in use, and look again after `pause` seconds while the thread has not ended: it may
        have been just about to wait."""
        if self._is_over:
            return
        # Under the lock, the connection is not given back meanwhile, perhaps to another call.
        with self._changed:
            used = None if self._stream is None else self._stream.get_extra_info("socket")
            if isinstance(used, socket.socket):
                with suppress(OSError):
                    # Not `used.shutdown`: an SSL socket's own drops the TLS state under its reader.
                    socket.socket.shutdown(used, socket.SHUT_RDWR)
        self._loop.call_later(pause, self._interrupt, min(2 * pause, 1.0))

    def _end(self) -> None:
        self._ended.set()
        self._on_end(self)

    # In the thread.

    def check(self) -> None:
        if self._is_left:
            raise LeftError

    def sends(self, request: Any) -> None:
        """To be called before an httpx request is sent."""
        self.check()
        traces: Any = request.extensions.get("trace")

        def trace(name: str, info: Mapping[str, Any]) -> None:
            self._trace(name)
            if traces is not None:
                traces(name, info)

        request.extensions = {**request.extensions, "trace": trace}

    def _trace(self, name: str) -> None:
        """Hear from httpcore what it is about to do. A connection of HTTP/2 is shared with other calls, and so not
        looked at."""
        if name == "http11.send_request_headers.started":
            stream = _stream_in_use()
            with self._changed:
                self._stream = stream
            self.check()
        elif name == "http11.response_closed.started":
            with self._changed:
                self._stream = None

    def _work(self) -> None:
        error: BaseException | None = None
        _current.set(self)
        try:
            self.check()
            with self._function(self) as items:
                self._is_entered = True
                self._tell()
                for item in items:
                    self._put(item)
        except BaseException as raised:
            error = raised
        self._error = error
        self._is_over = True
        self._tell()
        self._on_loop(self._end)

    def _put(self, item: T) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_left or len(self._items) < QUEUE_SIZE)
            self.check()
            self._items.append(item)
        self._tell()

    def _tell(self) -> None:
        with self._changed:
            if self._has_told:
                return
            self._has_told = True
        self._on_loop(self._news.set)

    def _on_loop(self, callback: Callable[[], None]) -> None:
        # The loop may have been closed meanwhile: then nobody waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)


#: The call that a thread is there for.
_current: contextvars.ContextVar[_ThreadCall[Any] | None] = contextvars.ContextVar("_current", default=None)


def _before_request(request: Any) -> None:
    call = _current.get()
    if call is not None:
        call.sends(request)


def _stream_in_use() -> Any:
    """The network stream of the connection that has just called. No public name leads to it before its answer."""
    frame = inspect.currentframe()
    while frame is not None:
        stream = getattr(frame.f_locals.get("self"), "_network_stream", None)
        if stream is not None:
            return stream
        frame = frame.f_back
    return None
