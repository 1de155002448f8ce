"""Threads: what they show, what begins with them and ends with them."""

from functools import partial

import pytest
from openai import OpenAI

from supercompat.testing import ScriptedServer, call, tool_calls
from tests.contract.conversations import conversation, heard, only, texts
from tests.contract.wire import Json, Refusal, get, post, refused, send

PATH = "/threads"


@pytest.mark.core
@pytest.mark.conforms("C-043", "C-045")
def test_create_without_anything(client: OpenAI) -> None:
    for body in (b"", b"{}", b'{"messages": []}'):
        response = send(client, "POST", PATH, body)
        assert response.status_code == 200
        thread = response.json()
        assert list(thread) == ["id", "object", "created_at", "metadata", "tool_resources"]
        assert (thread["object"], thread["metadata"], thread["tool_resources"]) == ("thread", {}, {})
        assert thread["id"].startswith("thread_")
        assert len(thread["id"]) == len("thread_") + 24
        assert client.beta.threads.messages.list(thread["id"]).data == []


@pytest.mark.conforms("C-044")
def test_first_messages_keep_their_order(client: OpenAI) -> None:
    said = [f"Message {index}" for index in range(40)]
    messages = [
        {"role": "user" if index % 2 else "assistant", "content": each} for index, each in enumerate(said)
    ]
    thread = client.beta.threads.create(messages=messages, metadata={"k": "v"})  # type: ignore[arg-type]
    assert thread.metadata == {"k": "v"}
    listed = list(client.beta.threads.messages.list(thread.id, order="asc"))
    assert [texts(message) for message in listed] == [[each] for each in said]
    assert [message.role for message in listed] == [message["role"] for message in messages]
    newest = list(client.beta.threads.messages.list(thread.id, limit=7))
    assert [message.id for message in newest] == [message.id for message in reversed(listed)]


@pytest.mark.conforms("C-044")
def test_a_thread_whose_message_is_refused_is_not_made(client: OpenAI) -> None:
    assistant = client.beta.assistants.create(model="gpt-4o-mini")
    bad: Json = {"messages": [{"role": "user", "content": "Hi"}, {"role": "user", "content": ""}]}
    assert refused(partial(post, client, PATH, bad)) == Refusal(
        400, "Message content must be non-empty.", "messages[1].content", None
    )
    run = {"assistant_id": assistant.id, "thread": bad}
    assert refused(partial(post, client, "/threads/runs", run)).param == "thread.messages[1].content"


@pytest.mark.conforms("C-045")
def test_tool_resources_where_none_were_set(client: OpenAI, provider: ScriptedServer) -> None:
    shown: Json = {"code_interpreter": {"file_ids": []}}
    thread = post(client, PATH, {})
    assert thread["tool_resources"] == {}
    assert get(client, f"{PATH}/{thread['id']}")["tool_resources"] == shown
    assert post(client, f"{PATH}/{thread['id']}", {"metadata": {"k": "v"}})["tool_resources"] == {}
    assert get(client, f"{PATH}/{thread['id']}")["tool_resources"] == shown
    assistant = client.beta.assistants.create(model="gpt-4o-mini", instructions="Be kind.")
    events = heard(client.beta.threads.create_and_run(assistant_id=assistant.id, stream=True))
    assert only(events, "thread.created")["tool_resources"] == shown


@pytest.mark.conforms("C-046")
def test_modify(client: OpenAI) -> None:
    thread = post(client, PATH, {"metadata": {"a": "1", "b": "2"}})
    path = f"{PATH}/{thread['id']}"
    assert post(client, path, {}) == thread
    changed = post(client, path, {"metadata": {"c": "3"}})
    assert list(changed.items()) == list((thread | {"metadata": {"c": "3"}}).items())
    assert get(client, path)["metadata"] == {"c": "3"}
    nothing: Json = {"code_interpreter": {"file_ids": []}}
    assert post(client, path, {"tool_resources": nothing})["metadata"] == {"c": "3"}
    assert post(client, path, {"metadata": None, "tool_resources": None}) == thread | {"metadata": {}}
    refusal = refused(partial(post, client, path, {"messages": []}))
    assert (refusal.param, refusal.code) == ("messages", "unknown_parameter")
    for resources, param in (
        ({"code_interpreter": {"file_ids": ["file-1"]}}, "tool_resources.code_interpreter.file_ids"),
        ({"file_search": {"vector_store_ids": ["vs_1"]}}, "tool_resources.file_search.vector_store_ids"),
    ):
        refusal = refused(partial(post, client, path, {"tool_resources": resources}))
        assert (refusal.status, refusal.param, refusal.code) == (400, param, "unsupported_value")


@pytest.mark.core
@pytest.mark.conforms("C-047", "C-048", "C-121")
def test_delete(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(tool_calls(call("f")))
    talk = conversation(client, tools=[{"type": "function", "function": {"name": "f"}}])
    run = talk.run()
    [step] = talk.steps(run.id)
    [message] = talk.messages()
    other = conversation(client)
    threads, runs = client.beta.threads, client.beta.threads.runs
    deleted = threads.delete(talk.thread_id)
    assert deleted.to_dict() == {"id": talk.thread_id, "object": "thread.deleted", "deleted": True}
    attempts = [
        lambda: threads.retrieve(talk.thread_id),
        lambda: threads.update(talk.thread_id, metadata={}),
        lambda: threads.delete(talk.thread_id),
        lambda: threads.messages.list(talk.thread_id).data,
        lambda: threads.messages.retrieve(message.id, thread_id=talk.thread_id),
        lambda: threads.messages.create(talk.thread_id, role="user", content="Hi"),
        lambda: runs.list(talk.thread_id).data,
        lambda: runs.retrieve(run.id, thread_id=talk.thread_id),
        lambda: runs.cancel(run.id, thread_id=talk.thread_id),
        lambda: runs.steps.retrieve(step.id, thread_id=talk.thread_id, run_id=run.id),
        talk.start,
    ]
    for attempt in attempts:
        assert refused(attempt) == Refusal(404, f"No thread found with id '{talk.thread_id}'.", None, None)
    # Nothing of it is to be reached through another thread.
    for kind, attempt in (
        ("message", lambda: threads.messages.retrieve(message.id, thread_id=other.thread_id)),
        ("run", lambda: runs.retrieve(run.id, thread_id=other.thread_id)),
    ):
        assert refused(attempt).message.startswith(f"No {kind} found with id ")
    assert len(other.messages()) == 1


@pytest.mark.conforms("C-048")
def test_unknown_thread(client: OpenAI) -> None:
    assert refused(lambda: client.beta.threads.retrieve("thread_0")) == Refusal(
        404, "No thread found with id 'thread_0'.", None, None
    )
