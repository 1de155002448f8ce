"""Anthropic's SDK, synchronous and asynchronous, over real sockets: what is asked, and what comes back when."""

import asyncio
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.lib.bedrock import AnthropicBedrock, AnthropicBedrockMantle
from anthropic.lib.foundry import AnthropicFoundry
from anthropic.lib.vertex import AnthropicVertex, AsyncAnthropicVertex

from supercompat import AnthropicClientAdapter
from supercompat.client_adapters.base import Connection
from supercompat.client_adapters.registry import adapter_for
from supercompat.errors import ConfigurationError, ProviderError, UnknownClientError
from supercompat.model.events import (
    Finished,
    ProviderStateReported,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from supercompat.model.request import AssistantTurn, ModelRequest, NamedTool, TextPart, UserTurn
from supercompat.testing import (
    EMPTY_CHUNK,
    AnthropicServer,
    Gate,
    call,
    drop,
    error,
    reasoning,
    refusal,
    text,
    tool_calls,
)
from supercompat.testing import Usage as ScriptedUsage
from tests.client_adapters.asking import ADD, NOW, PARAMS, ask, heard
from tests.client_adapters.conftest import KEY, Connect, Kind, happened, no_threads, opened
from tests.client_adapters.test_leaving import traced

BILLED = UsageReported(Usage(11, 7))


KINDS = {
    "sync": Kind(anthropic.Anthropic, AnthropicClientAdapter),
    "async": Kind(anthropic.AsyncAnthropic, AnthropicClientAdapter),
}


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer() as server:
        yield server


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


async def test_text_with_usage_and_reason(connection: Connection, server: AnthropicServer):
    server.reply(text("Hel", EMPTY_CHUNK, "lo").with_usage(ScriptedUsage(11, 7, 3, 2)))
    assert await heard(connection) == [
        TextDelta("Hel"),
        TextDelta("lo"),
        UsageReported(Usage(prompt=11, completion=7, cached=3, reasoning=2)),
        Finished("stop"),
    ]
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.requests[0].headers["anthropic-version"] == "2026-10-21"
    assert server.requests[0].body == {
        "model": "m",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi there"}]}],
        "stream": True,
    }


async def test_thinking_and_calls(connection: Connection, server: AnthropicServer):
    calls = tool_calls(call("add", '{"a": 1', ', "b": 2}', id="toolu_1"), call("now", id="toolu_2"))
    server.reply(reasoning("H", "m.") + text("Let me see.") + calls)
    *said, state, billed, finished = await heard(connection, ask(tools=(ADD, NOW)))
    assert said == [
        ReasoningDelta("H"),
        ReasoningDelta("m."),
        TextDelta("Let me see."),
        ToolCallStarted(0, "toolu_1", "add"),
        ToolCallArguments(0, '{"a": 1'),
        ToolCallArguments(0, ', "b": 2}'),
        ToolCallStarted(1, "toolu_2", "now"),
        ToolCallArguments(1, "{}"),
    ]
    assert (billed, finished) == (BILLED, Finished("tool_calls"))
    assert isinstance(state, ProviderStateReported)
    thought, *others = state.state["anthropic"]["content"]
    assert (thought["type"], thought["thinking"], bool(thought["signature"])) == ("thinking", "Hm.", True)
    assert others == [
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1, "b": 2}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("model_context_window_exceeded", "length"),
        ("content_filter", "content_filter"),
        ("something_new", "stop"),
    ],
)
async def test_stop_reasons(connection: Connection, server: AnthropicServer, finish: str, reason: Any):
    server.reply(text("Hello", finish=finish))
    assert (await heard(connection))[-1] == Finished(reason)


async def test_a_refusal_is_explained(connection: Connection, server: AnthropicServer):
    server.reply(text("Well, ") + refusal("No."))
    assert await heard(connection) == [
        TextDelta("Well, "),
        BILLED,
        RefusalDelta("No."),
        Finished("content_filter"),
    ]


async def test_an_answer_that_stops_without_a_reason_is_not_finished(
    connection: Connection, server: AnthropicServer
):
    server.reply(text("Hel", finish=None))
    assert Finished("stop") not in await heard(connection)


