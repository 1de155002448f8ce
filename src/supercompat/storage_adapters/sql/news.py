"""What PostgreSQL tells of runs that were changed: LISTEN, by psycopg, on a connection of its own."""

import asyncio
import logging
from asyncio import Task
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any, Final, Self, cast

import psycopg
from psycopg import sql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

logger = logging.getLogger(__name__)

#: Seconds of silence after which the connection is tried.
SILENCE: Final = 30.0

#: Seconds between attempts to connect, at first and at most.
BACKOFF: Final = (0.1, 5.0)

#: How much may wait for one reader. Beyond it is told that anything may have changed.
LONGEST: Final = 1000

FAILURES: Final = (SQLAlchemyError, psycopg.Error, OSError)


class Line:
    """The news of one project, for one reader."""

    def __init__(self, project: str) -> None:
        self._prefix = f"{project}:"
        self._told: asyncio.Queue[str | None] = asyncio.Queue()
        self._is_over = False

    def pass_on(self, payload: str) -> None:
        if payload.startswith(self._prefix):
            self.tell(payload.removeprefix(self._prefix))

    def tell(self, run_id: str | None) -> None:
        if self._told.qsize() >= LONGEST:
            self._told = asyncio.Queue()
            run_id = None
        self._told.put_nowait(run_id)

    def end(self) -> None:
        self._is_over = True
        # Whoever waits is woken.
        self._told.put_nowait(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | None:
        told = await self._told.get()
        if self._is_over:
            raise StopAsyncIteration
        return told


class Listener:
    """Hears one channel, on one connection for all projects, while anybody reads. What is lost is made again.

    Args:
        is_over: whether the storage was closed meanwhile.
    """

    def __init__(self, engine: AsyncEngine, channel: str, is_over: Callable[[], bool]) -> None:
        self._engine = engine
        self._channel = channel
        self._is_over = is_over
        self._lines: set[Line] = set()
        self._hearing: Task[None] | None = None
        self._tried = asyncio.Event()

    @asynccontextmanager
    async def news(self, project: str) -> AsyncGenerator[AsyncIterator[str | None]]:
        """The news of a project, from now on. They end when the storage is closed."""
        line = Line(project)
        self._lines.add(line)
        try:
            if self._hearing is None or self._hearing.done():
                self._tried = asyncio.Event()
                self._hearing = asyncio.create_task(self._hear(self._tried), name="supercompat listener")
            await self._tried.wait()
            yield line
        finally:
            self._lines.discard(line)
            line.end()
            if not self._lines:
                await self.aclose()

    async def aclose(self) -> None:
        """Let go of the connection, whoever still reads."""
        hearing, self._hearing = self._hearing, None
        if hearing is not None:
            hearing.cancel()
            await asyncio.wait([hearing])

    async def _hear(self, tried: asyncio.Event) -> None:
        pause, longest = BACKOFF
        try:
            while not self._is_over():
                if await self._listen(tried):
                    pause, _ = BACKOFF
                tried.set()
                if not self._is_over():
                    await asyncio.sleep(pause)
                pause = min(2 * pause, longest)
        finally:
            tried.set()
            for line in self._lines:
                line.end()

    async def _listen(self, tried: asyncio.Event) -> bool:
        """Pass on what is told until the connection is lost. Whether there was one."""
        is_connected = False
        try:
            async with self._connection() as driver:
                is_connected = True
                if tried.is_set():
                    for line in self._lines:
                        line.tell(None)
                tried.set()
                await self._pass_on(driver)
        except FAILURES as error:
            logger.info("PostgreSQL can't be listened to, or not any more: %s", error)
        return is_connected

    async def _pass_on(self, driver: "psycopg.AsyncConnection[Any]") -> None:
        while True:
            async with aclosing(driver.notifies(timeout=SILENCE)) as notes:
                async for note in notes:
                    for line in self._lines:
                        line.pass_on(note.payload)
            async with asyncio.timeout(SILENCE):
                await driver.execute("SELECT 1")

    @asynccontextmanager
    async def _connection(self) -> "AsyncGenerator[psycopg.AsyncConnection[Any]]":
        driver = await self._taken()
        try:
            await driver.set_autocommit(True)
            await driver.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            yield driver
        finally:
            await driver.close()

    async def _taken(self) -> "psycopg.AsyncConnection[Any]":
        """A connection as the engine makes them. It is ours from now on: the pool makes another one instead."""
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self._engine.connect())
            raw = await connection.get_raw_connection()
            driver = cast("psycopg.AsyncConnection[Any]", raw.driver_connection)
            await connection.run_sync(lambda each: each.detach())
            stack.pop_all()
            return driver
