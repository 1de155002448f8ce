"""How replies look on Anthropic's wire, as the real SDK reads them and as bytes."""

import json
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import pytest

from supercompat.testing import (
    EMPTY_CHUNK,
    AnthropicServer,
    Gate,
    Usage,
    call,
    drop,
    error,
    hang,
    reasoning,
    refusal,
    text,
    tool_calls,
)

ASK: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi there"}]}
ADD: Any = {"name": "add", "input_schema": {"type": "object"}}


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer() as server:
        yield server


@pytest.fixture
def client(server: AnthropicServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="test", max_retries=0, timeout=10) as client:
        yield client


def create(client: anthropic.Anthropic, **more: Any) -> Any:
    make: Any = client.messages.create
    return make(**{**ASK, **more})


def events(client: anthropic.Anthropic, **more: Any) -> list[Any]:
    return list(create(client, stream=True, **more))


def test_the_events_of_a_stream(server: AnthropicServer, client: anthropic.Anthropic):
    server.reply(
        (
            reasoning("Hm.") + text("Hel", "lo") + tool_calls(call("add", '{"a":', "1}", id="toolu_1"))
        ).with_usage(Usage(11, 7, 3, 2))
    )
    said = [event.to_dict() for event in events(client, tools=[ADD])]
    assert [event["type"].removeprefix("content_block_") for event in said] == [
        "message_start",
        *("start", "delta", "delta", "stop"),
        *("start", "delta", "delta", "stop"),
        *("start", "delta", "delta", "delta", "stop"),
        "message_delta",
        "message_stop",
    ]
    assert said[0]["message"]["usage"] == {
        "input_tokens": 8,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 3,
        "output_tokens": 1,
    }
    assert said[-2]["usage"] == {"output_tokens": 7, "output_tokens_details": {"thinking_tokens": 2}}
    assert said[-2]["delta"]["stop_reason"] == "tool_use"
    kinds = [event["delta"]["type"] for event in said if event["type"] == "content_block_delta"]
    assert kinds[:2] == ["thinking_delta", "signature_delta"]


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_message_streamed_or_not(server: AnthropicServer, client: anthropic.Anthropic, stream: bool):
    reply = reasoning("Hm.") + text("Hello") + tool_calls(call("add", '{"a":1}', id="toolu_1"), call("add"))
    server.reply(reply)
    if stream:
        params: Any = ASK
        with client.messages.stream(**params, tools=[ADD]) as opened:
            message: Any = opened.get_final_message()
    else:
        message = create(client, tools=[ADD])
    thought, words, called, other = message.content
    assert (thought.thinking, bool(thought.signature), words.text) == ("Hm.", True, "Hello")
    assert (called.id, called.name, called.input, other.input) == ("toolu_1", "add", {"a": 1}, {})
    assert other.id.startswith("toolu_")
    assert (message.stop_reason, message.usage.output_tokens) == ("tool_use", 7)


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("content_filter", "refusal"),
        ("pause_turn", "pause_turn"),
    ],
)
def test_stop_reasons(server: AnthropicServer, client: anthropic.Anthropic, finish: str, reason: str):
    server.reply(text("Hello", finish=finish))
    assert create(client).stop_reason == reason


def test_a_refusal(server: AnthropicServer, client: anthropic.Anthropic):
    server.reply(refusal("No."))
    message = create(client)
    assert (message.content, message.stop_reason) == ([], "refusal")
    assert message.stop_details.explanation == "No."


def test_nothing_was_scripted(server: AnthropicServer, client: anthropic.Anthropic):
    assert create(client).content[0].text == "Hi there"


@pytest.mark.parametrize(
    ("status", "kind", "exception"),
    [
        (400, "invalid_request_error", anthropic.BadRequestError),
        (401, "authentication_error", anthropic.AuthenticationError),
        (402, "billing_error", anthropic.PaymentRequiredError),
        (403, "permission_error", anthropic.PermissionDeniedError),
        (404, "not_found_error", anthropic.NotFoundError),
        (413, "request_too_large", anthropic.ContentTooLargeError),
        (429, "rate_limit_error", anthropic.RateLimitError),
        (500, "api_error", anthropic.InternalServerError),
        (504, "timeout_error", anthropic.GatewayTimeoutError),
        (529, "overloaded_error", anthropic.OverloadedError),
    ],
)
def test_errors(server: AnthropicServer, client: anthropic.Anthropic, status: int, kind: str, exception: Any):
    server.reply(error(status, "Oh no."))
    with pytest.raises(exception, match="Oh no") as caught:
        create(client)
    assert caught.value.body["error"] == {"type": kind, "message": "Oh no."}
    assert caught.value.request_id.startswith("req_")


@pytest.mark.parametrize("kind", ["overloaded_error", None])
def test_an_error_in_mid_stream(server: AnthropicServer, client: anthropic.Anthropic, kind: str | None):
    hello = text("Hel")
    server.reply(hello.then_error("Oh no.", type=kind) if kind else hello.then_error("Oh no."))
    said: list[Any] = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        said.extend(create(client, stream=True))
    body: Any = caught.value.body
    assert (caught.value.status_code, body["error"]["type"]) == (200, kind or "api_error")


@pytest.mark.parametrize("reply", [text("Hel").then_drop(), text("Hel").then_malformed(), drop()])
@pytest.mark.parametrize("stream", [False, True])
def test_accidents(server: AnthropicServer, client: anthropic.Anthropic, reply: Any, stream: bool):
    server.reply(reply)
    # What the SDK makes of a stream that breaks off is not always an error of its own.
    with pytest.raises((anthropic.AnthropicError, httpx2.TransportError, json.JSONDecodeError)):
        list(create(client, stream=stream))


def test_gates_and_pings(server: AnthropicServer, client: anthropic.Anthropic):
    gate = Gate()
    server.reply(text("Hel", EMPTY_CHUNK, gate, "lo"))
    stream = iter(create(client, stream=True))
    deltas = [next(stream) for _ in range(3)]
    assert deltas[-1].delta.text == "Hel"
    assert gate.reached.wait(5)
    gate.open()
    assert [event.delta.text for event in stream if event.type == "content_block_delta"] == ["lo"]


def test_leaving_is_seen(server: AnthropicServer, client: anthropic.Anthropic):
    server.reply(text("Hel").then_hang(), hang())
    stream = create(client, stream=True)
    next(iter(stream))
    stream.close()
    assert server.requests[0].closed.wait(5)


def test_a_pace(server: AnthropicServer, client: anthropic.Anthropic):
    server.reply(text("a", "b", "c").paced(first=0.05, interval=0.05))
    began = time.monotonic()
    assert len(events(client)) == 8
    assert time.monotonic() - began >= 0.15


def test_models(client: anthropic.Anthropic):
    with AnthropicServer(models=["claude-opus-5"]) as server:
        known = client.with_options(base_url=server.url)
        assert [model.id for model in known.models.list()] == ["claude-opus-5"]
        assert known.models.retrieve("claude-opus-5").lifecycle == "active"
        with pytest.raises(anthropic.NotFoundError):
            known.models.retrieve("claude-1")
