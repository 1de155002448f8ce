"""Leaving an answer closes the provider's socket at once, wherever the call is, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest

from supercompat.client_adapters.base import Connection
from supercompat.client_adapters.openai import OpenAIClientAdapter
from supercompat.errors import ProviderError
from supercompat.model.events import ModelEvent, TextDelta
from supercompat.testing.openai_server import Gate, ScriptedServer, text
from tests.client_adapters.asking import PARAMS, ask, heard
from tests.client_adapters.conftest import happened, no_tasks, no_threads, opened
from tests.client_adapters.dialects import DIALECTS, Dialect


@pytest.fixture(params=list(DIALECTS))
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return DIALECTS[request.param]


@pytest.fixture
def server(dialect: Dialect) -> Iterator[Any]:
    with dialect.server() as server:
        yield server


@pytest.fixture
async def connection(dialect: Dialect, server: Any) -> AsyncIterator[Connection]:
    """With retries: what was left must not be tried again. Afterwards, no thread and no task may be left."""
    async with dialect.client(server.url, True) as client:
        connection = dialect.adapter(client).connect(own_pool=dialect.own_pool)
        yield connection
        await connection.aclose()
        await no_threads()
        await no_tasks()


async def cancelled(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("earlier_answers", [0, 1])
async def test_before_the_headers(connection: Connection, server: Any, earlier_answers: int):
    """Also on a connection that was used before. Nothing is tried again, whatever the SDK's retries are."""
    for _ in range(earlier_answers):
        await heard(connection)
    gate = Gate()
    server.reply(text("Hello").after(gate))
    task = asyncio.create_task(heard(connection))
    await happened(gate.reached)
    await cancelled(task)
    await happened(server.requests[-1].closed)
    await no_threads()
    assert len(server.requests) == earlier_answers + 1


async def test_in_mid_stream(connection: Connection, server: Any):
    gate = Gate()
    server.reply(text("Hel", gate, "lo"))
    async with connection.stream(ask()) as events:
        assert await anext(events) == TextDelta("Hel")
        await happened(gate.reached)
    await happened(server.requests[0].closed)


async def test_a_task_that_waits_for_the_next_event(connection: Connection, server: Any):
    said: asyncio.Queue[ModelEvent] = asyncio.Queue()
    gate = Gate()
    server.reply(text("Hel", gate, "lo"))

    async def listen() -> None:
        async with connection.stream(ask()) as events:
            async for event in events:
                said.put_nowait(event)

    task = asyncio.create_task(listen())
    assert await said.get() == TextDelta("Hel")
    await happened(gate.reached)
    await cancelled(task)
    await happened(server.requests[0].closed)


async def test_while_another_task_reads(connection: Connection, server: Any):
    gate = Gate()
    server.reply(text("Hel", gate, "lo"))
    async with connection.stream(ask()) as events:
        assert await anext(events) == TextDelta("Hel")
        reading = asyncio.ensure_future(anext(events))
        await happened(gate.reached)
    await happened(server.requests[0].closed)
    with pytest.raises((ProviderError, StopAsyncIteration, asyncio.CancelledError)):
        await asyncio.wait_for(reading, 5)


async def test_with_events_unread(connection: Connection, server: Any):
    server.reply(text(*["word "] * 500).then_hang())
    async with connection.stream(ask()) as events:
        assert await anext(events) == TextDelta("word ")
    await happened(server.requests[0].closed)


async def test_at_any_moment(connection: Connection, server: Any):
    """Also between the response's arrival and the SDK's giving it to us, while hooks of the SDK's run."""
    for turns in range(0, 120, 3):
        server.reply(text("Hel").then_hang())
        task = asyncio.create_task(heard(connection))
        for _ in range(turns):
            await asyncio.sleep(0)
        await cancelled(task)
    await no_threads()
    for request in server.requests:
        await happened(request.closed)


