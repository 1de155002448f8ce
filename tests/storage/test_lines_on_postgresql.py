"""Runs in line on PostgreSQL: what happens at the same moment, held there by advisory locks."""

import asyncio
from typing import Any, cast

from supercompat.storage_adapters.protocol import Transaction
from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter
from tests.storage.rows import run, thread
from tests.storage.sessions import blocked, session


def put_thread(tx: Transaction) -> None:
    tx.threads.insert(thread())


def execute(tx: Transaction, statement: str) -> Any:
    """A statement of the test's own, in the middle of a transaction."""
    return cast("Any", tx)._connection.exec_driver_sql(statement)


async def test_who_ends_a_run_knows_of_those_who_line_up_at_that_moment(postgres_url: str) -> None:
    """The statement that ends it began before they were there."""
    store = SQLAlchemyStorageAdapter(postgres_url).open()

    def active(tx: Transaction) -> None:
        put_thread(tx)
        tx.runs.insert(run("run_1"))

    def line_up(tx: Transaction) -> None:
        assert tx.runs.enqueue(run("run_2"))
        execute(tx, "SELECT pg_advisory_xact_lock(1)")

    await store.transact(active)
    with session(postgres_url) as connection:
        connection.execute("SELECT pg_advisory_lock(1)")
        lining = asyncio.create_task(store.transact(line_up))
        assert await asyncio.to_thread(blocked, connection)
        ending = asyncio.create_task(store.transact(lambda tx: tx.runs.put(run("run_1", "completed"))))
        assert await asyncio.to_thread(blocked, connection, 2)
        connection.execute("SELECT pg_advisory_unlock(1)")
        await lining
        assert await ending
    assert await store.transact(lambda tx: tx.runs.active("thread_1")) == run("run_2")
    await store.aclose()


async def test_who_lines_up_finds_a_run_that_ends_at_that_moment_gone(postgres_url: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url).open()

    def active(tx: Transaction) -> None:
        put_thread(tx)
        tx.runs.insert(run("run_1"))

    def end(tx: Transaction) -> None:
        tx.runs.put(run("run_1", "completed"))
        execute(tx, "SELECT pg_advisory_xact_lock(1)")

    await store.transact(active)
    with session(postgres_url) as connection:
        connection.execute("SELECT pg_advisory_lock(1)")
        ending = asyncio.create_task(store.transact(end))
        assert await asyncio.to_thread(blocked, connection)
        lining = asyncio.create_task(store.transact(lambda tx: tx.runs.enqueue(run("run_2"))))
        assert await asyncio.to_thread(blocked, connection, 2)
        connection.execute("SELECT pg_advisory_unlock(1)")
        await ending
        assert not await lining
    await store.aclose()


async def test_who_leaves_the_line_when_it_is_its_turn_lets_the_next_one_pass(postgres_url: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url).open()

    def queue(tx: Transaction) -> None:
        put_thread(tx)
        tx.runs.insert(run("run_1"))
        assert tx.runs.enqueue(run("run_2"))
        assert tx.runs.enqueue(run("run_3"))

    def leave(tx: Transaction) -> None:
        tx.runs.put(run("run_2", "cancelled"), expected=["enqueued"])
        execute(tx, "SELECT pg_advisory_xact_lock(1)")

    await store.transact(queue)
    with session(postgres_url) as connection:
        connection.execute("SELECT pg_advisory_lock(1)")
        leaving = asyncio.create_task(store.transact(leave))
        assert await asyncio.to_thread(blocked, connection)
        ending = asyncio.create_task(store.transact(lambda tx: tx.runs.put(run("run_1", "completed"))))
        assert await asyncio.to_thread(blocked, connection, 2)
        connection.execute("SELECT pg_advisory_unlock(1)")
        await leaving
        assert await ending
    assert await store.transact(lambda tx: tx.runs.active("thread_1")) == run("run_3")
    await store.aclose()
