"""One thread, two applications: begun by Node, gone on here, read by Node; and the other way round."""

from datetime import UTC, datetime
from typing import Any

import pytest
from openai import OpenAI
from openai.types.beta import FunctionToolParam

from supercompat.testing import ScriptedServer, call, text, tool_calls
from tests.contract.conversations import call_ids, outputs, texts
from tests.prisma.conftest import MakeClient
from tests.prisma.node import Json, Node

WEATHER: FunctionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}
FUNCTION = {"name": "get_weather", "arguments": "{}"}
ASKED: Json = {"id": "call_1", "type": "function", "function": FUNCTION}
ANSWERED: Json = {**ASKED, "function": {**FUNCTION, "output": "18 °C"}}
ACTION = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [ASKED]}}


def asked_of(provider: ScriptedServer, number: int = -1) -> list[tuple[str, Any]]:
    """The conversation that a request showed to the model."""
    messages = provider.requests[number].body["messages"]
    return [(each["role"], each.get("content") or each["tool_calls"][0]["function"]) for each in messages]


def begun(app: Node) -> tuple[str, str]:
    """An assistant and a thread of Node's, on which it has answered once, with a call."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "How warm is it?")
    run = app.run(thread, assistant, "COMPLETED")
    app.message(thread, [], "ASSISTANT", assistant=assistant, run=run, calls=[ASKED])
    app.step(thread, assistant, run, [ANSWERED])
    app.message(thread, "It is 18 °C.", "ASSISTANT", assistant=assistant, run=run)
    return assistant, thread


def test_begun_there_and_gone_on_here(client: OpenAI, app: Node, provider: ScriptedServer) -> None:
    assistant, thread = begun(app)
    before = app.prompt(thread)
    listed = client.beta.threads.messages.list(thread, order="asc").data
    assert [texts(message) for message in listed] == [["How warm is it?"], [], ["It is 18 °C."]]
    assert listed[2].assistant_id == assistant
    assert client.beta.threads.retrieve(thread).metadata == {"assistantId": assistant}

    asked = client.beta.threads.messages.create(thread, role="user", content="And tomorrow?")
    provider.reply(text("Rain."))
    run = client.beta.threads.runs.create_and_poll(
        thread_id=thread, assistant_id=assistant, model="gpt-4o-mini"
    )
    assert run.status == "completed"
    call = {"name": "get_weather", "arguments": "{}"}
    assert asked_of(provider) == [
        ("user", "How warm is it?"),
        ("assistant", call),
        ("tool", "18 °C"),
        ("assistant", "It is 18 °C."),
        ("user", "And tomorrow?"),
    ]

    assert app.prompt(thread) == [*before, ("user", "And tomorrow?"), ("assistant", "Rain.")]
    *_, question, answer = app.messages(thread)
    assert (str(question["id"]), question["role"], question["runId"]) == (asked.id, "USER", None)
    assert (answer["status"], answer["metadata"], answer["attachments"]) == ("COMPLETED", {}, [])
    assert (str(answer["runId"]), str(answer["assistantId"])) == (run.id, assistant)
    stored = app.read_run(run.id)
    assert (stored["status"], stored["model"], stored["instructions"]) == ("COMPLETED", "gpt-4o-mini", "")
    assert stored["completedAt"] == run.completed_at
    assert stored["expiresAt"] == run.created_at + 600
    assert stored["usage"]["total_tokens"] == run.usage.total_tokens if run.usage else False


def test_calls_made_here_are_read_there(client: OpenAI, app: Node, provider: ScriptedServer) -> None:
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "How warm is it?")
    provider.reply(
        tool_calls(call("get_weather", "{}", id="call_1")),
        text("Let me look again.") + tool_calls(call("get_weather", '{"day":2}', id="call_2")),
        text("It is 18 °C."),
    )
    run = client.beta.threads.runs.create_and_poll(
        thread_id=thread, assistant_id=assistant, model="gpt-4o-mini", tools=[WEATHER]
    )
    for answer in ("18 °C", "20 °C"):
        given = outputs(dict.fromkeys(call_ids(run), answer))
        run = client.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id, thread_id=thread, tool_outputs=given
        )
    assert run.status == "completed"
    # A turn of calls alone is a message without text to Node, as one of its own; here there is none.
    assert app.prompt(thread) == [
        ("user", "How warm is it?"),
        ("assistant", {"name": "get_weather", "arguments": "{}"}),
        ("tool", "18 °C"),
        ("assistant", "Let me look again."),
        ("assistant", {"name": "get_weather", "arguments": '{"day":2}'}),
        ("tool", "20 °C"),
        ("assistant", "It is 18 °C."),
    ]
    listed = client.beta.threads.messages.list(thread, order="asc").data
    said = [["How warm is it?"], ["Let me look again."], ["It is 18 °C."]]
    assert [texts(message) for message in listed] == said
    assert [message["metadata"] for message in app.messages(thread)[1:]] == [{}, {}, {}]


def test_calls_in_the_metadata_if_asked_for(
    make_client: MakeClient, app: Node, provider: ScriptedServer
) -> None:
    client = make_client({"tool_calls_in_metadata": True})
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "How warm is it?")
    provider.reply(text("Let me look.") + tool_calls(call("get_weather", "{}", id="call_1")))
    client.beta.threads.runs.create_and_poll(
        thread_id=thread, assistant_id=assistant, model="gpt-4o-mini", tools=[WEATHER]
    )
    [_, said] = app.messages(thread)
    assert said["metadata"] == {"toolCalls": [ASKED]} == {"toolCalls": said["toolCalls"]}
    # To us they are no metadata, and no change of that takes them away.
    shown = client.beta.threads.messages.update(str(said["id"]), thread_id=thread, metadata={"k": "v"})
    assert shown.metadata == {"k": "v"}
    assert app.messages(thread)[1]["metadata"] == {"k": "v", "toolCalls": [ASKED]}


def test_outputs_given_here_for_calls_made_there(client: OpenAI, app: Node, provider: ScriptedServer) -> None:
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "How warm is it?")
    run = app.run(thread, assistant, "REQUIRES_ACTION", action=ACTION, tools=[WEATHER])
    app.message(thread, [], "ASSISTANT", assistant=assistant, run=run, calls=[ASKED])
    app.step(thread, assistant, run, [ASKED])
    waiting = client.beta.threads.runs.retrieve(run, thread_id=thread)
    assert (waiting.status, call_ids(waiting)) == ("requires_action", ["call_1"])

    provider.reply(text("It is 18 °C."))
    given = outputs({"call_1": "18 °C"})
    ended = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run, thread_id=thread, tool_outputs=given
    )
    assert ended.status == "completed"
    assert asked_of(provider)[1:] == [("assistant", ASKED["function"]), ("tool", "18 °C")]
    assert app.read_run(run)["requiredAction"] is None
    assert app.prompt(thread)[-2:] == [("tool", "18 °C"), ("assistant", "It is 18 °C.")]


def test_outputs_given_there_for_calls_made_here(
    make_client: MakeClient, app: Node, provider: ScriptedServer
) -> None:
    client = make_client(lease=1)
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "How warm is it?")
    provider.reply(tool_calls(call("get_weather", "{}", id="call_1")))
    run = client.beta.threads.runs.create_and_poll(
        thread_id=thread, assistant_id=assistant, model="gpt-4o-mini", tools=[WEATHER]
    )
    app.submit(thread, run.id, {"call_1": "18 °C"})
    # Node carries the run on by now. A runtime that starts looks for runs without an owner, and leaves this one alone.
    another = make_client(lease=1)
    assert another.beta.threads.runs.retrieve(run.id, thread_id=thread).status == "queued"
    assert len(provider.requests) == 1
    app.message(thread, "It is 18 °C.", "ASSISTANT", assistant=assistant, run=run.id)
    app.set("Run", run.id, "status", "COMPLETED")
    assert client.beta.threads.runs.retrieve(run.id, thread_id=thread).status == "completed"
    [step] = client.beta.threads.runs.steps.list(run.id, thread_id=thread).data
    assert step.step_details.type == "tool_calls"
    assert step.status == "completed"


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_both_read_one_order(client: OpenAI, app: Node, order: Any) -> None:
    """Also where Node's clock is ahead, and where it says several things at one moment."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.now = datetime.now(UTC).replace(year=2037)
    ids = [app.message(thread, "one")]
    create = client.beta.threads.messages.create
    ids += [create(thread, role="user", content=content).id for content in ("two", "three")]
    app.now = app.messages(thread)[-1]["createdAt"].replace(tzinfo=UTC)
    ids.append(app.message(thread, "four"))
    assert [str(message["id"]) for message in app.messages(thread)] == ids
    app.tick *= 0
    tied = {app.message(thread, "five") for _ in range(5)}
    listed = [message.id for message in client.beta.threads.messages.list(thread, order=order, limit=2)]
    assert len(listed) == 9
    listed = listed if order == "asc" else listed[::-1]
    # The fourth was written at the moment of those.
    assert listed[:3] == ids[:3]
    assert set(listed[3:]) == {ids[3], *tied}


def test_messages_given_with_a_thread_keep_their_order(client: OpenAI, app: Node) -> None:
    assistant = app.assistant()
    contents = [str(number) for number in range(20)]
    thread = client.beta.threads.create(
        messages=[{"role": "user", "content": content} for content in contents],
        metadata={"assistantId": assistant},
    )
    assert [message["content"][0]["text"]["value"] for message in app.messages(thread.id)] == contents
    assert app.read_thread(thread.id)["assistantId"] == assistant
