"""What holds for any body: a valid one survives, and one that was tampered with is answered, never a 500."""

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI
from pydantic import BaseModel

from supercompat import MemoryStorageAdapter, Options, supercompat
from supercompat.testing import ScriptedModel, call, tool_calls
from supercompat.wire.requests import (
    AssistantCreate,
    AssistantModify,
    MessageCreate,
    MessageModify,
    RunCreate,
    RunModify,
    SubmitToolOutputs,
    ThreadCreate,
    ThreadModify,
    ThreadRunCreate,
)
from tests.api.bodies import complete, places
from tests.contract.test_assistants import DEFAULTS, own
from tests.contract.wire import Json, error_of, get, post, send

Strategy: TypeAlias = st.SearchStrategy[Any]

quick = settings(deadline=None, max_examples=60)
thorough = settings(deadline=None, max_examples=250)

numbers: Strategy = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts: Strategy = st.text(max_size=20)
json_values: Strategy = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
json_objects: Strategy = st.dictionaries(texts, json_values, max_size=3)
names: Strategy = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True)
maps: Strategy = st.dictionaries(st.text(max_size=64), texts, max_size=16)
functions: Strategy = st.fixed_dictionaries(
    {"name": names},
    optional={"description": texts, "parameters": json_objects, "strict": st.booleans()},
)
tools: Strategy = st.fixed_dictionaries({"type": st.just("function"), "function": functions})
schemas: Strategy = st.fixed_dictionaries(
    {"name": names},
    optional={"description": texts, "schema": json_objects, "strict": st.none() | st.booleans()},
)
plain_formats: list[Any] = ["auto", {"type": "text"}, {"type": "json_object"}]
formats: Strategy = st.sampled_from(plain_formats) | st.fixed_dictionaries(
    {"type": st.just("json_schema"), "json_schema": schemas}
)
fields: dict[str, Strategy] = {
    "name": st.none() | texts,
    "description": st.none() | texts,
    "instructions": st.none() | texts,
    "tools": st.lists(tools, max_size=3),
    "temperature": st.none() | st.floats(0, 2) | st.integers(0, 2),
    "top_p": st.none() | st.floats(0, 1) | st.integers(0, 1),
    "reasoning_effort": st.sampled_from([None, "none", "low", "max"]),
    "metadata": st.none() | maps,
    "response_format": st.none() | formats,
}
models: Strategy = st.text(min_size=1, max_size=20)
assistants: Strategy = st.fixed_dictionaries({"model": models}, optional=fields)
changes: Strategy = st.fixed_dictionaries({}, optional={"model": models, **fields})
image_urls: Strategy = st.fixed_dictionaries(
    {"url": st.sampled_from(["https://a.example/a.png", "data:image/png;base64,AAAA"])},
    optional={"detail": st.sampled_from(["auto", "low", "high"])},
)
images: Strategy = st.fixed_dictionaries({"type": st.just("image_url"), "image_url": image_urls})
text_parts: Strategy = st.fixed_dictionaries(
    {"type": st.just("text"), "text": st.text(min_size=1, max_size=20)}
)
contents: Strategy = st.text(min_size=1, max_size=50) | st.lists(images | text_parts, min_size=1, max_size=4)
messages: Strategy = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"]), "content": contents},
    optional={"metadata": st.none() | maps, "attachments": st.just([])},
)
threads: Strategy = st.fixed_dictionaries(
    {}, optional={"messages": st.lists(messages, max_size=4), "metadata": st.none() | maps}
)


@pytest.fixture(scope="module")
def scripted() -> Iterator[OpenAI]:
    """A client for all the examples of a test: it remembers, and answers at once."""
    with supercompat(
        client=ScriptedModel(), storage=MemoryStorageAdapter(), options=Options(drain=0)
    ) as client:
        yield client


def shown(assistant: Json) -> Json:
    """What an assistant shows of what it was given."""
    fields = {name: DEFAULTS[name] if value is None else value for name, value in assistant.items()}
    if "tools" in fields:
        empty: Json = {"type": "object", "properties": {}}
        fields["tools"] = [
            {"type": "function", "function": {"parameters": empty, "strict": False, **tool["function"]}}
            for tool in fields["tools"]
        ]
    return fields


def content(given: Any) -> list[Json]:
    """The content of a message as it shows it."""
    parts: Any = [{"type": "text", "text": given}] if isinstance(given, str) else given
    return [
        {"type": "text", "text": {"value": part["text"], "annotations": []}}
        if part["type"] == "text"
        else {"type": "image_url", "image_url": {"detail": "auto", **part["image_url"]}}
        for part in parts
    ]


@pytest.mark.conforms("C-019", "C-024", "C-029", "C-030")
@quick
@given(given=assistants, changes=changes)
def test_any_assistant_survives(scripted: OpenAI, given: Json, changes: Json) -> None:
    created = post(scripted, "/assistants", given)
    assert own(created) == DEFAULTS | shown(given)
    path = f"/assistants/{created['id']}"
    assert get(scripted, path) == created
    changed = post(scripted, path, changes)
    assert changed == created | shown(changes)
    assert get(scripted, path) == changed


@pytest.mark.conforms("C-044", "C-046")
@quick
@given(given=threads, metadata=st.none() | maps)
def test_any_thread_survives(scripted: OpenAI, given: Json, metadata: dict[str, str] | None) -> None:
    created = post(scripted, "/threads", given)
    assert created["metadata"] == (given.get("metadata") or {})
    path = f"/threads/{created['id']}"
    assert get(scripted, path)["metadata"] == created["metadata"]
    listed = get(scripted, f"{path}/messages?order=asc")["data"]
    said = given.get("messages", [])
    assert [(each["role"], each["content"], each["metadata"]) for each in listed] == [
        (each["role"], content(each["content"]), each.get("metadata") or {}) for each in said
    ]
    assert post(scripted, path, {"metadata": metadata}) == created | {"metadata": metadata or {}}
    assert get(scripted, path)["metadata"] == (metadata or {})


