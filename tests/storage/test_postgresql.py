"""A PostgreSQL database: what may be given for it, what goes wrong with it, and that nothing is left open."""

import asyncio
import gc
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
import sqlalchemy as sa
from psycopg import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from supercompat.errors import (
    ClosedError,
    ConfigurationError,
    MissingExtraError,
    SchemaError,
    StorageError,
)
from supercompat.storage_adapters.protocol import Store, Transaction
from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter
from tests.postgresql import Databases
from tests.storage.rows import thread
from tests.storage.sessions import blocked, others, session, terminate, until_alone

NOWHERE = "postgresql://me:s3cret@127.0.0.1:1/db"


def get_thread(tx: Transaction) -> object:
    return tx.threads.get("thread_1")


def put_thread(tx: Transaction) -> None:
    tx.threads.insert(thread())


def change_thread(tx: Transaction) -> bool:
    return tx.threads.put(thread(k="v"))


def execute(tx: Transaction, statement: str) -> Any:
    """A statement of the test's own, in the middle of a transaction."""
    return cast("Any", tx)._connection.exec_driver_sql(statement)


@contextmanager
def rows_locked(connection: Connection[Any]) -> Iterator[None]:
    """Nobody else can change the rows that there are."""
    with connection.transaction():
        connection.execute("SELECT * FROM threads FOR UPDATE")
        yield


def with_driver(url: str, driver: str = "psycopg") -> str:
    return url.replace("postgresql:", f"postgresql+{driver}:")


@pytest.mark.parametrize("name", ["postgres", "postgresql", "postgresql+psycopg"])
async def test_a_url_with_and_without_a_driver(postgres_url: str, name: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url.replace("postgresql", name, 1)).open()
    await store.transact(put_thread)
    assert await store.transact(get_thread) == thread()
    assert store.durable
    await store.aclose()


async def test_the_query_is_passed_on(postgres_url: str) -> None:
    options = "application_name=mine&options=-c%20work_mem%3D2MB&connect_timeout=7&sslmode=disable"
    adapter = SQLAlchemyStorageAdapter(f"{postgres_url}?{options}")
    store = adapter.open()
    await store.transact(get_thread)
    with session(postgres_url) as connection:
        found = connection.execute(
            "SELECT application_name FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchall()
    assert found == [("mine",)]
    await store.aclose()


SETTINGS = "SELECT name, setting FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout')"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"statement_timeout": "30000", "lock_timeout": "10000"}),
        (
            {"statement_timeout": 1.5, "lock_timeout": 0},
            {"statement_timeout": "1500", "lock_timeout": "0"},
        ),
    ],
)
async def test_the_timeouts_of_a_connection(
    postgres_url: str, options: dict[str, Any], expected: dict[str, str]
) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url, **options).open()
    found = await store.transact(lambda tx: execute(tx, SETTINGS).all())
    assert dict(found) == expected
    await store.aclose()


async def test_a_statement_that_takes_too_long(postgres_url: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url, statement_timeout=0.2).open()
    await store.transact(put_thread)
    refused = pytest.raises(StorageError, match="statement timeout")
    with session(postgres_url) as connection, rows_locked(connection), refused:
        await store.transact(change_thread)
    assert await store.transact(change_thread)
    await store.aclose()


async def test_a_lock_that_is_not_given(postgres_url: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url, lock_timeout=0.2).open()
    await store.transact(put_thread)
    refused = pytest.raises(StorageError, match="lock timeout")
    with session(postgres_url) as connection, rows_locked(connection), refused:
        await store.transact(change_thread)
    await store.aclose()


async def test_a_deadlock_is_tried_again(postgres_url: str) -> None:
    """Two transactions take two locks in opposite orders."""
    store = SQLAlchemyStorageAdapter(postgres_url).open()
    await store.transact(lambda tx: tx.threads.insert(thread("thread_1"), thread("thread_2")))
    begun: list[str] = []

    def crossing(*names: str) -> Any:
        def work(tx: Transaction) -> None:
            begun.append(names[0])
            for name in names:
                tx.threads.put(thread(name, by=names[0]))
                # The other one's turn: both have a lock when they ask for the second.
                execute(tx, "SELECT pg_sleep(0.1)")

        return work

    await asyncio.gather(
        store.transact(crossing("thread_1", "thread_2")), store.transact(crossing("thread_2", "thread_1"))
    )
    assert len(begun) == 3
    found = await store.transact(lambda tx: [tx.threads.get(name) for name in ("thread_1", "thread_2")])
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].object.metadata == found[1].object.metadata
    await store.aclose()


