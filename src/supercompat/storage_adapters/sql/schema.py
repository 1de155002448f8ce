"""Which revision the tables are of, and how they get to the one that this release knows."""

from typing import Final

import sqlalchemy as sa

from supercompat.errors import SchemaError
from supercompat.storage_adapters.sql.tables import metadata

HEAD: Final = "0001"
"""The newest revision in `migrations/versions`. Written here so that a look at it does not import Alembic."""

VERSION_TABLE: Final = "supercompat_version"
"""Not Alembic's usual name: the database may hold an application's own tables, and its own revision."""

_version: Final = sa.Table(
    VERSION_TABLE,
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)


def current(connection: sa.Connection) -> str | None:
    """The revision of the database; None if it has none of our tables."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(sa.select(_version.c.version_num)).scalar()


def ensure(connection: sa.Connection) -> None:
    """Bring the tables to `HEAD`, within the connection's transaction.

    Raises:
        SchemaError: a newer release made them, or other tables have their names.
    """
    found = current(connection)
    if found is None:
        create(connection)
    elif found != HEAD:
        upgrade(connection)


def create(connection: sa.Connection) -> None:
    """Make all tables where there are none."""
    taken = sorted(metadata.tables.keys() & set(sa.inspect(connection).get_table_names()))
    if taken:
        raise SchemaError(
            f"The database has tables that supercompat did not make, named {', '.join(taken)}. Choose another one."
        )
    metadata.create_all(connection, checkfirst=False)
    _version.create(connection)
    connection.execute(sa.insert(_version).values(version_num=HEAD))


def upgrade(connection: sa.Connection) -> None:
    """Run the migrations that are missing.

    Raises:
        SchemaError: the database is of a revision that this release does not know.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "supercompat.storage_adapters.sql:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaError(
            f"The database is of revision {current(connection)}, made by a newer release of supercompat; this one "
            f"knows revisions up to {HEAD}. Upgrade supercompat."
        ) from error
