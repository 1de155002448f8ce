"""Storages that can be made to wait, or to fail, or that tell, at the transaction that a test wants to look at."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from supercompat import MemoryStorageAdapter
from supercompat.errors import ActiveRunError, StorageError
from supercompat.storage_adapters.protocol import StorageAdapter, Store, Transaction
from supercompat.testing import Gate
from supercompat.wire.ids import Ids

T = TypeVar("T")


class HeldStorage:
    """A storage, by default in memory, whose next transactions a test can hold. Those that time brings about, as the
    renewals of leases, are not counted: nobody knows between which others they come.

    Args:
        tells_late: they are held when they are done, and nobody was told so yet.

    Attributes:
        failures: is released by each transaction that fails.
        successes: is released by each that succeeds; none is counted from before the last `mend`.
    """

    def __init__(self, storage: StorageAdapter | None = None, *, tells_late: bool = False) -> None:
        self._storage = storage or MemoryStorageAdapter()
        self.tells_late = tells_late
        self._gates: list[Gate | None] = []
        self._left: int | None = None
        self.failures = threading.Semaphore(0)
        self.successes = threading.Semaphore(0)

    def open(self, *, project: str = "default", own_pool: bool = False) -> Store:
        return _HeldStore(self._storage.open(project=project, own_pool=own_pool), self)

    def hold(self, *, after: int) -> Gate:
        """The gate at which a transaction will wait: the next but `after`. None of those before it may be under way."""
        gate = Gate()
        self._gates = [*[None] * after, gate]
        return gate

    def fail(self, *, after: int = 0) -> None:
        """From now on, but for the next `after` transactions, none succeeds."""
        self._left = after

    def mend(self) -> None:
        """From now on they do again."""
        self._left = None
        self.successes = threading.Semaphore(0)

    async def pass_through(self) -> None:
        """Used by the stores."""
        counts = not _is_due_to_time()
        gate = self._gates.pop(0) if self._gates and counts else None
        if gate is not None:
            await gate.pass_through()
        if self._left == 0:
            self.failures.release()
            raise StorageError("The disk is full.")
        if self._left is not None and counts:
            self._left -= 1


def _is_due_to_time() -> bool:
    task = asyncio.current_task()
    return task is not None and task.get_name() in ("supercompat leases", "supercompat reaper")


class _HeldStore:
    def __init__(self, store: Store, holder: HeldStorage) -> None:
        self._store = store
        self._holder = holder

    @property
    def ids(self) -> Ids:
        return self._store.ids

    @property
    def durable(self) -> bool:
        return self._store.durable

    async def transact(self, work: Callable[[Transaction], T], *, urgent: bool = False) -> T:
        if not self._holder.tells_late:
            await self._holder.pass_through()
        value = await self._store.transact(work, urgent=urgent)
        if self._holder.tells_late:
            await self._holder.pass_through()
        self._holder.successes.release()
        return value

    def news(self) -> AbstractAsyncContextManager[AsyncIterator[str | None]]:
        return self._store.news()

    async def aclose(self) -> None:
        await self._store.aclose()

    def abandon(self) -> None:
        self._store.abandon()


class TellingStorage:
    """A storage that tells of each new run which it refuses, since its thread has an active one.

    Attributes:
        refused: released for each.
    """

    def __init__(self, storage: StorageAdapter) -> None:
        self._storage = storage
        self.refused = threading.Semaphore(0)

    def open(self, *, project: str = "default", own_pool: bool = False) -> Store:
        return _TellingStore(self._storage.open(project=project, own_pool=own_pool), self.refused)


class _TellingStore:
    def __init__(self, store: Store, refused: threading.Semaphore) -> None:
        self._store = store
        self._refused = refused

    @property
    def ids(self) -> Ids:
        return self._store.ids

    @property
    def durable(self) -> bool:
        return self._store.durable

    async def transact(self, work: Callable[[Transaction], T], *, urgent: bool = False) -> T:
        try:
            return await self._store.transact(work, urgent=urgent)
        except ActiveRunError:
            self._refused.release()
            raise

    def news(self) -> AbstractAsyncContextManager[AsyncIterator[str | None]]:
        return self._store.news()

    async def aclose(self) -> None:
        await self._store.aclose()

    def abandon(self) -> None:
        self._store.abandon()
