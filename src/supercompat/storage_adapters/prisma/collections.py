"""A transaction over Prisma's tables and the side tables: a row is written to both, and read from both.

Who writes a row locks Prisma's first, and reads the side row once it has the lock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from time import time
from typing import Any, Final, Generic, TypeVar
from uuid import NAMESPACE_URL, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from supercompat.errors import StorageError
from supercompat.storage_adapters.prisma.rows import Kind, Kinds
from supercompat.storage_adapters.prisma.tables import (
    side_messages,
    side_runs,
    side_steps,
)
from supercompat.storage_adapters.protocol import Page, PageQuery, Row
from supercompat.storage_adapters.sql.pages import read_page
from supercompat.wire.objects import ACTIVE_STATUSES, Assistant, Resource, Thread

R = TypeVar("R", bound=Resource)

PROJECT: Final = "default"

#: The assistant of threads that have none yet, where Prisma's table does not do without.
PLACEHOLDER: Final = str(uuid5(NAMESPACE_URL, "supercompat:placeholder"))

#: What `Run.status` says of active runs.
ACTIVE: Final = tuple(status.upper() for status in ACTIVE_STATUSES)

_NAMED: Final[sa.BindParameter[Any]] = sa.bindparam("named")


class PrismaCollection(Generic[R]):
    """The rows of one resource."""

    def __init__(self, connection: sa.Connection, kinds: Kinds, kind: Kind[R]) -> None:
        self._connection = connection
        self._kinds = kinds
        self._kind = kind

    def get(self, id: str, *, lock: bool = False) -> Row[R] | None:
        if lock and not self.lock(id):
            return None
        found = self._connection.execute(_get(self._kind), {"named": id}).first()
        return None if found is None else self._kind.read(found)

    def insert(self, *rows: Row[R]) -> None:
        self._add(rows, again=False)

    def put(self, row: Row[R]) -> bool:
        before = self.get(row.object.id)
        # What Node has in the columns that do not change may be more than is shown.
        return before is not None and self._store(row, self._values(before))

    def rewrite(self, row: Row[R]) -> bool:
        """`put` of a row that was made here."""
        return self._store(row, {})

    def delete(self, id: str) -> bool:
        if not self._connection.execute(_delete(self._kind.table), {"named": id}).rowcount:
            return False
        self._connection.execute(_delete(self._kind.side), {"named": id})
        return True

    def page(self, query: PageQuery) -> Page[Row[R]]:
        kind = self._kind
        if set(query.where) == {"run_id"}:
            # Prisma's tables have indexes by thread.
            found = self._connection.execute(_thread_of(self._kinds), {"named": query.where["run_id"]})
            query = replace(query, where={**query.where, "thread_id": found.scalar() or ""})
        found, more = read_page(self._connection, kind.view, kind.columns, PROJECT, query)
        return Page([kind.read(columns) for columns in found], more)

    def add_again(self, rows: Sequence[Row[R]]) -> None:
        """`insert`, where nobody knows whether it was done."""
        self._add(rows, again=True)

    def _add(self, rows: Sequence[Row[R]], *, again: bool) -> None:
        if rows:
            self._check_filled()
            statement = _insert(self._kind, self._kinds.tables.tick, self._kinds.tables.now, again=again)
            self._connection.execute(statement, [self._new(row) for row in rows])
            self._connection.execute(_put_side(self._kind.side), [self._side(row) for row in rows])

    def _check_filled(self, advice: str = "Let your own application make it, or let it be NULL.") -> None:
        """Make sure that rows can be made.

        Raises:
            StorageError: they can't; the message ends with the advice.
        """
        name = self._kind.table.name
        unfilled = [column for table, column in self._kinds.tables.flavour.unfilled if table == name]
        if unfilled:
            raise StorageError(
                f"No {name.lower()} can be made here: nobody knows what belongs in {', '.join(unfilled)}. {advice}"
            )

    def _new(self, row: Row[R]) -> dict[str, Any]:
        values = {f"new_{name}": value for name, value in self._kind.write(row, is_new=True).items()}
        return {"named": row.object.id, "created": self._created(row), **values}

    def _created(self, row: Row[R]) -> int:
        """The moment within the second that the API shows, for those who order rows by it."""
        second = getattr(row.object, "created_at", 0) * 1_000_000
        passed = min(max(int(time() * 1_000_000) - second, 0), 999_999)
        return second + passed - passed % self._kinds.tables.flavour.tick

    def _side(self, row: Row[R]) -> dict[str, Any]:
        """The values of the side row."""
        return self._kind.write_side(row)

    def _values(self, row: Row[R]) -> dict[str, Any]:
        """What may be written of a row that is there."""
        return self._kind.write(row, is_new=False)

    def _store(self, row: Row[R], written: Mapping[str, Any]) -> bool:
        """Write what is another than `written`, by column."""
        values = self._values(row)
        changed = {name: value for name, value in values.items() if written.get(name, ...) != value}
        if not self._change(row.object.id, changed):
            return False
        self._put_side(row)
        return True

    def _put_side(self, row: Row[R]) -> None:
        self._connection.execute(_put_side(self._kind.side), self._side(row))

    def _change(self, id: str, values: Mapping[str, Any]) -> bool:
        """Write columns of a row, which locks it; False if it is not there."""
        changed = {"updatedAt": self._kinds.tables.now, **values}
        table = self._kind.table
        statement = sa.update(table).where(table.c.id == id).values(changed)
        return self._connection.execute(statement).rowcount > 0

    def lock(self, id: str) -> bool:
        """Keep others from changing a row; False if it is not there."""
        return self._connection.execute(_lock(self._kind.table), {"named": id}).first() is not None


class PrismaAssistants(PrismaCollection[Assistant]):
    """The assistants."""

    def delete(self, id: str) -> bool:
        """One that anything refers to is hidden, for Prisma's keys would take that along."""
        row = self.get(id)
        # Nobody can begin to refer to a row that is locked for its deletion.
        if row is None or not self._connection.execute(_lock_whole(self._kind.table), {"named": id}).first():
            return False
        if not self._connection.execute(_is_used(self._kinds), {"named": id}).scalar():
            return super().delete(id)
        self._connection.execute(_put_side(self._kind.side), {**self._side(row), "hidden": True})
        return True

    def placeholder(self) -> str:
        """The id of the assistant of threads without one.

        Raises:
            StorageError: assistants can't be made here.
        """
        self._check_filled("Name the thread's assistant in its metadata, as 'assistantId'.")
        flavour = self._kinds.tables.flavour
        values: dict[str, Any] = {"id": PLACEHOLDER, "updatedAt": self._kinds.tables.now}
        values |= {name: {} if name == "metadata" else "" for name in flavour.required}
        statement = insert(self._kind.table).values(values).on_conflict_do_nothing()
        if self._connection.execute(statement).rowcount:
            shown = Assistant(id=PLACEHOLDER, created_at=int(time()), model="")
            self._connection.execute(_put_side(self._kind.side), {**self._side(Row(shown)), "hidden": True})
        return PLACEHOLDER

    def _side(self, row: Row[Assistant]) -> dict[str, Any]:
        return {**super()._side(row), "hidden": False}


