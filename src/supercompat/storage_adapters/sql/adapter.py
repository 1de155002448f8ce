"""`SQLAlchemyStorageAdapter`: what a database URL means. SQLite's needs no SQLAlchemy for that."""

import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from supercompat.errors import ConfigurationError, MissingExtraError
from supercompat.storage_adapters.protocol import Store
from supercompat.storage_adapters.sql.store import Database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_URL = re.compile(r"(?P<dialect>\w+)(?:\+(?P<driver>\w+))?://(?P<rest>.*)", re.DOTALL)
_FILE = re.compile(r"/(?P<file>[^?]*)(?:\?timeout=(?P<timeout>\d+(?:\.\d+)?))?")
_ASYNC_DRIVERS = {"aiosqlite"}
_POSTGRESQL = {"postgres", "postgresql"}


class SQLDatabase(Protocol):
    """What the adapter opens: one database, of either kind."""

    @property
    def shown(self) -> str:
        """How a repr names it."""
        ...

    def open(self, project: str, *, own_pool: bool) -> Store: ...

    async def upgrade(self) -> None: ...

    async def current(self) -> str | None: ...


class SQLAlchemyStorageAdapter:
    """Keeps state in an SQLite or a PostgreSQL database.

    SQLite's tables are created and upgraded on first use; those of PostgreSQL by `supercompat db upgrade`.

    Args:
        url: for SQLite `sqlite:///assistants.db`, relative to the current working directory, or
            `sqlite:////home/me/a.db`. `?timeout=5` is the number of seconds to wait while another process writes.
            `sqlite://` is memory. For PostgreSQL `postgresql://user:password@host:5432/database`; the query is
            passed to the driver (`?sslmode=require`). The driver is psycopg 3, or asyncpg if the URL names it.
            Instead of a URL: a function without arguments that makes an `AsyncEngine` for PostgreSQL, or, with the
            asynchronous door, such an engine, which is never disposed of.
        schema: the PostgreSQL schema with the tables; by default the first of the connection's search path.
        statement_timeout: seconds that a statement may take on PostgreSQL, and a pause between two statements of a
            transaction (there 5 at most); 0 leaves it to the server. An engine that was given keeps its own.
        lock_timeout: seconds that a statement may wait for another transaction; 0 and engines likewise.
        engine_options: for `create_async_engine` with a URL of PostgreSQL: `pool_size` (10), `pool_timeout` (30),
            `connect_args`, …

    Raises:
        ConfigurationError: the URL, or something else, can't be served.
        MissingExtraError: what PostgreSQL needs is not installed.
    """

    def __init__(
        self,
        url: "str | AsyncEngine | Callable[[], AsyncEngine]",
        *,
        schema: str | None = None,
        statement_timeout: float = 30.0,
        lock_timeout: float = 10.0,
        **engine_options: Any,
    ) -> None:
        self._schema = schema
        if _is_file(url):
            _refuse(engine_options if schema is None else {"schema": schema, **engine_options}, "for SQLite")
            path, timeout = _parse(url)
            self._database: SQLDatabase = Database(path, timeout=timeout)
        else:
            timeouts = {"statement_timeout": statement_timeout, "lock_timeout": lock_timeout}
            self._database = _server(url, schema, timeouts, engine_options)

    def open(self, *, project: str = "default", own_pool: bool = False) -> Store:
        """Open for use; the first transaction does the work.

        Raises:
            ConfigurationError: the engine is the user's own, and the loop not the one that it belongs to.
            StorageError: from the first transaction on, if the database can't be used.
            SchemaError: likewise, if its tables are of another release, or not ours.
        """
        return self._database.open(project, own_pool=own_pool)

    async def upgrade(self) -> None:
        """Make the tables, or bring them up to date, in one transaction. Several processes may do it at once.

        Raises:
            StorageError: the database can't be used.
            SchemaError: its tables are of a newer release, or not ours.
        """
        await self._database.upgrade()

    async def current(self) -> str | None:
        """The revision of the tables; None if there are none. Changes nothing.

        Raises:
            StorageError: the database can't be used.
        """
        return await self._database.current()

    def __repr__(self) -> str:
        schema = f", schema={self._schema!r}" if self._schema else ""
        return f"SQLAlchemyStorageAdapter({self._database.shown}{schema})"


def _is_file(url: object) -> TypeGuard[str]:
    """Whether it is a URL, and not one of PostgreSQL."""
    if isinstance(url, str):
        matched = _URL.fullmatch(url)
        return matched is None or matched["dialect"] not in _POSTGRESQL
    extension = sys.modules.get("sqlalchemy.ext.asyncio")
    if callable(url) or (extension and isinstance(url, extension.AsyncEngine)):
        return False
    raise _no_url()


def _server(
    url: "str | AsyncEngine | Callable[[], AsyncEngine]",
    schema: str | None,
    timeouts: dict[str, float],
    options: dict[str, Any],
) -> SQLDatabase:
    if schema is not None and not schema.strip():
        raise ConfigurationError("schema= takes the name of a schema.")
    if find_spec("greenlet") is None:
        raise MissingExtraError("greenlet", "postgres")
    from supercompat.storage_adapters.sql import engines
    from supercompat.storage_adapters.sql.layout import OwnTables
    from supercompat.storage_adapters.sql.postgresql import PostgreSQLDatabase

    if isinstance(url, str):
        source = engines.from_url(url, options=options, **timeouts)
    else:
        _refuse(options, "when it is given an engine")
        source = engines.from_function(url) if callable(url) else engines.from_engine(url)
    return PostgreSQLDatabase(source, OwnTables(schema))


def _refuse(options: dict[str, Any], where: str) -> None:
    if options:
        raise ConfigurationError(f"The storage takes no such options {where}: {', '.join(options)}.")


def _no_url() -> ConfigurationError:
    return ConfigurationError(
        "The storage takes a database URL such as 'sqlite:///assistants.db' or 'postgresql://user@host/database', "
        "or an engine made by SQLAlchemy's create_async_engine(), or a function that makes one."
    )


def _parse(url: str) -> tuple[Path | None, float]:
    matched = _URL.fullmatch(url)
    if matched is None:
        raise _no_url()
    _check_dialect(matched["dialect"], matched["driver"])
    place = _FILE.fullmatch(matched["rest"] or "/")
    if place is None:
        raise ConfigurationError(
            "An SQLite URL is 'sqlite:///' and a file, with no host, and no option but '?timeout=SECONDS'."
        )
    timeout = float(place["timeout"] or 5)
    file = place["file"]
    return (None if file in {"", ":memory:"} else Path.cwd() / file), timeout


def _check_dialect(dialect: str, driver: str | None) -> None:
    if dialect != "sqlite":
        raise ConfigurationError(
            f"Databases of the kind '{dialect}' are not served. Use 'sqlite:///' or 'postgresql://'."
        )
    if driver in _ASYNC_DRIVERS:
        raise ConfigurationError(
            f"'sqlite+{driver}' names an asynchronous driver. SQLite runs on a thread of its own here, with Python's "
            "own driver: write 'sqlite:///' and the file."
        )
    if driver not in {None, "pysqlite"}:
        raise ConfigurationError(f"The driver '{driver}' is not served. Write 'sqlite:///' and the file.")
