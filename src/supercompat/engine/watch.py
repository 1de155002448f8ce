"""Waits for runs that somebody else moves: by the storage's news, and by looking now and then."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from supercompat.errors import StorageError
from supercompat.storage_adapters.protocol import Store

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two looks at a run of which no news come.
LOOK_EVERY = 0.5

#: Seconds before news are listened to again after they broke off.
LISTEN_AGAIN = 1.0

#: Seconds for which a storage that has told news is listened to after nobody needs them, since to begin is costly.
LINGER = 30.0


class Watch:
    """Tells those who wait for a run that it may have changed. It belongs to one event loop.

    Args:
        heard: called with the id of each run that was changed; None if it may be any.
    """

    def __init__(self, store: Store, heard: Callable[[str | None], None]) -> None:
        self._store = store
        self._heard = heard
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._users = 0
        self._tells = False
        self._listener: asyncio.Task[None] | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """News are listened to for as long as somebody is in here."""
        self._users += 1
        self._stay()
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen(), name="supercompat news")
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._leave()

    async def until(self, run_id: str, look: Callable[[], Awaitable[T]], is_enough: Callable[[T], bool]) -> T:
        """What `look` finds, once that is enough. It looks at once, then when there are news of the run, and now and
        then.

        Raises:
            Whatever `look` raises, but a `StorageError` once it has begun to wait: the database may come back.
        """
        found = await look()
        if is_enough(found):
            return found
        with self.listening(), self._told(run_id) as news:
            while not is_enough(found):
                await _set_or_late(news)
                news.clear()
                try:
                    found = await look()
                except StorageError:
                    logger.info("%s could not be looked at", run_id, exc_info=True)
        return found

    @contextmanager
    def _told(self, run_id: str) -> Iterator[asyncio.Event]:
        news = asyncio.Event()
        waiting = self._waiting.setdefault(run_id, set())
        waiting.add(news)
        try:
            yield news
        finally:
            waiting.discard(news)
            if not waiting:
                self._waiting.pop(run_id, None)

    async def aclose(self) -> None:
        """Stop listening."""
        self._stay()
        self._end_listening()
        if self._ending:
            await asyncio.wait(self._ending)

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def _leave(self) -> None:
        if self._tells:
            self._leaving = asyncio.get_running_loop().call_later(LINGER, self._end_listening)
        else:
            self._end_listening()

    def _end_listening(self) -> None:
        self._leaving = None
        listener, self._listener = self._listener, None
        if listener is not None:
            self._ending.add(listener)
            listener.add_done_callback(self._ending.discard)
            listener.cancel()

    async def _listen(self) -> None:
        while True:
            try:
                async with self._store.news() as news:
                    async for run_id in news:
                        self._tells = True
                        self._tell(run_id)
            except StorageError:
                logger.info("News of runs broke off", exc_info=True)
            await asyncio.sleep(LISTEN_AGAIN)

    def _tell(self, run_id: str | None) -> None:
        self._heard(run_id)
        told = list(self._waiting) if run_id is None else [run_id]
        for each in told:
            for news in self._waiting.get(each, ()):
                news.set()


async def _set_or_late(news: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_EVERY):
            await news.wait()
    except TimeoutError:
        return
