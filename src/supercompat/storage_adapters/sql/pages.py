"""One page of a list, by key and not by offset: its cost does not grow with its place in the list."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from supercompat.storage_adapters.protocol import CursorError, PageQuery


def read_page(
    connection: sa.Connection, table: sa.FromClause, columns: tuple[str, ...], project: str, query: PageQuery
) -> tuple[Sequence[Sequence[Any]], bool]:
    """The rows of one page in list order, and whether more follow in the direction of reading.

    One statement, and a second one only if a cursor was given and nothing found: then the cursor may be wrong.
    """
    backwards = query.before is not None and query.after is None
    statement = _page(
        table,
        columns,
        tuple(sorted(query.where)),
        ascending=(query.order == "asc") != backwards,
        newer_than=_cursor(query, "asc"),
        older_than=_cursor(query, "desc"),
        limited=query.limit is not None,
    )
    values: dict[str, Any] = {"project": project, "after": query.after, "before": query.before, **query.where}
    if query.limit is not None:
        values["limit"] = query.limit + 1
    found: Sequence[Sequence[Any]] = connection.execute(statement, values).all()
    if not found:
        _check_cursors(connection, table, values, query)
    rows = found[: query.limit]
    return rows[::-1] if backwards else rows, len(found) > len(rows)


def _cursor(query: PageQuery, order: str) -> str | None:
    """Which of the two cursors lies on the side where a list of that order begins."""
    name = "after" if query.order == order else "before"
    return name if getattr(query, name) is not None else None


@cache
def _page(
    table: sa.FromClause,
    columns: tuple[str, ...],
    where: tuple[str, ...],
    *,
    ascending: bool,
    newer_than: str | None,
    older_than: str | None,
    limited: bool,
) -> sa.Select[Any]:
    seq = table.c.seq
    statement = sa.select(*(table.c[name] for name in columns)).where(*_listed(table, where))
    if newer_than is not None:
        statement = statement.where(seq > _place(table, where, newer_than))
    if older_than is not None:
        statement = statement.where(seq < _place(table, where, older_than))
    statement = statement.order_by(seq.asc() if ascending else seq.desc())
    return statement.limit(sa.bindparam("limit", type_=sa.Integer)) if limited else statement


def _listed(table: sa.FromClause, where: tuple[str, ...]) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == sa.bindparam(name) for name in ("project", *where)]


def _place(table: sa.FromClause, where: tuple[str, ...], cursor: str) -> sa.ScalarSelect[Any]:
    """The `seq` of a cursor. NULL for an unknown one, to which no row compares."""
    other = table.alias()
    named = other.c.id == sa.bindparam(cursor)
    return sa.select(other.c.seq).where(named, *_listed(other, where)).scalar_subquery()


@cache
def _known(table: sa.FromClause, where: tuple[str, ...]) -> sa.Select[Any]:
    given = [sa.bindparam(name, type_=table.c.id.type) for name in ("after", "before")]
    return sa.select(table.c.id).where(table.c.id.in_(given), *_listed(table, where))


def _check_cursors(
    connection: sa.Connection, table: sa.FromClause, values: dict[str, Any], query: PageQuery
) -> None:
    given = {name: values[name] for name in ("after", "before") if values[name] is not None}
    if not given:
        return
    known = set(connection.execute(_known(table, tuple(sorted(query.where))), values).scalars())
    for name, id in given.items():
        if id not in known:
            raise CursorError(name, id)
