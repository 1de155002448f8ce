"""Conversations copied from a source into a storage, ids and times kept: a thread at a time, whole or not at all."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest
from typing import Any, Final, TypeAlias, TypeVar

from supercompat.engine.closing import Ending, ended_part, ended_run
from supercompat.engine.lifecycle import ACTIVE
from supercompat.engine.sent import SENT
from supercompat.storage_adapters.protocol import PageQuery, Row, RunRow, Store, Transaction
from supercompat.storage_adapters.source import Source, Unreadable
from supercompat.wire.objects import Assistant, LastError, Message, Run, RunStep, Thread

T = TypeVar("T")

Kind: TypeAlias = str

KINDS: Final[tuple[Kind, ...]] = ("assistants", "threads", "messages", "runs", "steps")

#: Rows that are written, or compared, at once.
PORTION: Final = 200

#: The `last_error` of runs that were ended because nobody carries them out in the copy.
LEFT_BEHIND: Final = LastError(
    code="server_error", message="The run was under way in the database that it was imported from."
)


class LeftOutError(Exception):
    """A thread that can't be copied now. Its text says why."""


@dataclass
class Summary:
    """What became of all there was, counted by kind.

    Args:
        imported: is in the copy now.
        there: was in it before, as it is at the source.
        changed: was in it before, and is another now, here or there; left as it is.
        left_out: is not in it.
        ended: runs among the imported ones that were active.
    """

    imported: Counter[Kind] = field(default_factory=Counter[Kind])
    there: Counter[Kind] = field(default_factory=Counter[Kind])
    changed: Counter[Kind] = field(default_factory=Counter[Kind])
    left_out: Counter[Kind] = field(default_factory=Counter[Kind])
    ended: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether the copy has everything as it is at the source."""
        return not self.changed.total() and not self.left_out.total()

    def add(self, other: "Summary") -> None:
        """Count what became of more."""
        for name in ("imported", "there", "changed", "left_out"):
            getattr(self, name).update(getattr(other, name))
        self.ended += other.ended


class Copy:
    """One import.

    Args:
        source: is read inside of the storage's transactions, by whichever thread these run on.
        end_runs: whether runs that are under way at the source are copied as ended. If not, their threads are left
            out: a process that carries such a run out goes on writing to the source alone.
        now: Unix seconds by which runs have expired.
        tell: is given each line on what is not as it should be.
        progress: is called after each transaction.

    Attributes:
        summary: what became of what was read so far.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        *,
        end_runs: bool,
        now: int,
        tell: Callable[[str], None],
        progress: Callable[[Summary], None],
    ) -> None:
        self.summary = Summary()
        self._source = source
        self._store = store
        self._end_runs = end_runs
        self._now = now
        self._tell = tell
        self._progress = progress

    async def run(self) -> None:
        """Copy what is not there yet.

        Raises:
            StorageError: one of both can't be used. What was copied stays; another run goes on with the rest.
        """
        assistants = self._readable("assistants", self._source.assistants())
        while rows := list(islice(assistants, PORTION)):
            await self._assistants(rows)
        for row in self._readable("threads", self._source.threads()):
            await self._thread(row)

    def _readable(self, kind: Kind, rows: Iterator[T | Unreadable]) -> Iterator[T]:
        for row in rows:
            if isinstance(row, Unreadable):
                self.summary.left_out[kind] += 1
                self._tell(f"left out: {_named(row)}")
            else:
                yield row

    async def _assistants(self, rows: Sequence[Row[Assistant]]) -> None:
        copied, changed = await self._store.transact(lambda tx: _copy_assistants(tx, rows))
        for id in changed:
            self._tell(f"assistant {id} is not as it is at the source; left as it is")
        self._add(copied)

    async def _thread(self, row: Row[Thread]) -> None:
        id = row.object.id
        try:
            copied = await self._store.transact(
                lambda tx: _ThreadCopy(tx, self._source, row, end_runs=self._end_runs, now=self._now).made()
            )
        except LeftOutError as error:
            self._tell(f"left out: thread {id}: {error}")
            copied = Summary(left_out=Counter(threads=1))
        if copied.changed.total():
            self._tell(f"thread {id} is not as it is at the source; left as it is")
        self._add(copied)

    def _add(self, copied: Summary) -> None:
        self.summary.add(copied)
        self._progress(self.summary)


def _copy_assistants(tx: Transaction, rows: Sequence[Row[Assistant]]) -> tuple[Summary, list[str]]:
    """What became of them, and the ids of those that are others now."""
    stored = {row.object.id: tx.assistants.get(row.object.id) for row in rows}
    new = [row for row in rows if stored[row.object.id] is None]
    tx.assistants.insert(*new)
    known = [(row.object, found.object) for row in rows if (found := stored[row.object.id])]
    changed = [one.id for one, other in known if one != other]
    return Summary(
        imported=Counter(assistants=len(new)),
        there=Counter(assistants=len(known) - len(changed)),
        changed=Counter(assistants=len(changed)),
    ), changed


