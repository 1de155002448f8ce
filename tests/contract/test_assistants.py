"""Assistants: what they show, what they admit, how they change."""

import json
from functools import partial
from typing import Any

import pytest
from openai import OpenAI

from supercompat import OpenAIClientAdapter
from supercompat.testing import ScriptedServer
from tests.contract.conftest import MakeClient
from tests.contract.wire import Json, Refusal, get, post, refused

PATH = "/assistants"
MINIMAL: Json = {"model": "gpt-4o-mini"}

#: What an assistant shows when it was given a model and nothing else, in the order of the wire.
DEFAULTS: Json = {
    "object": "assistant",
    "name": None,
    "description": None,
    "model": "gpt-4o-mini",
    "instructions": None,
    "tools": [],
    "top_p": 1.0,
    "temperature": 1.0,
    "reasoning_effort": None,
    "tool_resources": {},
    "metadata": {},
    "response_format": "auto",
}

#: Every field with a value of its own.
COMPLETE: Json = {
    "name": "Grüße 😀",
    "description": "",
    "model": "gpt-4o",
    "instructions": "Be kind.\n\x00",
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "d",
                "parameters": {"type": "object", "properties": {"b": {"enum": [1, 2.5, None]}, "a": {}}},
                "strict": True,
            },
        }
    ],
    "top_p": 0.5,
    "temperature": 2.0,
    "reasoning_effort": "low",
    "tool_resources": {},
    "metadata": {"k": "v", "": ""},
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": None},
    },
}


def own(assistant: Json) -> Json:
    """Without what every assistant has of its own, in the order that it came."""
    return {name: value for name, value in assistant.items() if name not in ("id", "created_at")}


@pytest.mark.core
@pytest.mark.conforms("C-019", "C-029")
def test_only_a_model(client: OpenAI) -> None:
    created = client.beta.assistants.with_raw_response.create(model="gpt-4o-mini")
    assistant = created.parse()
    assert list(own(json.loads(created.content)).items()) == list(DEFAULTS.items())
    assert assistant.id.startswith("asst_")
    assert len(assistant.id) == len("asst_") + 24
    retrieved = client.beta.assistants.with_raw_response.retrieve(assistant.id)
    assert retrieved.content == created.content


@pytest.mark.conforms("C-029")
def test_retrieve_equals_create(client: OpenAI) -> None:
    created = client.beta.assistants.with_raw_response.create(**COMPLETE)
    assert own(created.parse().to_dict()) == {"object": "assistant", **COMPLETE}
    retrieved = client.beta.assistants.with_raw_response.retrieve(created.parse().id)
    assert retrieved.content == created.content
    assert client.beta.assistants.list(limit=1).data == [created.parse()]


@pytest.mark.conforms("C-020")
def test_a_model_is_required(client: OpenAI) -> None:
    assert refused(partial(post, client, PATH, {"name": "n"})) == Refusal(
        400, "Missing required parameter: 'model'.", "model", "missing_required_parameter"
    )


@pytest.mark.conforms("C-021")
def test_longest_texts(client: OpenAI) -> None:
    for field, longest in (("name", 256), ("description", 512), ("instructions", 256_000)):
        # Characters are counted, not bytes.
        fits = "é" * longest
        assistant = post(client, PATH, MINIMAL | {field: fits})
        assert assistant[field] == fits
        changed = post(client, f"{PATH}/{assistant['id']}", {field: "x" * longest})
        assert changed[field] == "x" * longest
        for path, body in ((PATH, MINIMAL), (f"{PATH}/{assistant['id']}", {})):
            assert refused(partial(post, client, path, body | {field: fits + "é"})) == Refusal(
                400,
                f"Invalid '{field}': string too long. Expected a string with maximum length {longest}, "
                f"but got a string with length {longest + 1} instead.",
                field,
                "string_above_max_length",
            )


@pytest.mark.conforms("C-022")
def test_most_tools(client: OpenAI) -> None:
    tools = [{"type": "function", "function": {"name": f"f{index}"}} for index in range(129)]
    assistant = post(client, PATH, MINIMAL | {"tools": tools[:128]})
    assert [tool["function"]["name"] for tool in assistant["tools"]] == [f"f{index}" for index in range(128)]
    assert refused(partial(post, client, PATH, MINIMAL | {"tools": tools})) == Refusal(
        400,
        "Invalid 'tools': array too long. Expected an array with maximum length 128, "
        "but got an array with length 129 instead.",
        "tools",
        "array_above_max_length",
    )
    run = client.beta.threads.create_and_run(
        assistant_id=assistant["id"], thread={"messages": [{"role": "user", "content": "Hi"}]}
    )
    assert len(run.tools) == 128


