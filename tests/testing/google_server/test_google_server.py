"""How the server that plays Gemini answers: the wire, the script, the accidents."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from supercompat.testing import (
    EMPTY_CHUNK,
    Gate,
    GoogleServer,
    Usage,
    call,
    drop,
    error,
    reasoning,
    refusal,
    text,
    tool_calls,
)
from tests.testing.google_server.asking import PLAIN, SIGNS, ask, events, path, question

STREAM = path(PLAIN, "streamGenerateContent", "v1")


@pytest.fixture
def server() -> Iterator[GoogleServer]:
    with GoogleServer() as server:
        yield server


def streamed(server: GoogleServer, to: str = STREAM) -> list[Any]:
    status, raw = ask(server, question(), to=to)
    assert status == 200
    return events(raw)


def whole(server: GoogleServer, to: str = path()) -> Any:
    status, raw = ask(server, question(), to=to)
    assert status == 200
    return json.loads(raw)


def parts(chunk: Any) -> Any:
    return chunk["candidates"][0]["content"].get("parts")


def test_a_stream(server: GoogleServer):
    server.reply(text("Hel", EMPTY_CHUNK, "lo").with_usage(Usage(11, 7, 3, 2)))
    first, empty, second, last = streamed(server)
    assert parts(first) == [{"text": "Hel"}]
    assert "finishReason" not in first["candidates"][0]
    assert "candidates" not in empty
    assert parts(second) == [{"text": "lo"}]
    assert last["candidates"][0] == {"content": {"role": "model"}, "index": 0, "finishReason": "STOP"}
    for chunk in (first, empty, second, last):
        assert chunk["modelVersion"] == PLAIN
        assert chunk["responseId"] == first["responseId"]
        assert chunk["usageMetadata"] == {
            "promptTokenCount": 11,
            "candidatesTokenCount": 5,
            "thoughtsTokenCount": 2,
            "cachedContentTokenCount": 3,
            "totalTokenCount": 18,
        }


def test_one_body(server: GoogleServer):
    server.reply((reasoning("Hm.") + text("Hello", finish="length")).with_usage(None))
    body = whole(server)
    assert body["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert parts(body) == [{"text": "Hm.", "thought": True}, {"text": "Hello"}]
    assert "usageMetadata" not in body


def test_calls_come_whole_and_without_an_id(server: GoogleServer):
    gate = Gate()
    gate.open()
    server.reply(tool_calls(call("add", '{"a":', gate, " 1}"), call("now"), call("now", id="mine")))
    said = [parts(chunk) for chunk in streamed(server)[:-1]]
    assert said == [
        [{"functionCall": {"name": "add", "args": {"a": 1}}}],
        [{"functionCall": {"name": "now", "args": {}}}],
        [{"functionCall": {"name": "now", "args": {}, "id": "mine"}}],
    ]


def test_newer_models_sign_the_first_call_and_give_ids(server: GoogleServer):
    server.reply(text("Well.") + tool_calls(call("now"), call("now")))
    said = parts(whole(server, path(SIGNS)))
    assert [("thoughtSignature" in part, "functionCall" in part) for part in said] == [
        (False, False),
        (True, True),
        (False, True),
    ]
    assert all(part["functionCall"]["id"] for part in said[1:])


def test_newer_models_sign_the_end_of_a_text(server: GoogleServer):
    *_, last = streamed(server, path(SIGNS, "streamGenerateContent"))
    (part,) = parts(last)
    assert part["text"] == ""
    assert part["thoughtSignature"]


def test_a_refusal_is_a_prompt_that_was_blocked(server: GoogleServer):
    server.reply(refusal("Not ", "this."), refusal("No."))
    (only,) = streamed(server)
    assert only["promptFeedback"] == {"blockReason": "SAFETY", "blockReasonMessage": "Not this."}
    assert "candidates" not in only
    assert whole(server)["promptFeedback"]["blockReasonMessage"] == "No."


def test_an_echo_by_default(server: GoogleServer):
    body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}, {"text": "there"}]}]}
    _, raw = ask(server, body)
    assert parts(json.loads(raw)) == [{"text": "Hi"}, {"text": " there"}]


@pytest.mark.parametrize(
    ("failure", "status", "word"),
    [
        (error(400), 400, "INVALID_ARGUMENT"),
        (error(400, code="FAILED_PRECONDITION"), 400, "FAILED_PRECONDITION"),
        (error(401), 401, "UNAUTHENTICATED"),
        (error(429), 429, "RESOURCE_EXHAUSTED"),
        (error(500), 500, "INTERNAL"),
        (error(503), 503, "UNAVAILABLE"),
        (error(529), 529, "UNKNOWN"),
    ],
)
def test_errors(server: GoogleServer, failure: Any, status: int, word: str):
    server.reply(failure)
    got, raw = ask(server, question())
    assert (got, json.loads(raw)["error"]["status"]) == (status, word)
    assert "details" not in json.loads(raw)["error"]


def test_an_error_with_a_reason(server: GoogleServer):
    server.reply(error(400, code="API_KEY_INVALID"))
    _, raw = ask(server, question())
    (detail,) = json.loads(raw)["error"]["details"]
    assert detail["reason"] == "API_KEY_INVALID"


def test_an_error_in_mid_stream(server: GoogleServer):
    server.reply(text("a").then_error("Oh no."))
    said, failed = streamed(server)
    assert parts(said) == [{"text": "a"}]
    assert failed["error"]["message"] == "Oh no."


def test_accidents(server: GoogleServer):
    server.reply(text("a").then_malformed(), drop(), text("a").then_drop())
    with pytest.raises(json.JSONDecodeError):
        streamed(server)
    with pytest.raises(OSError, match="Remote end closed"):
        ask(server, question(), to=STREAM)
    with pytest.raises(http.client.IncompleteRead):
        ask(server, question(), to=STREAM)


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_models(version: str):
    with GoogleServer(models=["gemini-a"]) as server:
        _, raw = ask(server, to=f"/{version}/models", method="GET")
        (model,) = json.loads(raw)["models"]
        assert model["name"] == "models/gemini-a"
        assert json.loads(ask(server, to=f"/{version}/models/gemini-a", method="GET")[1]) == model
        for to, method in (("models/other", "GET"), ("models/other:generateContent", "POST")):
            status, raw = ask(server, question(), to=f"/{version}/{to}", method=method)
            assert (status, json.loads(raw)["error"]["status"]) == (404, "NOT_FOUND")


def test_a_refused_request_takes_no_reply(server: GoogleServer):
    server.reply(text("Hello"))
    assert ask(server, {})[0] == 400
    assert server.pending == 1
    assert [request.status for request in server.requests] == [400]
