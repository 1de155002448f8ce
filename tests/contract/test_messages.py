"""Messages: their content, their run, their end."""

from functools import partial
from typing import Any

import pytest
from openai import OpenAI

from supercompat.testing import ScriptedServer
from tests.contract.conversations import conversation
from tests.contract.wire import Json, Refusal, get, post, refused

URL = "https://example.com/a.png"
KEYS = (
    "id object created_at assistant_id thread_id run_id status incomplete_details incomplete_at completed_at role"
    " content attachments metadata"
)


@pytest.fixture
def path(client: OpenAI) -> str:
    """Where the messages of a new thread are."""
    return f"/threads/{client.beta.threads.create().id}/messages"


def said(**fields: object) -> Json:
    return {"role": "user", "content": "Hi", **fields}


@pytest.mark.conforms("C-049", "C-064")
def test_string_content_is_one_text_part(client: OpenAI) -> None:
    thread = client.beta.threads.create()
    message = post(client, f"/threads/{thread.id}/messages", said(metadata={"k": "v"}))
    assert message["id"].startswith("msg_")
    assert len(message["id"]) == len("msg_") + 24
    assert list(message) == KEYS.split()
    assert message | {"id": "", "created_at": 0} == {
        "id": "",
        "object": "thread.message",
        "created_at": 0,
        "assistant_id": None,
        "thread_id": thread.id,
        "run_id": None,
        "status": "completed",
        "incomplete_details": None,
        "incomplete_at": None,
        "completed_at": None,
        "role": "user",
        "content": [{"type": "text", "text": {"value": "Hi", "annotations": []}}],
        "attachments": [],
        "metadata": {"k": "v"},
    }
    retrieved = client.beta.threads.messages.retrieve(message["id"], thread_id=thread.id)
    assert retrieved.to_dict() == message
    [listed] = client.beta.threads.messages.list(thread.id).data
    assert listed.to_dict() == message


@pytest.mark.conforms("C-050")
def test_parts_keep_their_order(client: OpenAI, path: str) -> None:
    def text(value: str) -> Json:
        return {"type": "text", "text": {"value": value, "annotations": []}}

    def image(url: str, detail: str) -> Json:
        return {"type": "image_url", "image_url": {"url": url, "detail": detail}}

    content: list[Json] = [
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "text", "text": "a"},
        {"type": "text", "text": ""},
        {"type": "text", "text": "b"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": URL, "detail": "high"}},
    ]
    message = post(client, path, said(content=content))
    assert message["content"] == [
        image(URL, "auto"),
        text("a"),
        text(""),
        text("b"),
        image("data:image/png;base64,AAAA", "low"),
        image(URL, "high"),
    ]
    assert get(client, f"{path}/{message['id']}") == message


@pytest.mark.conforms("C-050")
def test_parts_that_are_refused(client: OpenAI, path: str) -> None:
    refusals: list[tuple[Json, str, str]] = [
        ({"type": "image_url", "image_url": {"url": "a.png"}}, "content[0].image_url.url", "invalid_value"),
        (
            {"type": "image_url", "image_url": {"url": URL, "detail": "x"}},
            "content[0].image_url.detail",
            "invalid_value",
        ),
        (
            {"type": "image_file", "image_file": {"file_id": "file-1"}},
            "content[0].type",
            "unsupported_value",
        ),
        ({"type": "refusal", "refusal": "No."}, "content[0].type", "invalid_value"),
        ({"type": "text", "text": {"value": "Hi"}}, "content[0].text", "invalid_type"),
    ]
    for part, param, code in refusals:
        refusal = refused(partial(post, client, path, said(content=[part])))
        assert (refusal.status, refusal.param, refusal.code) == (400, param, code)
    assert get(client, path)["data"] == []


@pytest.mark.conforms("C-051")
def test_an_assistants_message_may_be_written(client: OpenAI, path: str) -> None:
    message = post(client, path, said(role="assistant"))
    assert (message["role"], message["assistant_id"], message["run_id"]) == ("assistant", None, None)
    assert message["status"] == "completed"


@pytest.mark.conforms("C-052")
def test_other_roles_are_refused(client: OpenAI, path: str) -> None:
    for role in ("system", "tool", "developer", "User", ""):
        assert refused(partial(post, client, path, said(role=role))) == Refusal(
            400,
            f"Invalid value: '{role}'. Supported values are: 'user' and 'assistant'.",
            "role",
            "invalid_value",
        )
    assert get(client, path)["data"] == []


@pytest.mark.conforms("C-053")
def test_content_is_required(client: OpenAI, path: str) -> None:
    assert refused(partial(post, client, path, {"role": "user"})) == Refusal(
        400, "Missing required parameter: 'content'.", "content", "missing_required_parameter"
    )
    assert refused(partial(post, client, path, said(content=[]))) == Refusal(
        400,
        "Invalid 'content': empty array. "
        "Expected an array with minimum length 1, but got an empty array instead.",
        "content",
        "empty_array",
    )
    for content in ("", [{"type": "text", "text": ""}]):
        assert refused(partial(post, client, path, said(content=content))) == Refusal(
            400, "Message content must be non-empty.", "content", None
        )
    refusal = refused(partial(post, client, path, said(content=None)))
    assert (refusal.param, refusal.code) == ("content", "invalid_type")
    assert get(client, path)["data"] == []


