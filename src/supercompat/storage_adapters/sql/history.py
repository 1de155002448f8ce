"""The newest part of a thread in one statement, whose cost does not grow with the thread.

Messages and tool steps are walked together, newest first, by their sizes alone; the objects are read of those rows
that are wanted. A message stands at its `seq`, a tool step behind it at the same place.
"""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from supercompat.storage_adapters.protocol import History, HistoryQuery, Row
from supercompat.storage_adapters.sizes import FRAME_SIZE
from supercompat.storage_adapters.sql.rows import STEPS, read_message
from supercompat.storage_adapters.sql.tables import FROM_USER, OF_TOOLS, messages, steps
from supercompat.wire.objects import Message, RunStep

MOST: Final = 4096
"""Messages, and steps, that are looked at where a query does not say how many it wants."""

_NOTHING: Final = sa.literal_column("0", sa.Integer)

#: More than any thread has. The API takes larger numbers than PostgreSQL's integers.
_ALL: Final = 2**31 - 1


def read_history(connection: sa.Connection, project: str, query: HistoryQuery) -> History:
    """What the query asks for."""
    wanted = query.last_messages
    fitting = query.size // FRAME_SIZE + 1
    values = {
        "in_project": project,
        "of_thread": query.thread_id,
        "of_run": query.run_id,
        "wanted": _ALL if wanted is None else min(wanted, _ALL),
        "most_messages": min(MOST if wanted is None else wanted, fitting),
        "most_steps": min(MOST, fitting),
        "size": min(query.size, _ALL),
    }
    found: Sequence[Sequence[Any]] = connection.execute(_HISTORY, values).all()
    if not found:
        return History([], [])
    oldest, last_message = found[0][-2:]
    first = min((place for place, nth, *_ in found if nth == 0), default=None)
    is_cut = oldest is not None and (first is None or first > oldest)
    is_cut = is_cut or found[0][2] >= query.size
    return History([_row(columns) for columns in found], _places(found), last_message, is_cut)


def read_stretch(connection: sa.Connection, project: str, thread_id: str, first: int, last: int) -> History:
    """What of the thread stands at these places and between them."""
    values = {"in_project": project, "of_thread": thread_id, "first": first, "last": last}
    found: Sequence[Sequence[Any]] = connection.execute(_STRETCH, values).all()
    return History([_row(columns) for columns in found], _places(found))


def count_until(connection: sa.Connection, project: str, thread_id: str, place: int) -> int:
    """How many messages that say something the thread has up to this place."""
    values = {"in_project": project, "of_thread": thread_id, "last": place}
    return connection.execute(_COUNT, values).scalar_one()


def _places(found: Sequence[Sequence[Any]]) -> list[int]:
    return [columns[0] for columns in found]


def _row(columns: Sequence[Any]) -> Row[Message] | Row[RunStep]:
    is_step = columns[1] > 0
    return STEPS.read(columns[3:5]) if is_step else read_message(columns[3:6])


def has_user_message() -> sa.ColumnElement[bool]:
    """Whether any message of the thread is a user's."""
    # The smallest one, because it is found by an index; for any one a planner may read the table.
    first = sa.select(sa.func.min(messages.c.seq)).where(*_in_thread(messages), FROM_USER)
    return first.scalar_subquery().is_not(None)


