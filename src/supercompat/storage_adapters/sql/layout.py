"""Which tables a PostgreSQL database keeps its state in, and who reads and writes them."""

from hashlib import sha256
from typing import Final, Protocol

import sqlalchemy as sa

from supercompat.storage_adapters.protocol import Transaction
from supercompat.storage_adapters.sql.collections import TableTransaction
from supercompat.storage_adapters.sql.engines import upgrade_command
from supercompat.storage_adapters.sql.schema import check, current, upgrade_server
from supercompat.wire.ids import PREFIXED, Ids

#: Bytes that PostgreSQL gives a name.
LONGEST_NAME: Final = 63


class Layout(Protocol):
    """The tables of one database.

    Args:
        schema: where those are that name no schema; None for the first of the connection's search path.
        channel: where runs that change are told of.
        ids: how new rows are named.
    """

    @property
    def schema(self) -> str | None: ...

    @property
    def channel(self) -> str: ...

    @property
    def ids(self) -> Ids: ...

    def check(self, connection: sa.Connection, url: sa.URL) -> None:
        """Make sure that the tables are those of this release.

        Raises:
            SchemaError: they are not; the message says what to do.
        """
        ...

    def begin(self, connection: sa.Connection, project: str) -> Transaction:
        """One unit of work. The connection's transaction is its caller's."""
        ...

    def current(self, connection: sa.Connection) -> str | None:
        """The revision of our tables; None if there are none."""
        ...

    def upgrade(self, connection: sa.Connection) -> None:
        """Make our tables, or bring them up to date, within the connection's transaction.

        Raises:
            SchemaError
        """
        ...


class OwnTables:
    """All tables are ours.

    Args:
        schema: the schema that has them.
    """

    ids = PREFIXED

    def __init__(self, schema: str | None) -> None:
        self.schema = schema
        self.channel = channel(schema)

    def check(self, connection: sa.Connection, url: sa.URL) -> None:
        check(connection, upgrade_command(url, self.schema), self.schema)

    def begin(self, connection: sa.Connection, project: str) -> Transaction:
        return TableTransaction(connection, project, self.channel)

    def current(self, connection: sa.Connection) -> str | None:
        return current(connection, self.schema)

    def upgrade(self, connection: sa.Connection) -> None:
        upgrade_server(connection, self.schema)


def channel(schema: str | None) -> str:
    """Where runs that change are told of."""
    name = f"supercompat_{schema}" if schema else "supercompat"
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return f"supercompat_{sha256(name.encode()).hexdigest()[:32]}"
