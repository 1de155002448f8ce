"""What is Groq's own."""

from typing import Any

import groq
import pytest

from supercompat.client_adapters.groq import GroqClientAdapter
from supercompat.errors import ProviderError
from supercompat.model.events import Finished, TextDelta, Usage, UsageReported
from supercompat.model.request import JsonObjectFormat, JsonSchemaFormat
from supercompat.testing.openai_server import ScriptedServer, text
from tests.client_adapters.asking import ADD, PARAMS, ask, heard
from tests.client_adapters.conftest import opened


@pytest.fixture(params=[groq.Groq, groq.AsyncGroq])
async def connection(request: pytest.FixtureRequest, server: ScriptedServer) -> Any:
    async with opened(request.param, base_url=server.url, max_retries=0) as client:
        yield GroqClientAdapter(client).connect(own_pool=False)


async def test_usage_comes_without_being_asked_for(connection: Any, server: ScriptedServer):
    assert UsageReported(Usage(11, 7)) in await heard(connection)
    assert "stream_options" not in server.requests[0].body


async def test_the_limit_by_its_new_name(connection: Any, server: ScriptedServer):
    await heard(connection, ask(max_completion_tokens=5))
    assert server.requests[0].body["max_completion_tokens"] == 5


async def test_an_answer_of_a_schema_comes_at_once(connection: Any, server: ScriptedServer):
    server.reply(text('{"a"', ": 1}"))
    request = ask(response_format=JsonSchemaFormat("answer", {"type": "object"}))
    assert await heard(connection, request) == [
        TextDelta('{"a": 1}'),
        UsageReported(Usage(11, 7)),
        Finished("stop"),
    ]
    assert not server.requests[0].body.get("stream")


async def test_json_of_no_schema_is_streamed(connection: Any, server: ScriptedServer):
    server.reply(text('{"a"', ": 1}"))
    assert (await heard(connection, ask("As JSON", response_format=JsonObjectFormat())))[0] == TextDelta(
        '{"a"'
    )
    assert server.requests[0].body["stream"] is True


async def test_a_schema_beside_tools_is_refused_by_groq(connection: Any, server: ScriptedServer):
    request = ask(tools=(ADD,), response_format=JsonSchemaFormat("answer", {"type": "object"}))
    with pytest.raises(ProviderError) as caught:
        await heard(connection, request)
    assert (caught.value.status, caught.value.code) == (400, "invalid_prompt")


async def test_a_chat_without_what_groq_refuses_and_changes_little(connection: Any, server: ScriptedServer):
    messages = [{"role": "user", "name": "me", "content": "Hi"}]
    async with connection.chat({**PARAMS, "messages": messages, "logit_bias": {"1": 1}, "seed": 7}):
        pass
    assert server.requests[0].body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "seed": 7,
    }
    assert messages[0]["name"] == "me"


async def test_a_chat_with_what_only_groq_can_refuse(connection: Any, server: ScriptedServer):
    with pytest.raises(ProviderError, match="logprobs"):
        async with connection.chat({**PARAMS, "logprobs": True}):
            pass
    for messages in ("Hi", ["Hi"]):
        with pytest.raises(ProviderError):
            async with connection.chat({**PARAMS, "messages": messages}):
                pass
