"""The runs: Prisma's row says how a run stands, the side row whose it is.

A run without a side row is Node's, and so is one whose status is another than we last wrote: Node has taken it on, as
when it gave tool outputs. Nobody here takes such a run over. It locks its thread until it rests, or until its
`expiresAt` is over, for then whoever comes across it ends it.
"""

from collections.abc import Collection as Some
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final

import sqlalchemy as sa

from supercompat.errors import ActiveRunError
from supercompat.storage_adapters.prisma.collections import (
    ACTIVE,
    PROJECT,
    PrismaAssistants,
    PrismaCollection,
    PrismaThreads,
)
from supercompat.storage_adapters.prisma.history import has_user_message
from supercompat.storage_adapters.prisma.messages import PrismaMessages, PrismaSteps
from supercompat.storage_adapters.prisma.rows import Kinds, read_run
from supercompat.storage_adapters.prisma.tables import SCHEMA, PrismaTables, side_runs
from supercompat.storage_adapters.protocol import Page, PageQuery, Parts, Row, RunBasis, RunRow, StoredStatus
from supercompat.storage_adapters.sql.pages import read_page
from supercompat.storage_adapters.sql.tables import ACTIVE_RUN, CLAIMABLE_RUN, ENQUEUED_RUN
from supercompat.wire.objects import ACTIVE_STATUSES, Message, Run

#: Of a side row whose run was ended by somebody else.
LEFT: Final = "left"

#: The states that a run leaves by itself.
UNENDED: Final = {*ACTIVE_STATUSES, "enqueued"}


class PrismaRuns:
    """The runs.

    Args:
        channel: where each change of a run is told, as `<project>:<run id>`.
        names_calls: as for `PrismaSteps`.
    """

    def __init__(self, connection: sa.Connection, kinds: Kinds, *, channel: str, names_calls: bool) -> None:
        self._connection = connection
        self._kinds = kinds
        self._channel = channel
        self._rows = _RunRows(connection, kinds, kinds.runs)
        self._threads = PrismaThreads(connection, kinds, kinds.threads)
        self._messages = PrismaMessages(connection, kinds, kinds.messages)
        self._steps = PrismaSteps(connection, kinds, names_calls=names_calls)

    def get(self, id: str, *, lock: bool = False) -> RunRow | None:
        values = self._rows.stored(id, lock=lock)
        return None if values is None else read_run(self._kinds.runs, values)

    def page(self, query: PageQuery) -> Page[RunRow]:
        kind = self._kinds.runs
        found, more = read_page(self._connection, kind.view, kind.columns, PROJECT, query)
        return Page([read_run(kind, kind.named(columns)) for columns in found], more)

    def active(self, thread_id: str) -> RunRow | None:
        found = self._connection.execute(_active(self._kinds), {"of_thread": thread_id}).first()
        return None if found is None else read_run(self._kinds.runs, self._kinds.runs.named(found))

    def basis(self, thread_id: str, assistant_id: str) -> RunBasis | None:
        if not self._threads.lock(thread_id):
            return None
        assistants = PrismaAssistants(self._connection, self._kinds, self._kinds.assistants)
        asked = has_user_message(self._connection, self._kinds, thread_id)
        return RunBasis(assistants.get(assistant_id), asked)

    def insert(self, row: RunRow, messages: Sequence[Row[Message]] = ()) -> RunRow | None:
        run = row.object
        if run.status in ACTIVE_STATUSES:
            # Held by whoever makes a run here. Node does not ask for it.
            self._threads.lock(run.thread_id)
            winner = self.active(run.thread_id)
            if winner is not None:
                return winner
            self._leave(run.thread_id)
        self._rows.insert(row)
        self._threads.take_assistant(run.thread_id, run.assistant_id)
        self._messages.insert(*messages)
        return None

    def enqueue(self, row: RunRow) -> bool:
        ahead = {"of_thread": row.object.thread_id}
        # Its lock keeps the active run from ending.
        if self._connection.execute(_lock_first(self._kinds), ahead).first() is None:
            return False
        self._rows.insert(replace(row, enqueued=True))
        return True

    def put(
        self, row: RunRow, *, expected: Some[StoredStatus] | None = None, parts: Parts | None = None
    ) -> bool:
        values = self._rows.stored(row.object.id, lock=True)
        if values is None:
            return False
        stored = read_run(self._kinds.runs, values)
        if expected is not None and stored.status not in expected:
            return False
        if stored.fence > row.fence:
            return False
        if row.status in ACTIVE_STATUSES and values["side_status"] not in ACTIVE_STATUSES:
            self._take_on(row)
        self._rows.change(row, was_active=stored.status in UNENDED)
        self._tell(row.object.id)
        self._write(parts or Parts())
        if stored.status in ACTIVE_STATUSES and row.object.status not in ACTIVE_STATUSES:
            self._promote(row.object.thread_id)
        return True

    def _take_on(self, row: RunRow) -> None:
        """Make room for a run that Node has made, or has taken on, among those that are carried out here.

        Raises:
            ActiveRunError: the thread has one of these.
        """
        thread_id = row.object.thread_id
        other = self._connection.execute(_ours(self._kinds), {"of_thread": thread_id}).scalar()
        if other is not None:
            raise ActiveRunError(thread_id, other)
        self._leave(thread_id)

    def _leave(self, thread_id: str) -> None:
        """Note that the thread's runs that were carried out here were ended by Node: none is active."""
        self._connection.execute(_LEAVE, {"of_thread": thread_id, "left": LEFT})

    def put_parts(self, row: RunRow, parts: Parts) -> bool:
        stored = self.get(row.object.id, lock=True)
        if stored is None or (stored.owner, stored.fence) != (row.owner, row.fence):
            return False
        self._write(parts)
        return True

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
        self._promote_stranded()
        values = {"now": now, "most": limit, "but": list(but), "orphans_of": list(orphans_of)}
        ids = self._connection.execute(_claimable(self._kinds.tables), values).scalars().all()
        if not ids:
            return {}
        ownership = {"new_owner": owner, "until": until, "ids": ids}
        found = self._connection.execute(_CLAIM, {**values, **ownership}).all()
        fences = dict(tuple(columns) for columns in found)
        return {id: fences[id] for id in ids if id in fences}

    def left_behind(self, now: float) -> Some[str]:
        values: dict[str, Any] = {"now": now, "most": 1, "but": [], "orphans_of": []}
        found = self._connection.execute(_claimable(self._kinds.tables), values).first()
        return () if found is None else (PROJECT,)

    def renew(self, owner: str, until: float, held: Some[str]) -> Mapping[str, tuple[StoredStatus, int]]:
        values = {"of_owner": owner, "until": until, "held": list(held)}
        found = self._connection.execute(_renew(self._kinds.tables), values)
        return {id: (status, fence) for id, status, fence in found}

    def release(self, owner: str) -> None:
        self._connection.execute(_RELEASE, {"of_owner": owner})

    def _promote(self, thread_id: str) -> None:
        """Let the next run in line be active, unless Node has begun one meanwhile."""
        while True:
            oldest = self._connection.execute(_next(self._kinds.tables), {"of_thread": thread_id}).scalar()
            if oldest is None or self.active(thread_id) is not None:
                return None
            self._leave(thread_id)
            # It may have ended in between, or have been promoted.
            self._rows.lock(oldest)
            if self._connection.execute(_PROMOTE, {"named": oldest}).rowcount:
                return self._tell(oldest)

    def _promote_stranded(self) -> None:
        """The same, for runs in line behind one that Node has ended."""
        for thread_id in self._connection.execute(_WITH_LINES).scalars().all():
            if self._threads.lock(thread_id):
                self._promote(thread_id)

    def _tell(self, run_id: str) -> None:
        notice = f"{PROJECT}:{run_id}"
        self._connection.execute(sa.select(sa.func.pg_notify(self._channel, notice)))

    def _write(self, parts: Parts) -> None:
        self._messages.add_again(parts.new_messages)
        self._steps.add_again(parts.new_steps)
        for message in parts.messages:
            self._messages.rewrite(message)
        for step in parts.steps:
            self._steps.rewrite(step)


