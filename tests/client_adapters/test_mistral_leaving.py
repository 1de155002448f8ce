"""Leaving an answer of Mistral's closes its socket at once, wherever the call is, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from mistralai.client.utils import BackoffStrategy, RetryConfig

from supercompat.client_adapters.base import Connection
from supercompat.client_adapters.mistral import MistralClientAdapter
from supercompat.errors import ProviderError
from supercompat.model.events import ModelEvent, TextDelta
from supercompat.testing import Gate, MistralServer, text
from tests.client_adapters.asking import PARAMS, ask, heard
from tests.client_adapters.conftest import happened, no_tasks, no_threads
from tests.client_adapters.mistral_clients import KINDS, mistral

#: As long as the test lets it, and as fast as the SDK can: what was left must not be tried again.
RETRIES = RetryConfig("backoff", BackoffStrategy(1, 1, 1, 60_000, jitter_ms=0), retry_connection_errors=True)


@pytest.fixture
def server() -> Iterator[MistralServer]:
    with MistralServer() as server:
        yield server


@pytest.fixture(params=KINDS)
async def connection(request: pytest.FixtureRequest, server: MistralServer) -> AsyncIterator[Connection]:
    """Afterwards, no thread and no task may be left."""
    async with mistral(request.param, server, retry_config=RETRIES) as client:
        connection = MistralClientAdapter(client).connect(own_pool=False)
        yield connection
        await connection.aclose()
    await no_threads()
    await no_tasks()


async def cancelled(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("earlier_answers", [0, 1])
async def test_before_the_headers(connection: Connection, server: MistralServer, earlier_answers: int):
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


async def test_in_mid_stream(connection: Connection, server: MistralServer):
    gate = Gate()
    server.reply(text("Hel", gate, "lo"))
    async with connection.stream(ask()) as events:
        assert await anext(events) == TextDelta("Hel")
        await happened(gate.reached)
    await happened(server.requests[0].closed)


async def test_a_task_that_waits_for_the_next_event(connection: Connection, server: MistralServer):
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


async def test_while_another_task_reads(connection: Connection, server: MistralServer):
    gate = Gate()
    server.reply(text("Hel", gate, "lo"))
    async with connection.stream(ask()) as events:
        assert await anext(events) == TextDelta("Hel")
        reading = asyncio.ensure_future(anext(events))
        await happened(gate.reached)
    await happened(server.requests[0].closed)
    with pytest.raises((ProviderError, StopAsyncIteration, asyncio.CancelledError)):
        await asyncio.wait_for(reading, 5)


async def test_with_events_unread(connection: Connection, server: MistralServer):
    server.reply(text(*["word "] * 500).then_hang())
    async with connection.stream(ask()) as events:
        assert await anext(events) == TextDelta("word ")
    await happened(server.requests[0].closed)


async def test_at_any_moment(connection: Connection, server: MistralServer):
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


async def test_a_chat_stream(connection: Connection, server: MistralServer):
    server.reply(text("Hel").then_hang())
    async with connection.chat({**PARAMS, "stream": True}) as answer:
        assert answer.chunks is not None
        await anext(answer.chunks)
    await happened(server.requests[0].closed)


async def test_a_chat_that_is_not_streamed(connection: Connection, server: MistralServer):
    async def complete() -> None:
        async with connection.chat(PARAMS):
            pass

    gate = Gate()
    server.reply(text("Hel", gate, "lo"))
    task = asyncio.create_task(complete())
    await happened(gate.reached)
    await cancelled(task)
    await happened(server.requests[0].closed)
    await no_threads()


async def test_the_client_goes_on_working(connection: Connection, server: MistralServer):
    server.reply(text("Hel").then_hang(), text("Hello"))
    async with connection.stream(ask()) as events:
        await anext(events)
    assert (await heard(connection))[0] == TextDelta("Hello")


async def test_many_at_once(connection: Connection, server: MistralServer):
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