class PrismaThreads(PrismaCollection[Thread]):
    """The threads."""

    def delete(self, id: str) -> bool:
        # Who writes a run's messages holds the run, then takes what these refer to. Deleting goes the same way.
        if not self.lock(id):
            return False
        self._connection.execute(_lock_active(self._kinds.tables.runs), {"of_thread": id})
        for side in (side_messages, side_runs, side_steps):
            self._connection.execute(sa.delete(side).where(side.c.thread_id == id))
        return super().delete(id)

    def take_assistant(self, id: str, assistant_id: str) -> None:
        """Give a thread that has no assistant yet this one."""
        table = self._kind.table
        without = sa.or_(table.c.assistantId.is_(None), table.c.assistantId == PLACEHOLDER)
        values = {"assistantId": assistant_id, "updatedAt": self._kinds.tables.now}
        self._connection.execute(sa.update(table).where(table.c.id == id, without).values(values))

    def _new(self, row: Row[Thread]) -> dict[str, Any]:
        return {**super()._new(row), "new_assistantId": self._assistant(row.object)}

    def _assistant(self, thread: Thread) -> str | None:
        """Where Node takes it from; nobody's, if there is none of that id."""
        assistants = PrismaAssistants(self._connection, self._kinds, self._kinds.assistants)
        wanted = thread.metadata.get("assistantId")
        if wanted is not None and assistants.get(wanted) is not None:
            return wanted
        return assistants.placeholder() if self._kinds.tables.flavour.needs_assistant else None


