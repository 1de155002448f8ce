"""Where a PostgreSQL database is, and how engines for it are made."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from supercompat.errors import ConfigurationError, MissingExtraError

DRIVERS: Final = ("psycopg", "asyncpg")

POOL: Final = {"pool_size": 10, "max_overflow": 0}

#: What libpq is told unless the user says otherwise: a server that vanished is noticed within a minute.
CONNECTION: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "fallback_application_name": "supercompat",
    # Whatever the database's own encoding is, or the environment's.
    "client_encoding": "utf8",
}

#: Seconds that a transaction may pause between two statements. Its process has been stopped then, and another one waits
#: for the locks, to take over what that has left.
LONGEST_PAUSE: Final = 5.0

_HERE: Final = {"localhost", "127.0.0.1", "::1"}

SECRETS: Final = {"password", "sslpassword"}


@dataclass(frozen=True)
class Source:
    """Where engines come from.

    Args:
        make: an engine, for the running event loop.
        is_ours: whether what `make` gives is ours to dispose of.
        shown: how the adapter names it in its repr.
    """

    make: Callable[[], AsyncEngine]
    is_ours: bool
    shown: str


def from_url(
    text: str, *, statement_timeout: float, lock_timeout: float, options: Mapping[str, Any]
) -> Source:
    """Engines for a URL.

    Raises:
        ConfigurationError: the URL, or an option, makes no sense.
        MissingExtraError: the driver is not installed.
    """
    url = parse(text)
    if "schema" in url.query:
        raise ConfigurationError(
            "'schema' in a URL is a word of Prisma's. For tables that Prisma made there are PrismaStorageAdapter, "
            "'supercompat db … --prisma' and 'supercompat import --from-prisma'. Our own are in the schema that "
            "schema=, or --schema, names."
        )
    given: dict[str, Any] = {"hide_parameters": True, **options}
    if "poolclass" not in given:
        given = {**POOL, **given}
    if url.get_driver_name() == "psycopg":
        own = {name: value for name, value in CONNECTION.items() if name not in url.query}
        given["connect_args"] = {**own, **given.get("connect_args", {})}
    settings = _session(statement_timeout, lock_timeout)

    def make() -> AsyncEngine:
        engine = create_async_engine(url, **given)
        event.listen(engine.sync_engine, "connect", settings)
        return engine

    try:
        make()
    except ImportError:
        raise _not_installed(url) from None
    except (ArgumentError, TypeError, ValueError) as error:
        raise ConfigurationError(f"The engine can't be made: {error}") from None
    return Source(make, True, repr(shown(url)))


def reader(url: sa.URL) -> sa.Engine:
    """An engine without an event loop, for one connection, through psycopg.

    Raises:
        ConfigurationError: the URL makes no sense.
        MissingExtraError: psycopg is not installed.
    """
    own = {name: value for name, value in CONNECTION.items() if name not in url.query}
    try:
        return sa.create_engine(
            url,
            poolclass=sa.NullPool,
            hide_parameters=True,
            # Behind a pooler what is prepared would be left to others.
            connect_args={**own, "prepare_threshold": None},
        )
    except ImportError:
        raise _not_installed(url) from None
    except (ArgumentError, TypeError, ValueError) as error:
        raise ConfigurationError(f"The engine can't be made: {error}") from None


def from_function(function: Callable[[], object]) -> Source:
    """Engines that a function of the user's makes for us."""
    name = getattr(function, "__qualname__", type(function).__name__)

    def make() -> AsyncEngine:
        return checked(function())

    return Source(make, True, f"<function {name}>")


def from_engine(engine: AsyncEngine) -> Source:
    """The one engine that is the user's own."""
    checked(engine)
    return Source(lambda: engine, False, f"<engine {shown(engine.url)}>")


def checked(engine: object) -> AsyncEngine:
    """What the user gave, if it can serve.

    Raises:
        ConfigurationError: it can't.
    """
    if not isinstance(engine, AsyncEngine):
        raise ConfigurationError(
            f"The storage takes an AsyncEngine, made by create_async_engine(), not {type(engine).__name__}."
        )
    if engine.dialect.name != "postgresql" or engine.driver not in DRIVERS:
        raise ConfigurationError(
            f"An engine has to be one for PostgreSQL through {' or '.join(DRIVERS)}, not "
            f"'{engine.dialect.name}+{engine.driver}'. For SQLite give the URL."
        )
    return engine


def shown(url: sa.URL) -> str:
    """A URL without what is secret in it."""
    query = {name: "***" if name in SECRETS else value for name, value in url.query.items()}
    name = "postgresql" if url.get_driver_name() == "psycopg" else url.drivername
    text = url.set(drivername=name, query=query).render_as_string(hide_password=True)
    return text.replace("%2A%2A%2A", "***")


def place(url: sa.URL) -> str:
    """How errors name a database."""
    host = url.host or url.query.get("host") or "the local server"
    port = f":{url.port}" if url.port else ""
    return f"PostgreSQL database {url.database or url.username or ''} at {host}{port}"


def same_database(one: sa.URL, other: sa.URL) -> bool:
    """Whether two URLs name one database of one server, as far as they tell."""
    return _database_of(one) == _database_of(other)


def _database_of(url: sa.URL) -> tuple[object, ...]:
    host = url.host or url.query.get("host")
    return None if host in _HERE else host, url.port or 5432, url.database or url.username


def upgrade_command(url: sa.URL, schema: str | None) -> str:
    """What brings the tables up to date."""
    words = ["supercompat", "db", "upgrade", "--database", shown(url)]
    return shlex.join([*words, "--schema", schema] if schema else words)


def parse(text: str) -> sa.URL:
    """A URL of PostgreSQL, with its driver.

    Raises:
        ConfigurationError: it is none, or the driver is not served.
    """
    try:
        url = sa.make_url(text)
    except (ArgumentError, ValueError):
        # The error may quote the password.
        raise ConfigurationError(
            "The URL can't be read. It is 'postgresql://user:password@host:5432/database'; special characters in the "
            "password are percent-encoded."
        ) from None
    driver = url.drivername.partition("+")[2] or "psycopg"
    if driver not in DRIVERS:
        raise ConfigurationError(
            f"The driver '{driver}' is not served. Write 'postgresql://', which takes psycopg 3."
        )
    return url.set(drivername=f"postgresql+{driver}")


def _not_installed(url: sa.URL) -> ConfigurationError:
    driver = url.get_driver_name()
    if driver == "psycopg" or find_spec(driver) is not None:
        return MissingExtraError(driver if find_spec("greenlet") else "greenlet", "postgres")
    return ConfigurationError(f"{driver} is not installed. Install it, or write 'postgresql://'.")


def _session(statement_timeout: float, lock_timeout: float) -> Callable[[Any, object], None]:
    """What to tell the server on a new connection. As a statement, because poolers refuse it at the start."""
    seconds = {
        "statement_timeout": statement_timeout,
        "lock_timeout": lock_timeout,
        "idle_in_transaction_session_timeout": min(statement_timeout, LONGEST_PAUSE),
    }
    calls = [
        f"set_config('{name}', '{int(1000 * value)}', false)" for name, value in seconds.items() if value
    ]

    def apply(connection: Any, record: object) -> None:
        if calls:
            cursor = connection.cursor()
            cursor.execute(f"SELECT {', '.join(calls)}")
            cursor.close()
            connection.commit()

    return apply
