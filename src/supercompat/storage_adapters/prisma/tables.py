"""Prisma's tables, as a flavour has them, and the side tables with what they can't hold.

The side tables are ours, in a schema of their own that Prisma does not manage. They refer to Prisma's rows by id and
without a foreign key: such a key would stand in the way of `prisma migrate`.
"""

from functools import cache
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType

from supercompat.storage_adapters.prisma.flavour import Flavour
from supercompat.storage_adapters.sql.schema import Release
from supercompat.storage_adapters.sql.tables import ACTIVE_RUN, ENQUEUED_RUN

SCHEMA: Final = "supercompat"

_UUID: Final = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


class PrismaId(UserDefinedType[str]):
    """An id. The text of something that is none names nothing."""

    cache_ok = True

    def __init__(self, is_uuid: bool) -> None:
        self.is_uuid = is_uuid

    def get_col_spec(self, **kw: Any) -> str:
        return "uuid" if self.is_uuid else "text"

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        return _uuid if self.is_uuid else _text

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        return _shown


class Moment(UserDefinedType[int]):
    """A moment, in microseconds since 1970."""

    cache_ok = True

    def __init__(self, has_zone: bool) -> None:
        self.has_zone = has_zone

    def get_col_spec(self, **kw: Any) -> str:
        return "timestamptz" if self.has_zone else "timestamp"

    def bind_expression(self, bindvalue: sa.BindParameter[int]) -> sa.ColumnElement[Any]:
        # The bound value itself is a number; with this type it would come here again.
        number = sa.cast(sa.type_coerce(bindvalue, sa.BigInteger), sa.BigInteger)
        span = number.op("*")(sa.literal_column("interval '1 microsecond'"))
        return sa.literal_column(f"{self.get_col_spec()} 'epoch'").op("+")(span)

    def column_expression(self, colexpr: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
        return micros(colexpr)


class Named(UserDefinedType[str]):
    """One of Prisma's enums. Sent without a type, so that the server finds the one of its schema."""

    cache_ok = True

    def get_col_spec(self, **kw: Any) -> str:
        return "text"


def micros(moment: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """A moment as a number."""
    seconds = sa.cast(sa.extract("epoch", moment), sa.Numeric)
    return sa.cast(seconds * 1_000_000, sa.BigInteger)


def _uuid(value: str | None) -> str | None:
    try:
        # Another spelling names nothing: side rows know this one.
        return value if value is not None and str(UUID(value)) == value else None
    except ValueError:
        return None


def _shown(value: object) -> str | None:
    return None if value is None else str(value)


def _text(value: str | None) -> str | None:
    return None if value is None else value.replace("\0", "\ufffd")


# The side tables

SIDE: Final = sa.MetaData(schema=SCHEMA)

RELEASE: Final = Release(SIDE, "0001", "prisma_version", None)


def _side(name: str, *own: sa.schema.SchemaItem) -> sa.Table:
    return sa.Table(
        f"prisma_{name}",
        SIDE,
        sa.Column("id", sa.Text, primary_key=True),
        *own,
        # What the API shows beyond Prisma's columns, by field.
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("private", sa.Text),
        implicit_returning=False,
    )


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


side_assistants: Final = _side("assistants", _flag("hidden"))

side_threads: Final = _side("threads")

side_messages: Final = _side(
    "messages",
    sa.Column("thread_id", sa.Text, nullable=False),
    # A row that is there for Node alone, to carry calls that no message of ours goes with.
    _flag("hidden"),
    # The step whose calls are in `toolCalls`.
    sa.Column("step_id", sa.Text),
    sa.Index("ix_prisma_messages_thread_id", "thread_id"),
    sa.Index("ix_prisma_messages_step_id", "step_id", postgresql_where=sa.text("step_id IS NOT NULL")),
)

side_runs: Final = _side(
    "runs",
    sa.Column("thread_id", sa.Text, nullable=False),
    # As we last wrote it. Where Prisma's row says something else, Node has taken the run on.
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", sa.Double, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Index("ix_prisma_runs_thread_id", "thread_id"),
    sa.Index("uq_prisma_runs_active", "thread_id", unique=True, postgresql_where=ACTIVE_RUN),
    sa.Index("ix_prisma_runs_enqueued", "thread_id", postgresql_where=ENQUEUED_RUN),
)

side_steps: Final = _side(
    "steps",
    sa.Column("thread_id", sa.Text, nullable=False),
    # The moment of the message that it follows in the conversation, in microseconds; only of tool steps.
    sa.Column("place", sa.BigInteger),
    sa.Index("ix_prisma_steps_thread_id", "thread_id"),
)

#: The side table of each of Prisma's.
SIDES: Final = {
    "Assistant": side_assistants,
    "Thread": side_threads,
    "Message": side_messages,
    "Run": side_runs,
    "RunStep": side_steps,
}


# Prisma's


class PrismaTables:
    """The tables of one flavour, and a view of each with its side table, for the statements that only read.

    Args:
        has_sides: whether the database has the side tables; where not, nothing can be written.

    Attributes:
        now: the moment of the transaction, as a column takes it.
        tick: what lies between two moments at least.

    A view has, beside Prisma's columns and the side table's, those that the shared statements know: `project`,
    `thread_id`, `run_id`, and `seq`, which orders the rows.
    """

    def __init__(self, flavour: Flavour, *, has_sides: bool = True) -> None:
        self.flavour = flavour
        self._has_sides = has_sides
        now = "now()" if flavour.has_zones else "(now() AT TIME ZONE 'UTC')"
        self.now: sa.ColumnElement[Any] = sa.literal_column(now)
        self.tick: sa.ColumnElement[Any] = sa.literal_column(f"interval '{flavour.tick} microseconds'")
        self._metadata = sa.MetaData()
        self.assistants = self._table("Assistant", *self._of_assistant())
        self.threads = self._table("Thread", self._id("assistantId"), self._json("metadata"))
        self.messages = self._table("Message", *self._of_message())
        self.runs = self._table("Run", *self._of_run())
        self.steps = self._table("RunStep", *self._of_step())
        self.assistant_view = self._view(self.assistants, side_assistants, hides=True)
        self.thread_view = self._view(self.threads, side_threads)
        self.message_view = self._view(self.messages, side_messages, hides=True)
        self.run_view = self._view(self.runs, side_runs)
        self.step_view = self._view(self.steps, side_steps)

    def id_of(self, side: sa.Table) -> sa.ColumnElement[str]:
        """A side row's id, as Prisma's column has it. One of another schema's rows may be of another kind."""
        if not self.flavour.has_uuids:
            return side.c.id
        is_uuid = side.c.id.regexp_match(_UUID)
        return sa.case((is_uuid, sa.cast(side.c.id, PrismaId(is_uuid=True))))

    def _of_assistant(self) -> list[sa.Column[Any]]:
        return [
            self._json(name) if name == "metadata" else sa.Column(name, sa.Text)
            for name in self.flavour.of_assistant
        ]

    def _of_message(self) -> list[sa.Column[Any]]:
        return [
            *(self._id(name) for name in ("threadId", "assistantId", "runId")),
            *(sa.Column(name, Named()) for name in ("role", "status")),
            *(self._moment(name) for name in ("completedAt", "incompleteAt")),
            *(self._json(name) for name in ("content", "incompleteDetails", "metadata", "toolCalls")),
            sa.Column("attachments", sa.ARRAY(JSONB)),
        ]

    def _of_run(self) -> list[sa.Column[Any]]:
        own = ("requiredAction", "lastError", "metadata", "usage", *self.flavour.of_run)
        return [
            *(self._id(name) for name in ("threadId", "assistantId")),
            sa.Column("status", Named()),
            *(self._json(name) for name in own),
            *(
                sa.Column(name, sa.Integer)
                for name in ("expiresAt", "startedAt", "cancelledAt", "failedAt", "completedAt")
            ),
            *(sa.Column(name, sa.Text) for name in ("model", "instructions")),
            sa.Column("tools", sa.ARRAY(JSONB)),
        ]

    def _of_step(self) -> list[sa.Column[Any]]:
        return [
            *(self._id(name) for name in ("threadId", "assistantId", "runId")),
            *(sa.Column(name, Named()) for name in ("type", "status")),
            *(self._json(name) for name in ("stepDetails", "lastError", "usage")),
            *(
                sa.Column(name, sa.Integer)
                for name in ("expiredAt", "cancelledAt", "failedAt", "completedAt")
            ),
        ]

    def _table(self, name: str, *own: sa.Column[Any]) -> sa.Table:
        times = [self._moment(each) for each in ("createdAt", "updatedAt")]
        id = sa.Column("id", PrismaId(is_uuid=self.flavour.has_uuids), primary_key=True)
        return sa.Table(name, self._metadata, id, *own, *times, implicit_returning=False)

    def _id(self, name: str) -> sa.Column[Any]:
        return sa.Column(name, PrismaId(is_uuid=self.flavour.has_uuids))

    def _moment(self, name: str) -> sa.Column[Any]:
        return sa.Column(name, Moment(has_zone=self.flavour.has_zones))

    def _json(self, name: str) -> sa.Column[Any]:
        return sa.Column(name, JSONB(none_as_null=True))

    def _view(self, table: sa.Table, side: sa.Table, *, hides: bool = False) -> sa.Subquery:
        text = sa.cast(table.c.id, sa.Text)
        beside = side if self._has_sides else _empty(side)
        own = [column.label(f"side_{column.name}") for column in beside.c if column.name != "id"]
        known = {"threadId": "thread_id", "runId": "run_id"}
        view = sa.select(
            *table.c,
            *own,
            *(table.c[name].label(label) for name, label in known.items() if name in table.c),
            sa.literal_column("'default'", sa.String).label("project"),
            # Together they are unique: Node may write several rows at one moment.
            sa.func.row(table.c.createdAt, table.c.id).label("seq"),
        ).select_from(table.outerjoin(beside, beside.c.id == text))
        if hides:
            view = view.where(beside.c.hidden.is_not(True))
        return view.subquery(f"{table.name}_view")


def _empty(side: sa.Table) -> sa.Subquery:
    """What stands for a side table where there is none."""
    columns = (sa.cast(sa.null(), column.type).label(column.name) for column in side.c)
    return sa.select(*columns).where(sa.false()).subquery()


@cache
def tables_of(flavour: Flavour, *, has_sides: bool = True) -> PrismaTables:
    """The tables of a flavour; one object for each, so that statements are made once."""
    return PrismaTables(flavour, has_sides=has_sides)