async def test_a_chat_stream(connection: Connection, server: Any):
    server.reply(text("Hel").then_hang())
    async with connection.chat({**PARAMS, "stream": True}) as answer:
        assert answer.chunks is not None
        await anext(answer.chunks)
    await happened(server.requests[0].closed)


async def test_a_chat_that_is_not_streamed(connection: Connection, server: Any):
    async def complete() -> None:
        async with connection.chat(PARAMS):
            pass

    gate = Gate()
    server.reply(text("Hello").after(gate))
    task = asyncio.create_task(complete())
    await happened(gate.reached)
    await cancelled(task)
    await happened(server.requests[0].closed)
    await no_threads()


async def test_the_client_goes_on_working(connection: Connection, server: Any):
    server.reply(text("Hel").then_hang(), text("Hello"))
    async with connection.stream(ask()) as events:
        await anext(events)
    assert (await heard(connection))[0] == TextDelta("Hello")


async def test_many_at_once(connection: Connection, server: Any):
    gates = [Gate() for _ in range(10)]
    server.reply(*(text("Hel", gate, "lo") for gate in gates))
    tasks: list[asyncio.Task[Any]] = []
    for gate in gates:
        tasks.append(asyncio.create_task(heard(connection)))
        await happened(gate.reached)
    for task, request in zip(tasks[::2], server.requests[::2], strict=True):
        await cancelled(task)
        await happened(request.closed)
    for gate in gates:
        gate.open()
    for task in tasks[1::2]:
        assert [event for event in await task if isinstance(event, TextDelta)] == [
            TextDelta("Hel"),
            TextDelta("lo"),
        ]
    assert not any(request.closed.is_set() for request in server.requests[1::2])


async def test_hooks_and_traces_of_the_users():
    """An HTTP client of the user's is told what it asked for, as before; clients that share it add one hook to it."""
    told: list[str] = []

    def trace(name: str, _: object) -> None:
        told.append(name)

    def hook(request: Any) -> None:
        request.extensions = {**request.extensions, "trace": trace}

    http = openai.DefaultHttpxClient(event_hooks={"request": [hook]})
    with (
        ScriptedServer() as server,
        openai.OpenAI(base_url=server.base_url, api_key="k", http_client=http) as client,
    ):
        for _ in range(2):
            connection = OpenAIClientAdapter(client).connect(own_pool=False)
            assert (await heard(connection))[0] == TextDelta("Hi")
            await connection.aclose()
        client.models.list()
    assert told.count("http11.response_closed.complete") == 3
    assert len(http.event_hooks["request"]) == 2


def traced(create: Any) -> Any:
    """As a tracer would replace `create`: what it returns is no stream of the SDK's any more."""

    def replacement(**params: Any) -> Any:
        return (chunk for chunk in create(**params))

    return replacement


def traced_async(create: Any) -> Any:
    async def replacement(**params: Any) -> Any:
        stream = await create(**params)

        async def chunks() -> Any:
            async with stream:
                async for chunk in stream:
                    yield chunk

        return chunks()

    return replacement


@pytest.mark.parametrize(("make", "trace"), [(openai.OpenAI, traced), (openai.AsyncOpenAI, traced_async)])
async def test_a_stream_that_a_tracer_wraps(make: Any, trace: Any):
    """It may hide the response that is under it. Then its chunks are read, and leaving it still closes the socket."""
    gate = Gate()
    with ScriptedServer() as server:
        server.reply(text("Hello"), text("Hel", gate, "lo"))
        async with opened(make, base_url=server.base_url, max_retries=0) as client:
            client.chat.completions.create = trace(client.chat.completions.create)
            connection = OpenAIClientAdapter(client).connect(own_pool=False)
            assert (await heard(connection))[0] == TextDelta("Hello")
            async with connection.stream(ask()) as events:
                assert await anext(events) == TextDelta("Hel")
                await happened(gate.reached)
            await happened(server.requests[1].closed)
            await no_threads()