async def test_a_turn_that_pauses_goes_on(connection: Connection, server: AnthropicServer):
    server.reply(
        reasoning("Hm.") + text("One, ", finish="pause_turn"),
        text("two, ", finish="pause_turn").with_usage(ScriptedUsage(20, 5, 4)),
        text("three."),
    )
    request = ModelRequest("claude-opus-4-5", turns=(UserTurn((TextPart("Count."),)),))
    events = await heard(connection, request)
    assert [event for event in events if isinstance(event, TextDelta)] == [
        TextDelta("One, "),
        TextDelta("two, "),
        TextDelta("three."),
    ]
    assert events[-2:] == [UsageReported(Usage(42, 19, 4)), Finished("stop")]
    assert [block["type"] for block in server.requests[2].body["messages"][-1]["content"]] == [
        "thinking",
        "text",
        "text",
    ]
    [state] = [event.state for event in events if isinstance(event, ProviderStateReported)]
    assert [block["type"] for block in state["anthropic"]["content"]] == ["thinking", "text", "text", "text"]


async def test_each_event_arrives_when_it_is_sent(connection: Connection, server: AnthropicServer):
    gates = [Gate(), Gate()]
    server.reply(text("one", gates[0], "two", gates[1], "three"))
    async with connection.stream(ask()) as events:
        for gate, word in zip(gates, ["one", "two"], strict=True):
            assert await anext(events) == TextDelta(word)
            await happened(gate.reached)
            gate.open()
        assert await anext(events) == TextDelta("three")


@pytest.mark.parametrize(
    ("reply", "code", "status", "message"),
    [
        (error(400, "prompt is too long"), "invalid_prompt", 400, "prompt is too long"),
        (error(401, f"invalid x-api-key {KEY}"), "server_error", 401, "invalid x-api-key sk-…"),
        (error(402, "Pay."), "rate_limit_exceeded", 402, "Pay."),
        (error(403, "No."), "server_error", 403, "No."),
        (error(404, "model: m"), "server_error", 404, "model: m"),
        (error(413, "Too large."), "invalid_prompt", 413, "Too large."),
        (error(422, "What?"), "invalid_prompt", 422, "What?"),
        (error(429, "Slow down."), "rate_limit_exceeded", 429, "Slow down."),
        (error(500, "Oh no."), "server_error", 500, "Oh no."),
        (error(504, "Late."), "server_error", 504, "Late."),
        (error(529, "Overloaded"), "server_error", 529, "Overloaded"),
        (error(502, raw="<h1>Bad gateway</h1>"), "server_error", 502, "<h1>Bad gateway</h1>"),
        (drop(), "server_error", None, "Connection error"),
        (text("a").then_drop(), "server_error", None, "peer closed connection"),
        (text("a").then_error("Busy.", type="overloaded_error"), "server_error", None, "Busy."),
        (text("a").then_error("Slow.", type="rate_limit_error"), "rate_limit_exceeded", None, "Slow."),
        (text("a").then_malformed(), "server_error", None, "The provider's answer can't be read"),
    ],
)
async def test_failures(
    connection: Connection, server: AnthropicServer, reply: Any, code: str, status: int | None, message: str
):
    server.reply(reply)
    with pytest.raises(ProviderError) as caught:
        await heard(connection)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.message.startswith(message)
    assert KEY not in f"{caught.value.message} {caught.value.body}"


async def test_retries_are_the_sdk_s(connect: Connect, server: AnthropicServer):
    connection = connect(max_retries=1)
    server.reply(error(529, headers={"retry-after-ms": "1"}), text("Hello"))
    assert (await heard(connection))[0] == TextDelta("Hello")
    assert len(server.requests) == 2


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_one_connection_serves_many_streams(server: AnthropicServer, asynchronous: bool):
    ports: set[Any] = set()

    def note(response: Any) -> None:
        ports.add(response.extensions["network_stream"].get_extra_info("client_addr"))

    async def note_async(response: Any) -> None:
        note(response)

    make: Any = anthropic.AsyncAnthropic if asynchronous else anthropic.Anthropic
    http: Any = httpx2.AsyncClient if asynchronous else httpx2.Client
    http_client = http(event_hooks={"response": [note_async if asynchronous else note]})
    async with opened(make, base_url=server.url, http_client=http_client) as client:
        connection = AnthropicClientAdapter(client).connect(own_pool=False)
        for _ in range(5):
            await heard(connection)
    assert (len(server.requests), len(ports)) == (5, 1)


