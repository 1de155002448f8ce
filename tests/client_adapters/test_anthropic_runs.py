"""Runs of the Assistants API that Anthropic's models answer: the whole way, from the openai client to a socket."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import anthropic
import pytest
from anyio.from_thread import start_blocking_portal
from openai import APIStatusError, OpenAI

from supercompat import AnthropicClientAdapter, Options, SQLAlchemyStorageAdapter, supercompat
from supercompat.testing import (
    AnthropicServer,
    Gate,
    Usage,
    call,
    drop,
    error,
    reasoning,
    refusal,
    text,
    tool_calls,
)
from tests.contract.conversations import (
    CLOCK,
    DEADLINE,
    WEATHER,
    call_ids,
    conversation,
    heard,
    heard_until,
    names,
    texts,
)

MakeClient: TypeAlias = Callable[..., OpenAI]
MODEL = "claude-opus-5-5"
PNG = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture
def provider() -> Iterator[AnthropicServer]:
    with AnthropicServer() as server:
        yield server


@pytest.fixture(params=["sync", "async"])
def make_client(
    request: pytest.FixtureRequest, provider: AnthropicServer, tmp_path: Path
) -> Iterator[MakeClient]:
    """Makes clients that share one SQLite file, each with a provider client of its own."""

    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))

        def make(**options: Any) -> OpenAI:
            kind: Any = anthropic.Anthropic if request.param == "sync" else anthropic.AsyncAnthropic
            inner = kind(base_url=provider.url, api_key="test", max_retries=0)
            stack.callback(inner.close) if request.param == "sync" else stack.callback(
                portal.call, inner.close
            )
            storage = SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'assistants.db'}")
            adapter = AnthropicClientAdapter(inner, **options)
            client = supercompat(client=adapter, storage=storage, options=Options(drain=0))
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> OpenAI:
    return make_client()


def blocks(provider: AnthropicServer, number: int) -> list[list[str]]:
    """The kinds of blocks in each message of a request."""
    messages = provider.requests[number].body["messages"]
    return [[block["type"] for block in message["content"]] for message in messages]


def test_text(client: OpenAI, provider: AnthropicServer):
    provider.reply(text("Hel", "lo").with_usage(Usage(11, 7, 3, 2)))
    asked = conversation(client, model=MODEL, instructions="Be kind.")
    events = heard(asked.stream(max_completion_tokens=500))
    assert names(events) == [
        "thread.run.created",
        "thread.run.queued",
        "thread.run.in_progress",
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.message.created",
        "thread.message.in_progress",
        "thread.message.delta*",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
    ]
    run = events[-1].data
    assert run["usage"]["prompt_tokens"] == 11
    assert run["usage"]["completion_tokens"] == 7
    assert texts(asked.answers()[0]) == ["Hello"]
    body = provider.requests[0].body
    assert (body["model"], body["system"], body["max_tokens"]) == (MODEL, "Be kind.", 500)


def test_tools_in_several_rounds(client: OpenAI, provider: AnthropicServer):
    provider.reply(
        reasoning("Time first.") + text("Let me look.") + tool_calls(call("get_time", id="toolu_1")),
        reasoning("Now both.")
        + tool_calls(
            call("get_weather", '{"city":', '"SF"}', id="toolu_2"),
            call("get_weather", '{"city":"LA"}', id="toolu_3"),
        ),
        reasoning("Done.") + text("Sunny."),
        text("Bye."),
    )
    asked = conversation(client, model=MODEL, tools=[CLOCK, WEATHER])
    run = asked.run(reasoning_effort="high")
    assert call_ids(run) == ["toolu_1"]
    run = asked.submit_and_poll(run.id, {"toolu_1": "12:00"})
    assert call_ids(run) == ["toolu_2", "toolu_3"]
    run = asked.submit_and_poll(run.id, {"toolu_3": "cloudy", "toolu_2": "sunny"})
    assert run.status == "completed"
    assert [texts(answer) for answer in asked.answers()] == [["Let me look."], ["Sunny."]]
    asked.ask("Thanks.")
    assert asked.run().status == "completed"
    assert blocks(provider, 2) == [
        ["text"],
        ["thinking", "text", "tool_use"],
        ["tool_result"],
        ["thinking", "tool_use", "tool_use"],
        ["tool_result", "tool_result"],
    ]
    assert blocks(provider, 3)[5:] == [["thinking", "text"], ["text"]]
    outputs = provider.requests[2].body["messages"][-1]["content"]
    assert [(block["tool_use_id"], block["content"]) for block in outputs] == [
        ("toolu_2", "sunny"),
        ("toolu_3", "cloudy"),
    ]


def test_thinking_comes_back_from_another_client(make_client: MakeClient, provider: AnthropicServer):
    """As after a restart: a new client and a new runtime over the same file."""
    provider.reply(reasoning("Hm.") + tool_calls(call("get_time", id="toolu_1")), text("Noon."))
    first = make_client()
    asked = conversation(first, model=MODEL, tools=[CLOCK])
    run = asked.run()
    first.close()
    second = make_client()
    runs = second.beta.threads.runs
    outputs: Any = [{"tool_call_id": "toolu_1", "output": "12:00"}]
    run = runs.submit_tool_outputs_and_poll(run_id=run.id, thread_id=asked.thread_id, tool_outputs=outputs)
    assert run.status == "completed"
    assert blocks(provider, 1) == [["text"], ["thinking", "tool_use"], ["tool_result"]]


def test_other_instructions_cost_the_thinking_but_no_run(client: OpenAI, provider: AnthropicServer):
    """A model that binds its thinking to the conversation would refuse it."""
    provider.reply(reasoning("Hm.") + text("Yes."), text("No."))
    asked = conversation(client, model=MODEL)
    asked.run()
    asked.ask("And?")
    assert asked.run(additional_instructions="Be brief.").status == "completed"
    assert blocks(provider, 1) == [["text"], ["text"], ["text"]]


def test_a_forced_call(client: OpenAI, provider: AnthropicServer):
    provider.reply(text('{"name": "get_weather", "arguments": {"city": "SF"}}'), text("Sunny."))
    asked = conversation(client, model=MODEL, tools=[CLOCK, WEATHER])
    run = asked.run(tool_choice={"type": "function", "function": {"name": "get_weather"}})
    [call_id] = call_ids(run)
    assert asked.submit_and_poll(run.id, {call_id: "sunny"}).status == "completed"
    assert blocks(provider, 1) == [["text"], ["tool_use"], ["tool_result"]]


def test_images(client: OpenAI, provider: AnthropicServer):
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg", "detail": "low"}},
    ]
    asked = conversation(client, content, model=MODEL)
    assert asked.run().status == "completed"
    [message] = provider.requests[0].body["messages"]
    assert message["content"][1:] == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": PNG.partition(",")[2]},
        },
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.jpg"}},
    ]


@pytest.mark.parametrize("kind", ["json_schema", "json_object"])
def test_structured_output(client: OpenAI, provider: AnthropicServer, kind: str):
    provider.reply(text('{"age": 7}'))
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "additionalProperties": False}
    wanted: Any = {"type": kind}
    if kind == "json_schema":
        wanted["json_schema"] = {"name": "person", "schema": schema, "strict": True}
    asked = conversation(client, model=MODEL, response_format=wanted)
    assert asked.run().status == "completed"
    assert json.loads(texts(asked.answers()[0])[0]) == {"age": 7}
    body = provider.requests[0].body
    if kind == "json_schema":
        assert body["output_config"]["format"] == {"type": "json_schema", "schema": schema}
    else:
        assert "JSON object" in body["system"]


def test_cancel_closes_the_socket(client: OpenAI, provider: AnthropicServer):
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    asked = conversation(client, model=MODEL)
    events = iter(asked.stream())
    said = heard_until(events, "thread.message.delta")
    asked.cancel(said[0].data["id"])
    assert names(heard(events))[-1] == "thread.run.cancelled"
    assert provider.requests[0].closed.wait(DEADLINE)


@pytest.mark.parametrize(
    ("reply", "code", "message"),
    [
        (error(400, "prompt is too long: 9 tokens > 8 maximum"), "invalid_prompt", "prompt is too long"),
        (error(401, "invalid x-api-key"), "server_error", "invalid x-api-key"),
        (error(429, "Slow down."), "rate_limit_exceeded", "Slow down."),
        (error(529, "Overloaded"), "server_error", "Overloaded"),
        (text("Hel").then_error("Overloaded", type="overloaded_error"), "server_error", "Overloaded"),
        (text("Hel").then_drop(), "server_error", "peer closed connection"),
        (drop(), "server_error", "Connection error"),
    ],
)
def test_failures(client: OpenAI, provider: AnthropicServer, reply: Any, code: str, message: str):
    provider.reply(reply)
    run = conversation(client, model=MODEL).run()
    assert run.status == "failed"
    assert run.last_error
    assert run.last_error.code == code
    assert message in run.last_error.message


def test_a_refusal(client: OpenAI, provider: AnthropicServer):
    provider.reply(refusal("That could do harm."))
    run = conversation(client, model=MODEL).run()
    assert (run.status, run.incomplete_details and run.incomplete_details.reason) == (
        "incomplete",
        "content_filter",
    )


def test_an_answer_that_is_too_long(client: OpenAI, provider: AnthropicServer):
    provider.reply(text("Hello", finish="length"))
    run = conversation(client, model=MODEL).run(max_completion_tokens=256)
    assert run.incomplete_details
    assert (run.status, run.incomplete_details.reason) == ("incomplete", "max_completion_tokens")


def test_messages_of_the_assistant_come_first_and_last(client: OpenAI, provider: AnthropicServer):
    thread = client.beta.threads.create(messages=[{"role": "assistant", "content": "Welcome."}])
    assistant = client.beta.assistants.create(model=MODEL, instructions="Be kind.")
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.status == "completed"
    assert [message["role"] for message in provider.requests[0].body["messages"]] == [
        "user",
        "assistant",
        "user",
    ]


def test_chat_and_models(make_client: MakeClient):
    with AnthropicServer(models=[MODEL]) as provider:
        inner = anthropic.Anthropic(base_url=provider.url, api_key="test", max_retries=0)
        with inner, supercompat(client=inner) as client:
            assert [model.id for model in client.models.list()] == [MODEL]
            provider.reply(text("Hel", "lo"), text("Hel", "lo"), error(400, "No."))
            ask: Any = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
            create: Any = client.chat.completions.create
            assert create(**ask).choices[0].message.content == "Hello"
            chunks = create(**ask, stream=True)
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
            with pytest.raises(APIStatusError, match=r"No\.") as caught:
                create(**ask)
            assert caught.value.status_code == 400
