"""A stream of events that goes on by itself: who reads it may come late, leave, and come back."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple


class Broadcast:
    """The events so far, and news of those to come. Used on the server's thread only."""

    def __init__(self) -> None:
        self._events: list[bytes] = []
        self._news = asyncio.Event()
        self._is_over = False
        self._break: int | None = None

    def add(self, data: bytes) -> None:
        """One more event."""
        self._events.append(data)
        self._tell()

    def end(self) -> None:
        """There will be no more."""
        self._is_over = True
        self._tell()

    def break_off(self) -> None:
        """Readers that `breaks` is said of are dropped here, once."""
        if self._break is None:
            self._break = len(self._events)
            self._tell()

    async def read(self, start: int, *, breaks: bool) -> AsyncIterator[tuple[bytes, bool]]:
        """The events from number `start` on, and whether each is the last. Raises EOFError where it breaks off."""
        position = start
        while True:
            news = self._news
            for data in self._events[position : self._break if breaks else None]:
                position += 1
                yield data, self._is_over and position == len(self._events)
            if breaks and position == self._break:
                raise EOFError
            if self._is_over and position >= len(self._events):
                return
            await news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Replay(NamedTuple):
    """An answer: a broadcast from event number `start` on, in pieces of these sizes.

    `breaks` is whether the reader is dropped where the broadcast breaks off.
    """

    broadcast: Broadcast
    start: int = 0
    sizes: tuple[int, ...] = ()
    breaks: bool = False
