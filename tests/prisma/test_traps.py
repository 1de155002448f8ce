"""What Prisma's schema has no room for, and what both sides may do to one row."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from supercompat.testing import Gate, ScriptedServer, text
from tests.contract.conversations import DEADLINE, texts
from tests.prisma.conftest import MakeClient
from tests.prisma.node import Node

MODEL = "gpt-4o-mini"


def stored(app: Node, table: str, id: str) -> dict[str, Any]:
    statement = {
        "Message": 'SELECT * FROM "Message" WHERE id = %(id)s',
        "Run": 'SELECT * FROM "Run" WHERE id = %(id)s',
    }
    return app.rows(statement[table], id=id)[0]  # pyright: ignore[reportArgumentType]


def test_an_incomplete_run(client: OpenAI, app: Node, provider: ScriptedServer) -> None:
    """Prisma's enum has no such status: Node reads that it failed."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "Hello")
    provider.reply(text("Once upon", finish="length"))
    run = client.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant, model=MODEL)
    assert run.status == "incomplete"
    assert app.read_run(run.id)["status"] == "FAILED"
    shown = client.beta.threads.runs.retrieve(run.id, thread_id=thread)
    assert shown == run
    assert shown.incomplete_details
    # What Node makes of a run since is what counts.
    app.set("Run", run.id, "status", "CANCELLED")
    assert client.beta.threads.runs.retrieve(run.id, thread_id=thread).status == "cancelled"


def test_a_run_without_instructions(client: OpenAI, app: Node, provider: ScriptedServer) -> None:
    assistant = client.beta.assistants.create(model=MODEL)
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hello"}])
    provider.reply(text("Hi."))
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.status == "completed"
    assert app.read_run(run.id)["instructions"] == ""
    assert [message["role"] for message in provider.requests[0].body["messages"]] == ["user"]


@pytest.mark.parametrize("named", [None, "asst_nobody", "00000000-0000-4000-8000-000000000000"])
def test_a_thread_without_an_assistant(
    client: OpenAI, app: Node, provider: ScriptedServer, flavour: str, named: str | None
) -> None:
    """It has a placeholder, which nobody is shown, until its first run."""
    thread = client.beta.threads.create(
        messages=[{"role": "user", "content": "Hello"}], metadata={"assistantId": named} if named else {}
    )
    placeholder = app.read_thread(thread.id)["assistantId"]
    assert (placeholder is None) == (flavour == "named")
    assert client.beta.assistants.list().data == []
    if placeholder is not None:
        with pytest.raises(openai.NotFoundError):
            client.beta.assistants.retrieve(placeholder)
    assistant = client.beta.assistants.create(model=MODEL)
    provider.reply(text("Hi."))
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.status == "completed"
    assert app.read_thread(thread.id)["assistantId"] == assistant.id
    # Another one's run changes nothing of that.
    provider.reply(text("Hi."))
    second = client.beta.assistants.create(model=MODEL)
    client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=second.id)
    assert app.read_thread(thread.id)["assistantId"] == assistant.id


