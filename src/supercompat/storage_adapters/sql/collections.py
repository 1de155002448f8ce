"""A transaction: one collection for each resource, over one connection.

Statements are built once and carry names for their values. SQLAlchemy takes a value named like a column for one to
be written, so the names in conditions are others.
"""

import json
from collections.abc import Collection as Some
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from supercompat.storage_adapters.protocol import (
    History,
    HistoryQuery,
    Page,
    PageQuery,
    Parts,
    Row,
    RunBasis,
    RunRow,
    StoredStatus,
)
from supercompat.storage_adapters.sql.history import (
    count_until,
    has_user_message,
    place_of,
    place_of_new,
    read_history,
    read_stretch,
)
from supercompat.storage_adapters.sql.pages import read_page
from supercompat.storage_adapters.sql.rows import (
    ASSISTANTS,
    MESSAGES,
    RUN_COLUMNS,
    RUNS,
    STEPS,
    THREADS,
    Kind,
    read_run,
    run_content,
)
from supercompat.storage_adapters.sql.tables import (
    ACTIVE_RUN,
    CLAIMABLE_RUN,
    ENQUEUED_RUN,
    assistants,
    messages,
    runs,
    steps,
    threads,
)
from supercompat.wire.ids import PREFIXED
from supercompat.wire.objects import ACTIVE_STATUSES, Assistant, Message, Resource, RunStep, Thread

R = TypeVar("R", bound=Resource)


class TableCollection(Generic[R]):
    """The rows of one resource, of one project."""

    def __init__(self, connection: sa.Connection, project: str, kind: Kind[R]) -> None:
        self._connection = connection
        self._project = project
        self._kind = kind

    def get(self, id: str, *, lock: bool = False) -> Row[R] | None:
        named = {"in_project": self._project, "named": id}
        found = self._connection.execute(_get(self._kind.table, self._kind.columns, lock=lock), named).first()
        return None if found is None else self._kind.read(found)

    def insert(self, *rows: Row[R]) -> None:
        if rows:
            self._connection.execute(_insert(self._kind.table), [self._new(row) for row in rows])

    def put(self, row: Row[R]) -> bool:
        values = {"in_project": self._project, "named": row.object.id, **self._kind.content(row)}
        return self._connection.execute(_put(self._kind.table), values).rowcount > 0

    def delete(self, id: str) -> bool:
        named = {"in_project": self._project, "named": id}
        return self._connection.execute(_delete(self._kind.table), named).rowcount > 0

    def page(self, query: PageQuery) -> Page[Row[R]]:
        found, more = read_page(self._connection, self._kind.table, self._kind.columns, self._project, query)
        return Page([self._kind.read(columns) for columns in found], more)

    def _new(self, row: Row[R]) -> dict[str, Any]:
        return self._kind.new(self._project, row)


class TableThreads(TableCollection[Thread]):
    """The threads of one project."""

    def delete(self, id: str) -> bool:
        if self._connection.dialect.name == "postgresql":
            # Who writes a run's messages holds the run, then takes what these refer to. Deleting goes the same way.
            self.get(id, lock=True)
            self._connection.execute(_UNENDED, {"in_project": self._project, "of_thread": id})
        return super().delete(id)


class TableMessages(TableCollection[Message]):
    """The messages of one project."""

    def put_metadata(self, id: str, metadata: Mapping[str, str]) -> bool:
        values = {"in_project": self._project, "named": id, "metadata": json.dumps(dict(metadata))}
        return self._connection.execute(_put(messages), values).rowcount > 0

    def history(self, query: HistoryQuery) -> History:
        return read_history(self._connection, self._project, query)

    def stretch(self, thread_id: str, first: int, last: int) -> History:
        return read_stretch(self._connection, self._project, thread_id, first, last)

    def count_until(self, thread_id: str, place: int) -> int:
        return count_until(self._connection, self._project, thread_id, place)


class TableSteps(TableCollection[RunStep]):
    """The steps of one project."""

    def _new(self, row: Row[RunStep]) -> dict[str, Any]:
        scope = {"in_project": self._project, "of_thread": row.object.thread_id}
        return {**super()._new(row), **scope}