class _ThreadCopy:
    """One thread, in one transaction."""

    def __init__(
        self, tx: Transaction, source: Source, row: Row[Thread], *, end_runs: bool, now: int
    ) -> None:
        self._tx = tx
        self._source = source
        self._row = row
        self._id = row.object.id
        self._end_runs = end_runs
        self._now = now
        # Each run's ending and its moment, if it has one in the copy alone.
        self._runs: dict[str, tuple[Ending, int] | None] = {}
        self._copied = Summary()

    def made(self) -> Summary:
        """What became of it.

        Raises:
            LeftOutError: nothing of it may be kept.
        """
        stored = self._tx.threads.get(self._id)
        if stored is not None:
            is_same = self._is_same(stored)
            return Summary(there=Counter(threads=int(is_same)), changed=Counter(threads=int(not is_same)))
        self._tx.threads.insert(self._row)
        self._copied.imported["threads"] += 1
        for row in _rows(self._source.runs(self._id)):
            self._add_run(row)
        self._add_conversation()
        return self._copied

    # Runs

    def _add_run(self, row: RunRow) -> None:
        # Places are the source's own, and nobody here owns a run that ran there.
        private = {name: value for name, value in row.private.items() if name != SENT}
        row = replace(row, private=private, owner=None, lease_until=0.0)
        ending = self._ending(row)
        if ending is None and self._tx.runs.insert(row) is not None:
            # Only the source lets a thread have several.
            ending = self._ended_as("cancelled", row.object)
        self._runs[row.object.id] = None
        if ending is not None:
            self._end_run(row, ending)
        self._copied.imported["runs"] += 1

    def _ending(self, row: RunRow) -> Ending | None:
        """How the run ends; None if it stays as it is."""
        run = row.object
        if run.status not in ACTIVE:
            return None
        if run.expires_at is not None and run.expires_at <= self._now:
            return "expired"
        if run.status == "requires_action":
            return None
        # One that stands in line was not begun.
        is_cancelled = row.enqueued or run.status == "cancelling"
        return self._ended_as("cancelled" if is_cancelled else "failed", run)

    def _ended_as(self, ending: Ending, run: Run) -> Ending:
        if not self._end_runs:
            raise LeftOutError(f"its run {run.id} is {run.status}")
        return ending

    def _end_run(self, row: RunRow, ending: Ending) -> None:
        moment = self._now if row.object.expires_at is None else min(row.object.expires_at, self._now)
        self._tx.runs.insert(ended_run(row, ending, now=moment, error=_error(ending)))
        self._runs[row.object.id] = ending, moment
        self._copied.ended += 1

    # Messages and steps

    def _add_conversation(self) -> None:
        messages: list[Row[Message]] = []
        steps: list[Row[RunStep]] = []
        for row in self._conversation():
            is_message = isinstance(row.object, Message)
            # A tool step without a name of what it followed stands behind the newest message.
            if len(messages) + len(steps) >= PORTION or (is_message and any(map(_called, steps))):
                self._write(messages, steps)
                messages, steps = [], []
            (messages if is_message else steps).append(row)  # pyright: ignore[reportArgumentType]
        self._write(messages, steps)

    def _conversation(self) -> Iterator[Row[Message] | Row[RunStep]]:
        for row in self._said():
            part, run_id = row.object, row.object.run_id
            if isinstance(part, RunStep) and run_id not in self._runs:
                raise LeftOutError(f"the run of its step {part.id} is not there")
            ended = self._runs.get(run_id or "")
            if ended is None or part.status != "in_progress":
                yield row
                continue
            ending, moment = ended
            yield ended_part(row, ending, now=moment, error=_error(ending))

    def _write(self, messages: Sequence[Row[Message]], steps: Sequence[Row[RunStep]]) -> None:
        self._tx.messages.insert(*messages)
        self._tx.steps.insert(*steps)
        self._copied.imported["messages"] += len(messages)
        self._copied.imported["steps"] += len(steps)

    # What is there already

    def _is_same(self, stored: Row[Thread]) -> bool:
        said = (row for row in self._said() if isinstance(row.object, Message))
        done = (row.object for row in self._said() if isinstance(row.object, RunStep))
        return (
            stored.object == self._row.object
            and self._are_same(_rows(self._source.runs(self._id)), self._tx.runs)
            and self._are_same(said, self._tx.messages)
            and all(self._has_step(step) for step in done)
        )

    def _said(self) -> Iterator[Row[Message] | Row[RunStep]]:
        return _rows(self._source.conversation(self._id))

    def _has_step(self, step: RunStep) -> bool:
        copy = self._tx.steps.get(step.id)
        return copy is not None and _is_copy(copy.object, step)

    def _are_same(self, rows: Iterator[Row[Any]], collection: Any) -> bool:
        pairs = zip_longest(rows, _stored(collection, self._id))
        return all(one and other and _is_copy(other.object, one.object) for one, other in pairs)


def _rows(rows: Iterator[T | Unreadable]) -> Iterator[T]:
    for row in rows:
        if isinstance(row, Unreadable):
            raise LeftOutError(_named(row))
        yield row


def _named(row: Unreadable) -> str:
    return f"{row.place} {row.id}: {row.reason}"


def _called(row: Row[RunStep]) -> bool:
    return row.object.type == "tool_calls"


def _error(ending: Ending) -> LastError | None:
    return LEFT_BEHIND if ending == "failed" else None


def _stored(collection: Any, thread_id: str) -> Iterator[Row[Any]]:
    last: str | None = None
    more = True
    while more:
        page = collection.page(PageQuery({"thread_id": thread_id}, order="asc", limit=PORTION, after=last))
        for row in page.rows:
            last = row.object.id
            yield row
        more = page.has_more


def _is_copy(copy: Any, original: Any) -> bool:
    """Whether one was made of the other, which may have been ended for it."""
    is_open = original.status in ACTIVE
    return copy == original or (is_open and copy.id == original.id)
