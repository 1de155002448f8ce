"""PostgreSQL behind both doors: a run, and nothing left open."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from supercompat import SQLAlchemyStorageAdapter, async_supercompat, supercompat
from supercompat.testing import ScriptedModel
from tests.storage import processes
from tests.storage.sessions import others, session, until_alone


@pytest.fixture
def watched(postgres_url: str) -> Iterator[str]:
    """The URL of a database to which nobody must be connected in the end."""
    yield postgres_url
    with session(postgres_url) as connection:
        assert until_alone(connection), others(connection)


def used(url: str) -> bool:
    with session(url) as connection:
        return bool(others(connection))


async def talk(client: openai.AsyncOpenAI) -> str:
    assistant = await client.beta.assistants.create(model="m")
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    run = await client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    return run.status


def test_the_synchronous_door(watched: str) -> None:
    with supercompat(client=ScriptedModel(), storage=SQLAlchemyStorageAdapter(watched)) as client:
        assistant = client.beta.assistants.create(model="m")
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
        run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        assert run.status == "completed"
        assert used(watched)


async def test_the_asynchronous_door(watched: str) -> None:
    storage = SQLAlchemyStorageAdapter(watched)
    async with async_supercompat(client=ScriptedModel(), storage=storage) as client:
        assert await talk(client) == "completed"
        assert used(watched)


def test_a_loop_that_ends_without_a_close(watched: str) -> None:
    client = async_supercompat(client=ScriptedModel(), storage=SQLAlchemyStorageAdapter(watched))
    for _ in range(2):
        assert asyncio.run(talk(client)) == "completed"
    asyncio.run(client.close())


async def test_an_engine_of_the_users_own(watched: str) -> None:
    engine = create_async_engine(watched.replace("postgresql:", "postgresql+psycopg:"))
    async with async_supercompat(client=ScriptedModel(), storage=SQLAlchemyStorageAdapter(engine)) as client:
        assert await talk(client) == "completed"
    await engine.dispose()


def test_an_engine_of_the_users_own_behind_the_synchronous_door(postgres_url: str) -> None:
    engine = create_async_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    storage = SQLAlchemyStorageAdapter(engine)
    refused = pytest.raises(openai.APIStatusError, match="a function that makes an engine")
    with supercompat(client=ScriptedModel(), storage=storage, max_retries=0) as client, refused:
        client.beta.assistants.create(model="m")


def test_a_function_behind_the_synchronous_door(watched: str) -> None:
    url = watched.replace("postgresql:", "postgresql+psycopg:")
    storage = SQLAlchemyStorageAdapter(lambda: create_async_engine(url))
    with supercompat(client=ScriptedModel(), storage=storage) as client:
        assert client.beta.assistants.create(model="m").model == "m"


def test_a_database_without_tables_says_what_to_run(empty_postgres_url: str) -> None:
    storage = SQLAlchemyStorageAdapter(empty_postgres_url)
    command = f"supercompat db upgrade --database {empty_postgres_url}"
    refused = pytest.raises(openai.APIStatusError, match=command)
    with supercompat(client=ScriptedModel(), storage=storage, max_retries=0) as client:
        with refused:
            client.beta.assistants.create(model="m")
        asyncio.run(storage.upgrade())
        assert client.beta.assistants.create(model="m").model == "m"


FORKING = """
import asyncio, os, sys, warnings
from supercompat import SQLAlchemyStorageAdapter

store = SQLAlchemyStorageAdapter(sys.argv[1]).open()
loop = asyncio.new_event_loop()

def used():
    return loop.run_until_complete(store.transact(lambda tx: tx.threads.get("thread_1")))

used()
child = os.fork()
if child == 0:
    # The parent's loop and connections are not the child's to close.
    warnings.simplefilter("ignore")
    async def use():
        print("child:", await store.transact(lambda tx: tx.threads.get("thread_1")))
        await store.aclose()

    asyncio.set_event_loop(None)
    asyncio.run(use())
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
assert used() is None
loop.run_until_complete(store.aclose())
loop.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
def test_a_forked_child_leaves_the_connections_alone(watched: str, tmp_path: Path) -> None:
    """It makes its own, on a loop of its own."""
    assert processes.run(FORKING, tmp_path, watched) == "child: None\n"