class TestForcedCalls:
    """A call that the model has to make, by families that can be held to it and by those that can't."""

    @pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-opus-4-8", "claude-opus-5"])
    async def test_where_it_can_be_asked_for(
        self, connection: Connection, server: AnthropicServer, model: str
    ):
        server.reply(tool_calls(call("now", id="toolu_1")))
        turns = (UserTurn((TextPart("Time?"),)),)
        request = ModelRequest(
            model, turns, tools=(ADD, NOW), tool_choice=NamedTool("now"), reasoning_effort="high"
        )
        assert (await heard(connection, request))[0] == ToolCallStarted(0, "toolu_1", "now")
        assert server.requests[0].body["tool_choice"] == {"type": "tool", "name": "now"}

    async def test_where_the_model_always_thinks(self, connection: Connection, server: AnthropicServer):
        server.reply(reasoning("Hm.") + text('{"name": "add", "argu', 'ments": {"a": 1, "b": 2}}'))
        turns = (UserTurn((TextPart("1 + 2?"),)),)
        request = ModelRequest("claude-opus-5-5", turns, tools=(ADD,), tool_choice="required")
        events = await heard(connection, request)
        started, arguments = (
            event for event in events if isinstance(event, ToolCallStarted | ToolCallArguments)
        )
        assert started.index == 0
        assert arguments == ToolCallArguments(0, '{"a": 1, "b": 2}')
        assert events[-1] == Finished("tool_calls")
        body = server.requests[0].body
        assert "tool_choice" not in body
        assert body["output_config"]["format"]["schema"]["properties"]["name"] == {"const": "add"}


class TestThinkingComesBack:
    async def said(self, connection: Connection, request: ModelRequest) -> AssistantTurn:
        events = await heard(connection, request)
        words = "".join(event.text for event in events if isinstance(event, TextDelta))
        [state] = [event.state for event in events if isinstance(event, ProviderStateReported)]
        return AssistantTurn(words, provider_state=state)

    async def test_unchanged_in_the_same_conversation(self, connection: Connection, server: AnthropicServer):
        first = UserTurn((TextPart("One?"),))
        server.reply(reasoning("Hm.") + text("Yes."), reasoning("Oh.") + text("No."), text("Well."))
        request = ModelRequest("claude-opus-5-5", (first,), instructions="Be kind.", tools=(ADD,))
        turns = (first, await self.said(connection, request), UserTurn((TextPart("Two?"),)))
        request = ModelRequest("claude-opus-5-5", turns, instructions="Be kind.", tools=(ADD,))
        turns = (*turns, await self.said(connection, request), UserTurn((TextPart("Three?"),)))
        await heard(connection, ModelRequest("claude-opus-5-5", turns, instructions="Be kind.", tools=(ADD,)))
        kinds = [
            [block["type"] for block in message["content"]] for message in server.requests[2].body["messages"]
        ]
        assert kinds == [["text"], ["thinking", "text"], ["text"], ["thinking", "text"], ["text"]]

    @pytest.mark.parametrize(
        "change",
        [
            {"instructions": "Be brief."},
            {"tools": (NOW,)},
            {"model": "claude-sonnet-5-5"},
            {"before": (UserTurn((TextPart("Zero?"),)),)},
        ],
    )
    async def test_not_in_any_other(
        self, connection: Connection, server: AnthropicServer, change: dict[str, Any]
    ):
        first = UserTurn((TextPart("One?"),))
        server.reply(reasoning("Hm.") + text("Yes."))
        asked = ModelRequest("claude-opus-5-5", (first,), instructions="Be kind.", tools=(ADD,))
        turns = (
            *change.get("before", ()),
            first,
            await self.said(connection, asked),
            UserTurn((TextPart("Two?"),)),
        )
        changed: dict[str, Any] = {
            "model": asked.model,
            "instructions": "Be kind.",
            "tools": (ADD,),
            **{name: value for name, value in change.items() if name != "before"},
        }
        await heard(connection, ModelRequest(turns=turns, **changed))
        said = server.requests[1].body["messages"][-2]["content"]
        assert said == [{"type": "text", "text": "Yes."}]


