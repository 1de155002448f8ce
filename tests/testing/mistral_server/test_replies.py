"""How the server that plays Mistral plays the script: judged by Mistral's SDK, and by the bytes where it hides them."""

import json
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any

import pytest
from mistralai.client import Mistral
from mistralai.client.errors import HTTPValidationError, SDKError
from mistralai.client.models import CompletionChunk

from supercompat.testing import (
    EMPTY_CHUNK,
    Gate,
    MistralServer,
    Received,
    Reply,
    Usage,
    call,
    drop,
    error,
    reasoning,
    refusal,
    text,
    tool_calls,
)
from supercompat.testing.mistral_server.bodies import signature
from tests.testing.mistral_server.asking import answer, asked, chunks, question

HELLO: Any = [{"role": "user", "content": "Hi there"}]
ALL = (
    reasoning("Hm, ", "well.")
    + text("Let me ", "look.")
    + tool_calls(call("add", '{"a":', "1}", id="abcDEF123"), call("now"))
)


@pytest.fixture
def client(server: MistralServer) -> Iterator[Mistral]:
    with Mistral(server_url=server.url, api_key="test", timeout_ms=10_000) as client:
        yield client


def streamed(client: Mistral, **more: Any) -> list[CompletionChunk]:
    with client.chat.stream(model="m", messages=HELLO, **more) as events:
        return [event.data for event in events]


def test_the_sdk_reads_a_stream(server: MistralServer, client: Mistral) -> None:
    server.reply(ALL.with_usage(Usage(prompt=9, completion=4, cached=3)))
    *before, last = streamed(client)
    contents = [chunk.choices[0].delta.content for chunk in before]
    assert contents[4:] == ["Let me ", "look."]
    (choice,) = last.choices
    assert choice.finish_reason == "tool_calls"
    calls: Any = choice.delta.tool_calls
    assert [(one.function.name, one.function.arguments, one.index) for one in calls] == [
        ("add", '{"a":1}', 0),
        ("now", "", 1),
    ]
    assert calls[0].id == "abcDEF123"
    assert len(calls[1].id) == 9
    assert last.usage
    assert (last.usage.prompt_tokens, last.usage.total_tokens) == (9, 13)
    assert all(chunk.usage is None for chunk in before)


def test_thinking_is_a_list_and_is_signed(server: MistralServer) -> None:
    server.reply(reasoning("Hm, ", "well.") + text("Hi"))
    _, *thoughts, said, _ = [chunk["choices"][0]["delta"]["content"] for chunk in chunks(server)]
    assert thoughts == [
        [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm, "}]}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": "well."}]}],
        [{"type": "thinking", "thinking": [], "signature": signature("Hm, well.")}],
    ]
    assert said == "Hi"


def test_thinking_alone_is_signed_too(server: MistralServer) -> None:
    server.reply(reasoning("Hm."))
    assert chunks(server)[-2]["choices"][0]["delta"]["content"][0]["signature"] == signature("Hm.")


def test_the_sdk_reads_a_body(server: MistralServer, client: Mistral) -> None:
    server.reply(ALL, text("Hel", EMPTY_CHUNK, "lo", finish="length"), refusal("No."))
    message: Any = client.chat.complete(model="m", messages=HELLO).choices[0].message
    assert [part.type for part in message.content] == ["thinking", "text"]
    assert message.content[0].signature == signature("Hm, well.")
    assert message.content[1].text == "Let me look."
    assert [one.function.arguments for one in message.tool_calls] == ['{"a":1}', ""]
    choice = client.chat.complete(model="m", messages=HELLO).choices[0]
    assert choice.message
    assert (choice.message.content, choice.finish_reason) == ("Hello", "length")
    refused = client.chat.complete(model="m", messages=HELLO).choices[0].message
    assert refused
    assert refused.content == "No."


