"""Threads, event loops and endings of a store, on each storage."""

import asyncio
import gc
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from supercompat.errors import ClosedError
from supercompat.storage_adapters.memory import MemoryStorageAdapter
from supercompat.storage_adapters.protocol import PageQuery, StorageAdapter, Store, Transaction
from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter
from tests.storage import processes
from tests.storage.rows import assistant, ids, thread


def storage_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "supercompat-storage"]


def test_the_adapters_are_storage_adapters(adapter: StorageAdapter, store: Store) -> None:
    assert isinstance(adapter, StorageAdapter)
    assert store.durable is not isinstance(adapter, MemoryStorageAdapter)


def test_a_store_that_is_not_used_has_no_thread(local_store: Store) -> None:
    assert storage_threads() == []


async def test_one_thread_for_all_stores_until_the_last_is_closed(local_adapter: StorageAdapter) -> None:
    first, second = local_adapter.open(), local_adapter.open(project="other")
    for store in (first, second):
        await store.transact(lambda tx: tx.assistants.insert(assistant("asst_1")))
    assert len(storage_threads()) == 1
    await first.aclose()
    await first.aclose()
    assert len(storage_threads()) == 1
    assert await second.transact(lambda tx: tx.assistants.get("asst_1")) is not None
    await second.aclose()
    assert storage_threads() == []


async def test_rows_stay_while_the_adapter_lives(adapter: StorageAdapter) -> None:
    first = adapter.open()
    await first.transact(lambda tx: tx.assistants.insert(assistant("asst_1")))
    await first.aclose()
    again = adapter.open()
    assert await again.transact(lambda tx: tx.assistants.get("asst_1")) == assistant("asst_1")
    await again.aclose()


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.aclose()
    with pytest.raises(ClosedError):
        await store.transact(lambda tx: None)


async def test_close_runs_what_was_submitted(adapter: StorageAdapter) -> None:
    store = adapter.open()
    waiting = [
        asyncio.ensure_future(store.transact(lambda tx, n=n: tx.assistants.insert(assistant(f"asst_{n}"))))
        for n in range(5)
    ]
    await asyncio.sleep(0)
    await store.aclose()
    await asyncio.gather(*waiting)
    again = adapter.open()
    assert len((await again.transact(lambda tx: tx.assistants.page(PageQuery()))).rows) == 5
    await again.aclose()


async def test_close_from_within_a_transaction_does_not_wait_for_itself(
    local_adapter: StorageAdapter,
) -> None:
    store = local_adapter.open()
    await store.transact(lambda tx: store.abandon())
    for each in storage_threads():
        each.join(5)
    assert storage_threads() == []


def test_several_loops_at_once(store: Store) -> None:
    async def many(start: int) -> None:
        await asyncio.gather(
            *(
                store.transact(lambda tx, n=n: tx.assistants.insert(assistant(f"asst_{n}")))
                for n in range(start, start + 20)
            )
        )

    def in_a_loop_of_its_own(start: int) -> None:
        asyncio.run(many(start))

    with ThreadPoolExecutor() as pool:
        list(pool.map(in_a_loop_of_its_own, (0, 20, 40)))
    found = asyncio.run(store.transact(lambda tx: tx.assistants.page(PageQuery(limit=None))))
    assert sorted(ids(found.rows)) == sorted(f"asst_{n}" for n in range(60))


@pytest.mark.parametrize("ends_loop", [False, True])
def test_work_is_kept_though_nobody_waits_for_it(local_store: Store, ends_loop: bool) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(tx: Transaction) -> None:
        tx.threads.insert(thread())
        begun.set()
        assert go_on.wait(20)

    complaints: list[object] = []

    async def leave() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        waiting = asyncio.create_task(local_store.transact(work))
        await asyncio.to_thread(begun.wait, 20)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        if not ends_loop:
            go_on.set()
            await local_store.transact(lambda tx: None)

    asyncio.run(leave())
    go_on.set()
    assert asyncio.run(local_store.transact(lambda tx: tx.threads.get("thread_1"))) == thread()
    assert complaints == []


async def test_an_exception_reaches_the_caller(store: Store) -> None:
    def stop(tx: Transaction) -> None:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        await store.transact(stop)
    assert await store.transact(lambda tx: tx.threads.get("thread_1")) is None


async def test_a_thread_passes_on_exceptions_of_any_kind(local_store: Store) -> None:
    def leave(tx: Transaction) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        await local_store.transact(leave)
    assert await local_store.transact(lambda tx: tx.threads.get("thread_1")) is None


def test_a_store_that_is_forgotten_ends_the_thread(local_adapter: StorageAdapter) -> None:
    store = local_adapter.open()

    async def use(store: Store) -> None:
        await store.transact(lambda tx: store.durable)

    asyncio.run(use(store))
    [thread] = storage_threads()
    del store
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def open_connections() -> list[sqlite3.Connection]:
    return [each for each in gc.get_objects() if type(each) is sqlite3.Connection]


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///a.db"])
def test_an_adapter_that_is_forgotten_leaves_no_connection(
    url: str, closes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Other tests' own may be there still.
    before = open_connections()
    adapter = SQLAlchemyStorageAdapter(url)
    store = adapter.open()
    asyncio.run(store.transact(lambda tx: None))
    connections = [each for each in open_connections() if not any(each is other for other in before)]
    running = storage_threads()
    if closes:
        store.abandon()
    del store, adapter
    gc.collect()
    for each in running:
        each.join(10)
    assert storage_threads() == []
    assert connections
    for connection in connections:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


FORGETFUL = """
import asyncio, sys
from supercompat.storage_adapters.{module} import {name}

adapter = {name}({url})
store = adapter.open()
asyncio.run(store.transact(lambda tx: None))
print("done")
"""


@pytest.mark.parametrize(
    ("module", "name", "url"),
    [("memory", "MemoryStorageAdapter", ""), ("sql", "SQLAlchemyStorageAdapter", "'sqlite:///a.db'")],
)
def test_a_process_that_forgets_to_close_ends_quietly(
    module: str, name: str, url: str, tmp_path: Path
) -> None:
    script = FORGETFUL.format(module=module, name=name, url=url)
    assert processes.run(script, tmp_path) == "done\n"
