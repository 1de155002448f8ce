"""A storage that can be made to wait, or to fail, at the transaction that a test wants to look at."""

from collections.abc import Callable
from typing import TypeVar

from supercompat import MemoryStorageAdapter
from supercompat.errors import StorageError
from supercompat.storage_adapters.protocol import Store, Transaction
from supercompat.testing import Gate

T = TypeVar("T")


class HeldStorage:
    """Memory storage whose next transactions a test can hold. Give its clients a long lease: a renewal counts too."""

    def __init__(self) -> None:
        self._memory = MemoryStorageAdapter()
        self._gates: list[Gate | None] = []
        self._broken = False

    def open(self, *, project: str = "default") -> Store:
        return _HeldStore(self._memory.open(project=project), self)

    def hold(self, *, after: int) -> Gate:
        """The gate at which a transaction will wait: the next but `after`."""
        gate = Gate()
        self._gates = [*[None] * after, gate]
        return gate

    def fail(self) -> None:
        """From now on no transaction succeeds."""
        self._broken = True

    async def pass_through(self) -> None:
        """Used by the stores."""
        gate = self._gates.pop(0) if self._gates else None
        if gate is not None:
            await gate.pass_through()
        if self._broken:
            raise StorageError("The disk is full.")


class _HeldStore:
    def __init__(self, store: Store, holder: HeldStorage) -> None:
        self._store = store
        self._holder = holder

    @property
    def durable(self) -> bool:
        return self._store.durable

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        await self._holder.pass_through()
        return await self._store.transact(work)

    def close(self) -> None:
        self._store.close()
