"""What PostgreSQL tells of runs that were changed: LISTEN, by psycopg, on a connection of its own."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any, Final, cast

import psycopg
from psycopg import sql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

logger = logging.getLogger(__name__)

#: Seconds of silence after which the connection is tried.
SILENCE: Final = 30.0

#: Seconds between attempts to connect, at first and at most.
BACKOFF: Final = (0.1, 5.0)

FAILURES: Final = (SQLAlchemyError, psycopg.Error, OSError)


class Listener:
    """Hears one channel while it is entered. A connection that is lost is made again.

    Args:
        is_over: whether the storage was closed meanwhile.
    """

    def __init__(self, engine: AsyncEngine, channel: str, project: str, is_over: Callable[[], bool]) -> None:
        self._engine = engine
        self._channel = channel
        self._prefix = f"{project}:"
        self._is_over = is_over
        self._has_left = False
        self._driver: psycopg.AsyncConnection[Any] | None = None

    async def __aenter__(self) -> AsyncGenerator[str | None]:
        try:
            await self._connect()
        except FAILURES as error:
            logger.info("PostgreSQL can't be listened to yet: %s", error)
        self._told = self._news()
        return self._told

    async def __aexit__(self, *raised: object) -> None:
        self._has_left = True
        # Somebody may still wait for the next one, and is told by the end of the connection.
        with suppress(RuntimeError):
            await self._told.aclose()
        await self._disconnect()

    async def _news(self) -> AsyncGenerator[str | None]:
        while not (self._is_over() or self._has_left):
            if self._driver is None:
                await self._reconnect()
                yield None
            try:
                async with aclosing(self._heard()) as heard:
                    async for payload in heard:
                        yield payload
            except FAILURES as error:
                logger.info("The connection that listens to PostgreSQL was lost: %s", error)
                await self._disconnect()

    async def _heard(self) -> AsyncGenerator[str]:
        assert self._driver is not None
        while True:
            async with aclosing(self._driver.notifies(timeout=SILENCE)) as notes:
                async for note in notes:
                    if note.payload.startswith(self._prefix):
                        yield note.payload.removeprefix(self._prefix)
            async with asyncio.timeout(SILENCE):
                await self._driver.execute("SELECT 1")

    async def _reconnect(self) -> None:
        pause, longest = BACKOFF
        while True:
            await asyncio.sleep(pause)
            try:
                return await self._connect()
            except FAILURES as error:
                logger.info("PostgreSQL can't be listened to: %s", error)
            pause = min(2 * pause, longest)

    async def _connect(self) -> None:
        driver = await self._taken()
        try:
            await driver.set_autocommit(True)
            await driver.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        except BaseException:
            await driver.close()
            raise
        self._driver = driver

    async def _taken(self) -> "psycopg.AsyncConnection[Any]":
        """A connection as the engine makes them. It is ours from now on: the pool makes another one instead."""
        async with AsyncExitStack() as stack:
            connection = await stack.enter_async_context(self._engine.connect())
            raw = await connection.get_raw_connection()
            driver = cast("psycopg.AsyncConnection[Any]", raw.driver_connection)
            await connection.run_sync(lambda each: each.detach())
            stack.pop_all()
            return driver

    async def _disconnect(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            await driver.close()
