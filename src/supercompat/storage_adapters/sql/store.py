"""An SQLite database that is open: its stores, and the one thread on which their transactions run.

SQLAlchemy is imported by the first transaction, in that thread.
"""

import asyncio
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from supercompat.errors import ClosedError
from supercompat.storage_adapters.protocol import Transaction
from supercompat.storage_adapters.sql.writer import Writer

if TYPE_CHECKING:
    from supercompat.storage_adapters.sql.sqlite import SQLiteConnection

T = TypeVar("T")


class Link:
    """The way to one database: a connection, made when it is first needed. Used by one thread at a time.

    Args:
        path: the file; None for a database in memory.
        timeout: seconds to wait for another process that writes.
    """

    def __init__(self, path: Path | None, timeout: float) -> None:
        self.path = path
        self._timeout = timeout
        self._connection: SQLiteConnection | None = None

    def run(self, project: str, work: Callable[[Transaction], T]) -> T:
        """Run `work` as one transaction.

        Raises:
            StorageError: the database can't be used.
            Whatever `work` raises.
        """
        if self._connection is None:
            from supercompat.storage_adapters.sql.sqlite import SQLiteConnection

            self._connection = SQLiteConnection(self.path, self._timeout)
        return self._connection.run(project, work)

    def close(self) -> None:
        """Let go of the connection; what was in memory is gone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class Database:
    """One SQLite database. Its adapter and its open stores hold it; its thread does not, and so does not keep it.

    A file's connection lives as long as the thread, one to memory as long as this object.
    """

    def __init__(self, path: Path | None, *, timeout: float = 5.0) -> None:
        self.path = path
        self.link = Link(path, timeout)
        self.writer = Writer("supercompat-storage", _nothing if path is None else self.link.close)
        weakref.finalize(self, self.writer.run_last, self.link.close)

    def open(self, project: str) -> "SQLiteStore":
        """A store for one project."""
        return SQLiteStore(self, project)


class SQLiteStore:
    """An open storage, for one project. One that is forgotten closes itself, without waiting."""

    def __init__(self, database: Database, project: str) -> None:
        self._database = database
        self._project = project
        self._user = object()
        database.writer.join(self._user)
        self._leave = weakref.finalize(self, database.writer.leave, self._user)

    @property
    def durable(self) -> bool:
        return self._database.path is not None

    async def transact(self, work: Callable[[Transaction], T]) -> T:
        job = _Job(self._database.link, self._project, work)
        if not self._database.writer.submit(self._user, job):
            raise ClosedError("The storage was closed.")
        return await job.result()

    def close(self) -> None:
        """Wait for what was submitted; the last store of an adapter ends the thread. From within a transaction it
        does not wait. Don't call it from a finalizer: let go of the store instead."""
        self._leave()
        self._database.writer.settle()


class _Job(Generic[T]):
    """A transaction, on its way to the thread and back to the event loop that waits for it."""

    def __init__(self, link: Link, project: str, work: Callable[[Transaction], T]) -> None:
        self._link = link
        self._project = project
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._error: BaseException | None = None

    def __call__(self) -> None:
        try:
            self._value = self._link.run(self._project, self._work)
        except BaseException as error:
            self._error = error
        # A loop that is closed has nobody left who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end)

    async def result(self) -> T:
        await self._ended
        if self._error is None:
            return self._value
        try:
            raise self._error
        finally:
            # The error's traceback holds this frame, which would hold the error.
            self._error = None

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


def _nothing() -> None:
    """A database in memory outlives its thread."""