def place_of(project: sa.ColumnElement[str], follows: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    """The place of a stored step that follows this message now; as it was, if there is no such message."""
    return sa.func.coalesce(_seq_of(project, follows), steps.c.place)


def place_of_new(
    project: sa.ColumnElement[str],
    thread_id: sa.ColumnElement[str],
    follows: sa.ColumnElement[str],
    *also: sa.ColumnElement[int],
) -> sa.ColumnElement[int]:
    """The place of a new step; NULL if `follows` is, as it is of steps that called no tools.

    Args:
        follows: the id of the message before it. If that is gone, the step stands behind the newest one.
        also: where else this message's number may be found.
    """
    newest = sa.select(sa.func.max(messages.c.seq)).where(
        messages.c.project == project, messages.c.thread_id == thread_id
    )
    place = sa.func.coalesce(*also, _seq_of(project, follows), newest.scalar_subquery(), 0)
    return sa.case((follows.is_not(None), place))


def _seq_of(project: sa.ColumnElement[str], id: sa.ColumnElement[str]) -> sa.ScalarSelect[int]:
    named = messages.c.project == project, messages.c.id == id
    return sa.select(messages.c.seq).where(*named).scalar_subquery()


def _in_thread(table: sa.Table) -> list[sa.ColumnElement[bool]]:
    return [table.c.project == sa.bindparam("in_project"), table.c.thread_id == sa.bindparam("of_thread")]


def _is_own(table: sa.Table) -> sa.ColumnElement[bool]:
    return table.c.run_id == sa.bindparam("of_run")


def _newest_messages() -> sa.Subquery:
    """Args of each row: place, number among the steps there, size, whether it counts, whether it needs another."""
    own = sa.select(sa.func.count()).where(
        messages.c.project == sa.bindparam("in_project"), _is_own(messages)
    )
    most = sa.bindparam("most_messages", type_=sa.Integer) + own.scalar_subquery()
    return (
        sa.select(
            messages.c.seq.label("place"),
            _NOTHING.label("nth"),
            messages.c.size,
            sa.case((_is_own(messages), 0), else_=1).label("counted"),
            _NOTHING.label("borrowed"),
        )
        .where(*_in_thread(messages))
        .order_by(messages.c.seq.desc())
        .limit(most)
        .subquery("newest_messages")
    )


def _newest_steps() -> sa.Subquery:
    return (
        sa.select(
            steps.c.place,
            steps.c.seq.label("nth"),
            steps.c.size,
            _NOTHING.label("counted"),
            # Another run's step is wanted together with the message that it follows, which comes next.
            sa.case((_is_own(steps), 0), else_=1).label("borrowed"),
        )
        .where(*_in_thread(steps), OF_TOOLS, steps.c.size > 0)
        .order_by(steps.c.place.desc(), steps.c.seq.desc())
        .limit(sa.bindparam("most_steps", type_=sa.Integer))
        .subquery("newest_steps")
    )


def _counted() -> sa.Subquery:
    """Each row with the size of all that is newer, and the number of messages that it takes to have it."""
    rows = sa.union_all(sa.select(_newest_messages()), sa.select(_newest_steps())).subquery("newest")
    newest_first = rows.c.place.desc(), rows.c.nth.desc()
    newer = sa.func.sum(rows.c.size).over(order_by=newest_first, rows=(None, 0)) - rows.c.size
    rank = sa.func.sum(rows.c.counted).over(order_by=newest_first, rows=(None, 0)) + rows.c.borrowed
    return sa.select(rows.c.place, rows.c.nth, newer.label("newer"), rank.label("rank")).subquery("counted")


def _column(rows: sa.Subquery, name: str) -> sa.ColumnElement[Any]:
    # Not joined, so that no plan can read a whole table for it.
    of_message = sa.select(messages.c[name]).where(messages.c.seq == rows.c.place).scalar_subquery()
    of_step = sa.select(steps.c[name]).where(steps.c.seq == rows.c.nth).scalar_subquery()
    return sa.case((rows.c.nth == 0, of_message), else_=of_step)


def _history() -> sa.Executable:
    rows = _counted()
    metadata = sa.select(messages.c.metadata).where(messages.c.seq == rows.c.place, rows.c.nth == 0)
    oldest = sa.select(sa.func.min(messages.c.seq)).where(*_in_thread(messages))
    newest = sa.select(messages.c.id).where(*_in_thread(messages)).order_by(messages.c.seq.desc()).limit(1)
    asked = sa.select(sa.func.max(messages.c.seq)).where(*_in_thread(messages), FROM_USER)
    return (
        sa.select(
            rows.c.place,
            rows.c.nth,
            rows.c.newer,
            _column(rows, "object"),
            _column(rows, "private"),
            metadata.scalar_subquery(),
            oldest.scalar_subquery(),
            newest.scalar_subquery(),
        )
        .where(
            rows.c.rank <= sa.bindparam("wanted"),
            sa.or_(
                rows.c.newer < sa.bindparam("size"),
                sa.and_(rows.c.nth == 0, rows.c.place == asked.scalar_subquery()),
            ),
        )
        .order_by(rows.c.place, rows.c.nth)
    )


_HISTORY: Final = _history()


_LAST: Final = sa.bindparam("last", type_=sa.BigInteger)


def _stretch() -> sa.Executable:
    first = sa.bindparam("first", type_=sa.BigInteger)
    of_messages = sa.select(messages.c.seq.label("place"), _NOTHING.label("nth")).where(
        *_in_thread(messages), messages.c.seq.between(first, _LAST)
    )
    of_steps = sa.select(steps.c.place, steps.c.seq).where(
        *_in_thread(steps), OF_TOOLS, steps.c.size > 0, steps.c.place.between(first, _LAST)
    )
    rows = sa.union_all(of_messages, of_steps).subquery("stretch")
    metadata = sa.select(messages.c.metadata).where(messages.c.seq == rows.c.place, rows.c.nth == 0)
    return sa.select(
        rows.c.place,
        rows.c.nth,
        _NOTHING,
        _column(rows, "object"),
        _column(rows, "private"),
        metadata.scalar_subquery(),
    ).order_by(rows.c.place, rows.c.nth)


_STRETCH: Final = _stretch()

_COUNT: Final = (
    sa.select(sa.func.count())
    .select_from(messages)
    .where(*_in_thread(messages), messages.c.seq <= _LAST, messages.c.size > FRAME_SIZE)
)
