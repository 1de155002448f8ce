"""Real SDKs, synchronous and asynchronous, over real sockets: what is asked, and what comes back when."""

from typing import Any

import groq
import httpx
import openai
import pytest

from supercompat.client_adapters.base import Connection
from supercompat.client_adapters.groq import GroqClientAdapter
from supercompat.client_adapters.openai import OpenAIClientAdapter
from supercompat.errors import ProviderError
from supercompat.model.events import (
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from supercompat.testing.openai_server import (
    EMPTY_CHUNK,
    Gate,
    ScriptedServer,
    call,
    drop,
    error,
    reasoning,
    text,
    tool_calls,
)
from supercompat.testing.openai_server import Usage as ScriptedUsage
from tests.client_adapters.asking import PARAMS, ask, heard
from tests.client_adapters.conftest import HTTP, KEY, Connect, Kind, happened, opened


async def test_text_with_usage_and_reason(connection: Connection, server: ScriptedServer):
    server.reply(text("Hel", EMPTY_CHUNK, "lo").with_usage(ScriptedUsage(11, 7, 3, 2)))
    assert await heard(connection) == [
        TextDelta("Hel"),
        TextDelta("lo"),
        UsageReported(Usage(prompt=11, completion=7, cached=3, reasoning=2)),
        Finished("stop"),
    ]


async def test_reasoning_and_calls(connection: Connection, server: ScriptedServer):
    calls = tool_calls(call("add", '{"a": 1', ', "b": 2}', id="call_1"), call("now", id="call_2"))
    server.reply((reasoning("Hm.") + text("Let me see.") + calls).with_usage(None))
    assert await heard(connection) == [
        ReasoningDelta("Hm."),
        TextDelta("Let me see."),
        ToolCallStarted(0, "call_1", "add"),
        ToolCallArguments(0, '{"a": 1'),
        ToolCallArguments(0, ', "b": 2}'),
        ToolCallStarted(1, "call_2", "now"),
        ToolCallArguments(1, "{}"),
        Finished("tool_calls"),
    ]


async def test_each_event_arrives_when_it_is_sent(connection: Connection, server: ScriptedServer):
    gates = [Gate(), Gate()]
    server.reply(text("one", gates[0], "two", gates[1], "three"))
    async with connection.stream(ask()) as events:
        for gate, word in zip(gates, ["one", "two"], strict=True):
            assert await anext(events) == TextDelta(word)
            await happened(gate.reached)
            gate.open()
        assert await anext(events) == TextDelta("three")


async def test_an_answer_that_stops_without_a_reason_is_not_finished(
    connection: Connection, server: ScriptedServer
):
    server.reply(text("Hel", finish=None).with_usage(None))
    assert await heard(connection) == [TextDelta("Hel")]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_one_connection_serves_many_streams(server: ScriptedServer, asynchronous: bool):
    """The end of a response is read after its last event, or each answer would cost a connection."""
    ports: set[Any] = set()

    def note(response: httpx.Response) -> None:
        ports.add(response.extensions["network_stream"].get_extra_info("client_addr"))

    async def note_async(response: httpx.Response) -> None:
        note(response)

    make, http_client = (
        (groq.AsyncGroq, httpx.AsyncClient(event_hooks={"response": [note_async]}))
        if asynchronous
        else (groq.Groq, httpx.Client(event_hooks={"response": [note]}))
    )
    async with opened(make, base_url=server.url, http_client=http_client) as client:
        connection = GroqClientAdapter(client).connect(own_pool=False)
        for _ in range(5):
            await heard(connection)
    assert len(server.requests) == 5
    assert len(ports) == 1


@pytest.mark.parametrize(
    ("reply", "code", "status", "message"),
    [
        (error(400, "Too long.", code="context_length_exceeded"), "invalid_prompt", 400, "Too long."),
        (error(401, f"Incorrect API key: {KEY}."), "server_error", 401, "Incorrect API key: sk-…."),
        (error(429, "Slow down."), "rate_limit_exceeded", 429, "Slow down."),
        (error(429, "Pay.", code="insufficient_quota"), "rate_limit_exceeded", 429, "Pay."),
        (error(500, "Oh no."), "server_error", 500, "Oh no."),
        (error(502, raw="<h1>Bad gateway</h1>"), "server_error", 502, "<h1>Bad gateway</h1>"),
        (drop(), "server_error", None, "Connection error"),
        (text("a").then_drop(), "server_error", None, "peer closed connection"),
        (text("a").then_error(f"Broken: Bearer {KEY}"), "server_error", None, "Broken: Bearer sk-…"),
        (text("a").then_error("Slow.", code="rate_limit_exceeded"), "rate_limit_exceeded", None, "Slow."),
        (text("a").then_malformed(), "server_error", None, "The provider's answer can't be read"),
    ],
)
async def test_failures(
    connection: Connection, server: ScriptedServer, reply: Any, code: str, status: int | None, message: str
):
    server.reply(reply)
    with pytest.raises(ProviderError) as caught:
        await heard(connection)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.message.startswith(message)
    assert KEY not in f"{caught.value.message} {caught.value.body}"


async def test_a_failure_names_its_cause(connect: Connect, server: ScriptedServer):
    connection = connect(max_retries=0)
    server.close()
    with pytest.raises(ProviderError, match=r"Connection error: .*(refused|failed)") as caught:
        await heard(connection)
    assert caught.value.status is None


async def test_the_body_of_a_failure_is_kept(connection: Connection, server: ScriptedServer):
    server.reply(error(400, "No.", param="messages", code="string_above_max_length"))
    with pytest.raises(ProviderError) as caught:
        await heard(connection)
    assert caught.value.body is not None
    assert caught.value.body["param"] == "messages"
    assert caught.value.body["code"] == "string_above_max_length"


async def test_retries_are_the_sdk_s(connect: Connect, server: ScriptedServer):
    connection = connect(max_retries=1)
    server.reply(error(500, headers={"retry-after-ms": "1"}), text("Hello"))
    assert (await heard(connection))[0] == TextDelta("Hello")
    assert len(server.requests) == 2


async def test_a_page_instead_of_a_stream(server: ScriptedServer):
    def page(_: object) -> Any:
        return HTTP.Response(200, headers={"content-type": "text/html"}, text="<title>Login</title>")

    with HTTP.Client(transport=HTTP.MockTransport(page)) as http_client:
        client = openai.OpenAI(base_url=server.url, api_key=KEY, http_client=http_client)
        connection = OpenAIClientAdapter(client).connect(own_pool=False)
        with pytest.raises(ProviderError, match="sent no events, but: <title>Login"):
            await heard(connection)
        with pytest.raises(ProviderError, match="sent no JSON, but: <title>Login"):
            async with connection.chat(PARAMS):
                pass


class TestChat:
    async def test_a_body_passes_unchanged(self, connection: Connection, server: ScriptedServer):
        server.reply(text("Hello"))
        params = {**PARAMS, "seed": 7, "user": "me"}
        async with connection.chat(params) as answer:
            assert answer.chunks is None
            assert answer.body is not None
        assert server.requests[0].body == params
        assert answer.body["object"] == "chat.completion"
        assert answer.body["choices"][0]["message"]["content"] == "Hello"
        assert answer.body["system_fingerprint"]

    async def test_chunks_pass_unchanged_and_at_once(self, connection: Connection, server: ScriptedServer):
        gate = Gate()
        server.reply(text("Hel", gate, "lo"))
        params = {**PARAMS, "stream": True, "stream_options": {"include_usage": True}}
        async with connection.chat(params) as answer:
            assert answer.chunks is not None
            first = await anext(answer.chunks)
            assert first["choices"][0]["delta"]["content"] == ""
            assert (await anext(answer.chunks))["choices"][0]["delta"]["content"] == "Hel"
            gate.open()
            rest = [chunk async for chunk in answer.chunks]
        assert server.requests[0].body == params
        assert [chunk["object"] for chunk in rest] == ["chat.completion.chunk"] * len(rest)
        assert any(chunk.get("usage") for chunk in rest)

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_refusal_comes_on_entry(
        self, connection: Connection, server: ScriptedServer, stream: bool
    ):
        server.reply(error(422, "No."))
        with pytest.raises(ProviderError, match="No\\.") as caught:
            async with connection.chat({**PARAMS, "stream": stream}):
                pytest.fail("was entered")
        assert caught.value.status == 422

    async def test_a_stream_that_fails(self, connection: Connection, server: ScriptedServer):
        server.reply(text("a").then_error("Oh no.", code="overloaded"))
        async with connection.chat({**PARAMS, "stream": True}) as answer:
            assert answer.chunks is not None
            with pytest.raises(ProviderError, match="Oh no\\.") as caught:
                _ = [chunk async for chunk in answer.chunks]
        assert caught.value.body is not None
        assert caught.value.body["code"] == "overloaded"

    async def test_what_is_missing_is_refused_by_the_provider(
        self, connection: Connection, server: ScriptedServer
    ):
        with pytest.raises(ProviderError, match="must provide a model"):
            async with connection.chat({"messages": PARAMS["messages"]}):
                pass


async def test_models(kind: Kind):
    with ScriptedServer(models=["one", "two"]) as server:
        async with opened(kind.make, base_url=server.url + kind.path) as client:
            models = await kind.adapter(client).connect(own_pool=False).models()
    assert [model["id"] for model in models] == ["one", "two"]
    assert {"id", "object", "created", "owned_by"} <= models[0].keys()
