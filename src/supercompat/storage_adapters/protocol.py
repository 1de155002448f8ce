"""What the rest of supercompat asks of a storage adapter.

A storage adapter keeps rows. It knows neither the API's rules nor the providers. All that it is asked is here:
a `Store` runs functions as transactions, a `Transaction` offers one `Collection` for each resource.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Collection as Some
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from supercompat.wire.objects import Assistant, Message, Resource, Run, RunStatus, RunStep, Thread

R = TypeVar("R", bound=Resource)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row(Generic[R]):
    """One stored thing.

    Args:
        object: what the API shows. The columns that queries need are taken from it.
        private: what the API never shows; JSON.
    """

    object: R
    private: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class RunRow(Row[Run]):
    """A run, with its ownership.

    Args:
        owner: id of the runtime that carries the run out; None when nobody does.
        lease_until: Unix seconds at which the ownership ends if it is not renewed.
        fence: grows by one whenever the owner changes. A write with an older number is refused.
    """

    owner: str | None = None
    lease_until: float = 0.0
    fence: int = 0


@dataclass(frozen=True, slots=True)
class PageQuery:
    """One page of a list, in the order of creation.

    Args:
        where: equality on `thread_id`, `run_id`.
        order: `asc` is oldest first.
        limit: at most so many rows; None for all.
        after, before: ids in list order. `after` gives the rows that follow it; `before` those that precede it, the
            nearest ones if `limit` cuts, still in list order (C-038, C-039). Both together give what lies between,
            the nearest to `after`.
    """

    where: Mapping[str, str] = field(default_factory=dict[str, str])
    order: Literal["asc", "desc"] = "desc"
    limit: int | None = 20
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows in list order. `has_more` tells whether more follow in the direction of reading."""

    rows: Sequence[T]
    has_more: bool = False


class CursorError(LookupError):
    """`after` or `before` names nothing in the list. `args[0]` is which of the two, `args[1]` the id."""


class Collection(Protocol[R]):
    """The rows of one resource, of one project. Creation order is kept by the storage, not by the clock (C-041)."""

    def get(self, id: str, *, lock: bool = False) -> Row[R] | None:
        """The row, or None. `lock` keeps other transactions from changing it until this one ends."""
        ...

    def insert(self, *rows: Row[R]) -> None:
        """Store new rows, in this order."""
        ...

    def put(self, row: Row[R]) -> bool:
        """Store a new state of a row. False, and nothing is written, if it is not there."""
        ...

    def delete(self, id: str) -> bool:
        """Delete a row; a thread takes its messages, runs and steps with it. False if it is not there."""
        ...

    def page(self, query: PageQuery) -> Page[Row[R]]:
        """One page.

        Raises:
            CursorError: `after` or `before` is not among the rows that `where` leaves.
        """
        ...


class Runs(Protocol):
    """The runs: a collection that also keeps the thread lock, the leases and the fence."""

    def get(self, id: str, *, lock: bool = False) -> RunRow | None: ...

    def page(self, query: PageQuery) -> Page[RunRow]: ...

    def active(self, thread_id: str) -> RunRow | None:
        """The thread's run that is queued, in_progress, requires_action or cancelling; there is at most one."""
        ...

    def insert(self, row: RunRow) -> RunRow | None:
        """Store a new run, unless its thread has an active one: then nothing is written and that one is returned."""
        ...

    def put(self, row: RunRow, *, expected: Some[RunStatus] | None = None) -> bool:
        """Store a new state of a run, ownership included.

        False, and nothing is written, if the run is not there, if its stored status is none of `expected`, or if
        its stored fence is higher than `row.fence`.
        """
        ...

    def claim(self, owner: str, until: float, *, now: float, orphans_of: Some[str] = ()) -> Sequence[RunRow]:
        """Take over every queued, in_progress or cancelling run that has no owner, whose lease ended before `now`,
        or whose owner is one of `orphans_of`: set `owner` and `until`, raise the fence. Returned as stored now."""
        ...

    def renew(self, owner: str, until: float) -> None:
        """Prolong every lease of `owner`."""
        ...


class Transaction(Protocol):
    """One unit of work: all of it is kept, or nothing."""

    @property
    def assistants(self) -> Collection[Assistant]: ...

    @property
    def threads(self) -> Collection[Thread]: ...

    @property
    def messages(self) -> Collection[Message]: ...

    @property
    def steps(self) -> Collection[RunStep]: ...

    @property
    def runs(self) -> Runs: ...


class Store(Protocol):
    """An open storage, for one project. Usable from any event loop and thread."""

    @property
    def durable(self) -> bool:
        """Whether rows outlive this process. If not, its runs are cancelled at close instead of handed over."""
        ...

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` as one transaction, alone where the storage has one writer. An exception rolls back.

        `work` must not block on anything else. It runs in another thread; it runs once.

        Raises:
            StorageError: the database can't be used.
            Whatever `work` raises.
        """
        ...

    def close(self) -> None:
        """Let go of connections and threads. Waits for the transaction that is under way. Idempotent."""
        ...


@runtime_checkable
class StorageAdapter(Protocol):
    """What the user chooses as `storage=`."""

    def open(self, *, project: str = "default") -> Store:
        """Open for use; cheap, the first transaction does the work. Every `Store` is closed by who opened it;
        the same adapter may be open several times, and shows the same rows.

        Raises:
            StorageError, SchemaError: from the first transaction on.
        """
        ...