@pytest.mark.conforms("C-023")
def test_metadata(client: OpenAI) -> None:
    def create(metadata: object) -> Json:
        return post(client, PATH, MINIMAL | {"metadata": metadata})

    most = {str(index): "v" for index in range(16)}
    longest = {"k" * 64: "v" * 512}
    for metadata in (most, longest, {"": ""}, {"b": "2", "a": "1"}):
        assert list(create(metadata)["metadata"].items()) == list(metadata.items())
    before = len(client.beta.assistants.list().data)
    assert refused(partial(create, most | {"16": "v"})) == Refusal(
        400,
        "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, "
        "but got an object with 17 properties instead.",
        "metadata",
        "object_above_max_properties",
    )
    key = "abc" + "-" * 59 + "xyz"
    assert refused(partial(create, {key: "v"})) == Refusal(
        400,
        "Invalid property name in 'metadata': 'abc...xyz' is too long. "
        "Expected a string with maximum length 64, but got a string with length 65 instead.",
        f"metadata.{key}",
        "property_name_above_max_length",
    )
    assert refused(partial(create, {"k": "v" * 513})) == Refusal(
        400,
        "Invalid 'metadata.k': string too long. Expected a string with maximum length 512, "
        "but got a string with length 513 instead.",
        "metadata.k",
        "string_above_max_length",
    )
    values: dict[str, Any] = {"a boolean": True, "null": None, "an integer": 1, "an object": {}}
    for words, value in values.items():
        assert refused(partial(create, {"k": value})) == Refusal(
            400,
            f"Invalid type for 'metadata.k': expected a string, but got {words} instead.",
            "metadata.k",
            "invalid_type",
        )
    assert len(client.beta.assistants.list().data) == before


@pytest.mark.conforms("C-024")
def test_function_tools_are_filled_in(client: OpenAI) -> None:
    def echoed(**function: object) -> Json:
        tools = [{"type": "function", "function": {"name": "f", **function}}]
        [tool] = post(client, PATH, MINIMAL | {"tools": tools})["tools"]
        assert list(tool) == ["type", "function"]
        return tool["function"]

    empty: Json = {"type": "object", "properties": {}}
    assert echoed() == {"name": "f", "parameters": empty, "strict": False}
    assert echoed(description="d", strict=True) == {
        "name": "f",
        "description": "d",
        "parameters": empty,
        "strict": True,
    }
    given = {"type": "object", "required": ["a"], "properties": {"a": {"const": 1e-7}}}
    assert list(echoed(parameters=given)["parameters"].items()) == list(given.items())
    assert echoed(parameters={}, strict=None)["parameters"] == {}


@pytest.mark.conforms("C-030")
def test_modify_changes_what_is_given(client: OpenAI) -> None:
    assistant = post(client, PATH, COMPLETE)
    path = f"{PATH}/{assistant['id']}"
    assert post(client, path, {}) == assistant
    changes: Json = {
        "name": "other",
        "description": "other",
        "model": "gpt-4o-mini",
        "instructions": "Be brief.",
        "tools": [],
        "top_p": 1.0,
        "temperature": 0.0,
        "reasoning_effort": "high",
        "metadata": {"other": "1"},
        "response_format": "auto",
    }
    for field, value in changes.items():
        assistant = assistant | {field: value}
        changed = post(client, path, {field: value})
        assert list(changed.items()) == list(assistant.items())
        assert get(client, path) == assistant


@pytest.mark.conforms("C-030")
def test_a_modification_that_is_refused_changes_nothing(client: OpenAI) -> None:
    assistant = post(client, PATH, COMPLETE)
    path = f"{PATH}/{assistant['id']}"
    assert refused(partial(post, client, path, {"name": "other", "temperature": 3})).param == "temperature"
    assert refused(partial(post, client, path, {"model": None})).param == "model"
    assert refused(partial(post, client, path, {"id": "asst_1"})).code == "unknown_parameter"
    assert get(client, path) == assistant


@pytest.mark.conforms("C-031")
def test_modify_replaces_metadata(client: OpenAI) -> None:
    assistant = post(client, PATH, MINIMAL | {"metadata": {"a": "1", "b": "2"}})
    path = f"{PATH}/{assistant['id']}"
    assert post(client, path, {"metadata": {"c": "3"}})["metadata"] == {"c": "3"}
    assert post(client, path, {"name": "n"})["metadata"] == {"c": "3"}
    assert post(client, path, {"metadata": None})["metadata"] == {}
    assert post(client, path, {"metadata": {"d": "4"}})["metadata"] == {"d": "4"}
    assert post(client, path, {"metadata": {}})["metadata"] == {}
    assert get(client, path)["metadata"] == {}


@pytest.mark.conforms("C-032")
def test_modify_to_null_clears(client: OpenAI) -> None:
    assistant = post(client, PATH, COMPLETE)
    path = f"{PATH}/{assistant['id']}"
    unset = {**DEFAULTS, "model": COMPLETE["model"], "tools": COMPLETE["tools"]}
    cleared = {name: None for name in unset if name not in ("object", "model", "tools")}
    changed = post(client, path, cleared)
    assert own(changed) == unset
    assert get(client, path) == changed


@pytest.mark.conforms("C-033")
@pytest.mark.parametrize(
    "given",
    [
        "auto",
        {"type": "text"},
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "n"}},
        {
            "json_schema": {
                "strict": True,
                "schema": {"properties": {"b": {}, "a": {"type": ["string", "null"]}}, "type": "object"},
                "description": "",
                "name": "n",
            },
            "type": "json_schema",
        },
    ],
)
def test_response_format_is_echoed(client: OpenAI, given: Any) -> None:
    assistant = post(client, PATH, MINIMAL | {"response_format": given})
    assert str(assistant["response_format"]) == str(given)
    assert get(client, f"{PATH}/{assistant['id']}") == assistant


