"""An SQLite file: shared by writers, and what can be wrong with it."""

import asyncio
import os
import sqlite3
import stat
import threading
from pathlib import Path
from time import monotonic

import pytest

from supercompat.errors import StorageError
from supercompat.storage_adapters.protocol import Row, Store, Transaction
from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter
from tests.storage import processes
from tests.storage.rows import run, thread

ROUNDS = 50


def count_up(tx: Transaction) -> None:
    """Read, then write: what gets lost where a transaction doesn't begin with the lock."""
    row = tx.threads.get("thread_1", lock=True)
    assert row is not None
    count = int(row.object.metadata.get("count", "0")) + 1
    tx.threads.put(Row(row.object.changed(metadata={"count": str(count)})))


def counted(store: Store) -> str:
    row = asyncio.run(store.transact(lambda tx: tx.threads.get("thread_1")))
    assert row is not None
    return row.object.metadata["count"]


def open_file(folder: Path, options: str = "") -> Store:
    return SQLAlchemyStorageAdapter(f"sqlite:///{folder / 'rows.db'}{options}").open()


@pytest.mark.skipif(os.name != "posix", reason="needs modes of files")
def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    store = open_file(tmp_path)
    asyncio.run(store.transact(lambda tx: tx.threads.insert(thread())))
    files = list(tmp_path.iterdir())
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert "rows.db-wal" in [file.name for file in files]
    asyncio.run(store.aclose())


def test_the_mode_of_a_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "rows.db").touch()
    mode = (tmp_path / "rows.db").stat().st_mode
    store = open_file(tmp_path)
    asyncio.run(store.transact(lambda tx: tx.threads.insert(thread())))
    assert (tmp_path / "rows.db").stat().st_mode == mode
    asyncio.run(store.aclose())


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    stores = [open_file(tmp_path), open_file(tmp_path)]
    asyncio.run(stores[0].transact(lambda tx: tx.threads.insert(thread())))
    together = threading.Barrier(len(stores))

    async def many(store: Store) -> None:
        for _ in range(ROUNDS):
            await store.transact(count_up)

    def write(store: Store) -> None:
        together.wait(20)
        asyncio.run(many(store))

    writers = [threading.Thread(target=write, args=[store]) for store in stores]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(50)
    assert counted(stores[0]) == str(2 * ROUNDS)
    for store in stores:
        store.abandon()


async def test_two_writers_make_one_active_run(tmp_path: Path) -> None:
    stores = [open_file(tmp_path), open_file(tmp_path)]
    await stores[0].transact(lambda tx: tx.threads.insert(thread()))
    winners = await asyncio.gather(
        *(store.transact(lambda tx, n=n: tx.runs.insert(run(f"run_{n}"))) for n, store in enumerate(stores))
    )
    [winner] = [row for row in winners if row is not None]
    assert await stores[0].transact(lambda tx: tx.runs.active("thread_1")) == winner
    for store in stores:
        await store.aclose()


COUNTING = """
import asyncio, sys
from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter
from supercompat.storage_adapters.protocol import Row
from supercompat.wire.objects import Thread

def first(tx):
    if tx.threads.get("thread_1") is None:
        tx.threads.insert(Row(Thread(id="thread_1", created_at=1)))

def count_up(tx):
    row = tx.threads.get("thread_1", lock=True)
    count = int(row.object.metadata.get("count", "0")) + 1
    tx.threads.put(Row(row.object.changed(metadata={"count": str(count)})))

async def main():
    store = SQLAlchemyStorageAdapter("sqlite:///rows.db").open()
    await store.transact(first)
    for _ in range(int(sys.argv[1])):
        await store.transact(count_up)
    await store.aclose()

import supercompat.storage_adapters.sql.sqlite
print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main())
"""


def test_processes_make_one_database_and_lose_nothing(tmp_path: Path) -> None:
    with processes.running(COUNTING, tmp_path, str(ROUNDS), count=3) as children:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        for child in children:
            processes.output(child)
    store = open_file(tmp_path)
    assert counted(store) == str(3 * ROUNDS)
    store.abandon()


def test_a_file_is_read_by_the_next_process(tmp_path: Path) -> None:
    with processes.running(COUNTING, tmp_path, "2") as [child]:
        child.communicate("\n", timeout=50)
    store = open_file(tmp_path)
    assert counted(store) == "2"
    store.abandon()


async def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    store = open_file(tmp_path / "no" / "such")
    with pytest.raises(StorageError, match=r"the folder .*such does not exist"):
        await store.transact(lambda tx: None)
    (tmp_path / "no" / "such").mkdir(parents=True)
    await store.transact(lambda tx: None)
    await store.aclose()


@pytest.mark.parametrize("content", [b"no database at all " * 100, b"SQLite format 3\0" + b"\xff" * 8000])
async def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows.db").write_bytes(content)
    store = open_file(tmp_path)
    with pytest.raises(StorageError, match=r"SQLite file .*rows\.db: "):
        await store.transact(lambda tx: None)
    await store.aclose()


async def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "rows.db").mkdir()
    store = open_file(tmp_path)
    with pytest.raises(StorageError, match=r"unable to open .* able to write the file and its folder"):
        await store.transact(lambda tx: None)
    await store.aclose()


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
@pytest.mark.parametrize("first", [True, False])
async def test_a_file_that_another_program_holds(tmp_path: Path, first: bool, lock: str) -> None:
    """Locked at the first transaction, and at a later one: waited for, and in the end given up."""
    timeout = 0.2
    store = open_file(tmp_path, f"?timeout={timeout}")
    if not first:
        await store.transact(lambda tx: None)
    other = sqlite3.connect(tmp_path / "rows.db", isolation_level=None)
    other.execute(f"BEGIN {lock}")
    began = monotonic()
    with pytest.raises(StorageError, match="locked"):
        await store.transact(lambda tx: tx.threads.get("thread_1"))
    assert monotonic() - began > timeout / 2
    other.execute("ROLLBACK")
    other.close()
    await store.transact(lambda tx: tx.threads.get("thread_1"))
    await store.aclose()


def test_the_file_is_let_go(tmp_path: Path) -> None:
    store = open_file(tmp_path)
    asyncio.run(store.transact(lambda tx: None))
    store.abandon()
    assert [path.name for path in tmp_path.iterdir()] == ["rows.db"]
