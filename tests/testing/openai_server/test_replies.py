"""What a scripted server plays: the wire of a reply, for both SDKs, sync and async."""

import asyncio
from typing import Any

import groq
import openai
import pytest

from supercompat.testing.openai_server import (
    EMPTY_CHUNK,
    Gate,
    Reply,
    ScriptedServer,
    Usage,
    call,
    reasoning,
    refusal,
    text,
    tool_calls,
)
from tests.testing.openai_server.asking import (
    GROQ_PATH,
    HELLO,
    OPENAI_PATH,
    RawStream,
    ask,
    chunks,
    events,
    question,
    stream,
)

WEATHER = tool_calls(
    call("get_weather", '{"city":', '"Oslo"}', id="call_1"), call("get_time", "{}", id="call_2")
)
# Each is played streamed and in one body, which must say the same.
SCRIPTS = {
    "text": text("Hello", " world"),
    "nothing": text(),
    "tools": WEATHER,
    "text then tools": text("Let me look.") + WEATHER,
    "refusal": refusal("I ", "won't."),
    "reasoning": reasoning("Hm, ", "well.") + text("Yes."),
    "empty chunks": text(EMPTY_CHUNK, "a", EMPTY_CHUNK, "b", finish="length"),
}


def folded(raw: bytes) -> dict[str, Any]:
    """The message that a stream's deltas add up to, and the finish reason."""
    message: dict[str, Any] = {}
    finish = None
    for event in events(raw):
        for choice in event["choices"]:
            finish = choice["finish_reason"] or finish
            for name, value in choice["delta"].items():
                _fold(message, name, value)
    return {"message": message, "finish_reason": finish}


def _fold(message: dict[str, Any], name: str, value: Any) -> None:
    if name != "tool_calls":
        message[name] = value if message.get(name) is None or value is None else message[name] + value
        return
    (delta,) = value
    calls = message.setdefault(name, [])
    if delta["index"] == len(calls):
        calls.append({key: delta[key] for key in ("id", "type", "function")})
    else:
        calls[delta["index"]]["function"]["arguments"] += delta["function"]["arguments"]


def test_text_is_streamed_as_openai_does(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("Hello", " world"))

    first, *middle, last = stream(client)

    assert first.object == "chat.completion.chunk"
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
    assert [chunk.choices[0].delta.content for chunk in middle] == ["Hello", " world"]
    assert (last.choices[0].delta.content, last.choices[0].finish_reason) == (None, "stop")
    assert {(c.id, c.created, c.model, c.system_fingerprint) for c in (*middle, last)} == {
        (first.id, first.created, "m", "fp_scripted")
    }
    assert all(chunk.usage is None for chunk in (first, *middle, last))


def test_every_event_is_one_piece_and_the_last_says_done(server: ScriptedServer) -> None:
    server.reply(text("a", "b"))

    with RawStream(server) as raw:
        pieces = chunks(raw.read_all())

    assert all(piece.startswith(b"data: ") and piece.count(b"\n") == 2 for piece in pieces)
    assert pieces[-1] == b"data: [DONE]\n\n"


@pytest.mark.parametrize("path", [OPENAI_PATH, GROQ_PATH])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_a_script_says_the_same_streamed_and_in_one_body(
    server: ScriptedServer, script: Reply, path: str
) -> None:
    server.reply(script, script)

    with RawStream(server, path) as raw:
        said = folded(raw.read_all())
    _, body = ask(server, question(), path=path)

    (choice,) = body["choices"]
    message = {name: value for name, value in choice["message"].items() if value not in (None, "")}
    streamed = {name: value for name, value in said["message"].items() if value not in (None, "")}
    assert (streamed, said["finish_reason"]) == (message, choice["finish_reason"])
    assert body["object"] == "chat.completion"


def test_the_shape_of_one_body(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(WEATHER, text("Hello", " world"))

    called = client.chat.completions.create(model="m", messages=HELLO).choices[0]
    said = client.chat.completions.create(model="m", messages=HELLO)

    assert called.finish_reason == "tool_calls"
    assert called.message.content is None
    assert [c.model_dump(exclude_unset=True) for c in called.message.tool_calls or ()] == [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
        },
        {"id": "call_2", "type": "function", "function": {"name": "get_time", "arguments": "{}"}},
    ]
    assert (said.choices[0].message.content, said.choices[0].message.tool_calls) == ("Hello world", None)
    assert said.usage
    assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (11, 7)


