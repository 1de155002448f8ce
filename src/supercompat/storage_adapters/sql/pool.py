"""The connections of one event loop to a PostgreSQL database."""

import asyncio
import os
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from supercompat.errors import ForkedError
from supercompat.storage_adapters.protocol import Transaction
from supercompat.storage_adapters.sql.attempts import Attempts, exhausted, recognize
from supercompat.storage_adapters.sql.engines import Source
from supercompat.storage_adapters.sql.layout import Layout
from supercompat.storage_adapters.sql.store import silence

if TYPE_CHECKING:
    from supercompat.storage_adapters.sql.news import Listener

T = TypeVar("T")


class Pool:
    """An engine for the event loop on which this is made, and the stores that use it.

    One that is forgotten closes its connections.

    Raises:
        ConfigurationError: there is no engine.
    """

    def __init__(self, source: Source, layout: Layout) -> None:
        self.loop = weakref.ref(asyncio.get_running_loop())
        self.is_closed = False
        self._is_ours = source.is_ours
        self._engine = source.make()
        # Whoever waited for a lock has to see what was committed meanwhile, whatever the database's own default is.
        options: dict[str, Any] = {"isolation_level": "READ COMMITTED"}
        if layout.schema:
            options["schema_translate_map"] = {None: layout.schema}
        # An engine of our own, which shares the user's connections: what is set and heard on it is ours alone.
        self._mapped = self._engine.execution_options(**options)
        connections, self._patience = _limits(self._engine)
        self._turns = asyncio.Semaphore(connections - 1) if connections > 1 else None
        self._layout = layout
        self._has_tables = False
        self._was_there = False
        self._listener: Listener | None = None
        self._users = set[object]()
        self._process = os.getpid()
        drivers = set[Any]()
        if self._is_ours:
            event.listen(self._engine.sync_engine, "connect", _remembering(drivers))
        event.listen(self._mapped.sync_engine, "handle_error", recognize)
        self._finish = weakref.finalize(self, _finish, drivers, self._process)

    def enter(self, user: object) -> None:
        """Count `user` among those for whom the connections stay.

        Raises:
            ForkedError: they are those of the process that has forked this one.
        """
        if self._process != os.getpid():
            raise ForkedError(
                "This storage was used before the process forked. Make a new storage adapter in the child process."
            )
        self._users.add(user)

    async def leave(self, user: object) -> None:
        """Count it no more. The last one closes the connections."""
        self._users.discard(user)
        if self._is_left():
            if self._listener is not None:
                await self._listener.aclose()
            if self._is_ours:
                await self._engine.dispose()
            self._finish()

    def abandon(self, user: object) -> None:
        """`leave` where the event loop is gone, and for all that were on it."""
        self._users.discard(user)
        loop = self.loop()
        if loop is None or loop.is_closed():
            self._users.clear()
        if self._is_left():
            if self._is_ours:
                self._engine.sync_engine.dispose(close=False)
            self._finish()

    def _is_left(self) -> bool:
        """Whether this was the moment at which the last one has left."""
        if self._users or self.is_closed:
            return False
        self.is_closed = True
        event.remove(self._mapped.sync_engine, "handle_error", recognize)
        return True

    async def run(self, project: str, work: Callable[[Transaction], T], *, urgent: bool = False) -> T:
        """Run `work` as one transaction, again where that helps.

        Raises:
            StorageError, SchemaError
            Whatever `work` raises.
        """

        def transaction(connection: sa.Connection) -> T:
            self._check(connection)
            return work(self._layout.begin(connection, project))

        attempts = Attempts(self._mapped, is_known=self._was_there)
        async with nullcontext() if urgent else self._turn():
            value = await attempts.run(transaction)
        self._was_there = True
        return value

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        """One of the connections but the last, which is left to what is urgent."""
        if self._turns is None:
            yield
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._turns.acquire()
        except TimeoutError:
            raise exhausted(self._engine) from None
        try:
            yield
        finally:
            self._turns.release()

    @asynccontextmanager
    async def news(self, project: str) -> AsyncGenerator[AsyncIterator[str | None]]:
        """What the other transactions of this database change. All who listen share one connection."""
        if self._engine.driver != "psycopg":
            yield silence()
            return
        if self._listener is None:
            from supercompat.storage_adapters.sql.news import Listener

            self._listener = Listener(self._engine, self._layout.channel, lambda: self.is_closed)
        async with self._listener.news(project) as heard:
            yield heard

    def _check(self, connection: sa.Connection) -> None:
        if not self._has_tables:
            self._layout.check(connection, self._engine.url)
            self._has_tables = True


def _limits(engine: AsyncEngine) -> tuple[int, float | None]:
    """How many connections there can be, 0 if any number; and for how many seconds one is waited for."""
    pool = engine.pool
    if not isinstance(pool, sa.QueuePool):
        return 0, None
    overflow: int = pool._max_overflow  # pyright: ignore[reportPrivateUsage]
    return 0 if overflow < 0 or pool.size() == 0 else pool.size() + overflow, pool.timeout()


def _remembering(drivers: set[Any]) -> Callable[[Any, object], None]:
    def remember(connection: Any, record: object) -> None:
        drivers.difference_update([each for each in drivers if _is_closed(each)])
        drivers.add(connection.driver_connection)

    return remember


def _is_closed(driver: Any) -> bool:
    return driver.is_closed() if hasattr(driver, "is_closed") else driver.closed


def _finish(drivers: set[Any], process: int) -> None:
    """Close what is still open. In the child of a fork it is the parent's."""
    if process != os.getpid():
        return
    for driver in drivers:
        libpq = getattr(driver, "pgconn", None)
        # asyncpg can't close where its event loop is gone.
        with suppress(RuntimeError):
            driver.terminate() if libpq is None else libpq.finish()
    drivers.clear()
