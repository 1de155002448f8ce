"""A scripted server and the real SDKs pointed at it, without retries."""

from collections.abc import Iterator

import groq
import openai
import pytest

from supercompat.testing.openai_server import ScriptedServer


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key="test", max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
def groq_client(server: ScriptedServer) -> Iterator[groq.Groq]:
    with groq.Groq(base_url=server.url, api_key="test", max_retries=0, timeout=10) as client:
        yield client