@pytest.mark.conforms("C-054")
def test_longest_content(client: OpenAI, path: str) -> None:
    def parts(value: str) -> list[Json]:
        return [{"type": "text", "text": value}]

    fits = "é" * 256_000
    for content in (fits, parts(fits)):
        assert post(client, path, said(content=content))["content"][0]["text"]["value"] == fits
    for content, param in ((fits + "x", "content"), (parts(fits + "x"), "content[0].text")):
        assert refused(partial(post, client, path, said(content=content))) == Refusal(
            400,
            f"Invalid '{param}': string too long. Expected a string with maximum length 256000, "
            "but got a string with length 256001 instead.",
            param,
            "string_above_max_length",
        )


@pytest.mark.core
@pytest.mark.conforms("C-055")
def test_text_survives_unchanged(client: OpenAI, provider: ScriptedServer) -> None:
    value = "Grüße 😀\r\n\t\x00\x7f\u2028 e\u0301 \U0010ffff \"'\\ <|end|>  "
    talk = conversation(client, value)
    [message] = talk.messages()
    assert message.content[0].to_dict() == {"type": "text", "text": {"value": value, "annotations": []}}
    assert talk.run().status == "completed"
    assert provider.requests[0].body["messages"] == [{"role": "user", "content": value}]


@pytest.mark.conforms("C-059", "C-060")
def test_the_messages_of_one_run(client: OpenAI) -> None:
    talk = conversation(client, "One")
    first = talk.run()
    talk.ask("Two")
    second = talk.run()
    listed = client.beta.threads.messages.list(talk.thread_id).data
    assert [message.run_id for message in listed] == [second.id, None, first.id, None]
    for run in (first, second):
        [message] = client.beta.threads.messages.list(talk.thread_id, run_id=run.id).data
        assert (message.run_id, message.assistant_id) == (run.id, talk.assistant_id)
    page: Any = client.beta.threads.messages.list(talk.thread_id, run_id="run_0")
    assert (page.data, page.first_id, page.last_id, page.has_more) == ([], None, None, False)
    # What is not of the run is not in its list, and so no place in it.
    refusal = refused(
        lambda: client.beta.threads.messages.list(talk.thread_id, run_id=second.id, after=listed[1].id).data
    )
    assert refusal == Refusal(404, f"No message found with id '{listed[1].id}'.", None, None)


@pytest.mark.conforms("C-061")
def test_only_metadata_is_modified(client: OpenAI, path: str) -> None:
    message = post(client, path, said(metadata={"a": "1"}))
    one = f"{path}/{message['id']}"
    assert post(client, one, {}) == message
    changed = post(client, one, {"metadata": {"b": "2"}})
    assert list(changed.items()) == list((message | {"metadata": {"b": "2"}}).items())
    assert post(client, one, {"metadata": None})["metadata"] == {}
    fixed: Json = {"content": "Other", "role": "assistant", "attachments": []}
    for field, value in fixed.items():
        assert refused(partial(post, client, one, {field: value})) == Refusal(
            400, f"Unknown parameter: '{field}'.", field, "unknown_parameter"
        )
    assert get(client, one) == message | {"metadata": {}}


@pytest.mark.conforms("C-062")
def test_delete(client: OpenAI, provider: ScriptedServer) -> None:
    talk = conversation(client, "One")
    two, three = talk.ask("Two"), talk.ask("Three")
    deleted = client.beta.threads.messages.delete(two.id, thread_id=talk.thread_id)
    assert deleted.to_dict() == {"id": two.id, "object": "thread.message.deleted", "deleted": True}
    gone = Refusal(404, f"No message found with id '{two.id}'.", None, None)
    attempts: list[Any] = [
        lambda: client.beta.threads.messages.retrieve(two.id, thread_id=talk.thread_id),
        lambda: client.beta.threads.messages.update(two.id, thread_id=talk.thread_id, metadata={}),
        lambda: client.beta.threads.messages.delete(two.id, thread_id=talk.thread_id),
        lambda: client.beta.threads.messages.list(talk.thread_id, after=two.id).data,
    ]
    for attempt in attempts:
        assert refused(attempt) == gone
    assert [message.id for message in talk.messages()][1:] == [three.id]
    talk.run()
    assert [message["content"] for message in provider.requests[0].body["messages"]] == ["One", "Three"]


@pytest.mark.conforms("C-063")
def test_a_message_of_another_thread(client: OpenAI) -> None:
    talk, other = conversation(client, "Mine"), conversation(client, "Yours")
    [foreign] = other.messages()
    messages = client.beta.threads.messages
    attempts: list[Any] = [
        lambda: messages.retrieve(foreign.id, thread_id=talk.thread_id),
        lambda: messages.update(foreign.id, thread_id=talk.thread_id, metadata={"k": "v"}),
        lambda: messages.delete(foreign.id, thread_id=talk.thread_id),
        lambda: messages.list(talk.thread_id, after=foreign.id).data,
        lambda: messages.list(talk.thread_id, before=foreign.id).data,
    ]
    for attempt in attempts:
        assert refused(attempt) == Refusal(404, f"No message found with id '{foreign.id}'.", None, None)
    assert messages.retrieve(foreign.id, thread_id=other.thread_id) == foreign


def test_attachments_are_not_served_yet(client: OpenAI, path: str) -> None:
    attachments = [{"file_id": "file-1", "tools": [{"type": "file_search"}]}]
    refusal = refused(partial(post, client, path, said(attachments=attachments)))
    assert (refusal.status, refusal.param, refusal.code) == (400, "attachments", "unsupported_value")
    assert "not served yet" in refusal.message
    assert post(client, path, said(attachments=[]))["attachments"] == []
    assert post(client, path, said(attachments=None))["attachments"] == []