def test_empty_chunks_and_no_reason(server: MistralServer) -> None:
    server.reply(text("Hel", EMPTY_CHUNK, "lo", finish=None))
    said = chunks(server)
    assert [len(chunk["choices"]) for chunk in said] == [1, 1, 0, 1]


def test_the_last_question_is_the_default(server: MistralServer, client: Mistral) -> None:
    assert "".join(str(chunk.choices[0].delta.content) for chunk in streamed(client)) == "Hi there"


def test_a_function_of_the_request(server: MistralServer) -> None:
    def answered(request: Received) -> Reply:
        return text(request.body["model"])

    server.reply(answered)
    assert answer(server, question())[1]["choices"][0]["message"]["content"] == "mistral-small-latest"


@pytest.mark.parametrize("stream", [False, True])
def test_errors_in_mistral_s_shape(server: MistralServer, stream: bool) -> None:
    server.reply(error(429, "Slow down."), error(400, "No.", code="3051"), error(502, raw="<h1>Bad</h1>"))
    assert answer(server, question(stream=stream)) == (
        429,
        {
            "object": "error",
            "message": "Slow down.",
            "type": "rate_limited",
            "param": None,
            "code": "1300",
            "raw_status_code": 429,
        },
    )
    assert answer(server, question(stream=stream))[1]["code"] == "3051"
    assert asked(server, question(stream=stream)) == (502, b"<h1>Bad</h1>")


def test_the_sdk_s_own_errors(server: MistralServer, client: Mistral) -> None:
    server.reply(error(429, "Slow down."))
    with pytest.raises(SDKError) as failed:
        streamed(client)
    assert (failed.value.status_code, json.loads(failed.value.body)["message"]) == (429, "Slow down.")
    with pytest.raises(HTTPValidationError) as invalid:
        streamed(client, temperature=2)
    assert invalid.value.status_code == 422


def test_an_error_in_the_stream(server: MistralServer) -> None:
    server.reply(text("Hel").then_error("Oh no."))
    status, data = asked(server, question(stream=True))
    *_, last, nothing = data.split(b"\n\n")
    assert (status, nothing) == (200, b"")
    assert json.loads(last.removeprefix(b"data: "))["object"] == "error"
    server.reply(text("Hel").then_error("Oh no."))
    assert answer(server, question())[0] == 500


def test_a_malformed_stream(server: MistralServer) -> None:
    server.reply(text("Hel").then_malformed())
    *_, last, _ = asked(server, question(stream=True))[1].split(b"\n\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(last.removeprefix(b"data: "))


@pytest.mark.parametrize("reply", [drop(), text("Hel").then_drop(), ALL.then_drop()])
@pytest.mark.parametrize("stream", [False, True])
def test_a_dropped_line(server: MistralServer, reply: Reply, stream: bool) -> None:
    server.reply(reply)
    with pytest.raises((OSError, HTTPException)):
        asked(server, question(stream=stream))
    assert not server.requests[0].finished.is_set()


def test_a_gate_in_the_middle(server: MistralServer, client: Mistral) -> None:
    gate = Gate()
    server.reply(text("Hel", gate, "lo"))
    with client.chat.stream(model="m", messages=HELLO) as events:
        next(events)
        assert next(events).data.choices[0].delta.content == "Hel"
        assert gate.reached.wait(5)
        gate.open()
        assert next(events).data.choices[0].delta.content == "lo"


def test_a_client_that_leaves(server: MistralServer, client: Mistral) -> None:
    server.reply(text("Hel").then_hang())
    with client.chat.stream(model="m", messages=HELLO) as events:
        next(events)
    assert server.requests[0].closed.wait(5)


def test_pacing(server: MistralServer) -> None:
    server.reply(text("a", "b", "c").paced(first=0.05, interval=0.05))
    begun = time.monotonic()
    assert len(chunks(server)) == 5
    assert time.monotonic() - begun >= 0.15


def test_closing_ends_its_thread() -> None:
    before = threading.active_count()
    with MistralServer():
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
