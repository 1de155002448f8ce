"""What the rest of supercompat asks of a storage adapter.

A storage adapter keeps rows. It knows neither the API's rules nor the providers. All that it is asked is here:
a `Store` runs functions as transactions, a `Transaction` offers one `Collection` for each resource.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Collection as Some
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from supercompat.wire.ids import Ids
from supercompat.wire.objects import (
    Assistant,
    Message,
    Resource,
    Run,
    RunStatus,
    RunStep,
    Thread,
)

R = TypeVar("R", bound=Resource)
T = TypeVar("T")

#: A run's status as it is stored. An `enqueued` run stands in line behind its thread's active one: it is not active
#: itself, and the API shows it as `queued`.
StoredStatus: TypeAlias = RunStatus | Literal["enqueued"]


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
        enqueued: whether the run stands in line. The object's status is `queued` then.
    """

    owner: str | None = None
    lease_until: float = 0.0
    fence: int = 0
    enqueued: bool = False

    @property
    def status(self) -> StoredStatus:
        """The status that is stored."""
        return "enqueued" if self.enqueued else self.object.status


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


@dataclass(frozen=True, slots=True)
class Parts:
    """Messages and steps of a run, to be stored together with it or not at all.

    Args:
        new_messages, new_steps: in the order in which they are to be listed. A tool step names in its private
            `after` the message that it follows in the conversation, if there is one.
        messages, steps: new states of stored ones; what is not there any more stays away. A message's metadata
            stays as it is stored (C-120).
    """

    new_messages: Sequence[Row[Message]] = ()
    new_steps: Sequence[Row[RunStep]] = ()
    messages: Sequence[Row[Message]] = ()
    steps: Sequence[Row[RunStep]] = ()


@dataclass(frozen=True, slots=True)
class RunBasis:
    """What a new run stands on.

    Args:
        assistant: None if there is none of that id.
        has_user_message: whether any message of the thread is a user's.
    """

    assistant: Row[Assistant] | None
    has_user_message: bool


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """The newest part of a thread, as one of its runs needs it.

    Args:
        run_id: the run. Its own messages don't count as `last_messages`, and its own steps are never left out
            because of that number.
        last_messages: at most so many; None for all. A tool step comes with the message that it follows.
        size: how much to read, newest first: rows until their sizes, as `sizes.size_of` gives them, have this sum.
    """

    thread_id: str
    run_id: str
    last_messages: int | None
    size: int


@dataclass(frozen=True, slots=True)
class History:
    """A part of a thread.

    Args:
        rows: in the order of the conversation: messages, and each answered step that called tools behind the message
            that it followed (C-133). A storage may give more than was asked for, not less; there may be a gap behind
            the first row, if that is the newest user message.
        places: where each row stands in its thread: numbers that grow, and stay when others are deleted. A tool step
            has that of the message that it follows.
        last_message: id of the thread's newest message, whether it is among the rows or not.
        is_cut: whether older messages were left out.
    """

    rows: Sequence[Row[Message] | Row[RunStep]]
    places: Sequence[int]
    last_message: str | None = None
    is_cut: bool = False


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


class Messages(Collection[Message], Protocol):
    """The messages of one project. `put` leaves their metadata as it is stored."""

    def put_metadata(self, id: str, metadata: Mapping[str, str]) -> bool:
        """Replace the metadata, which may be done while somebody else writes the message (C-120). False if it is
        not there."""
        ...

    def history(self, query: HistoryQuery) -> History:
        """The newest part of a thread, with its tool steps. What it reads does not grow with the thread."""
        ...

    def stretch(self, thread_id: str, first: int, last: int) -> History:
        """What of a thread stands at these places and between them. Nothing is told of its last message, and of what
        is cut."""
        ...

    def count_until(self, thread_id: str, place: int) -> int:
        """How many messages that say something a thread has up to this place."""
        ...