def test_a_deleted_assistant_takes_no_thread_along(client: OpenAI, app: Node) -> None:
    used, unused = client.beta.assistants.create(model=MODEL), client.beta.assistants.create(model=MODEL)
    thread = app.thread(used.id)
    message = app.message(thread, "Hello")
    for assistant in (used, unused):
        assert client.beta.assistants.delete(assistant.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.beta.assistants.retrieve(assistant.id)
        with pytest.raises(openai.NotFoundError):
            client.beta.assistants.delete(assistant.id)
        with pytest.raises(openai.NotFoundError):
            client.beta.threads.runs.create(thread_id=thread, assistant_id=assistant.id)
    assert client.beta.assistants.list().data == []
    assert [each.id for each in client.beta.threads.messages.list(thread)] == [message]
    left = app.rows('SELECT id::text FROM "Assistant"')
    assert [row["id"] for row in left] == [used.id]


def test_two_columns_of_one_row(client: OpenAI, app: Node, provider: ScriptedServer) -> None:
    """Node changes the metadata of a run, and of its message, while both are written here."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "Hello")
    gate = Gate()
    provider.reply(text("Hi ", gate, "there."))
    with client.beta.threads.runs.stream(
        thread_id=thread, assistant_id=assistant, model=MODEL, metadata={"by": "python"}
    ) as stream:
        events = iter(stream)
        next(event for event in events if event.event == "thread.message.delta")
        [_, message] = app.messages(thread)
        run = str(message["runId"])
        app.set("Message", str(message["id"]), "metadata", {"by": "node"})
        app.set("Run", run, "metadata", {"by": "node", "n": 1})
        gate.open()
        stream.until_done()
    [_, message] = app.messages(thread)
    assert (message["status"], message["metadata"]) == ("COMPLETED", {"by": "node"})
    assert (app.read_run(run)["status"], app.read_run(run)["metadata"]) == (
        "COMPLETED",
        {"by": "node", "n": 1},
    )
    assert client.beta.threads.runs.retrieve(run, thread_id=thread).metadata == {"by": "node", "n": "1"}
    changed = client.beta.threads.runs.update(run, thread_id=thread, metadata={"by": "both"})
    assert changed.metadata == app.read_run(run)["metadata"] == {"by": "both"}


def test_what_was_changed_says_when(client: OpenAI, app: Node) -> None:
    thread = client.beta.threads.create()
    before = app.read_thread(thread.id)
    client.beta.threads.update(thread.id, metadata={"k": "v"})
    after = app.read_thread(thread.id)
    assert after["metadata"] == {"k": "v"}
    assert after["updatedAt"] > before["updatedAt"] >= before["createdAt"].replace(microsecond=0)
    assert after["createdAt"] == before["createdAt"]


def test_what_jsonb_can_not_hold(client: OpenAI, app: Node) -> None:
    """It is in the side row as it was given, as long as nobody changes Prisma's."""
    thread = client.beta.threads.create()
    message = client.beta.threads.messages.create(thread.id, role="user", content="a\0b")
    [row] = app.messages(thread.id)
    assert row["content"][0]["text"]["value"] == "a\ufffdb"
    assert texts(client.beta.threads.messages.retrieve(message.id, thread_id=thread.id)) == ["a\0b"]
    app.set("Message", message.id, "content", [{"type": "text", "text": {"value": "c", "annotations": []}}])
    assert texts(client.beta.threads.messages.retrieve(message.id, thread_id=thread.id)) == ["c"]


def test_the_order_of_keys_that_a_model_reads(client: OpenAI, app: Node, provider: ScriptedServer) -> None:
    parameters = {"type": "object", "properties": {"zebra": {"type": "string"}, "ant": {"type": "string"}}}
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    assistant = client.beta.assistants.create(model=MODEL, tools=[tool])
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hello"}])
    provider.reply(text("Hi."))
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    sent = provider.requests[0].body["tools"][0]["function"]["parameters"]["properties"]
    assert list(sent) == ["zebra", "ant"]
    held = app.read_run(run.id)["tools"][0]["function"]["parameters"]["properties"]
    assert list(held) == ["ant", "zebra"]


def test_what_node_stores_and_the_api_has_not(client: OpenAI, app: Node) -> None:
    assistant = app.assistant()
    thread = app.thread(assistant)
    content = [
        {"type": "image_file", "image_file": {"file_id": "file_1"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "text", "text": "plain"},
    ]
    app.message(thread, content, metadata={"n": 1, "none": None, "list": ["a"]})
    app.message(thread, "no metadata", metadata=None)
    tools = [{"type": "file_search"}, {"type": "function", "function": {"name": "f"}}]
    run = app.run(thread, assistant, "FAILED", tools=tools)
    app.set("Run", run, "lastError", {"code": "odd", "message": "What?"})
    second, first = client.beta.threads.messages.list(thread).data
    assert [part.type for part in first.content] == ["image_url", "text"]
    assert (first.metadata, second.metadata) == ({"n": "1", "list": '["a"]'}, {})
    shown = client.beta.threads.runs.retrieve(run, thread_id=thread)
    assert [tool.type for tool in shown.tools] == ["function"]
    assert shown.last_error
    assert (shown.last_error.code, shown.last_error.message) == ("server_error", "What?")
    assert (shown.temperature, shown.tool_choice, shown.parallel_tool_calls) == (1.0, "auto", True)


def test_an_assistant_of_node_s(client: OpenAI, app: Node, flavour: str) -> None:
    """Without a model it needs one with each run, as it does there."""
    has_model = flavour in ("text", "named")
    assistant = app.assistant(**({"modelSlug": "gpt-4o", "instructions": "Be kind."} if has_model else {}))
    shown = client.beta.assistants.retrieve(assistant)
    assert (shown.model, shown.instructions) == (("gpt-4o", "Be kind.") if has_model else ("", None))
    if not has_model:
        thread = app.thread(assistant)
        app.message(thread, "Hello")
        with pytest.raises(openai.BadRequestError, match="model '' does not exist"):
            client.beta.threads.runs.create(thread_id=thread, assistant_id=assistant)
    changed = client.beta.assistants.update(assistant, name="Kind", temperature=0.5, model=MODEL)
    assert (changed.name, changed.temperature, changed.model) == ("Kind", 0.5, MODEL)
    assert client.beta.assistants.retrieve(assistant) == changed
    if has_model:
        [row] = app.rows('SELECT * FROM "Assistant"')
        assert (row["modelSlug"], row.get("name", "Kind")) == (MODEL, "Kind")
        app.set("Assistant", assistant, "modelSlug", "gpt-5")
        assert client.beta.assistants.retrieve(assistant).model == "gpt-5"


# Runs of both


def test_nobody_takes_a_run_of_node_s_over(
    make_client: MakeClient, app: Node, provider: ScriptedServer
) -> None:
    """It locks its thread until its time is over, and ends then."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "Hello")
    run = app.run(thread, assistant, "IN_PROGRESS")
    client = make_client(lease=1)
    with pytest.raises(openai.BadRequestError, match="already has an active run"):
        client.beta.threads.runs.create(thread_id=thread, assistant_id=assistant, model=MODEL)
    with pytest.raises(openai.BadRequestError, match="while a run"):
        client.beta.threads.messages.create(thread, role="user", content="Hello?")
    assert client.beta.threads.runs.retrieve(run, thread_id=thread).status == "in_progress"
    assert provider.requests == []
    app.set("Run", run, "expiresAt", 1_000_000_000)
    provider.reply(text("Hi."))
    gone_on = client.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant, model=MODEL)
    assert gone_on.status == "completed"
    assert app.read_run(run)["status"] == "EXPIRED"
    assert len(provider.requests) == 1


def test_node_cancels_a_run_of_ours(client: OpenAI, app: Node, provider: ScriptedServer) -> None:
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "Hello")
    gate = Gate()
    provider.reply(text("Hi ", gate, "there."))
    with client.beta.threads.runs.stream(thread_id=thread, assistant_id=assistant, model=MODEL) as stream:
        events = iter(stream)
        next(event for event in events if event.event == "thread.message.delta")
        run = str(app.messages(thread)[-1]["runId"])
        app.set("Run", run, "status", "CANCELLING")
        assert [event.event for event in events][-1] == "thread.run.cancelled"
    assert provider.requests[0].closed.wait(DEADLINE)
    assert app.read_run(run)["status"] == "CANCELLED"
    assert app.messages(thread)[-1]["status"] == "INCOMPLETE"


def test_in_line_behind_a_run_that_node_ends(
    make_client: MakeClient, app: Node, provider: ScriptedServer
) -> None:
    """To Node a run that stands in line is queued. Nobody says here that it is its turn: it is found by looking."""
    client = make_client(lease=1, active_run="enqueue")
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "Hello")
    run = app.run(thread, assistant, "IN_PROGRESS")
    provider.reply(text("Hi."))
    second = client.beta.threads.runs.create(thread_id=thread, assistant_id=assistant, model=MODEL)
    assert (second.status, app.read_run(second.id)["status"]) == ("queued", "QUEUED")
    assert provider.requests == []
    app.set("Run", run, "status", "COMPLETED")
    ended = client.beta.threads.runs.poll(second.id, thread_id=thread, poll_interval_ms=50)
    assert ended.status == "completed"


@pytest.mark.parametrize("table", ["Thread", "Assistant"])
def test_node_deletes_a_thread_in_mid_run(
    client: OpenAI, app: Node, provider: ScriptedServer, table: str
) -> None:
    """Or its assistant, with all that hangs on it."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "Hello")
    gate = Gate()
    provider.reply(text("Hi ", gate, "there."))
    with client.beta.threads.runs.stream(thread_id=thread, assistant_id=assistant, model=MODEL) as stream:
        events = iter(stream)
        next(event for event in events if event.event == "thread.message.delta")
        app.delete(table, {"Thread": thread, "Assistant": assistant}[table])
        list(events)
    assert provider.requests[0].closed.wait(DEADLINE)
    with pytest.raises(openai.NotFoundError):
        client.beta.threads.retrieve(thread)


def test_node_asks_for_no_lock(client: OpenAI, app: Node, provider: ScriptedServer) -> None:
    """A limit: Node begins a run, and adds messages, whether a run of ours is active or not. Both go on."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "Hello")
    gate = Gate()
    provider.reply(text("Hi ", gate, "there."))
    with client.beta.threads.runs.stream(thread_id=thread, assistant_id=assistant, model=MODEL) as stream:
        events = iter(stream)
        next(event for event in events if event.event == "thread.message.delta")
        other = app.run(thread, assistant)
        app.message(thread, "In between")
        gate.open()
        stream.until_done()
    statuses = {run.id: run.status for run in client.beta.threads.runs.list(thread)}
    assert len(statuses) == 2
    assert statuses.pop(other) == "queued"
    assert list(statuses.values()) == ["completed"]
    with pytest.raises(openai.BadRequestError, match=other):
        client.beta.threads.runs.create(thread_id=thread, assistant_id=assistant, model=MODEL)