def test_tool_calls_come_in_fragments(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(WEATHER)

    deltas = [c.choices[0].delta.model_dump(exclude_unset=True) for c in stream(client)]

    assert deltas[0] == {"role": "assistant", "content": None, "refusal": None}
    assert [delta["tool_calls"][0] for delta in deltas[1:-1]] == [
        {
            "index": 0,
            "id": "call_1",
            "type": "function",
            "function": {"name": "get_weather", "arguments": ""},
        },
        {"index": 0, "function": {"arguments": '{"city":'}},
        {"index": 0, "function": {"arguments": '"Oslo"}'}},
        {"index": 1, "id": "call_2", "type": "function", "function": {"name": "get_time", "arguments": ""}},
        {"index": 1, "function": {"arguments": "{}"}},
    ]


def test_a_call_without_an_id_gets_a_new_one_each_time(server: ScriptedServer) -> None:
    server.reply(*[tool_calls(call("f"), call("f"))] * 2)

    answers = [ask(server, question())[1]["choices"][0]["message"]["tool_calls"] for _ in range(2)]

    ids = [one["id"] for answer in answers for one in answer]
    assert len(set(ids)) == 4
    assert all(one.startswith("call_") and len(one) <= 40 for one in ids)


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "eos", None])
def test_finish_reasons(server: ScriptedServer, reason: str | None) -> None:
    server.reply(text("a", finish=reason), text("a", finish=reason))

    with RawStream(server) as raw:
        assert folded(raw.read_all())["finish_reason"] == reason
    assert ask(server, question())[1]["choices"][0]["finish_reason"] == reason


def test_a_streams_usage_comes_last_and_only_if_asked_for(
    server: ScriptedServer, client: openai.OpenAI
) -> None:
    server.reply(text("a").with_usage(Usage(prompt=10, completion=5, cached=4, reasoning=2)))

    *chunks, last = stream(client, stream_options={"include_usage": True})

    assert last.choices == []
    assert last.usage
    assert last.usage.model_dump(exclude_unset=True) == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert all("usage" in chunk.model_fields_set for chunk in chunks)


def test_usage_may_be_left_out(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("a").with_usage(None), text("a").with_usage(None))

    assert all(c.usage is None for c in stream(client, stream_options={"include_usage": True}))
    assert client.chat.completions.create(model="m", messages=HELLO).usage is None


def test_empty_chunks_come_where_they_stand(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text(EMPTY_CHUNK, "a", EMPTY_CHUNK, EMPTY_CHUNK, "b"))

    assert [len(chunk.choices) for chunk in stream(client)] == [0, 1, 1, 0, 0, 1, 1]


def test_a_sum_begins_as_its_left_side_and_ends_as_its_right(
    server: ScriptedServer, client: openai.OpenAI
) -> None:
    gate = Gate()
    gate.open()
    left = text("a", finish="length").with_usage(None).after(gate)
    server.reply(left + text("b", finish="content_filter"))

    answer = client.chat.completions.create(model="m", messages=HELLO)

    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.choices[0].message.content == "ab"
    assert answer.usage is not None
    assert gate.reached.is_set()


def test_groq_has_its_path_and_its_usage(server: ScriptedServer, groq_client: groq.Groq) -> None:
    server.reply(reasoning("Hm.") + text("a", "b"))

    *chunks, last = groq_client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
    )

    assert server.requests[0].path == GROQ_PATH
    assert [c.choices[0].delta.reasoning for c in chunks if c.choices[0].delta.reasoning] == ["Hm."]
    assert last.choices[0].finish_reason == "stop"
    assert last.x_groq
    assert last.x_groq.usage
    assert last.x_groq.usage.total_tokens == 18
    assert all(chunk.x_groq is None for chunk in chunks)


def test_groq_answers_in_one_body(server: ScriptedServer, groq_client: groq.Groq) -> None:
    server.reply(WEATHER)

    answer = groq_client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])

    assert [c.function.name for c in answer.choices[0].message.tool_calls or ()] == [
        "get_weather",
        "get_time",
    ]
    assert answer.usage
    assert answer.usage.prompt_tokens == 11


def test_groq_keeps_its_usage_beside_the_one_that_was_asked_for(server: ScriptedServer) -> None:
    with RawStream(server, GROQ_PATH, stream_options={"include_usage": True}) as raw:
        *_, finish, usage = events(raw.read_all())

    assert finish["x_groq"]["usage"] == usage["usage"]
    assert usage["choices"] == []


async def test_asynchronous_sdks(server: ScriptedServer) -> None:
    server.reply(text("Hello", " world"), WEATHER)

    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="test") as client:
        chunks = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        said = [chunk.choices[0].delta.content async for chunk in chunks]
    async with groq.AsyncGroq(base_url=server.url, api_key="test") as client:
        called = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])

    assert said == ["", "Hello", " world", None]
    assert called.choices[0].finish_reason == "tool_calls"


async def test_many_connections_at_once(server: ScriptedServer) -> None:
    gate = Gate()
    server.reply(*[text("a", gate, "b")] * 50)

    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="test", timeout=30) as client:
        streams = await asyncio.gather(
            *(client.chat.completions.create(model="m", messages=HELLO, stream=True) for _ in range(50))
        )
        gate.open()
        said = [[c.choices[0].delta.content async for c in one] for one in streams]

    assert said == [["", "a", "b", None]] * 50


async def test_a_cancelled_call_is_seen_as_closed(server: ScriptedServer) -> None:
    gate = Gate()
    server.reply(text("never").after(gate))

    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="test", timeout=30) as client:
        calling = asyncio.create_task(client.chat.completions.create(model="m", messages=HELLO))
        assert await asyncio.to_thread(gate.reached.wait, 10)
        assert not server.requests[0].closed.is_set()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert await asyncio.to_thread(server.requests[0].closed.wait, 10)

    assert server.requests[0].status is None
    assert not server.requests[0].finished.is_set()