class Runs(Protocol):
    """The runs: a collection that also keeps the thread lock, the leases and the fence."""

    def get(self, id: str, *, lock: bool = False) -> RunRow | None: ...

    def page(self, query: PageQuery) -> Page[RunRow]: ...

    def active(self, thread_id: str) -> RunRow | None:
        """The thread's run that is queued, in_progress, requires_action or cancelling; there is at most one."""
        ...

    def basis(self, thread_id: str, assistant_id: str) -> RunBasis | None:
        """What a new run of this thread stands on. Takes the thread's lock; None if there is no such thread."""
        ...

    def insert(self, row: RunRow, messages: Sequence[Row[Message]] = ()) -> RunRow | None:
        """Store a new run, and new messages of its thread, unless the thread has an active run: then nothing is
        written and that one is returned."""
        ...

    def enqueue(self, row: RunRow) -> bool:
        """Store a new run, `enqueued`, behind the thread's active one, which can't end meanwhile. Needs the thread's
        lock. False, and nothing is written, if the thread has no active run."""
        ...

    def put(
        self, row: RunRow, *, expected: Some[StoredStatus] | None = None, parts: Parts | None = None
    ) -> bool:
        """Store a new state of a run, ownership included, and parts of it.

        Where that ends an active run, the oldest run that is enqueued on its thread becomes `queued` in the same
        transaction, its ownership as it was, and is told among the news.

        False, and nothing is written, if the run is not there, if its stored status is none of `expected`, or if
        its stored fence is higher than `row.fence`.
        """
        ...

    def put_parts(self, row: RunRow, parts: Parts) -> bool:
        """Store parts of a run, whose own state stays. May be done again where nobody knows whether it was done.

        False, and nothing is written, if the run is not there, or if its stored owner or fence is not `row`'s.
        """
        ...

    def claim(
        self,
        owner: str,
        until: float,
        *,
        now: float,
        limit: int,
        but: Some[str] = (),
        orphans_of: Some[str] = (),
    ) -> Mapping[str, int]:
        """Take over runs that nobody carries out: set `owner` and `until`, raise the fence.

        These are the queued, in_progress and cancelling ones whose lease ended before `now` (one without an owner has
        none), or whose owner is one of `orphans_of`; and those that wait for tool outputs past their `expires_at`.
        Runs that another transaction has locked are passed over.

        Args:
            limit: at most so many.
            but: ids of runs that are left alone.

        Returns:
            The new fence of each, by id, the oldest first. The runs are not read, so that one that is broken keeps no
            other from being taken over.
        """
        ...

    def renew(self, owner: str, until: float, held: Some[str]) -> Mapping[str, tuple[StoredStatus, int]]:
        """Prolong the leases of those of the runs `held` that are active or enqueued and belong to `owner`.

        Returns:
            Their stored status and fence, by id. A run that is missing rests, or is gone or somebody else's.
        """
        ...

    def release(self, owner: str) -> None:
        """End the leases of all active runs of `owner`, so that somebody else takes over."""
        ...


class Transaction(Protocol):
    """One unit of work: all of it is kept, or nothing."""

    @property
    def ids(self) -> Ids:
        """As the store's."""
        ...

    @property
    def assistants(self) -> Collection[Assistant]: ...

    @property
    def threads(self) -> Collection[Thread]: ...

    @property
    def messages(self) -> Messages: ...

    @property
    def steps(self) -> Collection[RunStep]: ...

    @property
    def runs(self) -> Runs: ...


class Store(Protocol):
    """An open storage, for one project. It belongs to the event loop of its first transaction, unless its storage
    says otherwise."""

    @property
    def ids(self) -> Ids:
        """How new things are to be named."""
        ...

    @property
    def durable(self) -> bool:
        """Whether rows outlive this process. If not, its runs are cancelled at close instead of handed over."""
        ...

    async def transact(self, work: Callable[[Transaction], T], *, urgent: bool = False) -> T:
        """Run `work` as one transaction, alone where the storage has one writer. An exception rolls back.

        `work` must not block on anything else, and must have no effect but on the transaction: it may run in another
        thread, and it runs again after a deadlock, a failure to serialize, or a connection that was lost before the
        commit. The transaction goes on when its caller is cancelled.

        Args:
            urgent: it is what time drives, as the renewal of leases, and does not wait for a connection behind those
                that wait for locks.

        Raises:
            StorageError: the database can't be used. If the connection was lost during the commit, nobody knows
                whether the transaction was kept.
            Whatever `work` raises.
        """
        ...

    def news(self) -> AbstractAsyncContextManager[AsyncIterator[str | None]]:
        """Learn of runs whose stored state was changed by a transaction, of any process.

        Yields, without end, the ids of such runs of this project, as soon as the change is committed; None means
        that anything may have changed, as after a connection was lost and made again. What was committed before the
        context was entered is not told. A storage that can't tell never yields: whoever must know polls as well.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections and threads. Waits for the transactions that are under way. Idempotent."""
        ...

    def abandon(self) -> None:
        """Let go of connections and threads where the event loop is gone. Idempotent."""
        ...


@runtime_checkable
class StorageAdapter(Protocol):
    """What the user chooses as `storage=`."""

    def open(self, *, project: str = "default", own_pool: bool = False) -> Store:
        """Open for use; cheap, the first transaction does the work. Every `Store` is closed by who opened it;
        the same adapter may be open several times, and shows the same rows.

        Args:
            own_pool: the loop is not the one that connections of the user's own belong to.

        Raises:
            ConfigurationError: the storage only has such connections.
            StorageError, SchemaError: from the first transaction on.
        """
        ...
