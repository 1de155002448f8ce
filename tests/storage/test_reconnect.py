"""A PostgreSQL server that goes away and comes back, and the news of it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from supercompat.errors import StorageError
from supercompat.storage_adapters.protocol import Store, Transaction
from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter
from supercompat.storage_adapters.sql.news import LONGEST, Line
from tests.postgresql import Server, start_server
from tests.storage.rows import run, thread
from tests.storage.sessions import others, session, terminate, until_alone

LISTENING = 'LISTEN "supercompat"'


def get_thread(tx: Transaction) -> object:
    return tx.threads.get("thread_1")


def put_thread(tx: Transaction) -> None:
    tx.threads.insert(thread())


async def told(news: AsyncIterator[str | None]) -> str | None:
    async with asyncio.timeout(10):
        return await anext(news)


def notify(url: str, *payloads: str, channel: str = "supercompat") -> None:
    with session(url) as connection:
        for payload in payloads:
            connection.execute("SELECT pg_notify(%s, %s)", (channel, payload))


# Connections that end


async def test_idle_connections_that_were_cut(postgres_url: str) -> None:
    """What is lost before a commit is done again; nobody is told."""
    store = SQLAlchemyStorageAdapter(postgres_url).open()
    await asyncio.gather(store.transact(put_thread), *(store.transact(get_thread) for _ in range(4)))
    with session(postgres_url) as connection:
        assert terminate(connection) > 1
        found = await asyncio.gather(*(store.transact(get_thread) for _ in range(8)))
    assert found == [thread()] * 8
    await store.aclose()


async def test_a_connection_that_is_cut_in_a_transaction(postgres_url: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url).open()
    await store.transact(put_thread)
    trials: list[int] = []

    def work(tx: Transaction) -> None:
        trials.append(len(trials))
        tx.threads.put(thread(trial=str(len(trials))))
        if len(trials) == 1:
            with session(postgres_url) as connection:
                terminate(connection)
        tx.threads.insert(thread("thread_2"))

    await store.transact(work)
    assert trials == [0, 1]
    assert await store.transact(get_thread) == thread(trial="2")
    await store.aclose()


async def test_a_connection_that_is_cut_again_and_again(postgres_url: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url).open()

    def work(tx: Transaction) -> None:
        put_thread(tx)
        with session(postgres_url) as connection:
            terminate(connection)
        tx.threads.get("thread_1")

    with pytest.raises(StorageError, match="terminating connection"):
        await store.transact(work)
    assert await store.transact(get_thread) is None
    await store.aclose()


async def test_a_connection_that_is_cut_before_the_commit(postgres_url: str) -> None:
    """Nobody knows whether the server has kept it: it is not done again."""
    store = SQLAlchemyStorageAdapter(postgres_url).open()
    trials: list[int] = []

    def work(tx: Transaction) -> None:
        trials.append(len(trials))
        put_thread(tx)
        with session(postgres_url) as connection:
            terminate(connection)

    with pytest.raises(StorageError, match="lost during a commit, which may have succeeded or not"):
        await store.transact(work)
    assert trials == [0]
    assert await store.transact(get_thread) is None
    await store.aclose()


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that a test may stop."""
    server = start_server()
    yield server
    server.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_a_server_that_is_restarted(
    own_server: Server, how: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = SQLAlchemyStorageAdapter(own_server.url)
    await adapter.upgrade()
    store = adapter.open()
    await store.transact(put_thread)
    with session(own_server.url) as connection:
        # It writes late, to be quick.
        connection.execute("CHECKPOINT")
    async with store.news() as news:
        await asyncio.to_thread(own_server.stop, how)
        waiting = asyncio.create_task(store.transact(get_thread))
        await asyncio.to_thread(own_server.start)
        assert await waiting == thread()
        assert await told(news) is None
        notify(own_server.url, "default:run_1")
        assert await told(news) == "run_1"
    await store.aclose()
    assert [each.levelname for each in caplog.records] == []


@pytest.mark.slow
async def test_a_server_that_stays_away(own_server: Server) -> None:
    adapter = SQLAlchemyStorageAdapter(own_server.url)
    await adapter.upgrade()
    store = adapter.open()
    await store.transact(put_thread)
    await asyncio.to_thread(own_server.stop)
    with pytest.raises(StorageError, match="refused"):
        await store.transact(get_thread)
    await asyncio.to_thread(own_server.start)
    assert await store.transact(get_thread) == thread()
    await store.aclose()


# News


async def test_news_of_this_project(postgres_url: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url).open()
    async with store.news() as news:
        notify(
            postgres_url,
            "other:run_0",
            "default:run_1",
            "default2:run_2",
            "default:6f96:19ff",
            "default:run_3",
        )
        notify(postgres_url, "default:run_4", channel="supercompat_other")
        notify(postgres_url, "default:run_5")
        assert [await told(news) for _ in range(4)] == ["run_1", "6f96:19ff", "run_3", "run_5"]
    await store.aclose()


async def test_news_of_what_another_store_has_committed(postgres_url: str) -> None:
    here, there = (SQLAlchemyStorageAdapter(postgres_url).open() for _ in range(2))
    await there.transact(put_thread)

    def fail(tx: Transaction) -> None:
        tx.runs.insert(run("run_1"))
        raise KeyError

    async with here.news() as news:
        with pytest.raises(KeyError):
            await there.transact(fail)
        await there.transact(lambda tx: tx.runs.insert(run("run_2")))
        assert await there.transact(lambda tx: tx.runs.put(run("run_2", "in_progress")))
        assert await told(news) == "run_2"
    await here.aclose()
    await there.aclose()


async def test_news_of_one_schema(empty_postgres_url: str) -> None:
    stores: list[Store] = []
    for schema in ("one", "two", "x" * 63):
        adapter = SQLAlchemyStorageAdapter(empty_postgres_url, schema=schema)
        await adapter.upgrade()
        stores.append(adapter.open())
    async with AsyncExitStack() as stack:
        heard = [await stack.enter_async_context(store.news()) for store in stores]
        for name, store in zip("123", stores, strict=True):
            await store.transact(put_thread)
            await store.transact(lambda tx, name=name: tx.runs.insert(run(f"run_{name}")))
            await store.transact(lambda tx, name=name: tx.runs.put(run(f"run_{name}", "completed")))
        assert [await told(news) for news in heard] == ["run_1", "run_2", "run_3"]
    for store in stores:
        await store.aclose()


async def test_news_after_the_connection_was_lost(postgres_url: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url).open()
    async with store.news() as news:
        with session(postgres_url) as connection:
            assert others(connection) == [LISTENING]
            terminate(connection)
        assert await told(news) is None
        notify(postgres_url, "default:run_1")
        assert await told(news) == "run_1"
    await store.aclose()


async def test_too_much_news_for_a_slow_reader() -> None:
    """It takes bounded memory, and is told that it has missed something. Quick readers are not slowed down."""
    slow, quick = Line("default"), Line("default")
    for number in range(LONGEST + 1):
        for line in (slow, quick):
            line.pass_on(f"default:run_{number}")
        assert await anext(quick) == f"run_{number}"
    assert await anext(slow) is None
    slow.pass_on("default:run_x")
    assert await anext(slow) == "run_x"


async def test_news_that_nobody_waits_for_any_more(postgres_url: str) -> None:
    """Cancelled while they wait, or left between two: no connection stays."""
    store = SQLAlchemyStorageAdapter(postgres_url).open()
    entered = asyncio.Event()

    async def follow() -> None:
        async with store.news() as news:
            entered.set()
            async for _ in news:
                pass

    with session(postgres_url) as connection:
        for _ in range(2):
            entered.clear()
            following = asyncio.create_task(follow())
            await entered.wait()
            assert others(connection) == [LISTENING]
            following.cancel()
            with pytest.raises(asyncio.CancelledError):
                await following
            assert until_alone(connection)
        async with store.news() as news:
            notify(postgres_url, "default:run_1", "default:run_2")
            assert await told(news) == "run_1"
        assert until_alone(connection)
    await store.aclose()


async def test_news_of_a_store_that_is_closed(postgres_url: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url).open()
    async with store.news() as news:
        with session(postgres_url) as connection:
            await store.aclose()
            assert until_alone(connection)
        with pytest.raises(StopAsyncIteration):
            await told(news)


async def test_news_does_not_use_up_the_pool(postgres_url: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url, pool_size=1, pool_timeout=0.2).open()
    async with store.news():
        await store.transact(put_thread)
        assert await store.transact(get_thread) == thread()
    await store.aclose()


async def test_news_where_nobody_answers() -> None:
    """The store says what is wrong; the news wait."""
    store = SQLAlchemyStorageAdapter("postgresql://127.0.0.1:1/db").open()
    async with store.news() as news:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anext(news)
    await store.aclose()


async def test_storages_that_can_not_tell_stay_silent(local_store: Store) -> None:
    async with local_store.news() as news:
        waiting = asyncio.ensure_future(anext(news))
        await local_store.transact(put_thread)
        await local_store.transact(lambda tx: tx.runs.insert(run("run_1")))
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
