"""Leaving an answer closes Google's socket at once, wherever the call is, and leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from supercompat.client_adapters.base import Connection
from supercompat.errors import ProviderError
from supercompat.model.events import ModelEvent, TextDelta
from supercompat.testing import Gate, GoogleServer, text
from tests.client_adapters.asking import heard
from tests.client_adapters.conftest import happened, no_threads
from tests.client_adapters.on_google import FACES, SIGNS, ask, connected

PARAMS: dict[str, Any] = {"model": SIGNS, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def server() -> Iterator[GoogleServer]:
    with GoogleServer() as server:
        yield server


@pytest.fixture(params=FACES)
async def connection(request: pytest.FixtureRequest, server: GoogleServer) -> AsyncIterator[Connection]:
    async with connected(server.url, request.param) as connection:
        yield connection


async def cancelled(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("earlier_answers", [0, 1])
async def test_before_the_headers(connection: Connection, server: GoogleServer, earlier_answers: int):
    for _ in range(earlier_answers):
        await heard(connection, ask())
    gate = Gate()
    server.reply(text("Hello").after(gate))
    task = asyncio.create_task(heard(connection, ask()))
    await happened(gate.reached)
    await cancelled(task)
    await happened(server.requests[-1].closed)
    await no_threads()
    assert len(server.requests) == earlier_answers + 1


async def test_in_mid_stream(connection: Connection, server: GoogleServer):
    gate = Gate()
    server.reply(text("Hel", gate, "lo"))
    async with connection.stream(ask()) as events:
        assert await anext(events) == TextDelta("Hel")
        await happened(gate.reached)
    await happened(server.requests[0].closed)


async def test_a_task_that_waits_for_the_next_event(connection: Connection, server: GoogleServer):
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


async def test_while_another_task_reads(connection: Connection, server: GoogleServer):
    gate = Gate()
    server.reply(text("Hel", gate, "lo"))
    async with connection.stream(ask()) as events:
        assert await anext(events) == TextDelta("Hel")
        reading = asyncio.ensure_future(anext(events))
        await happened(gate.reached)
    await happened(server.requests[0].closed)
    with pytest.raises((ProviderError, StopAsyncIteration, asyncio.CancelledError)):
        await asyncio.wait_for(reading, 5)


async def test_with_events_unread(connection: Connection, server: GoogleServer):
    server.reply(text(*["word "] * 500).then_hang())
    async with connection.stream(ask()) as events:
        assert await anext(events) == TextDelta("word ")
    await happened(server.requests[0].closed)


async def test_a_chat_stream(connection: Connection, server: GoogleServer):
    server.reply(text("Hel").then_hang())
    async with connection.chat({**PARAMS, "stream": True}) as answer:
        assert answer.chunks is not None
        await anext(answer.chunks)
    await happened(server.requests[0].closed)


async def test_the_client_goes_on_working(connection: Connection, server: GoogleServer):
    server.reply(text("Hel").then_hang(), text("Hello"))
    async with connection.stream(ask()) as events:
        await anext(events)
    assert (await heard(connection, ask()))[0] == TextDelta("Hello")


async def test_many_at_once(connection: Connection, server: GoogleServer):
    gates = [Gate() for _ in range(10)]
    server.reply(*(text("Hel", gate, "lo") for gate in gates))
    tasks: list[asyncio.Task[Any]] = []
    for gate in gates:
        tasks.append(asyncio.create_task(heard(connection, ask())))
        await happened(gate.reached)
    for task, request in zip(tasks[::2], server.requests[::2], strict=True):
        await cancelled(task)
        await happened(request.closed)
    for gate in gates:
        gate.open()
    for task in tasks[1::2]:
        said = [event.text for event in await task if isinstance(event, TextDelta)]
        assert said == ["Hel", "lo"]
    assert not any(request.closed.is_set() for request in server.requests[1::2])