class TableRuns:
    """The runs of one project."""

    def __init__(self, connection: sa.Connection, project: str) -> None:
        self._connection = connection
        self._project = project

    def get(self, id: str, *, lock: bool = False) -> RunRow | None:
        return self._one(_get(runs, RUN_COLUMNS, lock=lock), {"named": id})

    def page(self, query: PageQuery) -> Page[RunRow]:
        found, more = read_page(self._connection, runs, RUN_COLUMNS, self._project, query)
        return Page([read_run(columns) for columns in found], more)

    def active(self, thread_id: str) -> RunRow | None:
        return self._one(_ACTIVE, {"of_thread": thread_id})

    def basis(self, thread_id: str, assistant_id: str) -> RunBasis | None:
        values = {"in_project": self._project, "of_thread": thread_id, "assistant": assistant_id}
        found = self._connection.execute(_BASIS, values).first()
        if found is None:
            return None
        *assistant, has_user_message = found
        return RunBasis(ASSISTANTS.read(assistant) if assistant[0] else None, has_user_message)

    def insert(self, row: RunRow, messages: Sequence[Row[Message]] = ()) -> RunRow | None:
        while not self._insert(row, messages):
            winner = self.active(row.object.thread_id)
            if winner is not None:
                return winner
            # It has ended in between.
        return None

    def enqueue(self, row: RunRow) -> bool:
        ahead = {"in_project": self._project, "of_thread": row.object.thread_id}
        if self._connection.execute(_FOLLOW, ahead).first() is None:
            return False
        values = {**RUNS.new(self._project, row), **run_content(replace(row, enqueued=True))}
        self._connection.execute(_insert(runs), values)
        return True

    def put(
        self, row: RunRow, *, expected: Some[StoredStatus] | None = None, parts: Parts | None = None
    ) -> bool:
        found = self._put(row, None if expected is None else tuple(sorted(expected)), parts or Parts())
        if found is None:
            return False
        if found.followed and row.object.status not in ACTIVE_STATUSES:
            self._promote_behind(row)
        return True

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
        values = {
            "in_project": self._project,
            "new_owner": owner,
            "until": until,
            "now": now,
            "most": limit,
            "but": list(but),
            "orphans_of": list(orphans_of),
        }
        found = self._connection.execute(_CLAIM, values).all()
        return {id: fence for _, id, fence in sorted(tuple(columns) for columns in found)}

    def renew(self, owner: str, until: float, held: Some[str]) -> Mapping[str, tuple[StoredStatus, int]]:
        values = {"in_project": self._project, "of_owner": owner, "until": until, "held": list(held)}
        found = self._connection.execute(_RENEW, values)
        return {id: (status, fence) for id, status, fence in found}

    def release(self, owner: str) -> None:
        self._connection.execute(_RELEASE, {"in_project": self._project, "of_owner": owner})

    def _insert(self, row: RunRow, messages: Sequence[Row[Message]]) -> bool:
        values = {**RUNS.new(self._project, row), **run_content(row)}
        if self._connection.execute(_INSERT_RUN, values).first() is None:
            return False
        self._write(Parts(new_messages=messages))
        return True

    def _put(
        self, row: RunRow, expected: tuple[StoredStatus, ...] | None, parts: Parts
    ) -> sa.Row[Any] | None:
        """Whether the run that was written is `followed`; None if it was not."""
        statement = put_run(expected).returning(runs.c.followed)
        found = self._connection.execute(statement, {**self._named(row), **run_content(row)}).first()
        if found is not None:
            self._write(parts)
        return found

    def _promote_behind(self, ended: RunRow) -> None:
        # It ends once, but may be written again.
        self._connection.execute(_UNFOLLOW, {"in_project": self._project, "named": ended.object.id})
        scope = {"in_project": self._project, "of_thread": ended.object.thread_id, "ended": ended.object.id}
        while (oldest := self._connection.execute(_NEXT, scope).scalar()) is not None:
            # It may have ended in between.
            if self._promote(oldest):
                return

    def _promote(self, run_id: str) -> bool:
        values = {"in_project": self._project, "named": run_id}
        return self._connection.execute(PROMOTE, values).rowcount > 0

    def _write(self, parts: Parts) -> None:
        messages = TableMessages(self._connection, self._project, MESSAGES)
        steps = TableSteps(self._connection, self._project, STEPS)
        messages.insert(*parts.new_messages)
        steps.insert(*parts.new_steps)
        for message in parts.messages:
            messages.put(message)
        for step in parts.steps:
            steps.put(step)

    def _named(self, row: RunRow) -> dict[str, Any]:
        return {"in_project": self._project, "named": row.object.id, "own_fence": row.fence}

    def _one(self, statement: sa.Select[Any], values: dict[str, Any]) -> RunRow | None:
        found = self._connection.execute(statement, {"in_project": self._project, **values}).first()
        return None if found is None else read_run(found)