async def test_a_pool_that_is_exhausted(postgres_url: str) -> None:
    """Waited for, and in the end given up."""
    store = SQLAlchemyStorageAdapter(postgres_url, pool_size=1, pool_timeout=1).open()
    await store.transact(put_thread)
    with session(postgres_url) as connection, rows_locked(connection):
        first = asyncio.create_task(store.transact(change_thread))
        assert await asyncio.to_thread(blocked, connection)
        with pytest.raises(StorageError, match=r"all connections of the pool were in use.*pool_size"):
            await store.transact(get_thread)
        waiting = asyncio.create_task(store.transact(get_thread))
        await asyncio.sleep(0)
        assert len(others(connection)) == 1
    assert await first
    assert await waiting == thread(k="v")
    await store.aclose()


async def test_what_is_urgent_does_not_wait_behind_locks(postgres_url: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url, pool_size=2).open()
    await store.transact(put_thread)
    with session(postgres_url) as connection:
        with rows_locked(connection):
            waiting = [asyncio.create_task(store.transact(change_thread)) for _ in range(5)]
            assert await asyncio.to_thread(blocked, connection)
            assert await store.transact(get_thread, urgent=True) == thread()
        assert all(await asyncio.gather(*waiting))
    await store.aclose()


@pytest.mark.parametrize("level", ["SERIALIZABLE", "REPEATABLE READ", "AUTOCOMMIT"])
async def test_the_isolation_is_ours(postgres_url: str, level: Any) -> None:
    """Whoever waited for a lock sees what was committed meanwhile, and nothing is kept of what failed."""
    engine = create_async_engine(with_driver(postgres_url), isolation_level=level)
    store = SQLAlchemyStorageAdapter(engine).open()
    await store.transact(put_thread)

    def fail(tx: Transaction) -> None:
        change_thread(tx)
        raise LookupError

    with pytest.raises(LookupError):
        await store.transact(fail)
    assert await store.transact(get_thread) == thread()
    level = await store.transact(lambda tx: execute(tx, "SHOW transaction_isolation").scalar())
    assert level == "read committed"
    await store.aclose()
    await engine.dispose()


async def test_two_stores_of_two_adapters_on_one_engine(postgres_url: str) -> None:
    engine = create_async_engine(with_driver(postgres_url))
    stores = [SQLAlchemyStorageAdapter(engine).open() for _ in range(2)]
    await stores[0].transact(put_thread)
    for store in stores:
        assert await store.transact(get_thread) == thread()
        await store.aclose()
    await engine.dispose()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_the_databases_encoding(postgres_databases: Databases, encoding: str) -> None:
    name = postgres_databases.create(encoding=encoding)
    try:
        adapter = SQLAlchemyStorageAdapter(postgres_databases.url(name))
        if encoding == "LATIN1":
            with pytest.raises(SchemaError, match=r"encoding is LATIN1.*UTF8"):
                await adapter.upgrade()
            return
        await adapter.upgrade()
        store = adapter.open()
        await store.transact(lambda tx: tx.threads.insert(thread(k="Grüße 😀")))
        assert await store.transact(get_thread) == thread(k="Grüße 😀")
        await store.aclose()
    finally:
        postgres_databases.drop(name)


async def test_errors_do_not_quote_what_is_stored(postgres_url: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url).open()
    await store.transact(put_thread)
    with pytest.raises(StorageError) as caught:
        await store.transact(put_thread)
    assert "thread_1" not in str(caught.value)
    assert "duplicate key" in str(caught.value)
    await store.aclose()


async def test_many_at_once_share_a_small_pool(postgres_url: str) -> None:
    """One of its connections is kept for what is urgent."""
    store = SQLAlchemyStorageAdapter(postgres_url, pool_size=3).open()
    await asyncio.gather(
        *(store.transact(lambda tx, n=n: tx.threads.insert(thread(f"thread_{n}"))) for n in range(30))
    )
    with session(postgres_url) as connection:
        assert len(others(connection)) == 2
        assert connection.execute("SELECT count(*) FROM threads").fetchone() == (30,)
    await store.aclose()


