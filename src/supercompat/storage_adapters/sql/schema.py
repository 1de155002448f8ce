"""Which revision the tables are of, and how they get to the one that this release knows."""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from supercompat.errors import SchemaError
from supercompat.storage_adapters.sql.tables import metadata

HEAD: Final = "0004"
"""The newest revision in `migrations/versions`. Written here so that a look at it does not import Alembic. Revisions
are numbers of four digits: as text, too, the newer one is the greater."""

UPGRADE_LOCK: Final = 7_356_821_940_174_523
"""The advisory lock that upgrades of a PostgreSQL database take: any number that nobody else takes."""

#: What can hold any text; the second takes bytes as they come.
_ENCODINGS: Final = {"UTF8", "SQL_ASCII"}

VERSION_TABLE: Final = "supercompat_version"
"""Not Alembic's usual name: the database may hold an application's own tables, and its own revision."""


@dataclass(frozen=True)
class Release:
    """A set of tables as this release knows it.

    Args:
        head: its newest revision.
        version_table: where a database says of which revision its own is.
        migrations: Alembic's name for the folder of the revisions; None while there is but one.
    """

    tables: sa.MetaData
    head: str
    version_table: str
    migrations: str | None

    def version(self, schema: str | None = None) -> sa.Table:
        """The table that says it."""
        return sa.Table(
            self.version_table,
            sa.MetaData(schema=schema),
            sa.Column("version_num", sa.String(32), nullable=False),
            sa.PrimaryKeyConstraint("version_num", name=f"{self.version_table}_pkc"),
        )


OWN: Final = Release(metadata, HEAD, VERSION_TABLE, "supercompat.storage_adapters.sql:migrations")


def current(connection: sa.Connection, schema: str | None = None, release: Release = OWN) -> str | None:
    """The revision of the database; None if it has none of our tables.

    Args:
        schema: the one to look at, of PostgreSQL; None for the one that names without a schema mean.
    """
    if not sa.inspect(connection).has_table(release.version_table, schema):
        return None
    return connection.execute(sa.select(release.version(schema).c.version_num)).scalar()


def check(connection: sa.Connection, command: str, schema: str | None = None, release: Release = OWN) -> None:
    """Make sure that the tables are those of this release.

    Args:
        command: what makes them so.

    Raises:
        SchemaError: they are not; the message says what to do.
    """
    found = current(connection, schema, release)
    if found is None:
        raise SchemaError(f"The database has no tables of supercompat. To make them, run: {command}")
    if found > release.head:
        raise _newer(found, release)
    if found < release.head:
        raise SchemaError(
            f"The tables have revision {found}, but this release of supercompat needs {release.head}. Run: {command}"
        )


def upgrade_server(connection: sa.Connection, schema: str | None, release: Release = OWN) -> None:
    """Bring the tables of a PostgreSQL database to the newest revision, within the connection's transaction.

    Several may try at once: one does it, the others wait, and find it done.

    Args:
        schema: made if it is missing.

    Raises:
        SchemaError: as for `ensure`.
    """
    # They are for small transactions.
    connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
    connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
    connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    _check_encoding(connection)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_LOCK)))
    if schema is not None:
        if not sa.inspect(connection).has_schema(schema):
            connection.execute(sa.schema.CreateSchema(schema))
        # Migrations name tables without a schema.
        connection.execute(sa.select(sa.func.set_config("search_path", _quoted(connection, schema), True)))
    ensure(connection, release)


def _check_encoding(connection: sa.Connection) -> None:
    encoding = connection.execute(sa.text("SHOW server_encoding")).scalar()
    if encoding not in _ENCODINGS:
        raise SchemaError(
            f"The database's encoding is {encoding}, which can't hold every text. Make one with ENCODING 'UTF8'."
        )


def ensure(connection: sa.Connection, release: Release = OWN) -> None:
    """Bring the tables to the newest revision, within the connection's transaction.

    Raises:
        SchemaError: a newer release made them, or other tables have their names.
    """
    found = current(connection, release=release)
    if found is None:
        create(connection, release)
    elif found != release.head:
        upgrade(connection, release)


def create(connection: sa.Connection, release: Release = OWN) -> None:
    """Make all tables where there are none."""
    names = {table.name for table in release.tables.tables.values()}
    taken = sorted(names & set(sa.inspect(connection).get_table_names()))
    if taken:
        raise SchemaError(
            f"The database has tables that supercompat did not make, named {', '.join(taken)}. Choose another one."
        )
    release.tables.create_all(connection, checkfirst=False)
    version = release.version()
    version.create(connection)
    connection.execute(sa.insert(version).values(version_num=release.head))


def upgrade(connection: sa.Connection, release: Release = OWN) -> None:
    """Run the migrations that are missing.

    Raises:
        SchemaError: the database is of a revision that this release does not know.
    """
    if release.migrations is None:
        raise _newer(current(connection, release=release), release)
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", release.migrations)
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise _newer(current(connection, release=release), release) from error


def _newer(found: str | None, release: Release) -> SchemaError:
    return SchemaError(
        f"The database is of revision {found}, made by a newer release of supercompat; this one knows revisions up to "
        f"{release.head}. Upgrade supercompat."
    )


def _quoted(connection: sa.Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)