@pytest.mark.conforms("C-050", "C-055", "C-061")
@quick
@given(given=messages, metadata=maps)
def test_any_message_survives(scripted: OpenAI, given: Json, metadata: dict[str, str]) -> None:
    thread = scripted.beta.threads.create()
    created = post(scripted, f"/threads/{thread.id}/messages", given)
    assert (created["role"], created["content"]) == (given["role"], content(given["content"]))
    assert created["metadata"] == (given.get("metadata") or {})
    path = f"/threads/{thread.id}/messages/{created['id']}"
    assert get(scripted, path) == created
    assert get(scripted, f"/threads/{thread.id}/messages")["data"] == [created]
    changed = post(scripted, path, {"metadata": metadata})
    assert changed == created | {"metadata": metadata}
    assert get(scripted, path) == changed


#: Where each kind of body goes. `run` has ended, `waiting` waits for the output of `call_1`.
PATHS: dict[type[BaseModel], str] = {
    AssistantCreate: "/assistants",
    AssistantModify: "/assistants/{assistant}",
    ThreadCreate: "/threads",
    ThreadModify: "/threads/{thread}",
    MessageCreate: "/threads/{thread}/messages",
    MessageModify: "/threads/{thread}/messages/{message}",
    RunCreate: "/threads/{thread}/runs",
    ThreadRunCreate: "/threads/runs",
    RunModify: "/threads/{ended_thread}/runs/{ended_run}",
    SubmitToolOutputs: "/threads/{waiting_thread}/runs/{waiting_run}/submit_tool_outputs",
}


@pytest.fixture(scope="module")
def ids(scripted: OpenAI) -> dict[str, str]:
    """Something of each kind, that the examples may change."""
    assistant = scripted.beta.assistants.create(model="m", instructions="Be kind.")
    thread: Any = {"messages": [{"role": "user", "content": "Hi"}]}
    ended = scripted.beta.threads.create_and_run_poll(assistant_id=assistant.id, thread=thread)
    message = scripted.beta.threads.messages.list(ended.thread_id).data[0]
    return {
        "assistant": assistant.id,
        "message": message.id,
        "ended_thread": ended.thread_id,
        "ended_run": ended.id,
    }


@st.composite
def tampered(draw: st.DrawFn, model: type[BaseModel]) -> tuple[Json, str]:
    """A valid body with one thing in it replaced, removed or added, and the path of that thing."""
    body = complete(model)
    if "assistant_id" in body:
        body["assistant_id"] = "{assistant}"
    spots = list(places(body))
    kind = draw(st.sampled_from(["replace", "remove", "add"]))
    if kind == "add":
        holders = [(holder[step], path) for holder, step, path in spots if isinstance(holder[step], dict)]
        holder, path = draw(st.sampled_from([(body, ""), *holders]))
        key = draw(st.text(max_size=70).filter(lambda key: key not in holder))
        holder[key] = draw(json_values)
        return body, f"{path}.{key}" if path else key
    holder, step, path = draw(st.sampled_from(spots))
    if kind == "remove":
        del holder[step]
    else:
        words = st.sampled_from(["", "auto", "text", "image_url", "function", "file_search", "json_object"])
        holder[step] = draw(json_values | words)
    return body, path


def check(response: Any, path: str) -> None:
    """A success, or a 400 that names what was tampered with."""
    if response.status_code == 200:
        return
    error = error_of(response)
    if path == "assistant_id" and response.status_code == 404:
        return
    assert response.status_code == 400, error
    assert error["type"] == "invalid_request_error"
    if error["message"].startswith("Expected tool outputs for call_ids"):
        assert path.startswith("tool_outputs")
        return
    # Another `type` makes other fields required or unknown, so that what stands beside it may be blamed.
    blamed = path.removesuffix(".type")
    assert error["param"] is not None, error
    assert error["param"].startswith(blamed) or blamed.startswith(error["param"]), error


BODIES = [model for model in PATHS if model is not SubmitToolOutputs]


@pytest.mark.conforms("C-010", "C-011", "C-012")
@thorough
@given(data=st.data(), model=st.sampled_from(BODIES))
def test_any_tampered_body_is_answered(
    scripted: OpenAI, ids: dict[str, str], data: st.DataObject, model: type[BaseModel]
) -> None:
    body, path = data.draw(tampered(model))
    thread = scripted.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    target = PATHS[model].format(**ids, thread=thread.id)
    if "{message}" in PATHS[model]:
        target = target.replace(thread.id, ids["ended_thread"])
    sent = json.dumps(body).replace("{assistant}", ids["assistant"]).encode()
    check(send(scripted, "POST", target, sent), path)


@pytest.mark.conforms("C-095", "C-098")
@quick
@given(data=st.data())
def test_any_tampered_outputs_are_answered(data: st.DataObject) -> None:
    model = ScriptedModel(tool_calls(call("f", "{}", id="call_1")))
    body, path = data.draw(tampered(SubmitToolOutputs))
    with supercompat(client=model, options=Options(drain=0)) as client:
        assistant = client.beta.assistants.create(model="m", instructions="Be kind.")
        run = client.beta.threads.create_and_run_poll(assistant_id=assistant.id)
        names = {"waiting_thread": run.thread_id, "waiting_run": run.id}
        target = PATHS[SubmitToolOutputs].format(**names)
        response = send(client, "POST", target, json.dumps(body).encode())
        check(response, path)
        now = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
        assert (now.status == "requires_action") == (response.status_code != 200)