async def test_a_caller_that_leaves_tears_nothing(postgres_url: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url).open()
    await store.transact(put_thread)
    with session(postgres_url) as connection:
        with rows_locked(connection):
            waiting = asyncio.create_task(store.transact(change_thread))
            assert await asyncio.to_thread(blocked, connection)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            closing = asyncio.create_task(store.aclose())
            await asyncio.sleep(0)
            assert not closing.done()
        await closing
        assert until_alone(connection)
    again = SQLAlchemyStorageAdapter(postgres_url).open()
    assert await again.transact(get_thread) == thread(k="v")
    await again.aclose()


# Nothing is left open


@pytest.fixture
def watched(postgres_url: str) -> Iterator[str]:
    """The URL of a database to which nobody must be connected in the end."""
    yield postgres_url
    with session(postgres_url) as connection:
        assert until_alone(connection), others(connection)


async def test_closing_closes_the_connections(watched: str) -> None:
    adapter = SQLAlchemyStorageAdapter(watched)
    store, other = adapter.open(), adapter.open(project="other")
    await asyncio.gather(*(each.transact(get_thread) for each in (store, other, store)))
    await store.aclose()
    await store.aclose()
    assert await other.transact(get_thread) is None
    with pytest.raises(ClosedError):
        await store.transact(get_thread)
    with pytest.raises(ClosedError):
        async with store.news():
            pass
    await other.aclose()


def test_a_loop_that_is_gone(watched: str) -> None:
    adapter = SQLAlchemyStorageAdapter(watched)
    store = adapter.open()
    asyncio.run(store.transact(put_thread))
    assert asyncio.run(store.transact(get_thread)) == thread()
    store.abandon()
    store.abandon()
    with pytest.raises(ClosedError):
        asyncio.run(store.transact(get_thread))


def test_what_is_forgotten_is_closed(watched: str) -> None:
    store = SQLAlchemyStorageAdapter(watched).open()
    asyncio.run(store.transact(get_thread))
    del store
    gc.collect()


def test_a_pool_for_each_loop(watched: str) -> None:
    adapter = SQLAlchemyStorageAdapter(watched)

    async def use(store: Store) -> None:
        await asyncio.gather(*(store.transact(get_thread) for _ in range(3)))
        await store.aclose()

    for _ in range(3):
        asyncio.run(use(adapter.open()))


# What may be given


async def test_a_function_that_makes_an_engine(watched: str) -> None:
    made: list[AsyncEngine] = []

    def make() -> AsyncEngine:
        made.append(create_async_engine(with_driver(watched)))
        return made[-1]

    adapter = SQLAlchemyStorageAdapter(make)
    assert made == []
    store = adapter.open(own_pool=True)
    await store.transact(put_thread)
    await store.aclose()
    assert len(made) == 1
    assert "make" in repr(adapter)


async def test_an_engine_of_the_users_own(watched: str) -> None:
    engine = create_async_engine(with_driver(watched), pool_size=1)
    adapter = SQLAlchemyStorageAdapter(engine)
    store = adapter.open()
    await store.transact(put_thread)
    await store.aclose()
    async with engine.connect() as connection:
        assert (await connection.execute(sa.text("SELECT id FROM threads"))).scalar() == "thread_1"
    assert cast("sa.QueuePool", engine.pool).checkedin() == 1
    await engine.dispose()


