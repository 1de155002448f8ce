"""Adapters around real SDK clients, pointed at a scripted server, and what they may leave behind: nothing."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import groq
import openai
import pytest

from supercompat.client_adapters.base import ClientAdapter, Connection
from supercompat.client_adapters.groq import GroqClientAdapter
from supercompat.client_adapters.openai import OpenAIClientAdapter
from supercompat.testing.openai_server import ScriptedServer

KEY = "sk-do-not-show-this-0123456789"

#: The HTTP library of the openai SDK that is installed.
HTTP: Any = import_module("httpx2" if int(openai.__version__.partition(".")[0]) >= 3 else "httpx")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@dataclass(frozen=True)
class Kind:
    """One SDK in one of its forms."""

    make: Callable[..., Any]
    adapter: Callable[[Any], ClientAdapter]
    path: str = ""


KINDS = {
    "openai": Kind(openai.OpenAI, OpenAIClientAdapter, "/v1"),
    "openai-async": Kind(openai.AsyncOpenAI, OpenAIClientAdapter, "/v1"),
    "groq": Kind(groq.Groq, GroqClientAdapter),
    "groq-async": Kind(groq.AsyncGroq, GroqClientAdapter),
}

Connect = Callable[..., Connection]


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
async def connect(server: ScriptedServer, kind: Kind) -> AsyncIterator[Connect]:
    """Connects the adapter of each kind; `connect(max_retries=0)` and other options go to the SDK client.

    Afterwards, no thread and no task may be left.
    """
    closing: list[Callable[[], Awaitable[object]]] = []

    def connect(**options: Any) -> Connection:
        client = kind.make(base_url=server.url + kind.path, api_key=KEY, timeout=10, **options)
        connection = kind.adapter(client).connect(own_pool=False)
        closing.extend((connection.aclose, lambda: closed(client)))
        return connection

    yield connect
    for close in closing:
        await close()
    await no_threads()
    await no_tasks()


@pytest.fixture
def connection(connect: Connect) -> Connection:
    """Without retries, so that each reply of the script is one request."""
    return connect(max_retries=0)


async def closed(client: Any) -> None:
    closing = client.close()
    if closing is not None:
        await closing


@asynccontextmanager
async def opened(make: Callable[..., Any], **options: Any) -> AsyncIterator[Any]:
    """An SDK client of either form, closed in the end."""
    client = make(api_key=KEY, timeout=10, **options)
    try:
        yield client
    finally:
        await closed(client)


async def no_threads() -> None:
    """Returns when no thread of ours is left, at most 5 seconds from now each."""
    for thread in threading.enumerate():
        if thread.name.startswith("supercompat"):
            await asyncio.to_thread(thread.join, 5)
            assert not thread.is_alive(), thread.name


async def no_tasks() -> None:
    """Nothing runs but the test itself, once the loop has gone round a few times."""
    for _ in range(10):
        await asyncio.sleep(0)
    running = {task.get_name(): str(task.get_coro()) for task in asyncio.all_tasks()}
    assert not [name for name, what in running.items() if "TestRunner" not in what]


async def happened(event: threading.Event) -> None:
    """Returns when an event of another thread is set."""
    assert await asyncio.to_thread(event.wait, 5)
