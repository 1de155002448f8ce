"""SQLite through SQLAlchemy: one connection, kept open.

Whoever wants to see or count the statements listens to `before_cursor_execute` on the class `sqlalchemy.Engine`;
the statements that begin and end a transaction, and the pragmas, don't pass there.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from supercompat.errors import StorageError
from supercompat.storage_adapters.protocol import Transaction
from supercompat.storage_adapters.sql.collections import TableTransaction
from supercompat.storage_adapters.sql.schema import current, ensure

T = TypeVar("T")


class SQLiteConnection:
    """A connection to a database whose tables are those of this release.

    Args:
        path: the file; None for a database in memory.
        timeout: seconds to wait for another process that writes.

    Raises:
        StorageError: the file can't be opened, or is no database.
        SchemaError: its tables can't be used by this release.
    """

    def __init__(self, path: Path | None, timeout: float) -> None:
        self._place = "SQLite in memory" if path is None else f"SQLite file {path}"
        if path is not None and not path.parent.is_dir():
            raise StorageError(f"{self._place}: the folder {path.parent} does not exist.")
        self._closing = ExitStack()
        try:
            with translated(self._place):
                self._connection = self._connect(path, timeout)
        except BaseException:
            self.close()
            raise

    def run(self, project: str, work: Callable[[Transaction], T]) -> T:
        """Run `work` as one transaction.

        Raises:
            StorageError: the database can't be used.
            Whatever `work` raises.
        """
        with translated(self._place), self._connection.begin():
            return work(TableTransaction(self._connection, project))

    def close(self) -> None:
        """Close the file. What was committed is in it, whatever happens here."""
        with suppress(SQLAlchemyError, sqlite3.Error):
            self._closing.close()

    def _connect(self, path: Path | None, timeout: float) -> sa.Connection:
        is_new = path is not None and not path.exists()
        # With no isolation level the driver leaves the beginning of transactions to us.
        driver = sqlite3.connect(
            ":memory:" if path is None else path,
            timeout=timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        self._closing.callback(driver.close)
        if path is not None:
            if is_new:
                # It will have conversations in it. SQLite's files beside it get its mode; some file systems have none.
                with suppress(OSError):
                    path.chmod(0o600)
            _use_wal(driver, timeout)
            driver.execute("PRAGMA synchronous = NORMAL")
        connection = self._closing.enter_context(_engine(driver).connect())
        with connection.begin():
            ensure(connection)
        # Not before: a migration may copy a table and drop the old one, which would empty those below it.
        driver.execute("PRAGMA foreign_keys = ON")
        return connection


def revision(path: Path) -> str | None:
    """The revision of a file's tables; None if it has none of ours. The file is not changed.

    Raises:
        StorageError: it can't be read.
    """
    with translated(f"SQLite file {path}"), ExitStack() as stack:
        driver = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        stack.callback(driver.close)
        return current(stack.enter_context(_engine(driver).connect()))


@contextmanager
def translated(place: str) -> Iterator[None]:
    """SQLAlchemy's errors and the driver's as ours."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        # SQLite writes other files beside it.
        hint = " The process needs to be able to write the file and its folder." if _is_refused(cause) else ""
        raise StorageError(f"{place}: {cause}.{hint}") from error


def _is_refused(cause: object) -> bool:
    return str(cause).startswith(("unable to open database file", "attempt to write a readonly database"))


def _use_wal(driver: sqlite3.Connection, timeout: float) -> None:
    deadline = monotonic() + timeout
    while True:
        try:
            driver.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # Here SQLite does not wait for another process by itself.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
        sleep(0.01)


def _engine(driver: sqlite3.Connection) -> sa.Engine:
    engine = sa.create_engine(
        "sqlite://", creator=lambda: driver, poolclass=sa.StaticPool, hide_parameters=True
    )

    def begin(_: sa.Connection) -> None:
        # The write lock from the start: a transaction that reads, then writes, can't be overtaken in between.
        driver.execute("BEGIN IMMEDIATE")

    event.listen(engine, "begin", begin)
    return engine
