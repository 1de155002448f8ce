"""The real SDK, both of its faces, over real sockets: what is asked, and what comes back when."""

import base64
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from google import genai

from supercompat import GoogleClientAdapter
from supercompat.client_adapters.base import Connection
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
from supercompat.model.request import AssistantTurn, ImagePart, TextPart, ToolCall, ToolTurn, UserTurn
from supercompat.testing import (
    EMPTY_CHUNK,
    Gate,
    GoogleServer,
    call,
    drop,
    error,
    reasoning,
    refusal,
    text,
    tool_calls,
)
from supercompat.testing import Usage as ScriptedUsage
from tests.client_adapters.asking import ADD, NOW, heard
from tests.client_adapters.conftest import happened
from tests.client_adapters.on_google import FACES, KEY, PLAIN, SIGNS, ask, client_of, connected, parts

PIXEL = b"\x89PNG\r\n\x1a\n-a-pixel"


@pytest.fixture
def server() -> Iterator[GoogleServer]:
    with GoogleServer() as server:
        yield server


@pytest.fixture(params=FACES)
async def connection(request: pytest.FixtureRequest, server: GoogleServer) -> AsyncIterator[Connection]:
    async with connected(server.url, request.param) as connection:
        yield connection


async def test_text_with_usage_and_reason(connection: Connection, server: GoogleServer):
    server.reply(text("Hel", EMPTY_CHUNK, "lo").with_usage(ScriptedUsage(11, 7, 3, 2)))
    assert await heard(connection, ask(model=PLAIN)) == [
        TextDelta("Hel"),
        TextDelta("lo"),
        UsageReported(Usage(prompt=11, completion=7, cached=3, reasoning=2)),
        Finished("stop"),
    ]
    request = server.requests[0]
    assert request.path.endswith(f"/models/{PLAIN}:streamGenerateContent?alt=sse")
    contents = [{"role": "user", "parts": [{"text": "Hi there"}]}]
    assert request.body == {"contents": contents, "generationConfig": {}}


async def test_reasoning_and_calls(connection: Connection, server: GoogleServer):
    calls = tool_calls(call("add", '{"a": 1', ', "b": 2}', id="one"), call("now", id="two"))
    server.reply((reasoning("Hm.") + text("Let me see.") + calls).with_usage(None))
    *said, state, finished = await heard(connection, ask())
    assert said == [
        ReasoningDelta("Hm."),
        TextDelta("Let me see."),
        ToolCallStarted(0, "one", "add"),
        ToolCallArguments(0, '{"a": 1, "b": 2}'),
        ToolCallStarted(1, "two", "now"),
        ToolCallArguments(1, "{}"),
    ]
    assert isinstance(state, ProviderStateReported)
    assert finished == Finished("tool_calls")


async def test_a_call_without_an_id_gets_one(connection: Connection, server: GoogleServer):
    server.reply(tool_calls(call("now")))
    started = (await heard(connection, ask(model=PLAIN)))[0]
    assert isinstance(started, ToolCallStarted)
    assert started.id.startswith("call_")


async def test_only_one_call_where_only_one_is_wanted(connection: Connection, server: GoogleServer):
    server.reply(tool_calls(call("now", id="one"), call("now", id="two")))
    said = await heard(connection, ask(tools=(NOW,), parallel_tool_calls=False))
    assert [event.id for event in said if isinstance(event, ToolCallStarted)] == ["one"]
    (state,) = (event.state for event in said if isinstance(event, ProviderStateReported))
    assert len(state["google"]["parts"]) == 1


async def test_each_event_arrives_when_it_is_sent(connection: Connection, server: GoogleServer):
    gates = [Gate(), Gate()]
    server.reply(text("one", gates[0], "two", gates[1], "three"))
    async with connection.stream(ask()) as events:
        for gate, word in zip(gates, ["one", "two"], strict=True):
            assert await anext(events) == TextDelta(word)
            await happened(gate.reached)
            gate.open()
        assert await anext(events) == TextDelta("three")


@pytest.mark.parametrize("api_version", ["v1", "v1beta"])
@pytest.mark.parametrize("face", FACES)
async def test_both_versions_of_the_api(server: GoogleServer, face: str, api_version: str):
    async with connected(server.url, face, api_version=api_version) as connection:
        await heard(connection, ask())
    assert server.requests[0].path.startswith(f"/{api_version}/models/")


