"""Brings frames from an event loop to a thread that reads them."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import aclosing

from supercompat.api.exchange import Frames
from supercompat.transport.core import DoorTimeoutError, broken_off
from supercompat.transport.home_loop import HomeLoop

#: Frames that may wait for the reader before the pump does.
CAPACITY = 256


class Pump:
    """One reader's frames. A task on the loop fills a bounded queue, so that a hop is paid for a batch, not a frame.

    Args:
        frames: to be read on the loop; closed when the reader leaves.
        timeout: seconds that the reader waits for the next frame; None for ever.
    """

    def __init__(self, loop: HomeLoop, frames: Frames, timeout: float | None) -> None:
        self._loop = loop
        self._frames = frames
        self._timeout = timeout
        self._queue: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._is_left = False
        self._has_ended = False
        self._room: asyncio.Event | None = None
        self._work = loop.submit(self._fill())
        # Not at the end of `_fill`: a loop that stops may end it before it began.
        self._work.add_done_callback(self._end)

    def __iter__(self) -> Iterator[bytes]:
        """The frames, in order; an `error` event comes last if the client is closed meanwhile.

        Raises:
            DoorTimeoutError: none came in time.
            Whatever reading them on the loop raised.
        """
        while (frame := self._next()) is not None:
            if frame:
                yield frame
        if not self._is_left and self._work.cancelled():
            yield broken_off()

    def close(self) -> None:
        """Stop reading: the frames are closed on their loop."""
        self._is_left = True
        self._work.cancel()

    def _next(self) -> bytes | None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._queue or self._has_ended, self._timeout):
                self.close()
                raise DoorTimeoutError
            if not self._queue:
                return None if self._work.cancelled() else self._work.result()
            frame = self._queue.popleft()
            half_empty = len(self._queue) == CAPACITY // 2
        if half_empty and self._room is not None:
            self._loop.call(self._room.set)
        return frame

    async def _fill(self) -> None:
        self._room = asyncio.Event()
        async with aclosing(self._frames) as frames:
            async for frame in frames:
                await self._put(frame)

    async def _put(self, frame: bytes) -> None:
        assert self._room is not None
        with self._changed:
            self._queue.append(frame)
            full = len(self._queue) >= CAPACITY
            if full:
                self._room.clear()
            self._changed.notify_all()
        if full:
            await self._room.wait()

    def _end(self, _: "Future[None]") -> None:
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()
