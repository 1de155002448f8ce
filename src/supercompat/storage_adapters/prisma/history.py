"""The newest part of a thread. Prisma's tables have no index for that: it is read in portions, the newest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONPATH

from supercompat.storage_adapters.prisma.rows import Kinds
from supercompat.storage_adapters.prisma.tables import micros
from supercompat.storage_adapters.protocol import History, HistoryQuery, Row
from supercompat.storage_adapters.sizes import size_of
from supercompat.wire.objects import Message, RunStep

#: Messages that are read at first; each time so many more.
FIRST: Final = 64
GROWTH: Final = 4

#: Before any message, and behind every one.
START: Final = -1
END: Final = 2**62


@dataclass(frozen=True, slots=True)
class Thing:
    """A message, or a tool step that was answered.

    Args:
        place: microseconds at which the message stands.
        nth: 0 of a message. A step stands behind the message of its place, at its own moment.
        size: how much of a prompt it takes.
    """

    row: Row[Message] | Row[RunStep]
    place: int
    nth: int
    size: int

    @property
    def is_step(self) -> bool:
        return self.nth > 0


def read_history(connection: sa.Connection, kinds: Kinds, query: HistoryQuery) -> History:
    """What the query asks for."""
    taken: list[Thing] = []
    newer, counted, is_cut = 0, 0, False
    wanted = END if query.last_messages is None else query.last_messages
    last_message: str | None = None
    for thing in _newest(connection, kinds, query.thread_id):
        is_own = thing.row.object.run_id == query.run_id
        if not thing.is_step:
            last_message = last_message or thing.row.object.id
            counted += not is_own
        if newer >= query.size or counted > wanted:
            is_cut = True
            break
        newer += thing.size
        # Another run's step comes with the message that it follows, which is next.
        if is_own or counted + thing.is_step <= wanted:
            taken.append(thing)
    if is_cut and counted <= wanted:
        taken += _question(connection, kinds, query, taken, wanted)
    return _history(taken[::-1], last_message, is_cut=is_cut)


def read_stretch(connection: sa.Connection, kinds: Kinds, thread_id: str, first: int, last: int) -> History:
    """What of the thread stands at these places and between them."""
    values = {"of_thread": thread_id, "from": first - 1, "until": last + 1, "most": END}
    messages = _messages(connection, kinds, values)
    things = [*messages, *_steps(connection, kinds, thread_id, first, last + 1)]
    things.sort(key=_order)
    return _history(things)


def count_until(connection: sa.Connection, kinds: Kinds, thread_id: str, place: int) -> int:
    """How many messages that say something the thread has up to this place."""
    values = {"of_thread": thread_id, "until": place}
    return connection.execute(_count(kinds), values).scalar_one()


def has_user_message(connection: sa.Connection, kinds: Kinds, thread_id: str) -> bool:
    """Whether any message of the thread is a user's."""
    return bool(connection.execute(_has_user_message(kinds), {"of_thread": thread_id}).scalar())


def _newest(connection: sa.Connection, kinds: Kinds, thread_id: str) -> Iterator[Thing]:
    """The thread from its end."""
    until, portion = END, FIRST
    while until > START:
        values = {"of_thread": thread_id, "from": START, "until": until, "most": portion}
        messages = _messages(connection, kinds, values)
        start = messages[-1].place if len(messages) >= portion else START
        # Those of one moment stay together: the last one's may go on in the next portion.
        messages = [thing for thing in messages if thing.place > start]
        if messages or start == START:
            things = [*messages, *_steps(connection, kinds, thread_id, start + 1, until)]
            yield from sorted(things, key=_order, reverse=True)
            until = start + 1 if start > START else START
        portion *= GROWTH


def _order(thing: Thing) -> tuple[int, int, str]:
    return thing.place, thing.nth, thing.row.object.id


def _question(
    connection: sa.Connection, kinds: Kinds, query: HistoryQuery, taken: Sequence[Thing], wanted: int
) -> list[Thing]:
    """The newest user message, if it is not among what was taken, and counts for what is wanted."""
    if any(_is_users(thing) for thing in taken):
        return []
    counted = 0
    for thing in _newest(connection, kinds, query.thread_id):
        if thing.is_step:
            continue
        counted += thing.row.object.run_id != query.run_id
        if counted > wanted:
            return []
        if _is_users(thing):
            return [thing]
    return []


def _is_users(thing: Thing) -> bool:
    return isinstance(thing.row.object, Message) and thing.row.object.role == "user"


def _history(things: Sequence[Thing], last_message: str | None = None, *, is_cut: bool = False) -> History:
    return History([thing.row for thing in things], [thing.place for thing in things], last_message, is_cut)


# Statements


def _messages(connection: sa.Connection, kinds: Kinds, values: dict[str, Any]) -> list[Thing]:
    found = connection.execute(_messages_between(kinds), {**values, "most": min(values["most"], 2**31 - 1)})
    columns = [kinds.messages.named(each) for each in found]
    rows = [(kinds.messages.row(each), each["createdAt"]) for each in columns]
    return [Thing(row, place, 0, size_of(row.object)) for row, place in rows]


def _steps(connection: sa.Connection, kinds: Kinds, thread_id: str, first: int, end: int) -> list[Thing]:
    """The answered tool steps at these places, `end` excluded."""
    values = {"of_thread": thread_id, "first": first, "end": end}
    things: list[Thing] = []
    for *found, place in connection.execute(_steps_between(kinds), values):
        columns = kinds.steps.named(found)
        row = kinds.steps.row(columns)
        if size := size_of(row.object):
            things.append(Thing(row, place, columns["createdAt"], size))
    return things


@cache
def _messages_between(kinds: Kinds) -> sa.Select[Any]:
    view = kinds.messages.view
    place = micros(view.c.createdAt)
    return (
        sa.select(*(view.c[name] for name in kinds.messages.columns))
        .where(
            view.c.thread_id == sa.bindparam("of_thread"),
            place > sa.bindparam("from", type_=sa.BigInteger),
            place < sa.bindparam("until", type_=sa.BigInteger),
        )
        .order_by(view.c.seq.desc())
        .limit(sa.bindparam("most", type_=sa.BigInteger))
    )


@cache
def _steps_between(kinds: Kinds) -> sa.Select[Any]:
    view = kinds.steps.view
    # What Node wrote stands where it was written.
    place = sa.func.coalesce(view.c.side_place, micros(view.c.createdAt))
    return sa.select(*(view.c[name] for name in kinds.steps.columns), place).where(
        view.c.thread_id == sa.bindparam("of_thread"),
        view.c.type == "TOOL_CALLS",
        place >= sa.bindparam("first", type_=sa.BigInteger),
        place < sa.bindparam("end", type_=sa.BigInteger),
    )


@cache
def _count(kinds: Kinds) -> sa.Select[Any]:
    view = kinds.messages.view
    says: sa.ColumnElement[Any] = sa.literal_column("""'$[*] ? (@.type != "text" || @.text.value != "")'""")
    return (
        sa.select(sa.func.count())
        .select_from(view)
        .where(
            view.c.thread_id == sa.bindparam("of_thread"),
            micros(view.c.createdAt) <= sa.bindparam("until", type_=sa.BigInteger),
            sa.func.jsonb_path_exists(view.c.content, sa.cast(says, JSONPATH)),
        )
    )


@cache
def _has_user_message(kinds: Kinds) -> sa.Select[Any]:
    messages = kinds.tables.messages
    asked = messages.c.threadId == sa.bindparam("of_thread"), messages.c.role == "USER"
    return sa.select(sa.select(messages.c.id).where(*asked).exists())
