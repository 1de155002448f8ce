"""The events of one pass of a run, for any number of readers."""

import asyncio
from collections.abc import AsyncGenerator, Iterable

from supercompat.wire.events import DONE, AssistantEvent


class Feed:
    """Keeps the encoded events of a pass, from its first. It belongs to one event loop.

    A reader is a position in the list, so that a slow one, or one that leaves, costs the others nothing, and
    an event is encoded once however many read it.
    """

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._ended = asyncio.Event()
        self._readers: set[asyncio.Event] = set()

    def publish(self, events: Iterable[AssistantEvent]) -> None:
        self._frames.extend(event.encode() for event in events)
        self._wake()

    def end(self) -> None:
        """No more events will come: readers get what is left, then the closing frame."""
        self._ended.set()
        self._wake()

    async def ended(self) -> None:
        """Wait until the pass has ended."""
        await self._ended.wait()

    async def subscribe(self) -> AsyncGenerator[bytes, None]:
        """All frames from the first, then those to come; several that are ready at once come one by one."""
        position = 0
        news = asyncio.Event()
        self._readers.add(news)
        try:
            while True:
                while position < len(self._frames):
                    yield self._frames[position]
                    position += 1
                if self._ended.is_set():
                    break
                news.clear()
                await news.wait()
        finally:
            self._readers.discard(news)
        yield DONE

    def _wake(self) -> None:
        for news in self._readers:
            news.set()
