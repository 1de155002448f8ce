"""The runs on PostgreSQL: a run and what belongs to it are written by one statement, which also tells of it.

A guard yields one row if the run may be written. Everything else in the statement is done for each of its rows.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from supercompat.storage_adapters.protocol import Parts, Row, RunRow, StoredStatus
from supercompat.storage_adapters.sql.collections import TableRuns, put_run
from supercompat.storage_adapters.sql.history import place_of, place_of_new
from supercompat.storage_adapters.sql.rows import MESSAGES, RUNS, STEPS, Kind, run_content
from supercompat.storage_adapters.sql.tables import ACTIVE_RUN, messages, runs, steps
from supercompat.wire.objects import Message

#: The parts of a run, by the names that they have in `Parts`.
KINDS: Final[dict[str, Kind[Any]]] = {
    "new_messages": MESSAGES,
    "new_steps": STEPS,
    "messages": MESSAGES,
    "steps": STEPS,
}


class PostgreSQLRuns(TableRuns):
    """The runs of one project.

    Args:
        channel: where each change of a run is told, as `<project>:<run id>`; None for nowhere.
    """

    def __init__(self, connection: sa.Connection, project: str, channel: str | None) -> None:
        super().__init__(connection, project)
        self._channel = channel

    def put_parts(self, row: RunRow, parts: Parts) -> bool:
        values = {**self._named(row), "own_owner": row.owner}
        return self._run(_put_parts(_filled(parts)), values, parts) is not None

    def _put(
        self, row: RunRow, expected: tuple[StoredStatus, ...] | None, parts: Parts
    ) -> sa.Row[Any] | None:
        statement = _put(expected, _filled(parts), told=self._channel is not None)
        changes = {f"run_{name}": value for name, value in run_content(row).items()}
        return self._run(statement, {**self._named(row), **changes, **self._notice(row.object.id)}, parts)

    def _promote(self, run_id: str) -> bool:
        promoted = super()._promote(run_id)
        if promoted and self._channel is not None:
            self._connection.execute(sa.select(_TELL), self._notice(run_id))
        return promoted

    def _insert(self, row: RunRow, messages: Sequence[Row[Message]]) -> bool:
        parts = Parts(new_messages=messages)
        new = {f"run_{name}": value for name, value in {**RUNS.new("", row), **run_content(row)}.items()}
        values = {"in_project": self._project, **new}
        return self._run(_insert(_filled(parts)), values, parts) is not None

    def _run(self, statement: sa.Select[Any], values: dict[str, Any], parts: Parts) -> sa.Row[Any] | None:
        for name in _filled(parts):
            values |= _columns(name, getattr(parts, name))
        return self._connection.execute(statement, values).first()

    def _notice(self, run_id: str) -> dict[str, Any]:
        return {"channel": self._channel, "notice": f"{self._project}:{run_id}"}


def _filled(parts: Parts) -> tuple[str, ...]:
    return tuple(name for name in KINDS if getattr(parts, name))


def _columns(name: str, rows: Sequence[Row[Any]]) -> dict[str, list[Any]]:
    """The rows by columns, an array for each."""
    kind = KINDS[name]
    by_row = [{"id": row.object.id, **kind.content(row)} for row in rows]
    if name.startswith("new_"):
        by_row = [kind.new("", row) for row in rows]
    return {f"{name}_{column}": [row[column] for row in by_row] for column in _names(name)}


def _names(name: str) -> tuple[str, ...]:
    kind = KINDS[name]
    changing = ("object", "private", "size", *(("follows",) if kind is STEPS else ()))
    return (*(kind.fixed if name.startswith("new_") else ("id",)), *changing)


# The guards

_PROJECT: Final = sa.bindparam("in_project", type_=sa.String)


def _values(columns: Sequence[str]) -> dict[str, Any]:
    return {name: sa.bindparam(f"run_{name}", type_=runs.c[name].type) for name in columns}


_CHANGING: Final = ("object", "private", "status", "expires_at", "owner", "lease_until", "fence")

_TELL: Final = sa.func.pg_notify(sa.bindparam("channel"), sa.bindparam("notice"))


@cache
def _put(expected: tuple[StoredStatus, ...] | None, filled: tuple[str, ...], *, told: bool) -> sa.Select[Any]:
    guard = put_run(expected).values(_values(_CHANGING)).returning(runs.c.followed).cte("guard")
    return _guarded(guard, filled, guard.c.followed, *((_TELL,) if told else ()))


@cache
def _put_parts(filled: tuple[str, ...]) -> sa.Select[Any]:
    guard = (
        sa.select(runs.c.id)
        .where(
            runs.c.project == _PROJECT,
            runs.c.id == sa.bindparam("named"),
            runs.c.owner == sa.bindparam("own_owner"),
            runs.c.fence == sa.bindparam("own_fence"),
        )
        .with_for_update(key_share=True)
        .cte("guard")
    )
    return _guarded(guard, filled, guard.c.id)


@cache
def _insert(filled: tuple[str, ...]) -> sa.Select[Any]:
    guard = (
        insert(runs)
        .inline()
        .values({"project": _PROJECT, **_values([*RUNS.fixed, *_CHANGING])})
        .on_conflict_do_nothing(index_elements=["project", "thread_id"], index_where=ACTIVE_RUN)
        .returning(runs.c.id)
        .cte("guard")
    )
    return _guarded(guard, filled, guard.c.id)


def _guarded(guard: sa.CTE, filled: tuple[str, ...], *said: sa.ColumnElement[Any]) -> sa.Select[Any]:
    statement = sa.select(*said).select_from(guard)
    new_messages = _new_messages(guard) if "new_messages" in filled else None
    if new_messages is not None:
        statement = statement.add_cte(new_messages)
    if "new_steps" in filled:
        statement = statement.add_cte(_new_steps(guard, new_messages))
    if "messages" in filled:
        statement = statement.add_cte(_put_messages(guard))
    if "steps" in filled:
        statement = statement.add_cte(_put_steps(guard))
    return statement


# The parts


def _arrays(name: str) -> sa.TableValuedAlias:
    """The values of rows, which come as an array for each column."""
    columns = {column: _type(KINDS[name].table, column) for column in _names(name)}
    arrays = [sa.bindparam(f"{name}_{column}", type_=sa.ARRAY(kind)) for column, kind in columns.items()]
    shown = [sa.column(column, kind) for column, kind in columns.items()]
    return (
        sa.func.unnest(*arrays)
        .table_valued(*shown, with_ordinality="nth", name=f"of_{name}")
        .render_derived()
    )


def _type(table: sa.Table, column: str) -> Any:
    return sa.String() if column == "follows" else table.c[column].type


def _new_messages(guard: sa.CTE) -> sa.CTE:
    rows = _arrays("new_messages")
    names = _names("new_messages")
    source = sa.select(_PROJECT, *(rows.c[name] for name in names)).select_from(guard.join(rows, sa.true()))
    return _inserted("new_messages", names, source.order_by(rows.c.nth))


def _new_steps(guard: sa.CTE, new_messages: sa.CTE | None) -> sa.CTE:
    rows = _arrays("new_steps")
    names = [name for name in _names("new_steps") if name != "follows"]
    # What the same statement inserts is not in the table yet.
    also = [
        sa.select(each.c.seq).where(each.c.id == rows.c.follows).scalar_subquery()
        for each in (new_messages,)
        if each is not None
    ]
    place = place_of_new(_PROJECT, rows.c.thread_id, rows.c.follows, *also)
    source = sa.select(_PROJECT, *(rows.c[name] for name in names), place).select_from(
        guard.join(rows, sa.true())
    )
    return _inserted("new_steps", [*names, "place"], source.order_by(rows.c.nth))


def _inserted(name: str, columns: Sequence[str], source: sa.Select[Any]) -> sa.CTE:
    table = KINDS[name].table
    # A write of whose commit nobody was told is tried again, and finds its rows there.
    statement = insert(table).inline().from_select(["project", *columns], source).on_conflict_do_nothing()
    return statement.returning(table.c.id, table.c.seq).cte(name)


def _put_messages(guard: sa.CTE) -> sa.CTE:
    rows = _arrays("messages")
    # The metadata is not among it: it can be changed while the message is written.
    values = {name: rows.c[name] for name in ("object", "private", "size")}
    statement = sa.update(messages).where(
        messages.c.project == _PROJECT, messages.c.id == rows.c.id, sa.exists().select_from(guard)
    )
    return statement.values(values).returning(messages.c.id).cte("put_messages")


def _put_steps(guard: sa.CTE) -> sa.CTE:
    rows = _arrays("steps")
    values = {name: rows.c[name] for name in ("object", "private", "size")}
    statement = sa.update(steps).where(
        steps.c.project == _PROJECT, steps.c.id == rows.c.id, sa.exists().select_from(guard)
    )
    return (
        statement.values({**values, "place": place_of(_PROJECT, rows.c.follows)})
        .returning(steps.c.id)
        .cte("put_steps")
    )
