"""Mistral's real SDK in each of its forms, over real sockets: what is asked, and what comes back when."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from mistralai.azure.client import MistralAzure
from mistralai.client import Mistral
from mistralai.client.chat import Chat
from mistralai.client.utils import BackoffStrategy, RetryConfig
from mistralai.gcp.client import MistralGCP

from supercompat.client_adapters.base import Connection
from supercompat.client_adapters.mistral import MistralClientAdapter
from supercompat.client_adapters.mistral.request import mistral_call_id
from supercompat.client_adapters.registry import adapter_for
from supercompat.errors import ProviderError, UnknownClientError
from supercompat.model.events import (
    Finished,
    ProviderStateReported,
    ReasoningDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from supercompat.model.request import AssistantTurn, ModelRequest, TextPart, ToolCall, ToolTurn, UserTurn
from supercompat.testing import (
    EMPTY_CHUNK,
    Gate,
    MistralServer,
    call,
    drop,
    error,
    reasoning,
    text,
    tool_calls,
)
from supercompat.testing import Usage as ScriptedUsage
from tests.client_adapters.asking import ADD, PARAMS, ask, heard
from tests.client_adapters.conftest import happened, no_tasks, no_threads
from tests.client_adapters.mistral_clients import KEY, KINDS, mistral

#: As fast as the SDK can.
AT_ONCE = RetryConfig("backoff", BackoffStrategy(1, 1, 1, 10_000, jitter_ms=0), retry_connection_errors=True)


@pytest.fixture
def server() -> Iterator[MistralServer]:
    with MistralServer() as server:
        yield server


@pytest.fixture(params=KINDS)
async def client(request: pytest.FixtureRequest, server: MistralServer) -> AsyncIterator[Mistral]:
    async with mistral(request.param, server) as client:
        yield client


@pytest.fixture
async def connection(client: Mistral) -> AsyncIterator[Connection]:
    """Afterwards, no thread and no task may be left."""
    connection = MistralClientAdapter(client).connect(own_pool=False)
    yield connection
    await connection.aclose()
    await no_threads()
    await no_tasks()


async def test_text_with_usage_and_reason(connection: Connection, server: MistralServer):
    server.reply(text("Hel", EMPTY_CHUNK, "lo").with_usage(ScriptedUsage(11, 7, 3, 2)))
    assert await heard(connection) == [
        TextDelta("Hel"),
        TextDelta("lo"),
        UsageReported(Usage(prompt=11, completion=7, cached=3, reasoning=2)),
        Finished("stop"),
    ]
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.requests[0].path == "/v1/chat/completions"


async def test_reasoning_and_calls(connection: Connection, server: MistralServer):
    calls = tool_calls(call("add", '{"a": 1', ', "b": 2}', id="abcDEF123"), call("now", id="abcDEF124"))
    server.reply((reasoning("Hm.") + text("Let me see.") + calls).with_usage(None))
    events = await heard(connection)
    state = next(event for event in events if isinstance(event, ProviderStateReported))
    assert [event for event in events if event is not state] == [
        ReasoningDelta("Hm."),
        TextDelta("Let me see."),
        ToolCallStarted(0, "abcDEF123", "add"),
        ToolCallArguments(0, '{"a": 1, "b": 2}'),
        ToolCallStarted(1, "abcDEF124", "now"),
        ToolCallArguments(1, "{}"),
        Finished("tool_calls"),
    ]


async def test_thinking_and_foreign_calls_are_taken_back(connection: Connection, server: MistralServer):
    """The server looks at the signature, the ids, and the order."""
    server.reply(reasoning("Hm.") + text("Let me see."))
    state = next(e.state for e in await heard(connection) if isinstance(e, ProviderStateReported))
    user = UserTurn((TextPart("Hi"),))
    turns = (
        user,
        AssistantTurn("", (ToolCall("call_1", "add", "{}"),), {"anthropic": {"blocks": []}}),
        ToolTurn("call_1", "add", "3"),
        user,
        AssistantTurn("Let me see.", (ToolCall("abcDEF123", "add", "{}"),), state),
        ToolTurn("abcDEF123", "add", "3"),
    )
    server.reply(text("Three."))
    assert TextDelta("Three.") in await heard(connection, ModelRequest("m", turns, tools=(ADD,)))
    said = server.requests[1].body["messages"]
    roles = [message["role"] for message in said]
    assert roles == ["user", "assistant", "tool", "assistant", "user", "assistant", "tool"]
    assert said[2]["tool_call_id"] == mistral_call_id("call_1")
    assert said[5]["content"] == state["mistral"]["content"]


async def test_the_body_goes_as_it_was_made(connection: Connection, server: MistralServer):
    """The SDK would drop each null from a schema, and what its release does not know."""
    schema = {"type": "object", "properties": {"a": {"type": ["integer", "null"], "default": None}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    async with connection.chat({**PARAMS, "tools": [tool], "reasoning_effort": "xhigh"}):
        pass
    assert server.requests[0].body["tools"][0]["function"]["parameters"] == schema
    assert server.requests[0].body["reasoning_effort"] == "xhigh"


async def test_each_event_arrives_when_it_is_sent(connection: Connection, server: MistralServer):
    gates = [Gate(), Gate()]
    server.reply(text("one", gates[0], "two", gates[1], "three"))
    async with connection.stream(ask()) as events:
        for gate, word in zip(gates, ["one", "two"], strict=True):
            assert await anext(events) == TextDelta(word)
            await happened(gate.reached)
            gate.open()
        assert await anext(events) == TextDelta("three")


@pytest.mark.parametrize("kind", ["client", "async_client"])
async def test_one_connection_serves_many_streams(kind: str, server: MistralServer):
    """The end of a response is read after its last event, or each answer would cost a connection."""
    ports: set[Any] = set()

    def note(response: httpx2.Response) -> None:
        ports.add(response.extensions["network_stream"].get_extra_info("client_addr"))

    async def note_async(response: httpx2.Response) -> None:
        note(response)

    async with mistral(kind, server) as client:
        http: Any = getattr(client.sdk_configuration, kind)
        http.event_hooks = {"response": [note if kind == "client" else note_async]}
        connection = MistralClientAdapter(client).connect(own_pool=False)
        for _ in range(5):
            await heard(connection)
        await connection.aclose()
    assert len(server.requests) == 5
    assert len(ports) == 1


FAILURES = [
    (error(400, "Too long.", code="context_length_exceeded"), "invalid_prompt", 400, "Too long."),
    (error(401, f"Unauthorized: {KEY}."), "server_error", 401, "Unauthorized: …."),
    (error(404, "No such model."), "server_error", 404, "No such model."),
    (error(422, "No."), "invalid_prompt", 422, "No."),
    (error(429, "Slow down."), "rate_limit_exceeded", 429, "Slow down."),
    (error(500, "Oh no."), "server_error", 500, "Oh no."),
    (error(502, raw="<h1>Bad gateway</h1>"), "server_error", 502, "<h1>Bad gateway</h1>"),
    (error(200, raw="<h1>Welcome</h1>"), "server_error", None, "<h1>Welcome</h1>"),
    (drop(), "server_error", None, "Server disconnected"),
    (text("a").then_drop(), "server_error", None, "peer closed connection"),
    (text("a").then_error(f"Broken: {KEY}"), "server_error", None, "Broken: …"),
    (text("a").then_error("Slow.", code="rate_limit_exceeded"), "rate_limit_exceeded", None, "Slow."),
    (text("a").then_malformed(), "server_error", None, "The provider's answer can't be read"),
]


@pytest.mark.parametrize(("reply", "code", "status", "message"), FAILURES)
async def test_failures(
    connection: Connection, server: MistralServer, reply: Any, code: str, status: int | None, message: str
):
    server.reply(reply)
    with pytest.raises(ProviderError) as caught:
        await heard(connection)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.message.startswith(message)
    assert KEY not in f"{caught.value.message} {caught.value.body}"


async def test_what_the_server_finds_invalid(connection: Connection, server: MistralServer):
    with pytest.raises(ProviderError, match=r"less than or equal to 1\.5") as caught:
        await heard(connection, ask(temperature=2))
    assert (caught.value.code, caught.value.status) == ("invalid_prompt", 422)


async def test_nobody_listens(connection: Connection, server: MistralServer):
    server.close()
    with pytest.raises(ProviderError, match=r"(refused|failed)") as caught:
        await heard(connection)
    assert (caught.value.code, caught.value.status) == ("server_error", None)


@pytest.mark.parametrize("kind", KINDS)
async def test_retries_are_those_of_the_client(kind: str, server: MistralServer):
    async with mistral(kind, server, retry_config=AT_ONCE) as client:
        connection = MistralClientAdapter(client).connect(own_pool=False)
        server.reply(error(503), error(429), text("Hello"))
        assert (await heard(connection))[0] == TextDelta("Hello")
        await connection.aclose()
    assert len(server.requests) == 3
    assert server.requests[2].body == server.requests[0].body


class TestTheClient:
    async def test_stays_as_it_was(self, client: Mistral, connection: Connection):
        before = dict(vars(client.sdk_configuration))
        await heard(connection)
        await connection.models()
        assert vars(client.sdk_configuration) == before

    async def test_stays_open(self, client: Mistral, connection: Connection, server: MistralServer):
        await heard(connection)
        await connection.aclose()
        config = client.sdk_configuration
        assert isinstance(config.client, httpx2.Client)
        assert isinstance(config.async_client, httpx2.AsyncClient)
        assert not config.client.is_closed
        assert not config.async_client.is_closed

    @pytest.mark.parametrize("own_pool", [False, True])
    @pytest.mark.parametrize("given", [("client",), ("async_client",), ("client", "async_client"), ()])
    async def test_is_driven_through_what_its_user_gave_to_it(
        self, server: MistralServer, given: tuple[str, ...], own_pool: bool
    ):
        """The asynchronous client on its own loop, if there is one; on another, rather a synchronous one."""
        sync, asynchronous = httpx2.Client(headers={"x": "s"}), httpx2.AsyncClient(headers={"x": "a"})
        http = {"client": sync, "async_client": asynchronous}
        client: Any = Mistral(server_url=server.url, api_key=KEY, **{name: http[name] for name in given})  # type: ignore[arg-type]
        connection = MistralClientAdapter(client).connect(own_pool=own_pool)
        await heard(connection)
        await connection.aclose()
        await asynchronous.aclose()
        sync.close()
        alone: dict[tuple[str, ...], str | None] = {(): None, ("client",): "s", ("async_client",): "a"}
        expected = alone.get(given, "s" if own_pool else "a")
        assert server.requests[0].headers.get("x") == expected

    async def test_is_kept_alive_by_its_connection(self, server: MistralServer):
        client = Mistral(server_url=server.url, api_key=KEY)
        connection = MistralClientAdapter(client).connect(own_pool=False)
        del client
        assert (await heard(connection))[-1] == Finished("stop")
        await connection.aclose()


class TestChat:
    async def test_not_streamed(self, connection: Connection, server: MistralServer):
        server.reply(reasoning("Hm.") + text("Hel", "lo"))
        params = {**PARAMS, "max_completion_tokens": 9, "seed": 7, "user": "me", "stop": "END"}
        async with connection.chat(params) as answer:
            assert answer.body is not None
        assert answer.body["choices"][0]["message"]["content"] == "Hello"
        assert answer.body["usage"]["total_tokens"] == 18
        assert server.requests[0].body == {
            "model": "m",
            "messages": PARAMS["messages"],
            "stream": True,
            "max_tokens": 9,
            "random_seed": 7,
            "stop": ["END"],
        }

    async def test_streamed(self, connection: Connection, server: MistralServer):
        gate = Gate()
        server.reply(text("Hel", gate, "lo"))
        async with connection.chat({**PARAMS, "stream": True}) as answer:
            assert answer.chunks is not None
            await anext(answer.chunks)
            assert (await anext(answer.chunks))["choices"][0]["delta"] == {"content": "Hel"}
            gate.open()
            rest = [chunk async for chunk in answer.chunks]
        assert rest[-1]["choices"][0]["finish_reason"] == "stop"

    async def test_thinking_goes_back_with_its_message(self, connection: Connection, server: MistralServer):
        """The server knows it by its signature."""
        server.reply(reasoning("Hm.") + tool_calls(call("add", "{}")))
        async with connection.chat(PARAMS) as answer:
            assert answer.body is not None
        said = answer.body["choices"][0]["message"]
        assert said["reasoning_content"] == "Hm."
        output = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "3"}
        async with connection.chat({**PARAMS, "messages": [*PARAMS["messages"], said, output]}):
            pass
        replayed = server.requests[1].body["messages"][1]
        assert replayed["content"] == said["provider_state"]["mistral"]["content"]

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_refusal_comes_on_entry(
        self, connection: Connection, server: MistralServer, stream: bool
    ):
        server.reply(error(422, "No."))
        with pytest.raises(ProviderError, match="No\\.") as caught:
            async with connection.chat({**PARAMS, "stream": stream}):
                pytest.fail("was entered")
        assert caught.value.status == 422


@pytest.mark.parametrize("kind", KINDS)
async def test_models(kind: str):
    with MistralServer(models=["one", "two", "one"]) as server:
        async with mistral(kind, server) as client:
            connection = MistralClientAdapter(client).connect(own_pool=False)
            models = await connection.models()
            await connection.aclose()
    assert models == [
        {"id": name, "object": "model", "created": 1715367049, "owned_by": "mistralai"}
        for name in ("one", "two")
    ]


async def test_models_that_can_t_be_listed(connection: Connection, server: MistralServer):
    server.close()
    with pytest.raises(ProviderError):
        await connection.models()


class TestSiblings:
    async def test_azure(self, server: MistralServer):
        client = MistralAzure(api_key=KEY, server_url=server.url, api_version="2025-01-01")
        connection = adapter_for(client).connect(own_pool=True)
        server.reply(text("Hello"))
        assert (await heard(connection))[0] == TextDelta("Hello")
        assert await connection.models() == []
        await connection.aclose()
        assert server.requests[0].path == "/models/chat/completions?api-version=2025-01-01"

    async def test_google_cloud(self, server: MistralServer):
        client = MistralGCP(project_id="p", region="r", access_token=KEY, server_url=server.url)
        connection = adapter_for(client).connect(own_pool=False)
        assert (await heard(connection))[-1] == Finished("stop")
        await connection.aclose()
        path = "/v1/projects/p/locations/r/publishers/mistralai/models/m:streamRawPredict"
        assert server.requests[0].path == path


@pytest.mark.parametrize("kind", ["neither", "client"])
async def test_a_stream_that_a_tracer_wraps(
    monkeypatch: pytest.MonkeyPatch, kind: str, server: MistralServer
):
    """It may hide the response that is under it. Then its events are read, and leaving it still closes the socket."""
    stream, stream_async = Chat.stream, Chat.stream_async

    def traced(self: Chat, **params: Any) -> Any:
        return (event for event in stream(self, **params))

    async def traced_async(self: Chat, **params: Any) -> Any:
        events = await stream_async(self, **params)
        return (event async for event in events)

    monkeypatch.setattr(Chat, "stream", traced)
    monkeypatch.setattr(Chat, "stream_async", traced_async)
    gate = Gate()
    server.reply(text("Hello"), text("Hel", gate, "lo"))
    async with mistral(kind, server) as client:
        connection = MistralClientAdapter(client).connect(own_pool=False)
        assert (await heard(connection))[0] == TextDelta("Hello")
        async with connection.stream(ask()) as events:
            assert await anext(events) == TextDelta("Hel")
            await happened(gate.reached)
        await happened(server.requests[1].closed)
        await connection.aclose()
    await no_threads()


def test_a_bare_client_finds_its_adapter():
    assert type(adapter_for(Mistral(api_key=KEY))) is MistralClientAdapter


def test_an_adapter_refuses_what_it_can_t_wrap():
    with pytest.raises(UnknownClientError, match=r"Mistral, .* not builtins\.object"):
        MistralClientAdapter(object())  # type: ignore[arg-type]
