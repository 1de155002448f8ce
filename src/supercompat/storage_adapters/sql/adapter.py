"""`SQLAlchemyStorageAdapter`: what a database URL means. SQLAlchemy itself is not needed for that."""

import re
from pathlib import Path

from supercompat.errors import ConfigurationError
from supercompat.storage_adapters.sql.store import Database, SQLiteStore

_URL = re.compile(r"(?P<dialect>\w+)(?:\+(?P<driver>\w+))?://(?P<rest>.*)", re.DOTALL)
_FILE = re.compile(r"/(?P<file>[^?]*)(?:\?timeout=(?P<timeout>\d+(?:\.\d+)?))?")
_ASYNC_DRIVERS = {"aiosqlite"}


class SQLAlchemyStorageAdapter:
    """Keeps state in an SQLite database, whose tables it makes, and upgrades, at the first use.

    Args:
        url: `sqlite:///assistants.db`, relative to the working directory of this moment, or `sqlite:////home/me/a.db`.
            `?timeout=5` says for how many seconds to wait while another process writes. `sqlite://` is memory.

    Raises:
        ConfigurationError: the URL can't be served.
    """

    def __init__(self, url: str) -> None:
        path, timeout = _parse(url)
        self._database = Database(path, timeout=timeout)

    def open(self, *, project: str = "default") -> SQLiteStore:
        """Open for use; the first transaction does the work.

        Raises:
            StorageError: from the first transaction on, if the database can't be used.
            SchemaError: likewise, if its tables are of a newer release, or not ours.
        """
        return self._database.open(project)

    def __repr__(self) -> str:
        path = self._database.path
        return f"SQLAlchemyStorageAdapter('sqlite://{'' if path is None else f'/{path}'}')"


def _parse(url: str) -> tuple[Path | None, float]:
    matched = _URL.fullmatch(url) if isinstance(url, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
    if matched is None:
        raise ConfigurationError("The storage takes a database URL such as 'sqlite:///assistants.db'.")
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
    if dialect in {"postgres", "postgresql"}:
        raise ConfigurationError(
            "PostgreSQL is not served yet by this release. Use 'sqlite:///assistants.db'."
        )
    if dialect != "sqlite":
        raise ConfigurationError(
            f"Databases of the kind '{dialect}' are not served. Use 'sqlite:///assistants.db'."
        )
    if driver in _ASYNC_DRIVERS:
        raise ConfigurationError(
            f"'sqlite+{driver}' names an asynchronous driver. SQLite runs on a thread of its own here, with Python's "
            "own driver: write 'sqlite:///' and the file."
        )
    if driver not in {None, "pysqlite"}:
        raise ConfigurationError(f"The driver '{driver}' is not served. Write 'sqlite:///' and the file.")
