"""What is OpenAI's own: hosts, and copies of an asynchronous client."""

import asyncio
import json
from typing import Any

import groq
import openai
import pytest

from supercompat.client_adapters.groq import GroqClientAdapter
from supercompat.client_adapters.openai import OpenAIClientAdapter
from supercompat.model.events import TextDelta
from supercompat.testing.openai_server import Gate, ScriptedServer, text
from tests.client_adapters.asking import ask, heard
from tests.client_adapters.conftest import HTTP, KEY, happened, opened


async def sent_to(base_url: str, **options: Any) -> dict[str, Any]:
    """The body of a request with a limit, to a host that is not really asked."""
    sent: list[bytes] = []

    def answer(request: Any) -> Any:
        sent.append(request.content)
        return HTTP.Response(200, text="data: [DONE]\n\n")

    with HTTP.Client(transport=HTTP.MockTransport(answer)) as http_client:
        client = openai.OpenAI(base_url=base_url, api_key=KEY, http_client=http_client)
        connection = OpenAIClientAdapter(client, **options).connect(own_pool=False)
        await heard(connection, ask(max_completion_tokens=5))
    return json.loads(sent[0])


@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("https://x.openai.azure.com/openai/v1/", "max_completion_tokens"),
        ("https://x.services.ai.azure.com/openai/v1/", "max_completion_tokens"),
        ("http://localhost:11434/v1", "max_tokens"),
        ("https://api.mistral.ai/v1", "max_tokens"),
        ("https://notopenai.com/v1", "max_tokens"),
        ("https://openai.com.evil.example/v1", "max_tokens"),
    ],
)
async def test_the_limit_has_the_name_that_the_host_knows(base_url: str, field: str):
    body = await sent_to(base_url)
    assert {name: value for name, value in body.items() if value == 5} == {field: 5}


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_the_name_of_the_limit_can_be_said(field: Any):
    for base_url in ("https://api.openai.com/v1", "http://localhost/v1"):
        assert (await sent_to(base_url, max_tokens_field=field))[field] == 5


MAKES = [
    (openai.AsyncOpenAI, OpenAIClientAdapter, "/v1"),
    (groq.AsyncGroq, GroqClientAdapter, ""),
]


@pytest.mark.parametrize(("make", "adapter", "path"), MAKES)
def test_a_client_is_used_on_two_loops(make: Any, adapter: Any, path: str, server: ScriptedServer):
    """A client of one loop, with a connection in its pool, is driven on another while it waits on its own."""
    in_use = Gate()
    server.reply(text("mine"), text("Hel", in_use, "lo"), text("yours"))
    client = make(base_url=server.url + path, api_key=KEY, default_headers={"x-mine": "yes"}, timeout=10)

    async def elsewhere() -> None:
        connection = adapter(client).connect(own_pool=True)
        assert (await heard(connection))[0] == TextDelta("yours")
        await connection.aclose()

    async def here() -> None:
        async with client:
            connection = adapter(client).connect(own_pool=False)
            assert (await heard(connection))[0] == TextDelta("mine")
            task = asyncio.create_task(heard(connection))
            await happened(in_use.reached)
            await asyncio.to_thread(asyncio.run, elsewhere())
            in_use.open()
            assert (await task)[:2] == [TextDelta("Hel"), TextDelta("lo")]
            await connection.aclose()
            assert not client.is_closed()

    asyncio.run(here())
    assert [request.headers["x-mine"] for request in server.requests] == ["yes"] * 3
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}


async def test_an_http_client_of_the_user_s_is_used_as_it_is(server: ScriptedServer):
    """It may carry proxies, certificates or a transport, which a copy would lose."""
    async with HTTP.AsyncClient(headers={"x-proxied": "yes"}) as http_client:
        client = openai.AsyncOpenAI(base_url=server.base_url, api_key=KEY, http_client=http_client)
        connection = OpenAIClientAdapter(client).connect(own_pool=True)
        await heard(connection)
        await connection.aclose()
        assert not http_client.is_closed
    assert server.requests[0].headers["x-proxied"] == "yes"


async def test_a_key_that_is_replaced(server: ScriptedServer):
    """Nothing of a synchronous client is remembered."""
    async with opened(openai.OpenAI, base_url=server.base_url) as client:
        connection = OpenAIClientAdapter(client).connect(own_pool=False)
        client.api_key = "new-key"
        await heard(connection)
    assert server.requests[0].headers["authorization"] == "Bearer new-key"
