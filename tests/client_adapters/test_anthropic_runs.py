"""Runs that Anthropic's models answer: what is theirs alone, beside test_dialect_runs.py."""

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
    call,
    error,
    reasoning,
    refusal,
    text,
    tool_calls,
)
from tests.contract.conversations import (
    CLOCK,
    WEATHER,
    call_ids,
    conversation,
    texts,
)

MakeClient: TypeAlias = Callable[..., OpenAI]
MODEL = "claude-opus-5-5"


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


@pytest.mark.parametrize(
    ("reply", "code", "message"),
    [
        (error(529, "Overloaded"), "server_error", "Overloaded"),
        (text("Hel").then_error("Overloaded", type="overloaded_error"), "server_error", "Overloaded"),
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
