"""The scripted model: an application's tests, without a provider and without a socket."""

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from supercompat import supercompat
from supercompat.model.request import ModelRequest, TextPart, UserTurn
from supercompat.testing import (
    Gate,
    Reply,
    ScriptedModel,
    Usage,
    call,
    error,
    refusal,
    text,
    tool_calls,
    web_search,
)


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def client(model: ScriptedModel) -> Iterator[OpenAI]:
    with supercompat(client=model) as client:
        yield client


def answer(client: OpenAI, question: str = "Hi") -> str:
    """Ask in a new thread; what the message of the run says."""
    assistant = client.beta.assistants.create(model="any", instructions="Be brief.")
    run = client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": question}]}
    )
    assert run.status == "completed", run.last_error
    return text_of(client, run.thread_id)


def text_of(client: OpenAI, thread_id: str) -> str:
    (content, *_) = client.beta.threads.messages.list(thread_id).data[0].content
    assert content.type == "text"
    return content.text.value


def test_the_script_is_played_in_order_then_the_default(client: OpenAI, model: ScriptedModel) -> None:
    model.reply(text("Hel", "lo"), text("Bye"))

    assert [answer(client), answer(client), answer(client, "Once more")] == ["Hello", "Bye", "Once more"]
    assert model.pending == 0
    assert [request.model for request in model.requests] == ["any"] * 3
    assert model.requests[2].turns == (UserTurn((TextPart("Once more"),)),)
    assert model.requests[2].instructions == "Be brief."


def test_a_reply_may_be_made_from_the_request(client: OpenAI, model: ScriptedModel) -> None:
    def count(request: ModelRequest) -> Reply:
        return text(f"{len(request.turns)} turn")

    model.reply(count)

    assert answer(client) == "1 turn"


def test_calls_usage_and_refusals_are_those_of_the_script(client: OpenAI, model: ScriptedModel) -> None:
    model.reply(
        tool_calls(call("add", '{"a":', "1}"), id_call := call("sub", id="call_1")).with_usage(Usage(5, 4)),
        refusal("I won't."),
    )
    function = {"type": "function", "function": {"name": "add"}}
    assistant = client.beta.assistants.create(model="any", instructions="Count.", tools=[function])  # type: ignore[list-item]
    run = client.beta.threads.create_and_run_poll(assistant_id=assistant.id)
    assert run.required_action
    calls = run.required_action.submit_tool_outputs.tool_calls
    assert [(each.function.name, each.function.arguments) for each in calls] == [
        ("add", '{"a":1}'),
        ("sub", "{}"),
    ]
    assert calls[1].id == id_call.id
    outputs = [{"tool_call_id": each.id, "output": "2"} for each in calls]
    run = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=run.thread_id,
        tool_outputs=outputs,  # type: ignore[arg-type]
    )
    assert run.usage
    assert run.usage.total_tokens == 5 + 4 + 11 + 7
    (content,) = client.beta.threads.messages.list(run.thread_id).data[0].content
    assert content.type == "refusal"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (error(500, "Broken."), "server_error"),
        (error(429, "Slow down."), "rate_limit_exceeded"),
        (error(400, "Too long."), "invalid_prompt"),
        (text("Hel").then_drop(), "server_error"),
        (text("Hel").then_error("Overloaded."), "server_error"),
        (text("Hel", finish=None), "server_error"),
        (web_search("news"), "server_error"),
    ],
)
def test_failures_end_the_run(client: OpenAI, model: ScriptedModel, reply: Reply, code: str) -> None:
    model.reply(reply)
    assistant = client.beta.assistants.create(model="any", instructions="Be brief.")

    run = client.beta.threads.create_and_run_poll(assistant_id=assistant.id)

    assert run.status == "failed"
    assert run.last_error
    assert run.last_error.code == code


def test_a_gate_holds_a_run_in_the_middle(client: OpenAI, model: ScriptedModel) -> None:
    gate = Gate()
    model.reply(text("Hel", gate, "lo"))
    assistant = client.beta.assistants.create(model="any", instructions="Be brief.")
    run = client.beta.threads.create_and_run(assistant_id=assistant.id)
    assert gate.reached.wait(5)
    assert client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id).status == "in_progress"

    gate.open()

    assert client.beta.threads.runs.poll(run.id, thread_id=run.thread_id).status == "completed"
    assert text_of(client, run.thread_id) == "Hello"


def test_chat_completions_are_answered_too(client: OpenAI, model: ScriptedModel) -> None:
    model.reply(text("Hel", "lo"), text("a", "b"), error(400, "No."))
    ask = client.chat.completions

    assert ask.create(model="any", messages=[]).choices[0].message.content == "Hello"
    chunks = ask.create(model="any", messages=[], stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "ab"
    with pytest.raises(openai.BadRequestError, match="No"):
        ask.create(model="any", messages=[])