class _RunRows(PrismaCollection[Run]):
    """A run's row and its side row, of which the status and the fence were judged before."""

    def stored(self, id: str, *, lock: bool) -> Mapping[str, Any] | None:
        """What both say, by column."""
        if lock and not self.lock(id):
            return None
        view = self._kind.view
        columns = (view.c[name] for name in self._kind.columns)
        found = self._connection.execute(sa.select(*columns).where(view.c.id == id)).first()
        return None if found is None else self._kind.named(found)

    def change(self, row: RunRow, *, was_active: bool) -> None:
        """Write a new state.

        Args:
            was_active: whether it was not at rest. Nobody here changes the metadata then, and Node's stays.
        """
        values = self._kind.write(row, is_new=False)
        if was_active:
            del values["metadata"]
        self._change(row.object.id, values)
        self._put_side(row)

    def _side(self, row: Row[Run]) -> dict[str, Any]:
        assert isinstance(row, RunRow)
        return {
            **super()._side(row),
            "thread_id": row.object.thread_id,
            "status": row.status,
            "owner": row.owner,
            "lease_until": row.lease_until,
            "fence": row.fence,
        }


# Statements, built once


@cache
def _active(kinds: Kinds) -> sa.Select[Any]:
    view = kinds.runs.view
    columns = (view.c[name] for name in kinds.runs.columns)
    of_thread = view.c.thread_id == sa.bindparam("of_thread")
    is_active = _is_active(view.c.status, view.c.side_status)
    return sa.select(*columns).where(of_thread, is_active).order_by(view.c.seq).limit(1)