class TableTransaction:
    """One unit of work on one connection, for one project. The connection's transaction is its caller's.

    Args:
        channel: where PostgreSQL notifies of each run that changes, as `<project>:<run id>`; None for no notice.
    """

    ids = PREFIXED

    def __init__(self, connection: sa.Connection, project: str, channel: str | None = None) -> None:
        self._connection = connection
        self._project = project
        self._channel = channel

    @property
    def assistants(self) -> TableCollection[Assistant]:
        return TableCollection(self._connection, self._project, ASSISTANTS)

    @property
    def threads(self) -> TableThreads:
        return TableThreads(self._connection, self._project, THREADS)

    @property
    def messages(self) -> TableMessages:
        return TableMessages(self._connection, self._project, MESSAGES)

    @property
    def steps(self) -> TableSteps:
        return TableSteps(self._connection, self._project, STEPS)

    @property
    def runs(self) -> TableRuns:
        if self._connection.dialect.name == "postgresql":
            # Late, for its dialect costs a third of what SQLAlchemy itself does.
            from supercompat.storage_adapters.sql.postgresql_runs import PostgreSQLRuns

            return PostgreSQLRuns(self._connection, self._project, self._channel)
        return TableRuns(self._connection, self._project)


def _named_text(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.String)


_FOLLOWS: Final = _named_text("follows")


def _named(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.project == sa.bindparam("in_project"), table.c.id == sa.bindparam("named"))


@cache
def _get(table: sa.Table, columns: tuple[str, ...], *, lock: bool) -> sa.Select[Any]:
    statement = sa.select(*(table.c[name] for name in columns)).where(_named(table))
    # No stronger than a change of the row: whoever adds a row that refers to it must not wait.
    return statement.with_for_update(key_share=True) if lock else statement


@cache
def _insert(table: sa.Table) -> sa.Insert:
    # Inline, or PostgreSQL would be asked for the row's number first.
    statement = sa.insert(table).inline()
    if table is not steps:
        return statement
    return statement.values(place=place_of_new(_named_text("in_project"), _named_text("of_thread"), _FOLLOWS))


@cache
def _put(table: sa.Table) -> sa.Update:
    statement = sa.update(table).where(_named(table))
    if table is not steps:
        return statement
    return statement.values(place=place_of(_named_text("in_project"), _FOLLOWS))


@cache
def _delete(table: sa.Table) -> sa.Delete:
    return sa.delete(table).where(_named(table))


@cache
def put_run(expected: tuple[StoredStatus, ...] | None) -> sa.Update:
    statement = sa.update(runs).where(_named(runs), runs.c.fence <= sa.bindparam("own_fence"))
    if expected is not None:
        statement = statement.where(sa.or_(sa.false(), *(runs.c.status == status for status in expected)))
    return statement


_IN_PROJECT: Final = runs.c.project == sa.bindparam("in_project")

_ACTIVE: Final = sa.select(*(runs.c[name] for name in RUN_COLUMNS)).where(
    _IN_PROJECT, runs.c.thread_id == sa.bindparam("of_thread"), ACTIVE_RUN
)

# Oldest first, as those do who end a run and then promote the next one.
_UNENDED: Final = (
    sa.select(runs.c.seq)
    .where(_IN_PROJECT, runs.c.thread_id == sa.bindparam("of_thread"), sa.or_(ACTIVE_RUN, ENQUEUED_RUN))
    .order_by(runs.c.seq)
    .with_for_update()
)

