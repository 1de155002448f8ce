"""PostgreSQL through SQLAlchemy's asynchronous engine: one pool for each event loop, shared by the stores on it.

Whoever wants to see or count the statements listens to `before_cursor_execute` on the class `sqlalchemy.Engine`;
those that begin and end a transaction, and LISTEN, don't pass there.
"""

import asyncio
import weakref
from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from supercompat.errors import ClosedError, ConfigurationError
from supercompat.storage_adapters.protocol import Transaction
from supercompat.storage_adapters.sql.attempts import translated
from supercompat.storage_adapters.sql.engines import Source
from supercompat.storage_adapters.sql.layout import Layout
from supercompat.storage_adapters.sql.pool import Pool

T = TypeVar("T")

#: Seconds that `aclose` waits for transactions.
CLOSING: Final = 10.0


class PostgreSQLDatabase:
    """One PostgreSQL database."""

    def __init__(self, source: Source, layout: Layout) -> None:
        self._source = source
        self.layout = layout
        self._pools: weakref.WeakKeyDictionary[AbstractEventLoop, Pool] = weakref.WeakKeyDictionary()
        self._users_loop: weakref.ref[AbstractEventLoop] | None = None

    @property
    def shown(self) -> str:
        return self._source.shown

    def open(self, project: str, *, own_pool: bool) -> "PostgreSQLStore":
        """A store for one project.

        Raises:
            ConfigurationError: the engine is the user's, and belongs to another loop.
        """
        if own_pool and not self._source.is_ours:
            raise _foreign()
        return PostgreSQLStore(self, project)

    def pool(self) -> "Pool":
        """The pool of the running event loop.

        Raises:
            ConfigurationError: the engine is the user's, and belongs to another loop; or the user's function gives
                none.
        """
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or pool.is_closed:
            self._bury()
            pool = self._pools[loop] = self._new_pool(loop)
        return pool

    async def upgrade(self) -> None:
        """Make the tables, or bring them up to date, in one transaction.

        Raises:
            StorageError, SchemaError
        """
        await self._alone(self.layout.upgrade)

    async def current(self) -> str | None:
        """The revision of the tables; None if there are none.

        Raises:
            StorageError
        """
        return await self._alone(self.layout.current)

    async def _alone(self, work: Callable[[sa.Connection], T]) -> T:
        """Run a transaction on a connection that is used for nothing else."""
        engine = self._source.make()
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        except (SQLAlchemyError, OSError, TypeError) as error:
            raise translated(error, engine) from error
        finally:
            if self._source.is_ours:
                await engine.dispose()

    def _new_pool(self, loop: AbstractEventLoop) -> "Pool":
        if not self._source.is_ours:
            if self._users_loop is None:
                self._users_loop = weakref.ref(loop)
            if self._users_loop() is not loop:
                raise _foreign()
        return Pool(self._source, self.layout)

    def _bury(self) -> None:
        for loop, pool in list(self._pools.items()):
            if loop.is_closed():
                pool.abandon(None)
                self._pools.pop(loop, None)


class PostgreSQLStore:
    """An open storage, for one project. It takes connections from the pool of the loop on which it is used."""

    durable = True

    def __init__(self, database: PostgreSQLDatabase, project: str) -> None:
        self.ids = database.layout.ids
        self._database = database
        self._project = project
        self._entered: set[Pool] = set()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    async def transact(self, work: Callable[[Transaction], T], *, urgent: bool = False) -> T:
        # A task of its own: a caller that is cancelled neither tears a commit nor costs the connection.
        task = asyncio.ensure_future(self._pool().run(self._project, work, urgent=urgent))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    @asynccontextmanager
    async def news(self) -> AsyncGenerator[AsyncIterator[str | None]]:
        async with self._pool().news(self._project) as news:
            yield news

    async def aclose(self) -> None:
        """Wait for the transactions that are under way, a while; then close what was opened for nobody else."""
        self._is_closed = True
        here = asyncio.get_running_loop()
        if waiting := [task for task in self._under_way if task.get_loop() is here]:
            _, late = await asyncio.wait(waiting, timeout=CLOSING)
            for task in late:
                task.cancel()
        while self._entered:
            pool = self._entered.pop()
            if pool.loop() is here:
                await pool.leave(self)
            else:
                pool.abandon(self)

    def abandon(self) -> None:
        self._is_closed = True
        while self._entered:
            self._entered.pop().abandon(self)

    def _pool(self) -> "Pool":
        if self._is_closed:
            raise ClosedError("The storage was closed.")
        pool = self._database.pool()
        pool.enter(self)
        self._entered.add(pool)
        return pool


def _foreign() -> ConfigurationError:
    return ConfigurationError(
        "An AsyncEngine works on the event loop that it was first used on, and this is another one. Give the storage a "
        "function that makes an engine: SQLAlchemyStorageAdapter(lambda: create_async_engine(…))."
    )
