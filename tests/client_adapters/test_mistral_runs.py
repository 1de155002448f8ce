"""Runs on Mistral, through both doors, with its real SDK."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anyio.from_thread import start_blocking_portal
from mistralai.client import Mistral
from openai import OpenAI

from supercompat import (
    MistralClientAdapter,
    OpenAIClientAdapter,
    Options,
    SQLAlchemyStorageAdapter,
    async_supercompat,
    supercompat,
)
from supercompat.testing import (
    Failure,
    MistralServer,
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
from tests.client_adapters.mistral_clients import KEY
from tests.contract.blocking import Blocking
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

MakeClient = Callable[..., OpenAI]

PIXEL = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.fixture
def provider() -> Iterator[MistralServer]:
    with MistralServer() as server:
        yield server


#: The door, and the HTTP client that the user gave to the SDK.
SETUPS = [
    "sync-neither",
    "async-async_client",
    pytest.param("sync-client", marks=pytest.mark.slow),
    pytest.param("async-neither", marks=pytest.mark.slow),
    pytest.param("async-client", marks=pytest.mark.slow),
]


@pytest.fixture(params=SETUPS)
def make_client(
    request: pytest.FixtureRequest, provider: MistralServer, tmp_path: Path
) -> Iterator[MakeClient]:
    """Makes clients over one file. What they are given replaces their settings."""
    door, _, given = request.param.partition("-")
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))

        def make(**settings: Any) -> OpenAI:
            http: dict[str, Any] = {}
            if given == "client":
                http["client"] = stack.enter_context(httpx2.Client())
            elif given == "async_client":
                http["async_client"] = httpx2.AsyncClient()
                stack.callback(portal.call, http["async_client"].aclose)
            inner = Mistral(server_url=provider.url, api_key=KEY, **http)
            storage = SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'assistants.db'}")
            settings = {
                "client": MistralClientAdapter(inner),
                "storage": storage,
                "options": Options(drain=0),
                **settings,
            }
            client: Any = supercompat(**settings) if door == "sync" else None
            client = client or Blocking(async_supercompat(**settings), portal)
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> OpenAI:
    return make_client()


def test_text(client: OpenAI, provider: MistralServer) -> None:
    provider.reply(text("Hel", "lo").with_usage(Usage(prompt=12, completion=3, cached=2, reasoning=1)))
    asked = conversation(client, instructions="Be kind.", temperature=0.5)
    said = heard(asked.stream())
    assert names(said)[-3:] == [
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
    ]
    assert said[-1].data["usage"]["total_tokens"] == 15
    assert texts(asked.answers()[0]) == ["Hello"]
    assert provider.requests[0].body["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
    ]
    assert provider.requests[0].body["temperature"] == 0.5


def test_tools_in_several_rounds(client: OpenAI, provider: MistralServer) -> None:
    """Parallel calls, text before calls, and a second question: the server looks at the order and the ids."""
    provider.reply(
        text("Let me look.") + tool_calls(call("get_time"), call("get_weather", '{"city":', '"SF"}')),
        tool_calls(call("get_time")),
        text("Noon, sunny."),
        tool_calls(call("get_time", id="call_odd")),
        text("One."),
    )
    asked = conversation(client, "Time?", tools=[CLOCK, WEATHER])
    run = asked.run(tool_choice="required")
    one, two = call_ids(run)
    run = asked.submit_and_poll(run.id, {two: "Sunny", one: "12:00"})
    run = asked.submit_and_poll(run.id, {call_ids(run)[0]: "12:01"})
    assert run.status == "completed"
    asked.ask("And now?")
    run = asked.run()
    assert call_ids(run) == ["call_odd"]
    assert asked.submit_and_poll(run.id, {"call_odd": "13:00"}).status == "completed"
    assert [texts(answer) for answer in asked.answers()] == [["Let me look."], ["Noon, sunny."], ["One."]]
    choices = [request.body.get("tool_choice") for request in provider.requests]
    assert choices == ["any", None, None, None, None]
    roles = [message["role"] for message in provider.requests[4].body["messages"]]
    tool_round = ["assistant", "tool"]
    assert roles == [
        *["user", "assistant", "assistant", "tool", "tool"],
        *tool_round,
        *["assistant", "user"],
        *tool_round,
    ]
    assert {request.status for request in provider.requests} == {200}


def test_a_question_behind_outputs_that_were_never_answered(client: OpenAI, provider: MistralServer) -> None:
    provider.reply(tool_calls(call("get_time")), error(500, "Oh no."), text("Hello"))
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    assert asked.submit_and_poll(run.id, {call_ids(run)[0]: "12:00"}).status == "failed"
    asked.ask("Still there?")
    assert asked.run().status == "completed"
    roles = [message["role"] for message in provider.requests[2].body["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_the_assistant_spoke_last(client: OpenAI, provider: MistralServer) -> None:
    asked = conversation(client, None, instructions="Be kind.")
    client.beta.threads.messages.create(asked.thread_id, role="assistant", content="Welcome")
    assert asked.run().status == "completed"
    assert asked.run().status == "completed"


def test_images(client: OpenAI, provider: MistralServer) -> None:
    asked = conversation(
        client,
        [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        ],
    )
    assert asked.run().status == "completed"
    (message,) = provider.requests[0].body["messages"]
    assert message["content"][1] == {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}}


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
    ],
)
def test_structured_output(client: OpenAI, provider: MistralServer, wanted: dict[str, Any]) -> None:
    provider.reply(text('{"a"', ": 1}"))
    asked = conversation(client, "As JSON", response_format=wanted)
    assert asked.run().status == "completed"
    assert texts(asked.answers()[0]) == ['{"a": 1}']
    assert provider.requests[0].body["response_format"] == wanted


@pytest.mark.parametrize("reply", [text("Hel", "lo").then_hang(), hang()], ids=["in mid stream", "before"])
def test_a_cancel_closes_the_socket(client: OpenAI, provider: MistralServer, reply: Reply) -> None:
    arrived = threading.Event()

    def answer(_: object) -> Reply:
        arrived.set()
        return reply

    provider.reply(answer)
    asked = conversation(client)
    run = asked.start()
    assert arrived.wait(DEADLINE)
    asked.cancel(run.id)
    assert provider.requests[0].closed.wait(DEADLINE)
    assert asked.poll(run.id).status == "cancelled"
    asked.ask("Again")
    assert asked.run().status == "completed"


def test_a_cancel_in_mid_stream_keeps_what_was_said(client: OpenAI, provider: MistralServer) -> None:
    provider.reply(text("Hel", "lo").then_hang())
    asked = conversation(client)
    events = iter(asked.stream())
    said = heard_until(events, "thread.message.delta") + heard_until(events, "thread.message.delta")
    asked.cancel(said[0].data["id"])
    assert names(heard(events))[-1] == "thread.run.cancelled"
    assert provider.requests[0].closed.wait(DEADLINE)
    assert texts(asked.answers()[0]) == ["Hello"]


@pytest.mark.parametrize("make_client", ["sync-neither"], indirect=True)
def test_a_run_ends_when_its_time_is_over(make_client: MakeClient, provider: MistralServer) -> None:
    client = make_client(options=Options(drain=0, run_expires_after=3))
    provider.reply(text("Hel").then_hang())
    asked = conversation(client)
    assert names(heard(asked.stream()))[-1] == "thread.run.expired"
    assert provider.requests[0].closed.wait(DEADLINE)


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (error(401, "Unauthorized"), "server_error", "Unauthorized"),
        (error(429, "Rate limit exceeded"), "rate_limit_exceeded", "Rate limit exceeded"),
        (error(402, "Pay."), "rate_limit_exceeded", "Pay."),
        (error(400, "Prompt contains too many tokens.", code="3051"), "invalid_prompt", "Prompt contains"),
        (error(422, "Invalid."), "invalid_prompt", "Invalid."),
        (error(503, "Service tier capacity exceeded."), "server_error", "Service tier"),
        (drop(), "server_error", ""),
        (text("Hel").then_drop(), "server_error", ""),
        (text("Hel").then_error("Overloaded."), "server_error", "Overloaded."),
        (text("Hel").then_malformed(), "server_error", "The provider's answer can't be read"),
        (text("Hel", finish="error"), "server_error", "The provider ended the answer with an error"),
        (text("Hel", finish=None), "server_error", "The provider's answer ended before"),
    ],
)
def test_failures(
    client: OpenAI, provider: MistralServer, answer: Reply | Failure, code: str, message: str
) -> None:
    provider.reply(answer)
    asked = conversation(client)
    run = asked.run()
    assert run.status == "failed"
    assert run.last_error
    assert run.last_error.code == code
    assert run.last_error.message.startswith(message)
    assert asked.run().status == "completed"


def test_what_mistral_refuses_fails_the_run_in_its_own_words(client: OpenAI, provider: MistralServer) -> None:
    run = conversation(client, temperature=2).run()
    assert run.last_error
    assert run.last_error.code == "invalid_prompt"
    assert "Input should be less than or equal to 1.5" in run.last_error.message


@pytest.mark.parametrize("finish", ["length", "model_length"])
def test_an_answer_that_was_cut_off(client: OpenAI, provider: MistralServer, finish: str) -> None:
    provider.reply(text("Hel", finish=finish))
    run = conversation(client).run(max_completion_tokens=256)
    assert run.status == "incomplete"
    assert run.incomplete_details
    assert run.incomplete_details.reason == "max_completion_tokens"
    assert provider.requests[0].body["max_tokens"] == 256


def test_thinking_goes_back_in_another_client(make_client: MakeClient, provider: MistralServer) -> None:
    """It is never shown, and the server knows it by its signature."""
    provider.reply(
        reasoning("Hm, ", "a clock.") + text("Let me look.") + tool_calls(call("get_time")),
        reasoning("Easy.") + text("Noon."),
        text("You are welcome."),
    )
    first = make_client()
    asked = conversation(first, tools=[CLOCK])
    run = asked.run(reasoning_effort="high")
    (call_id,) = call_ids(run)
    first.close()

    second = make_client()
    second.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=asked.thread_id, tool_outputs=[{"tool_call_id": call_id, "output": "12:00"}]
    )
    assert provider.requests[0].body["reasoning_effort"] == "high"
    _, thought, answer = provider.requests[1].body["messages"]
    assert [part["type"] for part in thought["content"]] == ["thinking", "text"]
    assert thought["content"][0]["thinking"] == [{"type": "text", "text": "Hm, a clock."}]
    assert thought["content"][0]["signature"]
    assert thought["content"][1]["text"] == "Let me look."
    assert thought["tool_calls"][0]["id"] == answer["tool_call_id"] == call_id
    second.close()

    third = make_client()
    third.beta.threads.messages.create(asked.thread_id, role="user", content="Thanks")
    run = third.beta.threads.runs.create_and_poll(thread_id=asked.thread_id, assistant_id=asked.assistant_id)
    assert run.status == "completed"
    before = provider.requests[2].body["messages"][3]
    assert before["content"][0]["thinking"] == [{"type": "text", "text": "Easy."}]
    shown = [part for message in third.beta.threads.messages.list(asked.thread_id) for part in texts(message)]
    assert not any("clock" in part or "Easy" in part for part in shown)


def test_a_thread_that_goes_from_provider_to_provider(
    make_client: MakeClient, provider: MistralServer
) -> None:
    provider.reply(reasoning("Hm.") + text("Eleven."))
    with (
        ScriptedServer() as elsewhere,
        OpenAI(base_url=elsewhere.base_url, api_key="test", max_retries=0) as other,
    ):
        elsewhere.reply(
            text("Let me look.") + tool_calls(call("get_time", id="call_" + "x" * 24)),
            text("Ten."),
            text("Noon."),
        )
        mistral = Mistral(server_url=provider.url, api_key=KEY)
        client = make_client(client={"gpt-*": OpenAIClientAdapter(other), "*": MistralClientAdapter(mistral)})
        asked = conversation(client, tools=[CLOCK])
        run = asked.run()
        assert asked.submit_and_poll(run.id, {call_ids(run)[0]: "10:00"}).status == "completed"
        asked.ask("And now?")
        assert asked.run(model="mistral-small-latest").status == "completed"
        asked.ask("And now?")
        assert asked.run().status == "completed"
        client.close()
    said = elsewhere.requests[2].body["messages"]
    assert said[1]["tool_calls"][0]["id"] == "call_" + "x" * 24
    assert said[5] == {"role": "assistant", "content": "Eleven."}