# Always written, also where it is so already: the row's lock keeps the run from ending.
_FOLLOW: Final = (
    sa.update(runs)
    .where(_IN_PROJECT, runs.c.thread_id == sa.bindparam("of_thread"), ACTIVE_RUN)
    .values(followed=sa.true())
    .returning(runs.c.id)
)

_UNFOLLOW: Final = sa.update(runs).where(_named(runs)).values(followed=None)

_ENDED: Final = runs.alias("ended")

# Nobody is in line who came before the active run.
_NEXT: Final = (
    sa.select(runs.c.id)
    .where(
        _IN_PROJECT,
        runs.c.thread_id == sa.bindparam("of_thread"),
        ENQUEUED_RUN,
        runs.c.seq
        > sa.select(_ENDED.c.seq)
        .where(_ENDED.c.project == sa.bindparam("in_project"), _ENDED.c.id == sa.bindparam("ended"))
        .scalar_subquery(),
    )
    .order_by(runs.c.seq)
    .limit(1)
)

PROMOTE: Final = (
    sa.update(runs)
    .where(_named(runs), ENQUEUED_RUN)
    # Whether there are others is looked for when it ends.
    .values(status="queued", followed=sa.true())
)

_BASIS: Final = (
    sa.select(assistants.c.object, assistants.c.private, has_user_message())
    .select_from(threads)
    .join(
        assistants,
        sa.and_(assistants.c.project == threads.c.project, assistants.c.id == sa.bindparam("assistant")),
        isouter=True,
    )
    .where(threads.c.project == sa.bindparam("in_project"), threads.c.id == sa.bindparam("of_thread"))
    .with_for_update(key_share=True, of=threads)
)

_INSERT_RUN: Final = (
    insert(runs)
    .on_conflict_do_nothing(index_elements=["project", "thread_id"], index_where=ACTIVE_RUN)
    .returning(runs.c.seq)
)

# With parts of a second, also where it is compared to a whole number.
_NOW: Final = sa.bindparam("now", type_=sa.Double)

_CLAIMABLE: Final = (
    sa.select(runs.c.seq)
    .where(
        _IN_PROJECT,
        # The index of active runs stands for this. Without a range in it SQLite takes one of all runs.
        ACTIVE_RUN,
        runs.c.thread_id > "",
        sa.or_(
            sa.and_(
                CLAIMABLE_RUN,
                sa.or_(
                    runs.c.lease_until < _NOW,
                    runs.c.owner.in_(sa.bindparam("orphans_of", expanding=True)),
                ),
            ),
            sa.and_(
                runs.c.status == "requires_action",
                runs.c.lease_until < _NOW,
                runs.c.expires_at <= _NOW,
            ),
        ),
        runs.c.id.not_in(sa.bindparam("but", expanding=True)),
    )
    .limit(sa.bindparam("most"))
    .with_for_update(skip_locked=True, key_share=True)
)

_CLAIM: Final = (
    sa.update(runs)
    .where(runs.c.seq.in_(_CLAIMABLE))
    .values(owner=sa.bindparam("new_owner"), lease_until=sa.bindparam("until"), fence=runs.c.fence + 1)
    .returning(runs.c.seq, runs.c.id, runs.c.fence)
)

_OF_OWNER: Final = sa.and_(_IN_PROJECT, ACTIVE_RUN, runs.c.owner == sa.bindparam("of_owner"))

_RENEW: Final = (
    sa.update(runs)
    .where(
        _IN_PROJECT,
        runs.c.id.in_(sa.bindparam("held", expanding=True)),
        runs.c.owner == sa.bindparam("of_owner"),
        sa.or_(ACTIVE_RUN, ENQUEUED_RUN),
    )
    .values(lease_until=sa.bindparam("until"))
    .returning(runs.c.id, runs.c.status, runs.c.fence)
)

_RELEASE: Final = sa.update(runs).where(_OF_OWNER).values(owner=None, lease_until=0.0)
