"""A store that is asked again while its database can't be used."""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from supercompat.errors import SchemaError, StorageError
from supercompat.storage_adapters.protocol import Transaction
from supercompat.wire.ids import Ids

T = TypeVar("T")

#: Seconds before the second attempt; each further one waits twice as long, up to the most.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0


class Transacting(Protocol):
    """Whatever runs functions as transactions, as a `Store` does."""

    @property
    def ids(self) -> Ids: ...

    async def transact(self, work: Callable[[Transaction], T]) -> T: ...


class PatientStore:
    """Runs transactions, again where the database fails.

    Args:
        patience: seconds after which a transaction that fails is not tried again; may be set anew at any time.
    """

    def __init__(self, store: Transacting, patience: float) -> None:
        self.ids = store.ids
        self._store = store
        self._under_way = 0
        self._rests_since = float("-inf")
        self.patience = patience

    def has_just_written(self, seconds: float) -> bool:
        """Whether a transaction is under way, or ended less than so long ago."""
        return self._under_way > 0 or _now() - self._rests_since < seconds

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """As `Store.transact`. What failed was not kept, or is met by its repetition, which then finds the run moved.

        Raises:
            StorageError: the database could not be used for so long, or is of another release.
            Whatever `work` raises.
        """
        began, pause = _now(), FIRST_PAUSE
        while True:
            try:
                return await self._attempt(work)
            except SchemaError:
                raise
            except StorageError:
                if _now() + pause > began + self.patience:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _attempt(self, work: Callable[[Transaction], T]) -> T:
        self._under_way += 1
        try:
            return await self._store.transact(work)
        finally:
            self._under_way -= 1
            self._rests_since = _now()


def _now() -> float:
    return asyncio.get_running_loop().time()