class TestSampling:
    async def body(self, server: AnthropicServer, **options: Any) -> dict[str, Any]:
        async with opened(anthropic.Anthropic, base_url=server.url) as client:
            adapter = AnthropicClientAdapter(client, **options)
            await heard(adapter.connect(own_pool=False), ask(temperature=1.7, top_p=0.5))
        return server.requests[0].body

    async def test_is_ignored(self, server: AnthropicServer):
        assert {"temperature", "top_p"}.isdisjoint(await self.body(server))

    async def test_is_sent_with_the_version_that_knows_it(self, server: AnthropicServer):
        body = await self.body(server, sampling=True)
        assert body["temperature"] == 1.0
        assert "top_p" not in body
        assert server.requests[0].headers["anthropic-version"] == "2023-06-01"

    async def test_can_t_be_asked_of_a_cloud(self):
        client = AnthropicVertex(region="global", project_id="p", access_token="t")
        with pytest.raises(ConfigurationError, match="sampling=True"):
            AnthropicClientAdapter(client, sampling=True)


class TestChat:
    async def test_a_body(self, connection: Connection, server: AnthropicServer):
        server.reply(text("Hello"))
        async with connection.chat({**PARAMS, "stop": ["."], "max_tokens": 5}) as answer:
            assert answer.chunks is None
            assert answer.body is not None
        assert answer.body["choices"][0]["message"]["content"] == "Hello"
        body = server.requests[0].body
        assert (body["stop_sequences"], body["max_tokens"]) == (["."], 5)

    async def test_chunks_come_at_once(self, connection: Connection, server: AnthropicServer):
        gate = Gate()
        server.reply(text("Hel", gate, "lo"))
        async with connection.chat({**PARAMS, "stream": True}) as answer:
            assert answer.chunks is not None
            await anext(answer.chunks)
            assert (await anext(answer.chunks))["choices"][0]["delta"] == {"content": "Hel"}
            gate.open()
            rest = [chunk["choices"][0] async for chunk in answer.chunks]
        assert [choice["finish_reason"] for choice in rest] == [None, "stop"]

    async def test_what_can_t_be_served_is_refused(self, connection: Connection, server: AnthropicServer):
        with pytest.raises(ProviderError, match="'n' is not supported") as caught:
            async with connection.chat({**PARAMS, "n": 2}):
                pytest.fail("was entered")
        assert caught.value.status == 400
        assert server.requests == []


async def test_models(kind: Kind):
    with AnthropicServer(models=["claude-one", "claude-two"]) as server:
        async with opened(kind.make, base_url=server.url) as client:
            models = await kind.adapter(client).connect(own_pool=False).models()
    assert models == [
        {"id": name, "object": "model", "created": 1790035200, "owned_by": "anthropic"}
        for name in ("claude-one", "claude-two")
    ]