def _is_active(status: sa.ColumnElement[str], written: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    # To Node a run that stands in line is queued.
    stands_in_line = sa.and_(status == "QUEUED", written.is_not_distinct_from("enqueued"))
    return sa.and_(status.in_(ACTIVE), sa.not_(stands_in_line))


@cache
def _ours(kinds: Kinds) -> sa.Select[Any]:
    view = kinds.runs.view
    of_thread = view.c.thread_id == sa.bindparam("of_thread")
    return sa.select(view.c.id).where(
        of_thread, view.c.status.in_(ACTIVE), view.c.side_status.in_(ACTIVE_STATUSES)
    )


@cache
def _lock_first(kinds: Kinds) -> sa.Select[Any]:
    runs, side = kinds.tables.runs, side_runs
    joined = runs.outerjoin(side, side.c.id == sa.cast(runs.c.id, sa.Text))
    return (
        sa.select(runs.c.id)
        .select_from(joined)
        .where(runs.c.threadId == sa.bindparam("of_thread"), _is_active(runs.c.status, side.c.status))
        .order_by(runs.c.createdAt, runs.c.id)
        .limit(1)
        .with_for_update(key_share=True, of=runs)
    )


@cache
def _next(of: PrismaTables) -> sa.Select[Any]:
    runs, side = of.runs, side_runs
    return (
        sa.select(side.c.id)
        .join_from(side, runs, runs.c.id == of.id_of(side))
        .where(side.c.thread_id == sa.bindparam("of_thread"), _ENQUEUED, runs.c.status == "QUEUED")
        .order_by(runs.c.createdAt, runs.c.id)
        .limit(1)
    )


# Literal text: a partial index is only used by a query that repeats its condition.
_SIDE: Final = f"{SCHEMA}.{side_runs.name}"
_ENQUEUED: Final = sa.text(f"{_SIDE}.{ENQUEUED_RUN}")
_CLAIMABLE: Final = sa.text(f"{_SIDE}.{CLAIMABLE_RUN}")
_OF_ACTIVE: Final = sa.text(f"{_SIDE}.{ACTIVE_RUN}")

_PROMOTE: Final = (
    sa.update(side_runs)
    .where(side_runs.c.id == sa.bindparam("named"), side_runs.c.status == "enqueued")
    .values(status="queued")
)

_WITH_LINES: Final = sa.select(side_runs.c.thread_id).where(_ENQUEUED).distinct()

_LEAVE: Final = (
    sa.update(side_runs)
    .where(side_runs.c.thread_id == sa.bindparam("of_thread"), ACTIVE_RUN)
    .values(status=sa.bindparam("left"))
)

# With parts of a second, also where it is compared to a whole number.
_NOW: Final = sa.bindparam("now", type_=sa.Double)

_LAPSED: Final = sa.or_(
    side_runs.c.lease_until < _NOW, side_runs.c.owner.in_(sa.bindparam("orphans_of", expanding=True))
)


@cache
def _claimable(of: PrismaTables) -> sa.Select[Any]:
    runs, side = of.runs, side_runs
    is_waiting = sa.and_(
        side.c.status == "requires_action", side.c.lease_until < _NOW, runs.c.expiresAt <= _NOW
    )
    is_claimable = sa.and_(_CLAIMABLE, _LAPSED)
    return (
        sa.select(side.c.id)
        .join_from(side, runs, runs.c.id == of.id_of(side))
        .where(
            _OF_ACTIVE,
            sa.or_(is_claimable, is_waiting),
            # What Node has taken on is Node's.
            sa.func.upper(side.c.status) == sa.cast(runs.c.status, sa.Text),
            side.c.id.not_in(sa.bindparam("but", expanding=True)),
        )
        .order_by(runs.c.createdAt, runs.c.id)
        .limit(sa.bindparam("most", type_=sa.Integer))
        .with_for_update(skip_locked=True, key_share=True, of=runs)
    )


_CLAIM: Final = (
    sa.update(side_runs)
    .where(side_runs.c.id.in_(sa.bindparam("ids", expanding=True)), _LAPSED, ACTIVE_RUN)
    .values(
        owner=sa.bindparam("new_owner"),
        lease_until=sa.bindparam("until"),
        fence=side_runs.c.fence + 1,
    )
    .returning(side_runs.c.id, side_runs.c.fence)
)


@cache
def _renew(of: PrismaTables) -> sa.Update:
    runs, side = of.runs, side_runs
    stands_in_line = sa.and_(side.c.status == "enqueued", runs.c.status == "QUEUED")
    shown = sa.func.lower(sa.cast(runs.c.status, sa.Text))
    return (
        sa.update(side)
        .where(
            side.c.owner == sa.bindparam("of_owner"),
            side.c.id.in_(sa.bindparam("held", expanding=True)),
            runs.c.id == of.id_of(side),
            runs.c.status.in_(ACTIVE),
        )
        .values(lease_until=sa.bindparam("until"))
        .returning(side.c.id, sa.case((stands_in_line, "enqueued"), else_=shown), side.c.fence)
    )


_RELEASE: Final = (
    sa.update(side_runs)
    .where(side_runs.c.owner == sa.bindparam("of_owner"), ACTIVE_RUN)
    .values(owner=None, lease_until=0.0)
)
