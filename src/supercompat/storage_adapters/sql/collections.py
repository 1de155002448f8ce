"""A transaction: one collection for each resource, over one connection.

Statements are built once and carry names for their values. SQLAlchemy takes a value named like a column for one to
be written, so the names in conditions are others.
"""

from collections.abc import Collection as Some
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from supercompat.errors import StorageError
from supercompat.storage_adapters.protocol import Page, PageQuery, Row, RunRow
from supercompat.storage_adapters.sql.pages import read_page
from supercompat.storage_adapters.sql.rows import (
    ASSISTANTS,
    COLUMNS,
    MESSAGES,
    RUN_COLUMNS,
    RUNS,
    STEPS,
    THREADS,
    Kind,
    content,
    read_run,
    run_content,
)
from supercompat.storage_adapters.sql.tables import ACTIVE_RUN, CLAIMABLE_RUN, runs
from supercompat.wire.objects import Assistant, Message, Resource, RunStatus, RunStep, Thread

R = TypeVar("R", bound=Resource)


class TableCollection(Generic[R]):
    """The rows of one resource, of one project."""

    def __init__(self, connection: sa.Connection, project: str, kind: Kind[R]) -> None:
        self._connection = connection
        self._project = project
        self._kind = kind

    def get(self, id: str, *, lock: bool = False) -> Row[R] | None:
        named = {"in_project": self._project, "named": id}
        found = self._connection.execute(_get(self._kind.table, COLUMNS, lock=lock), named).first()
        return None if found is None else self._kind.read(found)

    def insert(self, *rows: Row[R]) -> None:
        if rows:
            new = [self._kind.new(self._project, row) for row in rows]
            self._connection.execute(_insert(self._kind.table), new)

    def put(self, row: Row[R]) -> bool:
        values = {"in_project": self._project, "named": row.object.id, **content(row)}
        return self._connection.execute(_put(self._kind.table), values).rowcount > 0

    def delete(self, id: str) -> bool:
        named = {"in_project": self._project, "named": id}
        return self._connection.execute(_delete(self._kind.table), named).rowcount > 0

    def page(self, query: PageQuery) -> Page[Row[R]]:
        found, more = read_page(self._connection, self._kind.table, COLUMNS, self._project, query)
        return Page([self._kind.read(columns) for columns in found], more)


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

    def insert(self, row: RunRow) -> RunRow | None:
        values = {**RUNS.new(self._project, row), **run_content(row)}
        if self._connection.execute(_INSERT_RUN, values).first() is not None:
            return None
        winner = self.active(row.object.thread_id)
        if winner is None:
            raise StorageError(f"The active run of {row.object.thread_id} ended while another was stored.")
        return winner

    def put(self, row: RunRow, *, expected: Some[RunStatus] | None = None) -> bool:
        statement = _put_run(None if expected is None else tuple(sorted(expected)))
        values = {
            "in_project": self._project,
            "named": row.object.id,
            "own_fence": row.fence,
            **run_content(row),
        }
        return self._connection.execute(statement, values).rowcount > 0

    def claim(self, owner: str, until: float, *, now: float, orphans_of: Some[str] = ()) -> Sequence[RunRow]:
        values = {
            "in_project": self._project,
            "new_owner": owner,
            "until": until,
            "now": now,
            "orphans_of": list(orphans_of),
        }
        found = self._connection.execute(_CLAIM, values).all()
        return [read_run(columns) for _, *columns in sorted(found, key=lambda columns: columns[0])]

    def renew(self, owner: str, until: float) -> None:
        self._connection.execute(_RENEW, {"in_project": self._project, "of_owner": owner, "until": until})

    def _one(self, statement: sa.Select[Any], values: dict[str, Any]) -> RunRow | None:
        found = self._connection.execute(statement, {"in_project": self._project, **values}).first()
        return None if found is None else read_run(found)


class TableTransaction:
    """One unit of work on one connection, for one project. The connection's transaction is its caller's."""

    def __init__(self, connection: sa.Connection, project: str) -> None:
        self._connection = connection
        self._project = project

    @property
    def assistants(self) -> TableCollection[Assistant]:
        return TableCollection(self._connection, self._project, ASSISTANTS)

    @property
    def threads(self) -> TableCollection[Thread]:
        return TableCollection(self._connection, self._project, THREADS)

    @property
    def messages(self) -> TableCollection[Message]:
        return TableCollection(self._connection, self._project, MESSAGES)

    @property
    def steps(self) -> TableCollection[RunStep]:
        return TableCollection(self._connection, self._project, STEPS)

    @property
    def runs(self) -> TableRuns:
        return TableRuns(self._connection, self._project)


def _named(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.project == sa.bindparam("in_project"), table.c.id == sa.bindparam("named"))


@cache
def _get(table: sa.Table, columns: tuple[str, ...], *, lock: bool) -> sa.Select[Any]:
    statement = sa.select(*(table.c[name] for name in columns)).where(_named(table))
    return statement.with_for_update() if lock else statement


@cache
def _insert(table: sa.Table) -> sa.Insert:
    return sa.insert(table)


@cache
def _put(table: sa.Table) -> sa.Update:
    return sa.update(table).where(_named(table))


@cache
def _delete(table: sa.Table) -> sa.Delete:
    return sa.delete(table).where(_named(table))


@cache
def _put_run(expected: tuple[RunStatus, ...] | None) -> sa.Update:
    statement = sa.update(runs).where(_named(runs), runs.c.fence <= sa.bindparam("own_fence"))
    if expected is not None:
        statement = statement.where(sa.or_(sa.false(), *(runs.c.status == status for status in expected)))
    return statement


_IN_PROJECT: Final = runs.c.project == sa.bindparam("in_project")

_ACTIVE: Final = sa.select(*(runs.c[name] for name in RUN_COLUMNS)).where(
    _IN_PROJECT, runs.c.thread_id == sa.bindparam("of_thread"), ACTIVE_RUN
)

_INSERT_RUN: Final = (
    insert(runs)
    .on_conflict_do_nothing(index_elements=["project", "thread_id"], index_where=ACTIVE_RUN)
    .returning(runs.c.seq)
)

_CLAIM: Final = (
    sa.update(runs)
    .where(
        _IN_PROJECT,
        CLAIMABLE_RUN,
        sa.or_(
            runs.c.owner.is_(None),
            runs.c.lease_until < sa.bindparam("now"),
            runs.c.owner.in_(sa.bindparam("orphans_of", expanding=True)),
        ),
    )
    .values(owner=sa.bindparam("new_owner"), lease_until=sa.bindparam("until"), fence=runs.c.fence + 1)
    .returning(runs.c.seq, *(runs.c[name] for name in RUN_COLUMNS))
)

_RENEW: Final = (
    sa.update(runs)
    .where(_IN_PROJECT, runs.c.owner == sa.bindparam("of_owner"), ACTIVE_RUN)
    .values(lease_until=sa.bindparam("until"))
)
