"""The five steps of CONTRIBUTING.md, walked on a provider that does not exist: each step has its test."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from openai import APIStatusError, OpenAI

from supercompat import async_supercompat, supercompat
from supercompat.client_adapters.registry import Row, adapter_for
from supercompat.errors import ProviderError, UnknownClientError
from supercompat.model.events import (
    Finished,
    TextDelta,
    ToolCallArguments,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from supercompat.model.request import AssistantTurn, ModelRequest, TextPart, ToolCall, ToolTurn, UserTurn
from supercompat.testing import Gate, call, drop, error, text, tool_calls
from tests.client_adapters.asking import NOW, PARAMS, ask, heard
from tests.client_adapters.conftest import happened
from tests.client_adapters.toy_provider import (
    MODELS,
    AnswerReader,
    ToyClient,
    ToyClientAdapter,
    ToyConnection,
    ToyError,
    ToyServer,
    request_body,
)
from tests.contract.blocking import Blocking
from tests.contract.conversations import (
    CLOCK,
    DEADLINE,
    call_ids,
    conversation,
    heard_until,
    names,
    texts,
)
from tests.contract.conversations import heard as all_of

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.fixture
def toy() -> Iterator[ToyServer]:
    with ToyServer() as server:
        yield server


@pytest.fixture
async def sdk(toy: ToyServer) -> AsyncIterator[ToyClient]:
    client = ToyClient(toy.url)
    yield client
    assert not client.http.is_closed
    await client.close()


@pytest.fixture
async def connected(sdk: ToyClient) -> AsyncIterator[ToyConnection]:
    connection = ToyClientAdapter(sdk).connect(own_pool=False)
    yield connection
    await connection.aclose()


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, toy: ToyServer) -> Iterator[OpenAI]:
    with start_blocking_portal("asyncio") as portal:
        inner = ToyClient(toy.url)
        adapter = ToyClientAdapter(inner)
        door: Any = supercompat(client=adapter) if request.param == "sync" else None
        client: Any = door or Blocking(async_supercompat(client=adapter), portal)
        with client:
            yield client
        portal.call(inner.close)


def test_the_steps_are_those_of_the_guide():
    _, _, guide = CONTRIBUTING.read_text().partition("## Add a provider in five steps\n")
    steps = re.findall(r"^(\d)\. \*\*(.+?)\.\*\*", guide.partition("\n## ")[0], re.MULTILINE)
    assert len(steps) == 5
    walked = [name for name in globals() if re.match(r"test_\d_", name)]
    assert walked == [f"test_{number}_{name.lower().replace(' ', '_')}" for number, name in steps]
    headings = re.findall(
        r"^# (\d)\. (.+)$", Path(__file__).with_name("toy_provider.py").read_text(), re.MULTILINE
    )
    assert [heading for heading in headings if heading[0] != "5"] == steps[:4]


def test_1_translate_the_request():
    turns = (
        UserTurn((TextPart("What time "), TextPart("is it?"))),
        AssistantTurn("Let me look.", (ToolCall("c1", "now", "{}"),)),
        ToolTurn("c1", "now", "12:00"),
    )
    request = ModelRequest("toy-1", turns, "Be kind.", (NOW,), max_completion_tokens=9)
    assert request_body(request) == {
        "model": "toy-1",
        "rules": "Be kind.",
        "lines": [
            {"by": "user", "text": "What time is it?"},
            {
                "by": "model",
                "text": "Let me look.",
                "calls": [{"id": "c1", "name": "now", "input": {}}],
            },
            {"by": "tool", "text": "12:00", "call": "c1"},
        ],
        "functions": [{"name": "now", "about": None, "input": NOW.parameters}],
        "words": 9,
    }


def test_2_read_the_answer():
    answer = AnswerReader()
    lines: list[dict[str, Any]] = [
        {"text": "Hm."},
        {"call": {"id": "c1", "name": "now", "input": {"zone": "UTC"}}},
        {"news": "later releases may say more"},
        {"end": "over", "spent": [3, 2]},
    ]
    assert [event for line in lines for event in answer.read(line)] == [
        TextDelta("Hm."),
        ToolCallStarted(0, "c1", "now"),
        ToolCallArguments(0, '{"zone": "UTC"}'),
        UsageReported(Usage(3, 2)),
        Finished("tool_calls"),
    ]
    with pytest.raises(ProviderError, match=r"Oh no\."):
        list(answer.read({"oops": "Oh no."}))


async def test_3_play_the_provider(toy: ToyServer, sdk: ToyClient):
    toy.reply(text("Hel", "lo"))
    body: dict[str, Any] = {"model": "toy-1", "lines": [{"by": "user", "text": "Hi"}]}
    async with sdk.talk(body) as lines:
        assert [line async for line in lines] == [
            '{"text":"Hel"}',
            '{"text":"lo"}',
            '{"end":"over","spent":[11,7]}',
        ]
    unanswered: dict[str, Any] = {"by": "model", "calls": [{"id": "c1", "name": "now", "input": {}}]}
    refused: list[dict[str, Any]] = [{"colour": "red"}, {"lines": [unanswered]}]
    for wrong in refused:
        with pytest.raises(ToyError, match=r"What is|Each call"):
            async with sdk.talk({**body, **wrong}):
                pass
    assert toy.pending == 0


async def test_4_connect_the_client(toy: ToyServer, connected: ToyConnection):
    toy.reply(text("Hello"), error(429, "Slow down."), text("Hel").then_error("Oh no."), drop())
    assert await heard(connected) == [TextDelta("Hello"), UsageReported(Usage(11, 7)), Finished("stop")]
    codes = {"Slow down.": "rate_limit_exceeded", "Oh no.": "server_error", "disconnected": "server_error"}
    for message, code in codes.items():
        with pytest.raises(ProviderError, match=message) as caught:
            await heard(connected)
        assert caught.value.code == code
    gate = Gate()
    toy.reply(text("Hel", gate, "lo"))
    async with connected.stream(ask()) as events:
        assert await anext(events) == TextDelta("Hel")
        await happened(gate.reached)
    await happened(toy.requests[-1].closed)
    async with connected.chat(PARAMS) as answer:
        assert answer.body is not None
        assert answer.body["choices"][0]["message"]["content"] == "Hi there"
    assert [model["id"] for model in await connected.models()] == list(MODELS)
    with pytest.raises(UnknownClientError, match="object is no client"):
        ToyClientAdapter(object())  # pyright: ignore[reportArgumentType]


async def test_5_make_it_known(sdk: ToyClient):
    row = Row("tests.client_adapters.toy_provider", ("ToyClient",), "toy:ToyClientAdapter", "toy")
    assert row.fits(sdk)
    assert not row.fits(ToyServer)
    adapter = ToyClientAdapter(sdk)
    assert adapter_for(adapter) is adapter


def test_a_run_is_streamed(client: OpenAI, toy: ToyServer):
    toy.reply(text("Hel", "lo"))
    asked = conversation(client, model="toy-1", instructions="Be kind.")
    said = all_of(asked.stream())
    assert names(said)[-1] == "thread.run.completed"
    assert said[-1].data["usage"]["total_tokens"] == 18
    assert texts(asked.answers()[0]) == ["Hello"]
    assert toy.requests[0].body["rules"] == "Be kind."


def test_a_run_calls_a_function(client: OpenAI, toy: ToyServer):
    toy.reply(text("Hm. ") + tool_calls(call("get_time", '{"zone":', ' "UTC"}')), text("Noon."))
    asked = conversation(client, "What time is it?", model="toy-1", tools=[CLOCK])
    run = asked.run()
    (call_id,) = call_ids(run)
    assert asked.submit_and_poll(run.id, {call_id: "12:00"}).status == "completed"
    assert [line["by"] for line in toy.requests[1].body["lines"]] == ["user", "model", "tool"]
    assert toy.requests[1].body["lines"][1]["calls"][0]["input"] == {"zone": "UTC"}


def test_a_run_is_cancelled(client: OpenAI, toy: ToyServer):
    toy.reply(text("Hel", "lo").then_hang())
    asked = conversation(client, model="toy-1")
    events = iter(asked.stream())
    asked.cancel(heard_until(events, "thread.message.delta")[0].data["id"])
    assert names(all_of(events))[-1] == "thread.run.cancelled"
    assert toy.requests[0].closed.wait(DEADLINE)


def test_a_run_fails_in_the_provider_s_words(client: OpenAI, toy: ToyServer):
    toy.reply(error(400, "Too many words."))
    run = conversation(client, model="toy-1").run()
    assert run.last_error
    assert (run.status, run.last_error.code) == ("failed", "invalid_prompt")


def test_chat_and_models(client: OpenAI, toy: ToyServer):
    toy.reply(text("Hello"), error(429, "Slow down."))
    ask: Any = {"model": "toy-1", "messages": [{"role": "user", "content": "Hi"}]}
    create: Any = client.chat.completions.create
    assert create(**ask).choices[0].message.content == "Hello"
    with pytest.raises(APIStatusError) as caught:
        create(**ask)
    assert caught.value.status_code == 429
    assert [model.id for model in client.models.list()] == list(MODELS)
