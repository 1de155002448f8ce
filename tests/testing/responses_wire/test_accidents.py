"""How a reply waits and fails on the Responses wire, and what the SDKs make of it."""

import asyncio
import json
import time
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from supercompat.testing import (
    EMPTY_CHUNK,
    Gate,
    Reply,
    ScriptedServer,
    Usage,
    call,
    drop,
    error,
    hang,
    reasoning,
    text,
    tool_calls,
)
from tests.testing.openai_server.asking import ask

PATH = "/v1/responses"
GROQ_PATH = "/openai/v1/responses"


def create(client: openai.OpenAI, **more: Any) -> Any:
    responses: Any = client.responses
    return responses.create(model="m", input="Hi", **more)


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("eos", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_how_it_ends(
    server: ScriptedServer, client: openai.OpenAI, finish: str, status: str, reason: str | None
) -> None:
    server.reply(*[text("a", finish=finish)] * 2)

    *_, last = create(client, stream=True)
    whole = create(client)

    for response in (last.response, whole):
        details = response.incomplete_details
        assert (response.status, details and details.reason) == (status, reason)
        assert response.output[0].status == status
        assert (response.completed_at is None) == (status == "incomplete")
    assert last.type == f"response.{status}"


def test_a_failed_response(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(*[text("Hel").then_fail("Too fast.", "rate_limit_exceeded")] * 2)

    *_, last = create(client, stream=True)
    whole = create(client)

    for response in (last.response, whole):
        assert response.status == "failed"
        assert (response.error.code, response.error.message) == ("rate_limit_exceeded", "Too fast.")
        assert response.output[0].status == "incomplete"
    assert last.type == "response.failed"


def test_an_end_that_does_not_come(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(*[text("a", finish=None)] * 2)

    *_, last = create(client, stream=True)

    assert last.type == "response.output_item.done"
    assert create(client).status == "in_progress"


def test_usage(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("a").with_usage(Usage(10, 5, 4, 2)), text("a").with_usage(None))

    assert create(client).usage.to_dict() == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    }
    assert create(client).usage is None


def test_an_empty_chunk_keeps_the_line_alive(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("a", EMPTY_CHUNK, "b"))

    events = list(create(client, stream=True))

    assert [event.type for event in events].count("keepalive") == 1
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_deltas_are_padded_unless_it_is_unwanted(server: ScriptedServer, client: openai.OpenAI) -> None:
    def padded(**more: Any) -> list[bool]:
        events = create(client, stream=True, **more)
        return ["obfuscation" in event.to_dict() for event in events if event.type.endswith(".delta")]

    assert padded() == [True]
    assert padded(stream_options={"include_obfuscation": False}) == [False]


def test_an_error_has_the_same_shape_as_everywhere(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(error(429, "Slow down"))

    with pytest.raises(openai.RateLimitError) as caught:
        create(client, stream=True)

    assert caught.value.code == "rate_limit_exceeded"


def test_an_error_in_mid_stream(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("Hel").then_error("Overloaded", code="server_is_overloaded"))

    *_, told = create(client, stream=True)

    assert (told.type, told.message, told.code) == ("error", "Overloaded", "server_is_overloaded")


def test_an_error_in_mid_stream_in_its_other_form(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("Hel").then_error("Overloaded", code="server_is_overloaded", nested=True))

    with pytest.raises(openai.APIError, match="Overloaded") as caught:
        list(create(client, stream=True))

    assert caught.value.code == "server_is_overloaded"


def test_an_error_in_mid_stream_is_a_500_in_one_body(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("Hel").then_error("Overloaded"))

    with pytest.raises(openai.InternalServerError, match="Overloaded"):
        create(client)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("reply", [drop(), text("Hel").then_drop()], ids=["at once", "half"])
def test_a_dropped_line(server: ScriptedServer, client: openai.OpenAI, reply: Reply, stream: bool) -> None:
    server.reply(reply)

    with pytest.raises(openai.APIConnectionError) as caught:
        list(create(client, stream=stream))

    assert not isinstance(caught.value, openai.APITimeoutError)
    assert not server.requests[0].finished.is_set()


def test_malformed_json(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(*[text("Hel").then_malformed()] * 2)

    with pytest.raises(json.JSONDecodeError):
        list(create(client, stream=True))
    with pytest.raises(json.JSONDecodeError):
        ask(server, {"model": "m", "input": "Hi"}, path=PATH)


def test_silence(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(hang())

    with pytest.raises(openai.APITimeoutError):
        create(client.with_options(timeout=0.2))

    assert server.requests[0].closed.wait(10)


def test_a_gate_and_bytes_in_pieces(server: ScriptedServer, client: openai.OpenAI) -> None:
    gate = Gate()
    server.reply(text("Hel", gate, "lo").cut(1, 7, 300))

    stream = create(client, stream=True)
    assert gate.reached.wait(10)
    gate.open()
    *_, last = stream

    assert last.response.output_text == "Hello"


def test_a_pace_is_kept(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("a", "b").paced(first=0.05, interval=0.02))

    began = time.monotonic()
    list(create(client, stream=True))

    assert time.monotonic() - began >= 0.07


def test_what_nobody_scripted_echoes_the_user(server: ScriptedServer, client: openai.OpenAI) -> None:
    parts: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "In parts"}]},
        {"role": "developer", "content": "Be brief."},
    ]

    assert client.responses.create(model="m", input="Hi there").output_text == "Hi there"
    assert client.responses.create(model="m", input=parts).output_text == "In parts"


def test_accumulated_and_parsed(server: ScriptedServer, client: openai.OpenAI) -> None:

    class Weather(BaseModel):
        city: str

    said = text('{"city":', '"Oslo"}')
    server.reply(said, said, reasoning("Hm.") + tool_calls(call("add", '{"a":', "1}")))

    parsed = client.responses.parse(model="m", input="Hi", text_format=Weather)
    with client.responses.stream(model="m", input="Hi", text_format=Weather) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    with client.responses.stream(model="m", input="Hi") as stream:
        called = stream.get_final_response().output[-1]

    assert parsed.output_parsed == final.output_parsed == Weather(city="Oslo")
    assert snapshots == ['{"city":', '{"city":"Oslo"}']
    assert called.type == "function_call"
    assert called.arguments == '{"a":1}'


async def test_asynchronously(server: ScriptedServer) -> None:
    gate = Gate()
    server.reply(*[text("Hel", gate, "lo")] * 20)

    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="test", timeout=30) as client:
        streams = await asyncio.gather(
            *(client.responses.create(model="m", input="Hi", stream=True) for _ in range(20))
        )
        gate.open()
        said = [[event async for event in one][-1] for one in streams]
        async with client.responses.stream(model="m", input="Bye") as stream:
            final = await stream.get_final_response()

    assert [event.response.output_text for event in said if event.type == "response.completed"] == (
        ["Hello"] * 20
    )
    assert final.output_text == "Bye"


def test_groq_shows_thoughts_as_they_are(server: ScriptedServer) -> None:
    reply = reasoning("Hm, ", "well.") + text("Yes.")
    server.reply(reply, reply)

    with openai.OpenAI(base_url=f"{server.url}/openai/v1", api_key="test") as client:
        events = list(create(client, stream=True))
        thought, said = create(client).output

    assert [event.type for event in events if "reasoning" in event.type] == [
        "response.reasoning_text.delta",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
    ]
    assert thought.content[0].text == "Hm, well."
    assert (thought.summary, thought.status) == ([], "completed")
    assert said.content[0].text == "Yes."
    assert server.requests[0].path == GROQ_PATH