async def test_an_answer_that_stops_without_a_reason_is_not_finished(
    connection: Connection, server: GoogleServer
):
    server.reply(text("Hel", finish=None).with_usage(None))
    assert await heard(connection, ask()) == [TextDelta("Hel")]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
    ],
)
async def test_finish_reasons(connection: Connection, server: GoogleServer, finish: str, reason: Any):
    server.reply(text("Hel", finish=finish))
    assert (await heard(connection, ask()))[-1] == Finished(reason)


@pytest.mark.parametrize(
    ("reply", "code", "status", "message"),
    [
        (error(400, "Too long."), "invalid_prompt", 400, "Too long."),
        (error(400, "Wrong key.", code="API_KEY_INVALID"), "server_error", 400, "Wrong key."),
        (error(400, "Not in your country.", code="FAILED_PRECONDITION"), "server_error", 400, "Not in your"),
        (error(403, f"No: {KEY}."), "server_error", 403, "No: "),
        (error(404, "No such model."), "server_error", 404, "No such model."),
        (error(429, "Slow down."), "rate_limit_exceeded", 429, "Slow down."),
        (error(500, "Oh no."), "server_error", 500, "Oh no."),
        (error(502, raw="<h1>Bad gateway</h1>"), "server_error", 502, "<h1>Bad gateway</h1>"),
        (error(503, "Overloaded."), "server_error", 503, "Overloaded."),
        (drop(), "server_error", None, "Server disconnected"),
        (text("a").then_drop(), "server_error", None, "peer closed connection"),
        (text("a").then_error("Broken."), "server_error", 500, "Broken."),
        (
            text("a").then_error("Slow.", code="RESOURCE_EXHAUSTED"),
            "rate_limit_exceeded",
            500,
            "Slow.",
        ),
        (text("a").then_malformed(), "server_error", None, "Failed to parse response as JSON"),
        (refusal("Not this."), "invalid_prompt", 400, "The prompt was blocked (SAFETY): Not this."),
        (
            text("a", finish="MALFORMED_FUNCTION_CALL"),
            "server_error",
            None,
            "The model ended its answer with",
        ),
        (text("a", finish="OTHER"), "server_error", None, "The model ended its answer with OTHER"),
    ],
)
async def test_failures(
    connection: Connection, server: GoogleServer, reply: Any, code: str, status: int | None, message: str
):
    server.reply(reply)
    with pytest.raises(ProviderError) as caught:
        await heard(connection, ask())
    assert (caught.value.code, caught.value.status) == (code, status)
    assert caught.value.message.startswith(message)
    assert KEY not in f"{caught.value.message} {caught.value.body}"
    assert len(server.requests) == 1


async def test_an_answer_of_another_shape_is_the_provider_s_failure(
    connection: Connection, server: GoogleServer, monkeypatch: pytest.MonkeyPatch
):
    def odd(*_: Any) -> dict[str, Any]:
        return {"content": {"parts": [{"text": ["a", "b"]}]}}

    monkeypatch.setattr("supercompat.testing.google_server.bodies._candidate", odd)
    with pytest.raises(ProviderError, match="validation error") as caught:
        await heard(connection, ask())
    assert caught.value.code == "server_error"


async def test_a_failure_names_its_cause(server: GoogleServer):
    async with connected(server.url, "loop") as connection:
        server.close()
        with pytest.raises(ProviderError, match=r"attempts failed|refused") as caught:
            await heard(connection, ask())
    assert caught.value.status is None


@pytest.mark.parametrize("face", FACES)
async def test_retries_are_the_sdk_s(server: GoogleServer, face: str):
    server.reply(error(503), text("Hello"))
    retries = {"attempts": 2, "initial_delay": 0.001, "jitter": 0.001}
    async with connected(server.url, face, retry_options=retries) as connection:
        assert (await heard(connection, ask()))[0] == TextDelta("Hello")
    assert len(server.requests) == 2


