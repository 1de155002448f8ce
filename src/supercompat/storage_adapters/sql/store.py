"""An SQLite database that is open: its stores, and the one thread on which their transactions run.

SQLAlchemy is imported by the first transaction, in that thread.
"""

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from supercompat.errors import ClosedError
from supercompat.storage_adapters.protocol import Transaction
from supercompat.storage_adapters.sql.writer import Writer
from supercompat.wire.ids import PREFIXED

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

    @property
    def shown(self) -> str:
        return f"'sqlite://{'' if self.path is None else f'/{self.path}'}'"

    def open(self, project: str, *, own_pool: bool = False) -> "SQLiteStore":
        """A store for one project."""
        return SQLiteStore(self, project)

    async def upgrade(self) -> None:
        """What the first transaction does anyway."""
        store = self.open("default")
        try:
            await store.transact(lambda tx: None)
        finally:
            await store.aclose()

    async def current(self) -> str | None:
        """The revision of the tables; None if there are none, or no file.

        Raises:
            StorageError: the file can't be read.
        """
        if self.path is None or not self.path.exists():
            return None
        from supercompat.storage_adapters.sql.sqlite import revision

        return revision(self.path)


class SQLiteStore:
    """An open storage, for one project, usable from any event loop and thread. One that is forgotten closes itself,
    without waiting."""

    ids = PREFIXED

    def __init__(self, database: Database, project: str) -> None:
        self._database = database
        self._project = project
        self._user = object()
        database.writer.enter(self._user)
        self._leave = weakref.finalize(self, database.writer.leave, self._user)

    @property
    def durable(self) -> bool:
        return self._database.path is not None

    async def transact(self, work: Callable[[Transaction], T], *, urgent: bool = False) -> T:
        job = _Job(self._database.link, self._project, work)
        if not self._database.writer.submit(self._user, job):
            raise ClosedError("The storage was closed.")
        return await job.result()

    @asynccontextmanager
    async def news(self) -> AsyncGenerator[AsyncIterator[str | None]]:
        yield silence()

    async def aclose(self) -> None:
        """Wait for what was submitted; the last store of an adapter ends the thread."""
        self._leave()
        loop = asyncio.get_running_loop()
        settled = loop.create_future()
        self._database.writer.settle(lambda: _call_soon(loop, _end, settled))
        await settled
        self._database.writer.join()

    def abandon(self) -> None:
        """`aclose` for threads without an event loop. From within a transaction it does not wait. Don't call it from
        a finalizer: let go of the store instead."""
        self._leave()
        settled = threading.Event()
        self._database.writer.settle(settled.set)
        settled.wait()
        self._database.writer.join()


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
        _call_soon(self._loop, _end, self._ended)

    async def result(self) -> T:
        await self._ended
        if self._error is None:
            return self._value
        try:
            raise self._error
        finally:
            # The error's traceback holds this frame, which would hold the error.
            self._error = None


def _call_soon(loop: asyncio.AbstractEventLoop, *call: Any) -> None:
    # A loop that is closed has nobody left who waits.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(*call)


def _end(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


async def silence() -> AsyncGenerator[str | None]:
    """The news of a storage that can't tell what other processes have changed, as SQLite."""
    await asyncio.get_running_loop().create_future()
    yield None


def _nothing() -> None:
    """A database in memory outlives its thread."""
