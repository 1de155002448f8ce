"""A database whose tables Prisma made, with side tables of ours."""

import shlex
from typing import Final, NamedTuple

import sqlalchemy as sa

from supercompat.errors import SchemaError, StorageError
from supercompat.storage_adapters.prisma.collections import PrismaAssistants, PrismaThreads
from supercompat.storage_adapters.prisma.flavour import look
from supercompat.storage_adapters.prisma.ids import BARE
from supercompat.storage_adapters.prisma.messages import PrismaMessages, PrismaSteps
from supercompat.storage_adapters.prisma.rows import Kinds, kinds_of
from supercompat.storage_adapters.prisma.runs import PrismaRuns
from supercompat.storage_adapters.prisma.tables import RELEASE, SCHEMA, SIDES, tables_of
from supercompat.storage_adapters.protocol import Keys, Transaction
from supercompat.storage_adapters.sql.engines import shown
from supercompat.storage_adapters.sql.schema import check, current, upgrade_server

CHANNEL: Final = "supercompat_prisma"


class PrismaTransaction:
    """One unit of work on one connection, whose transaction is its caller's.

    Args:
        names_calls: whether a message's metadata has its calls too.
    """

    ids = BARE

    def __init__(self, connection: sa.Connection, kinds: Kinds, *, names_calls: bool) -> None:
        self._connection = connection
        self._kinds = kinds
        self._names_calls = names_calls

    @property
    def assistants(self) -> PrismaAssistants:
        return PrismaAssistants(self._connection, self._kinds, self._kinds.assistants)

    @property
    def threads(self) -> PrismaThreads:
        return PrismaThreads(self._connection, self._kinds, self._kinds.threads)

    @property
    def messages(self) -> PrismaMessages:
        return PrismaMessages(self._connection, self._kinds, self._kinds.messages)

    @property
    def steps(self) -> PrismaSteps:
        return PrismaSteps(self._connection, self._kinds, names_calls=self._names_calls)

    @property
    def keys(self) -> Keys:
        raise StorageError(
            "Prisma's tables know no projects, and there is no place for API keys beside them."
        )

    @property
    def runs(self) -> PrismaRuns:
        return PrismaRuns(self._connection, self._kinds, channel=CHANNEL, names_calls=self._names_calls)


class PrismaLayout:
    """Prisma's tables and the side tables of one database.

    Args:
        schema: the one with Prisma's tables; None for the connection's own.
        names_calls: as for `PrismaTransaction`.
    """

    ids = BARE
    channel = CHANNEL

    def __init__(self, schema: str | None, *, names_calls: bool) -> None:
        self.schema = schema
        self._names_calls = names_calls
        self._kinds: Kinds | None = None

    def check(self, connection: sa.Connection, url: sa.URL) -> None:
        tables = tables_of(look(connection, self.schema))
        words = ["supercompat", "db", "upgrade", "--prisma", "--database", shown(url)]
        command = shlex.join([*words, "--schema", self.schema] if self.schema else words)
        rights = _rights(connection)
        if rights.schema is not None and not rights.may_use:
            raise SchemaError(
                f"The role {rights.role} may not use the schema {SCHEMA}, which has the side tables. Let it: "
                f"GRANT USAGE ON SCHEMA {SCHEMA} TO {rights.role}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES "
                f"IN SCHEMA {SCHEMA} TO {rights.role};"
            )
        check(connection, command, SCHEMA, RELEASE)
        self._kinds = kinds_of(tables)

    def begin(self, connection: sa.Connection, project: str) -> Transaction:
        assert self._kinds is not None, "the tables were not checked"
        return PrismaTransaction(connection, self._kinds, names_calls=self._names_calls)

    def current(self, connection: sa.Connection) -> str | None:
        return current(connection, SCHEMA, RELEASE)

    def upgrade(self, connection: sa.Connection) -> None:
        """Make the side tables, or bring them up to date, and forget what belongs to rows that are gone."""
        look(connection, self.schema)
        were_there = self.current(connection) == RELEASE.head
        rights = _rights(connection)
        if not were_there and not rights.may_create:
            raise SchemaError(
                f"The role {rights.role} may not make the side tables. Let one that may run this command, or make the "
                f"schema for it: CREATE SCHEMA {SCHEMA} AUTHORIZATION {rights.role};"
            )
        upgrade_server(connection, SCHEMA, RELEASE)
        if were_there:
            _forget(connection)


class Rights(NamedTuple):
    """What the connection's role may do with the schema of the side tables.

    Args:
        role: its name, quoted where it has to be.
        schema: None if there is none.
    """

    role: str
    schema: str | None
    may_use: bool
    may_create: bool


_RIGHTS: Final = sa.text(
    "SELECT quote_ident(current_user), nspname, coalesce(has_schema_privilege(pg_namespace.oid, 'USAGE'), false), "
    "coalesce(has_schema_privilege(pg_namespace.oid, 'CREATE'), has_database_privilege(current_database(), 'CREATE')) "
    "FROM (SELECT 1) AS one LEFT JOIN pg_namespace ON nspname = :schema"
)


def _rights(connection: sa.Connection) -> Rights:
    return Rights(*connection.execute(_RIGHTS, {"schema": SCHEMA}).one())


#: Every schema whose rows the side tables may be about, and whether they can be looked at.
_PLACES: Final = sa.text(
    "SELECT nspname, has_schema_privilege(pg_namespace.oid, 'USAGE') AND has_table_privilege(pg_class.oid, 'SELECT') "
    "FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace JOIN pg_attribute ON attrelid = pg_class.oid "
    "WHERE relname = :name AND relkind IN ('r', 'p', 'v', 'f') AND attname = 'id' AND nspname !~ '^pg_'"
)


def _forget(connection: sa.Connection) -> None:
    """Delete what is beside rows that are gone. Applications in several schemas of a database share the side tables."""
    for name, side in SIDES.items():
        places = connection.execute(_PLACES, {"name": name}).all()
        if not places or not all(can_be_read for _, can_be_read in places):
            continue
        tables = [sa.table(name, sa.column("id"), schema=schema) for schema, _ in places]
        found = (
            sa.select(rows.c.id).where(sa.cast(rows.c.id, sa.Text) == side.c.id).exists() for rows in tables
        )
        connection.execute(sa.delete(side).where(*(~is_there for is_there in found)))