# Statements, built once


@cache
def _get(kind: Kind[Any]) -> sa.Select[Any]:
    return sa.select(*(kind.view.c[name] for name in kind.columns)).where(kind.view.c.id == _NAMED)


@cache
def _thread_of(kinds: Kinds) -> sa.Select[Any]:
    runs = kinds.tables.runs
    return sa.select(runs.c.threadId).where(runs.c.id == _NAMED)


@cache
def _lock(table: sa.Table) -> sa.Select[Any]:
    # No stronger than a change of the row: whoever adds a row that refers to it must not wait.
    return sa.select(table.c.id).where(table.c.id == _NAMED).with_for_update(key_share=True)


@cache
def _lock_whole(table: sa.Table) -> sa.Select[Any]:
    return sa.select(table.c.id).where(table.c.id == _NAMED).with_for_update()


@cache
def _lock_active(runs: sa.Table) -> sa.Select[Any]:
    of_thread = runs.c.threadId == sa.bindparam("of_thread")
    # Oldest first, as those do who end a run and then promote the next one.
    return (
        sa.select(runs.c.id)
        .where(of_thread, runs.c.status.in_(ACTIVE))
        .order_by(runs.c.createdAt, runs.c.id)
        .with_for_update(key_share=True)
    )


@cache
def _delete(table: sa.Table) -> sa.Delete:
    return sa.delete(table).where(table.c.id == _NAMED)


@cache
def _put_side(side: sa.Table) -> sa.Insert:
    statement = insert(side)
    # What a statement is not given stays as it is.
    return statement.on_conflict_do_update(
        index_elements=["id"], set_={name: statement.excluded[name] for name in _own(side)}
    )


def _own(side: sa.Table) -> list[str]:
    kept = {"id", "thread_id", "step_id", *(("hidden",) if side is side_messages else ())}
    return [column.name for column in side.c if column.name not in kept]


@cache
def _insert(
    kind: Kind[Any], tick: sa.ColumnElement[Any], now: sa.ColumnElement[Any], *, again: bool
) -> sa.Insert:
    table = kind.table
    names = [held.column for held in kind.fields.values()]
    names += ["assistantId"] if table.name == "Thread" else []
    values: dict[str, Any] = {name: sa.bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    moment = sa.bindparam("created", type_=table.c.createdAt.type)
    values |= {"id": sa.bindparam("named", type_=table.c.id.type), "updatedAt": now}
    values["createdAt"] = moment if table.name == "Thread" else sa.func.greatest(moment, _next(kind, tick))
    statement = insert(table).values(values).inline()
    return statement.on_conflict_do_nothing() if again else statement


def _next(kind: Kind[Any], tick: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The moment behind the newest sibling's."""
    table = kind.table.alias("sibling")
    newest = sa.select(sa.func.max(table.c.createdAt).op("+")(tick))
    for name in kind.siblings:
        newest = newest.where(table.c[name] == sa.bindparam(f"new_{name}", type_=table.c[name].type))
    return newest.scalar_subquery()


@cache
def _is_used(kinds: Kinds) -> sa.Select[Any]:
    of = kinds.tables
    tables = (of.threads, of.runs, of.messages, of.steps)
    used = (sa.select(table.c.id).where(table.c.assistantId == _NAMED).exists() for table in tables)
    return sa.select(sa.or_(*used))