@pytest.mark.parametrize("face", FACES)
async def test_a_tool_loop_gives_the_signatures_back(server: GoogleServer, face: str):
    """The server refuses a call without the genuine signature, on whichever connection it comes."""
    server.reply(text("Let me see. ") + tool_calls(call("add", '{"a": 1, "b": 2}'), call("now")))
    async with connected(server.url, face) as connection:
        events = await heard(connection, ask(tools=(ADD, NOW)))
    calls = [event for event in events if isinstance(event, ToolCallStarted)]
    (state,) = (event.state for event in events if isinstance(event, ProviderStateReported))
    history = (
        UserTurn((TextPart("Add."),)),
        AssistantTurn(
            "Let me see. ",
            (ToolCall(calls[0].id, "add", '{"a": 1, "b": 2}'), ToolCall(calls[1].id, "now", "{}")),
            state,
        ),
        ToolTurn(calls[0].id, "add", "3"),
        ToolTurn(calls[1].id, "now", "noon"),
    )
    async with connected(server.url, face) as connection:
        assert (await heard(connection, ask(turns=history, tools=(ADD, NOW))))[-1] == Finished("stop")
    assert server.requests[-1].status == 200
    said, answers = parts(server.requests[-1].body, 1), parts(server.requests[-1].body, 2)
    assert [part.get("text") or part["functionCall"]["name"] for part in said] == [
        "Let me see. ",
        "add",
        "now",
    ]
    assert [part["functionResponse"]["response"] for part in answers] == [{"result": "3"}, {"result": "noon"}]


async def test_images_in_data_urls(connection: Connection, server: GoogleServer):
    url = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    await heard(connection, ask(turns=(UserTurn((TextPart("What?"), ImagePart(url))),)))
    image = parts(server.requests[0].body)[1]["inlineData"]
    assert image["mimeType"] == "image/png"
    assert base64.urlsafe_b64decode(image["data"]) == PIXEL


async def test_images_that_are_none(connection: Connection, server: GoogleServer):
    with pytest.raises(ProviderError, match="not in base64") as caught:
        await heard(connection, ask(turns=(UserTurn((ImagePart("data:image/png;base64,???"),)),)))
    assert (caught.value.code, caught.value.status) == ("invalid_prompt", 400)
    assert not server.requests


class TestChat:
    PARAMS: dict[str, Any] = {"model": SIGNS, "messages": [{"role": "user", "content": "Hi"}]}  # noqa: RUF012

    async def test_a_completion(self, connection: Connection, server: GoogleServer):
        server.reply(text("Hel", "lo"))
        params = {**self.PARAMS, "seed": 7, "stop": ["END"], "temperature": 0.5}
        async with connection.chat(params) as answer:
            assert answer.body is not None
        assert answer.body["choices"][0]["message"]["content"] == "Hello"
        assert answer.body["usage"]["total_tokens"] == 18
        config = server.requests[0].body["generationConfig"]
        assert config == {"temperature": 0.5, "stopSequences": ["END"]}

    async def test_chunks(self, connection: Connection, server: GoogleServer):
        server.reply(tool_calls(call("now", id="one")))
        async with connection.chat({**self.PARAMS, "stream": True}) as answer:
            assert answer.chunks is not None
            chunks = [chunk async for chunk in answer.chunks]
        assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_refusal_comes_on_entry(self, connection: Connection, server: GoogleServer, stream: bool):
        server.reply(error(422, "No."))
        with pytest.raises(ProviderError, match="No\\.") as caught:
            async with connection.chat({**self.PARAMS, "stream": stream}):
                pytest.fail("was entered")
        assert caught.value.status == 422


@pytest.mark.parametrize("face", FACES)
async def test_models(face: str):
    with GoogleServer(models=["gemini-a", "gemini-b"]) as server:
        async with connected(server.url, face) as connection:
            models = await connection.models()
    assert models[0] == {"id": "gemini-a", "object": "model", "created": 0, "owned_by": "google"}
    assert [model["id"] for model in models] == ["gemini-a", "gemini-b"]


async def test_the_adapter_keeps_the_client_alive(server: GoogleServer):
    """A `genai.Client` that nobody refers to closes its pool."""
    adapter = GoogleClientAdapter(client_of(server.url))
    connection = adapter.connect(own_pool=True)
    assert await heard(connection, ask())
    await connection.aclose()


def test_half_a_client_is_refused():
    client = genai.Client(api_key=KEY)
    with pytest.raises(UnknownClientError, match=r"google\.genai\.Client"):
        adapter_for(client.aio)
    with pytest.raises(UnknownClientError, match=r"the client itself, not its \.aio"):
        GoogleClientAdapter(client.aio)  # pyright: ignore[reportArgumentType]
    client.close()
