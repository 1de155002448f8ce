"""The tables: a column for what is queried or compared, the object itself as one JSON text.

Every row has a `project`, and its own `seq` that grows in the order of creation. A change here needs a revision
in `migrations/versions`; a test compares both.
"""

from typing import Final

import sqlalchemy as sa
from sqlalchemy import event

from supercompat.wire.objects import ACTIVE_STATUSES, RunStatus

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _status_in(statuses: tuple[RunStatus, ...]) -> sa.TextClause:
    # Literal text: a partial index is only used by a query that repeats its condition, and bound values do not.
    return sa.text(f"status IN {statuses}")


ACTIVE_RUN: Final = _status_in(ACTIVE_STATUSES)
CLAIMABLE_RUN: Final = _status_in(tuple(each for each in ACTIVE_STATUSES if each != "requires_action"))
ENQUEUED_RUN: Final = sa.text("status = 'enqueued'")
FROM_USER: Final = sa.text("role = 'user'")
OF_TOOLS: Final = sa.text("place IS NOT NULL")


class Id(sa.TypeDecorator[str]):
    """An id. One with a NUL byte, which PostgreSQL takes nowhere in a text, names nothing."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return value if value is None else value.replace("\0", "\ufffd")


def _table(name: str, *own: sa.schema.SchemaItem) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        # SQLite numbers rows by itself only where the type is spelled INTEGER.
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        *own,
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("private", sa.Text),
        sa.UniqueConstraint("project", "id"),
        # The number of a new row is read by nobody.
        implicit_returning=False,
    )


def _reference(column: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(column, Id, nullable=nullable)


def _belongs_to(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["project", column], [f"{table}.project", f"{table}.id"], ondelete="CASCADE"
    )


def _partial_index(name: str, *columns: str, where: sa.TextClause, unique: bool = False) -> sa.Index:
    # A `postgresql_where` beside it would import that dialect here, a third of what SQLAlchemy itself costs.
    # `_keep_conditions` says it.
    return sa.Index(name, *columns, unique=unique, sqlite_where=where)


assistants: Final = _table("assistants", sa.Index(None, "project", "seq"))

threads: Final = _table("threads")

messages: Final = _table(
    "messages",
    _reference("thread_id"),
    _reference("run_id", nullable=True),
    sa.Column("role", sa.String, nullable=False),
    # How much of a prompt it takes. Before the object, which may be long: SQLite reads a row from its start.
    sa.Column("size", sa.Integer, nullable=False),
    # Only once it was changed: until then it is in the object alone.
    sa.Column("metadata", sa.Text),
    _belongs_to("threads", "thread_id"),
    sa.Index(None, "project", "thread_id", "seq"),
    _partial_index("ix_messages_of_run", "project", "run_id", "seq", where=sa.text("run_id IS NOT NULL")),
    _partial_index("ix_messages_of_user", "project", "thread_id", "seq", where=FROM_USER),
)

runs: Final = _table(
    "runs",
    _reference("thread_id"),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("owner", sa.String),
    sa.Column("lease_until", sa.Double, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    # Whether others may stand in line behind it, or null. It is set under the row's lock, by those who line up, so that
    # who ends the run knows of them, however old its view of other rows is.
    sa.Column("followed", sa.Boolean),
    _belongs_to("threads", "thread_id"),
    sa.Index(None, "project", "thread_id", "seq"),
    _partial_index("uq_runs_active", "project", "thread_id", where=ACTIVE_RUN, unique=True),
    # None with `lease_until`: PostgreSQL would write to every index at each renewal.
)

steps: Final = _table(
    "steps",
    _reference("thread_id"),
    _reference("run_id"),
    sa.Column("size", sa.Integer, nullable=False),
    # The `seq` of the message that it follows in the conversation, 0 before the first one. Only of tool steps.
    # A number, not an id: a message that is deleted leaves its place.
    sa.Column("place", sa.BigInteger),
    _belongs_to("runs", "run_id"),
    sa.Index(None, "project", "run_id", "seq"),
    _partial_index("ix_steps_of_tools", "project", "thread_id", "place", "seq", where=OF_TOOLS),
)


def _keep_conditions(target: sa.MetaData, connection: sa.Connection, **_: object) -> None:
    """On PostgreSQL the partial indices have the same conditions."""
    if connection.dialect.name != "postgresql":
        return
    for table in target.tables.values():
        for index in table.indexes:
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]


event.listen(metadata, "before_create", _keep_conditions)