async def test_an_engine_of_the_users_own_stays_on_its_loop(watched: str) -> None:
    engine = create_async_engine(with_driver(watched))
    adapter = SQLAlchemyStorageAdapter(engine)
    with pytest.raises(ConfigurationError, match="a function that makes an engine"):
        adapter.open(own_pool=True)
    store = adapter.open()
    await store.transact(get_thread)

    def elsewhere() -> None:
        with pytest.raises(ConfigurationError, match="this is another one"):
            asyncio.run(store.transact(get_thread))

    await asyncio.to_thread(elsewhere)
    await store.aclose()
    await engine.dispose()


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ("postgresql+psycopg2://me:s3cret@host/db", {}, "driver 'psycopg2' is not served"),
        ("postgresql://me:s3cret@host:port/db", {}, "can't be read"),
        ("postgresql://me:s3cret@host:12:34/db", {}, "can't be read"),
        (NOWHERE, {"pool_sise": 3}, "Invalid argument.* 'pool_sise'"),
        (lambda: None, {"pool_size": 3}, "no such options when it is given an engine: pool_size"),
        ("sqlite://", {"pool_size": 3}, "no such options for SQLite: pool_size"),
        ("sqlite://", {"schema": "mine"}, "no such options for SQLite: schema"),
        (sa.create_engine("sqlite://"), {}, "takes a database URL"),
        (NOWHERE, {"schema": ""}, "schema= takes the name"),
    ],
)
def test_what_can_not_be_served(given: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        SQLAlchemyStorageAdapter(given, **options)
    assert "s3cret" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: None, "takes an AsyncEngine, .* not NoneType"),
        (lambda: sa.create_engine(with_driver(NOWHERE)), "takes an AsyncEngine, .* not Engine"),
    ],
)
async def test_a_function_that_makes_no_engine(made: Any, message: str) -> None:
    store = SQLAlchemyStorageAdapter(made).open()
    with pytest.raises(ConfigurationError, match=message):
        await store.transact(get_thread)
    await store.aclose()


@pytest.mark.parametrize("package", ["psycopg", "greenlet"])
def test_a_package_that_is_missing(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{package} is not installed.*supercompat\[postgres\]"):
        SQLAlchemyStorageAdapter("postgresql://host/db")


def test_a_driver_that_was_named_and_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ConfigurationError, match="asyncpg is not installed"):
        SQLAlchemyStorageAdapter("postgresql+asyncpg://host/db")


async def test_asyncpg(watched: str) -> None:
    """It keeps rows, and has no news."""
    pytest.importorskip("asyncpg", reason="asyncpg is not among what the tests install")
    store = SQLAlchemyStorageAdapter(with_driver(watched, "asyncpg")).open()
    await store.transact(put_thread)
    with session(watched) as connection:
        terminate(connection)
    assert await store.transact(get_thread) == thread()
    async with store.news() as news:
        waiting = asyncio.ensure_future(anext(news))
        await store.transact(change_thread)
        assert not waiting.done()
        waiting.cancel()
    await store.aclose()


# What goes wrong


async def test_nobody_answers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    adapter = SQLAlchemyStorageAdapter(f"{NOWHERE}?sslpassword=s3cret")
    store = adapter.open()
    with pytest.raises(StorageError, match=r"PostgreSQL database db at 127\.0\.0\.1:1: .*refused") as raised:
        await store.transact(get_thread)
    await store.aclose()
    shown = "".join(traceback.format_exception(raised.value))
    assert "s3cret" not in shown + caplog.text + repr(adapter)
    assert repr(adapter) == ("SQLAlchemyStorageAdapter('postgresql://me:***@127.0.0.1:1/db?sslpassword=***')")


async def test_what_is_stored_is_in_no_error(postgres_url: str) -> None:
    store = SQLAlchemyStorageAdapter(postgres_url).open()
    await store.transact(put_thread)
    secret = thread(k="".join(["s3", "cret"]))
    with pytest.raises(StorageError, match="duplicate key") as raised:
        await store.transact(lambda tx: tx.threads.insert(secret))
    assert "s3cret" not in "".join(traceback.format_exception(raised.value))
    await store.aclose()


async def test_no_tables_and_what_to_run(empty_postgres_url: str) -> None:
    url = empty_postgres_url.replace("postgres@", "postgres:s3cret@")
    adapter = SQLAlchemyStorageAdapter(url, schema="their words")
    store = adapter.open()
    command = f"supercompat db upgrade --database '{url.replace('s3cret', '***')}' --schema 'their words'"
    with pytest.raises(SchemaError) as raised:
        await store.transact(get_thread)
    assert str(raised.value) == f"The database has no tables of supercompat. To make them, run: {command}"
    await adapter.upgrade()
    assert await store.transact(get_thread) is None
    await store.aclose()