@pytest.mark.conforms("C-034")
def test_zero_is_a_value(client: OpenAI) -> None:
    assistant = post(client, PATH, MINIMAL | {"temperature": 0, "top_p": 0})
    assert (assistant["temperature"], assistant["top_p"]) == (0, 0)
    assert get(client, f"{PATH}/{assistant['id']}") == assistant
    changed = post(client, f"{PATH}/{assistant['id']}", {"name": "n"})
    assert (changed["temperature"], changed["top_p"]) == (0, 0)


@pytest.mark.conforms("C-035")
def test_reasoning_effort(client: OpenAI) -> None:
    for effort in (None, "none", "minimal", "low", "medium", "high", "xhigh", "max"):
        assistant = post(client, PATH, MINIMAL | {"reasoning_effort": effort})
        assert assistant["reasoning_effort"] == effort
    assert (
        refused(partial(post, client, PATH, MINIMAL | {"reasoning_effort": "utmost"})).param
        == "reasoning_effort"
    )


@pytest.mark.conforms("C-036")
def test_delete(client: OpenAI) -> None:
    assistant, other = (client.beta.assistants.create(model="gpt-4o-mini") for _ in range(2))
    deleted = client.beta.assistants.delete(assistant.id)
    assert deleted.to_dict() == {"id": assistant.id, "object": "assistant.deleted", "deleted": True}
    gone = Refusal(404, f"No assistant found with id '{assistant.id}'.", None, None)
    assert refused(lambda: client.beta.assistants.retrieve(assistant.id)) == gone
    assert refused(lambda: client.beta.assistants.delete(assistant.id)) == gone
    assert refused(lambda: client.beta.assistants.update(assistant.id, name="n")) == gone
    left = [each.id for each in client.beta.assistants.list()]
    assert other.id in left
    assert assistant.id not in left


@pytest.mark.conforms("C-042")
def test_a_model_that_nobody_serves(
    make_client: MakeClient, client: OpenAI, provider: ScriptedServer
) -> None:
    with OpenAI(base_url=provider.base_url, api_key="test") as inner:
        served = make_client(client={"gpt-*": OpenAIClientAdapter(inner)}, models={"default": "gpt-4o"})
        for model in ("gpt-4o", "gpt-", "default"):
            assert served.beta.assistants.create(model=model).model == model
        assistant = served.beta.assistants.create(model="gpt-4o", instructions="Be kind.")
        # It was made when another client adapter served its model.
        older = client.beta.assistants.create(model="llama-3", instructions="Be kind.")
        thread = served.beta.threads.create()
        attempts = [
            lambda: served.beta.assistants.create(model="llama-3"),
            lambda: served.beta.assistants.update(assistant.id, model="llama-3"),
            lambda: served.beta.threads.runs.create(thread.id, assistant_id=assistant.id, model="llama-3"),
            lambda: served.beta.threads.runs.create(thread.id, assistant_id=older.id),
            lambda: served.beta.threads.create_and_run(assistant_id=older.id),
        ]
        for attempt in attempts:
            assert refused(attempt) == Refusal(
                400, "The requested model 'llama-3' does not exist.", "model", "model_not_found"
            )
        assert served.beta.threads.runs.list(thread.id).data == []
        assert served.beta.assistants.retrieve(assistant.id) == assistant
        # What exists is judged before what it shall become.
        assert refused(lambda: served.beta.assistants.update("asst_0", model="llama-3")).status == 404
        assert (
            refused(
                lambda: served.beta.threads.runs.create(
                    "thread_0", assistant_id=assistant.id, model="llama-3"
                )
            ).status
            == 404
        )
    assert not provider.requests


def test_what_is_not_served_yet_is_refused(client: OpenAI) -> None:
    unserved: list[tuple[Json, str]] = [
        ({"tools": [{"type": "code_interpreter"}]}, "tools[0].type"),
        ({"tools": [{"type": "file_search"}]}, "tools[0].type"),
        (
            {"tool_resources": {"code_interpreter": {"file_ids": ["file-1"]}}},
            "tool_resources.code_interpreter.file_ids",
        ),
        (
            {"tool_resources": {"file_search": {"vector_store_ids": ["vs_1"]}}},
            "tool_resources.file_search.vector_store_ids",
        ),
        (
            {"tool_resources": {"file_search": {"vector_stores": [{}]}}},
            "tool_resources.file_search.vector_stores",
        ),
    ]
    for fields, param in unserved:
        refusal = refused(partial(post, client, PATH, MINIMAL | fields))
        assert (refusal.status, refusal.param, refusal.code) == (400, param, "unsupported_value")
        assert "not served yet" in refusal.message or "ResponsesRunAdapter()" in refusal.message
    empty: Json = {"code_interpreter": {"file_ids": []}, "file_search": None}
    assert post(client, PATH, MINIMAL | {"tool_resources": empty})["tool_resources"] == {}
