"""Brings frames from an event loop to a thread that reads them."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import aclosing

from supercompat.api.exchange import Frames
from supercompat.transport.core import DoorTimeoutError
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
        self._ended = False
        self._error: BaseException | None = None
        self._room: asyncio.Event | None = None
        self._work = loop.submit(self._fill())

    def __iter__(self) -> Iterator[bytes]:
        """The frames, in order.

        Raises:
            DoorTimeoutError: none came in time.
            Whatever reading them on the loop raised.
        """
        while True:
            frame = self._next()
            if frame is None:
                return
            if frame:
                yield frame

    def close(self) -> None:
        """Stop reading: the frames are closed on their loop."""
        self._work.cancel()

    def _next(self) -> bytes | None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._queue or self._ended, self._timeout):
                self.close()
                raise DoorTimeoutError
            if not self._queue:
                if self._error is not None:
                    raise self._error
                return None
            frame = self._queue.popleft()
            half_empty = len(self._queue) == CAPACITY // 2
        if half_empty and self._room is not None:
            self._loop.call(self._room.set)
        return frame

    async def _fill(self) -> None:
        self._room = asyncio.Event()
        try:
            async with aclosing(self._frames) as frames:
                async for frame in frames:
                    await self._put(frame)
        except Exception as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

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
