"""Node and this library write one thread, or one row, at the same time. Node takes no lock of ours."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from supercompat.testing import Gate, ScriptedServer, text
from tests.contract.conversations import outputs
from tests.prisma.conftest import MakeClient
from tests.prisma.node import Node
from tests.prisma.test_together import ACTION, ASKED, WEATHER

MODEL = "gpt-4o-mini"

ODD: Any = {"n": 1, "tags": ["a"]}


def waiting(app: Node, thread: str, assistant: str) -> str:
    """A run of Node's that waits for outputs."""
    run = app.run(thread, assistant, "REQUIRES_ACTION", action=ACTION, tools=[WEATHER])
    app.message(thread, [], "ASSISTANT", assistant=assistant, run=run, calls=[ASKED])
    app.step(thread, assistant, run, [ASKED])
    return run


def test_metadata_that_is_set_again_here(client: OpenAI, app: Node, provider: ScriptedServer) -> None:
    """To what was last written here, where Node has written something else since."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "Hello")
    provider.reply(text("Hi."))
    run = client.beta.threads.runs.create_and_poll(
        thread_id=thread, assistant_id=assistant, model=MODEL, metadata={"by": "python"}
    )
    app.set("Run", run.id, "metadata", {"by": "node"})
    client.beta.threads.runs.update(run.id, thread_id=thread, metadata={"by": "python"})
    assert app.read_run(run.id)["metadata"] == {"by": "python"}


def test_metadata_of_a_run_that_is_taken_on(client: OpenAI, app: Node, provider: ScriptedServer) -> None:
    """What Node has there stays as it is, though the API knows texts alone."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    run = waiting(app, thread, assistant)
    app.set("Run", run, "metadata", ODD)
    provider.reply(text("It is 18 °C."))
    ended = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run, thread_id=thread, tool_outputs=outputs({"call_1": "18 °C"})
    )
    assert (ended.status, ended.metadata) == ("completed", {"n": "1", "tags": '["a"]'})
    assert app.read_run(run)["metadata"] == ODD


@pytest.mark.parametrize("flavour", ["named"])
def test_columns_of_an_assistant_that_do_not_change(client: OpenAI, app: Node) -> None:
    assistant = app.assistant(modelSlug=MODEL, name="Node's")
    app.set("Assistant", assistant, "metadata", ODD)
    client.beta.assistants.update(assistant, instructions="Be kind.")
    [row] = app.rows('SELECT name, instructions, "modelSlug", metadata FROM "Assistant"')
    assert row == {"name": "Node's", "instructions": "Be kind.", "modelSlug": MODEL, "metadata": ODD}


def test_a_run_of_node_s_beside_one_of_ours(client: OpenAI, app: Node, provider: ScriptedServer) -> None:
    """Only one of them can be carried out here."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "Hello")
    gate = Gate()
    provider.reply(text("Hi ", gate, "there."), text("It is 18 °C."))
    runs = client.beta.threads.runs
    with runs.stream(thread_id=thread, assistant_id=assistant, model=MODEL) as stream:
        events = iter(stream)
        next(event for event in events if event.event == "thread.message.delta")
        ours = str(app.messages(thread)[-1]["runId"])
        theirs, under_way = waiting(app, thread, assistant), app.run(thread, assistant, "IN_PROGRESS")
        given: Any = {
            "run_id": theirs,
            "thread_id": thread,
            "tool_outputs": outputs({"call_1": "18 °C"}),
        }
        refused = f"already has an active run {ours}"
        with pytest.raises(openai.BadRequestError, match=refused):
            runs.submit_tool_outputs(**given)
        with pytest.raises(openai.BadRequestError, match=refused):
            runs.cancel(under_way, thread_id=thread)
        assert (app.read_run(theirs)["status"], app.read_run(under_way)["status"]) == (
            "REQUIRES_ACTION",
            "IN_PROGRESS",
        )
        gate.open()
        stream.until_done()
    assert runs.cancel(under_way, thread_id=thread).status == "cancelled"
    assert runs.submit_tool_outputs_and_poll(**given).status == "completed"


def test_a_run_of_node_s_after_it_has_ended_one_of_ours(
    client: OpenAI, app: Node, provider: ScriptedServer
) -> None:
    """What was noted of ours is of no weight then."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "Hello")
    gate = Gate()
    provider.reply(text("Hi ", gate, "there."), text("It is 18 °C."))
    runs = client.beta.threads.runs
    with runs.stream(thread_id=thread, assistant_id=assistant, model=MODEL) as stream:
        events = iter(stream)
        next(event for event in events if event.event == "thread.message.delta")
        app.set("Run", str(app.messages(thread)[-1]["runId"]), "status", "CANCELLED")
        list(events)
    theirs = waiting(app, thread, assistant)
    ended = runs.submit_tool_outputs_and_poll(
        run_id=theirs, thread_id=thread, tool_outputs=outputs({"call_1": "18 °C"})
    )
    assert ended.status == "completed"


def test_nobody_s_turn_while_node_s_run_is_active(
    make_client: MakeClient, app: Node, provider: ScriptedServer
) -> None:
    """A run in line behind one of ours does not begin beside one that Node has begun meanwhile."""
    client = make_client(lease=1, active_run="enqueue")
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "Hello")
    gate = Gate()
    provider.reply(text("Hi ", gate, "there."), text("And hello."))
    runs = client.beta.threads.runs
    with runs.stream(thread_id=thread, assistant_id=assistant, model=MODEL) as stream:
        events = iter(stream)
        next(event for event in events if event.event == "thread.message.delta")
        second = runs.create(thread_id=thread, assistant_id=assistant, model=MODEL)
        theirs = app.run(thread, assistant, "IN_PROGRESS")
        gate.open()
        stream.until_done()
    noted = app.rows("SELECT status FROM supercompat.prisma_runs WHERE id = %(id)s", id=second.id)
    assert (noted, len(provider.requests)) == ([{"status": "enqueued"}], 1)
    app.set("Run", theirs, "status", "COMPLETED")
    assert runs.poll(second.id, thread_id=thread, poll_interval_ms=50).status == "completed"


def test_what_is_not_shown_of_a_run_that_ends_here(client: OpenAI, app: Node) -> None:
    """It stays in Node's rows: what is written is what changes."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    run = app.run(thread, assistant, "IN_PROGRESS")
    content: Any = [{"type": "image_file", "image_file": {"file_id": "file_1"}}]
    message = app.message(thread, content, "ASSISTANT", assistant=assistant, run=run)
    app.set("Message", message, "status", "IN_PROGRESS")
    calls: Any = [{"id": "ci_1", "type": "code_interpreter", "code_interpreter": {"input": "1"}}]
    step = app.step(thread, assistant, run, [ASKED])
    app.set("RunStep", step, "stepDetails", {"type": "tool_calls", "tool_calls": calls})
    assert client.beta.threads.runs.cancel(run, thread_id=thread).status == "cancelled"
    assert client.beta.threads.messages.retrieve(message, thread_id=thread).status == "incomplete"
    [stored] = app.rows('SELECT status::text, "stepDetails" FROM "RunStep"')
    assert stored == {"status": "CANCELLED", "stepDetails": {"type": "tool_calls", "tool_calls": calls}}
    [said] = app.messages(thread)
    assert (said["status"], said["content"]) == ("INCOMPLETE", content)