class TestClients:
    @pytest.mark.parametrize(
        "client",
        [
            anthropic.Anthropic(api_key=KEY),
            anthropic.AsyncAnthropic(api_key=KEY),
            AnthropicBedrock(aws_region="us-east-1", api_key=KEY),
            AnthropicBedrockMantle(aws_region="us-east-1", api_key=KEY),
            AnthropicVertex(region="global", project_id="p", access_token="t"),
            AnthropicFoundry(resource="r", api_key=KEY),
        ],
        ids=lambda client: type(client).__name__,
    )
    def test_a_bare_client_is_wrapped(self, client: Any):
        assert type(adapter_for(client)) is AnthropicClientAdapter

    def test_anything_else_is_refused(self):
        with pytest.raises(UnknownClientError, match=r"takes an anthropic\.Anthropic"):
            AnthropicClientAdapter(object())  # type: ignore[arg-type]
        with pytest.raises(UnknownClientError, match=r"anthropic\.AsyncAnthropic"):
            adapter_for(object())

    def test_options_that_do_not_exist(self):
        with pytest.raises(ConfigurationError, match="max_tokens"):
            AnthropicClientAdapter(anthropic.Anthropic(api_key=KEY), max_tokens=0)

    async def test_a_limit_of_the_user_s(self, server: AnthropicServer):
        async with opened(anthropic.Anthropic, base_url=server.url) as client:
            connection = AnthropicClientAdapter(client, max_tokens=77).connect(own_pool=False)
            await heard(connection)
            await heard(connection, ask(max_completion_tokens=5))
        assert [request.body["max_tokens"] for request in server.requests] == [77, 5]

    @pytest.mark.parametrize("make", [AnthropicVertex, AsyncAnthropicVertex])
    async def test_vertex(self, server: AnthropicServer, make: Any):
        client = make(region="global", project_id="p", access_token=KEY, base_url=server.url, max_retries=0)
        gate = Gate()
        server.reply(text("Hello"), text("Hel", gate, "lo"))
        connection = AnthropicClientAdapter(client).connect(own_pool=False)
        request = ModelRequest(
            "claude-opus-5@default", (UserTurn((TextPart("Hi"),)),), reasoning_effort="low"
        )
        assert (await heard(connection, request))[0] == TextDelta("Hello")
        assert server.requests[0].path.endswith("/models/claude-opus-5@default:streamRawPredict")
        async with connection.stream(request) as events:
            assert await anext(events) == TextDelta("Hel")
            await happened(gate.reached)
        await happened(server.requests[1].closed)
        assert await connection.models() == []
        closing = client.close()
        if closing is not None:
            await closing

    async def test_a_cloud_that_lists_no_models(self):
        client = AnthropicFoundry(resource="r", api_key=KEY)
        assert await AnthropicClientAdapter(client).connect(own_pool=False).models() == []

    @pytest.mark.parametrize("how", ["binary", "traced"])
    async def test_a_stream_that_only_the_sdk_can_read(self, server: AnthropicServer, how: str):
        """Bedrock's wire is no text; a tracer wraps what it replaces."""
        gate = Gate()
        server.reply(reasoning("Hm.") + text("Hello"), text("Hel", gate, "lo"))

        def rename(response: Any) -> None:
            if how == "binary":
                response.headers["content-type"] = "application/vnd.amazon.eventstream"

        with httpx2.Client(event_hooks={"response": [rename]}) as http_client:
            client = anthropic.Anthropic(
                base_url=server.url, api_key=KEY, http_client=http_client, max_retries=0
            )
            if how == "traced":
                client.messages.create = traced(client.messages.create)
            connection = AnthropicClientAdapter(client).connect(own_pool=False)
            assert (await heard(connection))[:2] == [ReasoningDelta("Hm."), TextDelta("Hello")]
            async with connection.stream(ask()) as events:
                assert await anext(events) == TextDelta("Hel")
                await happened(gate.reached)
            await happened(server.requests[1].closed)
            await no_threads()

    def test_an_asynchronous_client_on_another_loop(self, server: AnthropicServer):
        """It is copied with connections of its own, and left as it was."""
        client = anthropic.AsyncAnthropic(base_url=server.url, api_key=KEY, default_headers={"x-mine": "yes"})

        async def elsewhere() -> None:
            connection = AnthropicClientAdapter(client).connect(own_pool=True)
            await heard(connection)
            await connection.aclose()

        async def here() -> None:
            async with client:
                await heard(AnthropicClientAdapter(client).connect(own_pool=False))
                await asyncio.to_thread(asyncio.run, elsewhere())
                assert not client.is_closed()

        asyncio.run(here())
        assert [request.headers["x-mine"] for request in server.requests] == ["yes", "yes"]
