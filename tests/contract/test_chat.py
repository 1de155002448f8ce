"""Chat completions: passed through to the provider that serves the model, and back."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, cast

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk

from supercompat import OpenAIClientAdapter
from supercompat.testing import Gate, ScriptedServer, Usage, call, drop, error, hang, text, tool_calls
from tests.contract.conftest import MakeClient
from tests.contract.conversations import DEADLINE
from tests.contract.wire import Json

ASKED: Json = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Grüße 😀"}]},
    ],
    "temperature": 0,
    "max_tokens": 5,
    "stop": ["."],
    "seed": 7,
    "tools": [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    ],
    "tool_choice": "auto",
    "response_format": {"type": "text"},
    "user": "u",
}


def completed(client: OpenAI, **changes: object) -> Json:
    create: Any = client.chat.completions.create
    return create(**{**ASKED, **changes}).to_dict()


def streamed(client: OpenAI, **changes: object) -> Any:
    create: Any = client.chat.completions.create
    return create(**{**ASKED, **changes}, stream=True)


@pytest.mark.core
def test_completion_is_passed_through(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(
        text("Hel", "lo").with_usage(Usage(prompt=12, completion=3, cached=2)), tool_calls(call("f", "{}"))
    )
    answer = completed(client)
    assert provider.requests[0].body == ASKED
    assert answer.pop("id").startswith("chatcmpl-")
    assert answer.pop("created") > 0
    assert answer == {
        "object": "chat.completion",
        "model": "gpt-4o-mini",
        "system_fingerprint": "fp_scripted",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 3,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }
    [called] = completed(client)["choices"][0]["message"]["tool_calls"]
    assert called["function"] == {"name": "f", "arguments": "{}"}


@pytest.mark.core
def test_stream_is_passed_through(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hel", "lo").with_usage(Usage(prompt=12, completion=3)))
    stream = streamed(client, stream_options={"include_usage": True})
    assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
    chunks: list[Json] = [chunk.to_dict() for chunk in stream]
    assert provider.requests[0].body == ASKED | {"stream": True, "stream_options": {"include_usage": True}}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    *spoken, last = chunks
    assert [(chunk["choices"][0]["delta"], chunk["choices"][0]["finish_reason"]) for chunk in spoken] == [
        ({"role": "assistant", "content": "", "refusal": None}, None),
        ({"content": "Hel"}, None),
        ({"content": "lo"}, None),
        ({}, "stop"),
    ]
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 15)


def test_chunks_arrive_as_they_are_sent(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    said: list[str] = []
    with streamed(client) as stream:
        for chunk in cast(Iterator[ChatCompletionChunk], stream):
            said += [choice.delta.content or "" for choice in chunk.choices]
            if said[-1:] == ["Hel"]:
                gate.open()
    assert "".join(said) == "Hello"


def test_leaving_a_stream_closes_the_providers(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hel").then_hang())
    with streamed(client) as stream:
        next(iter(stream))
    assert provider.requests[0].closed.wait(DEADLINE)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_errors_of_the_provider(
    client: OpenAI, provider: ScriptedServer, status: int, kind: type[openai.APIStatusError]
) -> None:
    for ask in (completed, streamed):
        provider.requests.clear()
        provider.reply(error(status, "It is full.", type="some_type", param="p", code="some_code"))
        with pytest.raises(kind) as caught:
            ask(client)
        assert caught.value.status_code == status
        assert caught.value.body == {
            "message": "It is full.",
            "type": "some_type",
            "param": "p",
            "code": "some_code",
        }
        # Asked once: the provider's SDK is told not to retry, and ours never does.
        assert len(provider.requests) == 1


def test_a_provider_that_breaks_off(client: OpenAI, provider: ScriptedServer) -> None:
    for ask in (completed, streamed):
        provider.reply(drop())
        with pytest.raises(openai.InternalServerError) as caught:
            ask(client)
        assert (caught.value.status_code, caught.value.type) == (502, "server_error")
    provider.reply(text("Hel").then_error("It broke.", code="some_code"))
    with pytest.raises(openai.APIError, match=r"It broke\.") as failed:
        list(streamed(client))
    assert failed.value.code == "some_code"
    provider.reply(text("Hel").then_drop())
    with pytest.raises(openai.APIError):
        list(streamed(client))


def test_a_page_that_is_no_answer(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(error(503, raw="<html>Down for maintenance</html>"))
    with pytest.raises(openai.InternalServerError, match="Down for maintenance") as caught:
        completed(client)
    assert caught.value.status_code == 503


@pytest.mark.core
def test_an_answer_that_is_late(
    make_client: MakeClient, provider: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller learns of it, and nothing else goes wrong."""
    client = make_client(timeout=0.2, max_retries=0)
    provider.reply(hang())
    with pytest.raises(openai.APITimeoutError):
        completed(client)
    client.close()
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_aliases(make_client: MakeClient, provider: ScriptedServer) -> None:
    client = make_client(models={"best": "llama-3", "llama-3": "not again"})
    assert completed(client, model="best")["model"] == "best"
    assert {chunk.model for chunk in streamed(client, model="best")} == {"best"}
    assert completed(client, model="gpt-4o")["model"] == "gpt-4o"
    assert [request.body["model"] for request in provider.requests] == ["llama-3", "llama-3", "gpt-4o"]


def test_patterns(make_client: MakeClient) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(ScriptedServer()) for _ in range(3)]
        routes = {
            pattern: OpenAIClientAdapter(
                stack.enter_context(OpenAI(base_url=server.base_url, api_key="test"))
            )
            for pattern, server in zip(("claude-*", "*-mini", "gpt-*"), servers, strict=True)
        }
        client = make_client(client=routes, models={"sonnet": "claude-3"})
        for model in ("claude-mini", "gpt-mini", "gpt-4", "sonnet"):
            assert completed(client, model=model)["model"] == model
        asked = [[request.body["model"] for request in server.requests] for server in servers]
        assert asked == [["claude-mini", "claude-3"], ["gpt-mini"], ["gpt-4"]]
        for ask in (completed, streamed):
            with pytest.raises(openai.NotFoundError) as caught:
                ask(client, model="llama-3")
            assert (caught.value.param, caught.value.code) == ("model", "model_not_found")
        assert sum(len(server.requests) for server in servers) == 4
