"""Does something every so often, on an event loop that may end at any time."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from supercompat.errors import StorageError

logger = logging.getLogger(__name__)

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Timer:
    """Calls `work` again and again, never twice at once. It belongs to the event loop on which it is started.

    In between there is only a wish of the loop's, and no task that would be pending for ever if the loop ended.
    A call that fails is followed by the next one; that the database can't be used is logged once.

    Args:
        name: of the tasks.
        every: seconds between the end of one call and the beginning of the next.
    """

    def __init__(self, name: str, every: float, work: Work) -> None:
        self._name = name
        self._every = every
        self._work = work
        self._is_on = False
        self._is_urgent = False
        self._has_failed = False
        self._next: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def task(self) -> "asyncio.Task[None] | None":
        """The call that is under way."""
        return self._task

    def start(self) -> None:
        """Begin, if that has not been done: the first call comes when the time is over."""
        if not self._is_on:
            self._is_on = True
            self._plan(self._every)

    def stop(self) -> None:
        """No more calls. One that is under way goes on."""
        self._is_on = False
        self._put_off()

    def hurry(self, within: float = 0.0) -> None:
        """The next call comes after so many seconds at most, if the timer is on."""
        if not self._is_on:
            return
        if self._task is not None:
            self._is_urgent = True
        elif self._next is None or self._next.when() > asyncio.get_running_loop().time() + within:
            self._put_off()
            self._plan(within)

    def _plan(self, after: float) -> None:
        if self._task is None:
            self._next = asyncio.get_running_loop().call_later(after, self._begin)

    def _put_off(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _begin(self) -> None:
        self._next = None
        self._is_urgent = False
        self._task = asyncio.create_task(self._call(), name=self._name)

    async def _call(self) -> None:
        try:
            await self._work()
            self._has_failed = False
        except StorageError:
            if not self._has_failed:
                logger.warning("The database can't be used (%s)", self._name, exc_info=True)
            self._has_failed = True
        except Exception:
            logger.exception("%s failed", self._name)
        finally:
            self._task = None
            if self._is_on:
                self._plan(0.0 if self._is_urgent else self._every)
