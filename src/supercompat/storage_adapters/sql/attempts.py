"""A transaction on PostgreSQL, tried again where that helps."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final, Literal, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from supercompat.errors import StorageError
from supercompat.storage_adapters.sql.engines import place

T = TypeVar("T")

Stage: TypeAlias = Literal["connect", "work", "commit"]

#: Failure to serialize, deadlock: PostgreSQL has undone all, and asks to try again.
CONFLICTS: Final = {"40001", "40P01"}

#: How often in all a transaction is tried that meets conflicts.
TRIALS: Final = 6

#: The server ends, has crashed, starts.
GOING: Final = {"57P01", "57P02", "57P03"}

#: Seconds to wait for the return of a server that was there before.
ABSENCE: Final = 5.0


LOST_IN_COMMIT: Final = "the connection was lost during a commit, which may have succeeded or not"


class Attempts:
    """The attempts at one transaction.

    Args:
        is_known: whether the server was reached before, so that it is worth to wait for it.
    """

    def __init__(self, engine: AsyncEngine, *, is_known: bool) -> None:
        self._engine = engine
        self._is_known = is_known
        self._stage: Stage = "connect"
        self._conflicts = 0
        self._was_lost = False
        self._absent_since: float | None = None

    async def run(self, transaction: Callable[[sa.Connection], T]) -> T:
        """The value of the transaction.

        Raises:
            StorageError
            Whatever `transaction` raises.
        """
        while True:
            self._stage = "connect"
            try:
                async with self._engine.connect() as connection:
                    return await connection.run_sync(self._carry_out, transaction)
            except (SQLAlchemyError, OSError, TypeError) as error:
                # What is not SQLAlchemy's comes from asyncpg, which connects, or is not ours to judge.
                if self._stage != "connect" and not isinstance(error, SQLAlchemyError):
                    raise
                pause = self._pause(error)
                if pause is None:
                    raise translated(error, self._engine, self._stage) from error
            await asyncio.sleep(pause)

    def _carry_out(self, connection: sa.Connection, transaction: Callable[[sa.Connection], T]) -> T:
        self._stage = "work"
        with connection.begin():
            value = transaction(connection)
            self._stage = "commit"
        return value

    def _pause(self, error: Exception) -> float | None:
        """Seconds until the next attempt; None if there is none."""
        if self._stage == "connect":
            return self._pause_for_return(error)
        if _sqlstate(error) in CONFLICTS:
            self._conflicts += 1
            return 0.005 * 2**self._conflicts if self._conflicts < TRIALS else None
        # Connections that were idle while the server went away: only their use shows it.
        if self._stage == "work" and _is_lost(error) and not self._was_lost:
            self._was_lost = self._is_known = True
            return 0
        return None

    def _pause_for_return(self, error: Exception) -> float | None:
        if not self._is_known or isinstance(error, PoolTimeoutError | TypeError):
            return None
        now = monotonic()
        if self._absent_since is None:
            self._absent_since = now
        return 0.1 if now < self._absent_since + ABSENCE else None


def recognize(context: ExceptionContext) -> None:
    """Tell SQLAlchemy that a connection, and with it the whole pool, is lost, where psycopg does not know it yet."""
    if getattr(context.original_exception, "sqlstate", None) in GOING:
        context.is_disconnect = True


def translated(error: Exception, engine: AsyncEngine | sa.Engine, stage: Stage = "work") -> StorageError:
    """Our error for SQLAlchemy's, without statements, values and secrets."""
    if isinstance(error, PoolTimeoutError):
        return exhausted(engine)
    cause = error.orig if isinstance(error, DBAPIError) else error
    # The details quote what is stored.
    primary = getattr(getattr(cause, "diag", None), "message_primary", None)
    text = " ".join((primary or str(cause)).split())
    outline = None
    if stage == "commit" and _is_lost(error):
        text = f"{LOST_IN_COMMIT}: {text}"
        outline = f"The database can't be used: {LOST_IN_COMMIT}."
    return StorageError(f"{place(engine.url)}: {text.rstrip('.')}.", outline=outline)


def exhausted(engine: AsyncEngine | sa.Engine) -> StorageError:
    """No connection came free."""
    return StorageError(
        f"{place(engine.url)}: all connections of the pool were in use for too long; raise pool_size or pool_timeout.",
        outline="All connections to the database were in use for too long.",
    )


def _is_lost(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _sqlstate(error: Exception) -> str | None:
    return getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
