"""`PrismaStorageAdapter`: what it is given."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from supercompat.errors import ConfigurationError, MissingExtraError
from supercompat.storage_adapters.prisma import url as urls
from supercompat.storage_adapters.protocol import Store


class PrismaStorageAdapter:
    """Keeps state in a PostgreSQL database whose tables a Node application made from supercompat's Prisma schema, so
    that both work on the same threads.

    Prisma's tables stay as they are. What they can't hold is in side tables, in a schema `supercompat` of the same
    database, which `supercompat db upgrade --prisma` makes.

    Args:
        url: as Prisma has it: `postgresql://user:password@host:5432/database?schema=public`. `connection_limit`,
            `pool_timeout`, `pgbouncer`, `sslaccept` and `sslcert` are heeded as Prisma means them, the rest is as for
            `SQLAlchemyStorageAdapter`.
        schema: the one with Prisma's tables; by default the URL's, or else the first of the connection's search path.
        tool_calls_in_metadata: whether a message's calls, which are in its `toolCalls`, are in its `metadata` too, for
            Node applications that look there.
        statement_timeout, lock_timeout, engine_options: as for `SQLAlchemyStorageAdapter`.

    Raises:
        ConfigurationError: the URL, or something else, can't be served.
        MissingExtraError: what PostgreSQL needs is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str | None = None,
        tool_calls_in_metadata: bool = False,
        statement_timeout: float = 30.0,
        lock_timeout: float = 10.0,
        **engine_options: Any,
    ) -> None:
        if find_spec("greenlet") is None:
            raise MissingExtraError("greenlet", "postgres")
        from supercompat.storage_adapters.prisma.layout import PrismaLayout
        from supercompat.storage_adapters.sql import engines
        from supercompat.storage_adapters.sql.postgresql import PostgreSQLDatabase

        if not url.startswith(("postgresql", "postgres")):
            raise ConfigurationError(
                "Prisma's tables are served on PostgreSQL: 'postgresql://user@host/database'."
            )
        parsed = engines.parse(url)
        source = engines.from_url(
            urls.for_driver(parsed).render_as_string(hide_password=False),
            statement_timeout=statement_timeout,
            lock_timeout=lock_timeout,
            options=_merged(urls.pool_options(parsed), engine_options),
        )
        layout = PrismaLayout(schema or urls.schema_of(parsed), names_calls=tool_calls_in_metadata)
        self._database = PostgreSQLDatabase(source, layout)

    def open(self, *, project: str = "default", own_pool: bool = False) -> Store:
        """Open for use; the first transaction does the work.

        Raises:
            ConfigurationError: Prisma's tables know no projects; only `default` is served.
            StorageError: from the first transaction on, if the database can't be used.
            SchemaError: likewise, if the tables are not there, or of another release.
        """
        if project != "default":
            raise ConfigurationError(
                f"Prisma's tables know no projects, and everything in them would be seen by '{project}' too. Use the "
                "project 'default', or SQLAlchemyStorageAdapter."
            )
        return self._database.open(project, own_pool=own_pool)

    async def upgrade(self) -> None:
        """Make the side tables, or bring them up to date, in one transaction, and forget what is kept there of rows
        that are gone. Several processes may do it at once.

        Raises:
            StorageError: the database can't be used.
            SchemaError: Prisma's tables are not there, or the side tables are of a newer release.
        """
        await self._database.upgrade()

    async def current(self) -> str | None:
        """The revision of the side tables; None if there are none. Changes nothing.

        Raises:
            StorageError: the database can't be used.
        """
        return await self._database.current()

    def __repr__(self) -> str:
        return f"PrismaStorageAdapter({self._database.shown})"


def _merged(said: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the URL says to the pool, and what the user gives beside it, which wins."""
    connection = {**said.get("connect_args", {}), **given.get("connect_args", {})}
    return {**said, **given, **({"connect_args": connection} if connection else {})}
