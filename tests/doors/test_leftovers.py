"""Nothing is left behind: not by clients that are closed, not by those that are forgotten, not in the long run."""

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from supercompat import Options, SQLAlchemyStorageAdapter, async_supercompat, supercompat
from supercompat.testing import ScriptedModel, ScriptedServer, text
from tests.contract.conversations import conversation, heard_until
from tests.doors.asking import talk_with
from tests.doors.leftovers import Held, held, no_other_tasks, no_threads, other_tasks, ours

ROUNDS = 6
OPTIONS = Options(drain=0)


def never_more(use: Callable[[], object]) -> None:
    """Using it many times holds no more than using it once."""
    use()
    once = held()
    for _ in range(ROUNDS):
        use()
    assert held() == once


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[], SQLAlchemyStorageAdapter]:
    url = f"sqlite:///{tmp_path / 'assistants.db'}"
    return lambda: SQLAlchemyStorageAdapter(url)


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "forgotten"])
@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI])
def test_many_clients(provider: ScriptedServer, kept: Any, kind: Any, is_closed: bool) -> None:
    def use() -> None:
        inner = openai.OpenAI(base_url=provider.base_url, api_key="k") if kind is openai.OpenAI else None
        given = inner or openai.AsyncOpenAI(base_url=provider.base_url, api_key="k")
        client = supercompat(client=given, storage=kept(), options=OPTIONS)
        talk = conversation(client)
        assert len(list(talk.stream())) > 5
        heard_until(iter(talk.stream()), "thread.run.in_progress")
        if is_closed:
            client.close()
        if inner:
            inner.close()

    never_more(use)


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "forgotten"])
def test_many_clients_on_many_loops(provider: ScriptedServer, kept: Any, is_closed: bool) -> None:
    async def use() -> None:
        async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="k") as inner:
            client = async_supercompat(client=inner, storage=kept(), options=OPTIONS)
            talk = await talk_with(client)
            assert len([event async for event in await talk.stream()]) > 5
            async for _ in await talk.stream():
                break
            if is_closed:
                await client.close()

    never_more(lambda: asyncio.run(use()))


@pytest.mark.parametrize("is_running", [False, True])
@pytest.mark.parametrize("by", ["a task", "a generator"])
def test_a_client_that_is_forgotten_while_its_loop_ends(
    provider: ScriptedServer, kept: Any, caplog: pytest.LogCaptureFixture, by: str, is_running: bool
) -> None:
    """It closes itself then, and its loop closes it: once, and wholly."""

    async def held_by_a_generator(held: list[object]) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            held.clear()
            gc.collect()

    async def held_by_a_task(held: list[object]) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            held.clear()
            gc.collect()

    async def use() -> None:
        async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="k") as inner:
            client = async_supercompat(client=inner, storage=kept(), options=OPTIONS)
            talk = await talk_with(client)
            if is_running:
                provider.reply(text("Hel").then_hang())
                async for event in await talk.stream():
                    if event.event == "thread.message.delta":
                        break
            if by == "a task":
                holders.append(asyncio.create_task(held_by_a_task([client, talk])))
                await asyncio.sleep(0)
            else:
                holders.append(held_by_a_generator([client, talk]))
                await anext(holders[-1])

    holders: list[Any] = []
    never_more(lambda: asyncio.run(use()))
    holders.clear()
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_one_client_on_many_loops(kept: Any) -> None:
    client = async_supercompat(client=ScriptedModel(), storage=kept(), options=OPTIONS)

    async def use() -> None:
        assert len([event async for event in await (await talk_with(client)).stream()]) > 5

    never_more(lambda: asyncio.run(use()))


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "forgotten"])
async def test_many_clients_on_one_loop(is_closed: bool) -> None:
    """Tasks too: none goes on."""

    async def use() -> None:
        client = async_supercompat(client=ScriptedModel(), options=OPTIONS)
        talk = await talk_with(client)
        assert len([event async for event in await talk.stream()]) > 5
        async for _ in await talk.stream():
            break
        if is_closed:
            await client.close()

    async def rest() -> Held:
        await no_other_tasks(runner)
        return await asyncio.to_thread(held)

    runner = other_tasks()
    await use()
    once = await rest()
    for _ in range(ROUNDS):
        await use()
    assert await rest() == once


def test_many_runs_of_one_client(provider: ScriptedServer) -> None:
    """Threads, sockets and memory are given back after each run, also when its stream is left half read."""
    inner = openai.OpenAI(base_url=provider.base_url, api_key="k")
    client = supercompat(client=inner)
    runs: list[weakref.ref[Any]] = []

    def use() -> None:
        talk = conversation(client)
        stream = talk.stream()
        runs.append(weakref.ref(stream))
        run_id = heard_until(iter(stream), "thread.run.created")[-1].data["id"]
        assert talk.poll(run_id).status == "completed"

    for _ in range(3):
        use()
    gc.collect()
    threads = len(ours())
    for _ in range(ROUNDS):
        use()
    gc.collect()
    assert len(ours()) == threads
    assert not any(stream() for stream in runs)
    client.close()
    inner.close()


@pytest.mark.parametrize("is_running", [False, True])
def test_a_forgotten_client_closes_itself(provider: ScriptedServer, is_running: bool) -> None:
    """Its runs are handed over, and the provider is let go."""
    inner = openai.OpenAI(base_url=provider.base_url, api_key="k")
    client = supercompat(client=inner, options=OPTIONS)
    client.beta.assistants.list()
    if is_running:
        provider.reply(text("Hel").then_hang())
        heard_until(iter(conversation(client).stream()), "thread.message.delta")
    assert ours()
    del client
    gc.collect()
    no_threads()
    assert all(received.closed.wait(5) for received in provider.requests)
    inner.close()


async def test_a_forgotten_asynchronous_client_closes_itself(provider: ScriptedServer) -> None:
    async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="k") as inner:
        runner = other_tasks()
        client = async_supercompat(client=inner, options=OPTIONS)
        provider.reply(text("Hel").then_hang())
        async for event in await (await talk_with(client)).stream():
            if event.event == "thread.message.delta":
                break
        del client
        await no_other_tasks(runner)
        no_threads()
        assert await asyncio.to_thread(provider.requests[0].closed.wait, 5)


def test_a_stream_keeps_its_client(provider: ScriptedServer) -> None:
    """Nobody else holds it."""
    stream = conversation(supercompat(client=ScriptedModel(text("Hello")))).stream()
    gc.collect()
    assert [event.event for event in stream][-1] == "thread.run.completed"
    del stream
    gc.collect()
