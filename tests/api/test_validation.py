"""What the API says about a body that it refuses, without a server in between (section 4 of the specification)."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from supercompat.api.validation import MALFORMED_JSON, parse_json, validate
from supercompat.errors import RequestError
from supercompat.wire.requests import (
    MAX_INTEGER,
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
from tests.api.answers import answer, refused
from tests.api.bodies import put, without

Model = type[BaseModel]


def refusal(model: Model, body: object) -> tuple[str, str | None, str | None]:
    return refused(lambda: validate(model, body))


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (AssistantCreate, "model"),
        (AssistantCreate, "tools[0].type"),
        (AssistantCreate, "tools[0].function"),
        (AssistantCreate, "tools[0].function.name"),
        (AssistantCreate, "response_format.type"),
        (AssistantCreate, "response_format.json_schema"),
        (AssistantCreate, "response_format.json_schema.name"),
        (MessageCreate, "role"),
        (MessageCreate, "content"),
        (MessageCreate, "content[0].type"),
        (MessageCreate, "content[0].text"),
        (MessageCreate, "content[1].image_url"),
        (MessageCreate, "content[1].image_url.url"),
        (ThreadCreate, "messages[0].role"),
        (ThreadRunCreate, "assistant_id"),
        (ThreadRunCreate, "thread.messages[1].content"),
        (RunCreate, "assistant_id"),
        (RunCreate, "additional_messages[0].content[0].type"),
        (RunCreate, "tool_choice.function"),
        (RunCreate, "tool_choice.function.name"),
        (RunCreate, "truncation_strategy.type"),
        (RunCreate, "truncation_strategy.last_messages"),
        (SubmitToolOutputs, "tool_outputs"),
        (SubmitToolOutputs, "tool_outputs[0].tool_call_id"),
    ],
)
def test_missing_field(model: Model, path: str) -> None:
    sentence = f"Missing required parameter: '{path}'."
    assert refusal(model, without(model, path)) == (sentence, path, "missing_required_parameter")


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (AssistantCreate, "foo"),
        (AssistantCreate, "tools[0].name"),
        (AssistantCreate, "tools[0].function.foo"),
        (AssistantCreate, "tool_resources.web"),
        (AssistantCreate, "response_format.schema"),
        (AssistantCreate, "response_format.json_schema.schema_"),
        (AssistantModify, "id"),
        (MessageCreate, "content[0].image_url"),
        (MessageCreate, "content[1].image_url.size"),
        (MessageModify, "content"),
        (MessageModify, "role"),
        (ThreadCreate, "messages[1].thread_id"),
        (ThreadModify, "messages"),
        (RunModify, "instructions"),
        (RunCreate, "tool_resources"),
        (RunCreate, "thread"),
        (RunCreate, "truncation_strategy.n"),
        (RunCreate, "tool_choice.name"),
        (ThreadRunCreate, "additional_messages"),
        (ThreadRunCreate, "additional_instructions"),
        (ThreadRunCreate, "thread.foo"),
        (SubmitToolOutputs, "tool_outputs[0].error"),
    ],
)
@pytest.mark.parametrize("value", [1, None, {}])
def test_unknown_field(model: Model, path: str, value: object) -> None:
    sentence = f"Unknown parameter: '{path}'."
    assert refusal(model, put(model, path, value)) == (sentence, path, "unknown_parameter")


def test_unknown_field_without_a_name() -> None:
    assert refusal(AssistantCreate, {"model": "m", "": 1}) == (
        "Unknown parameter: ''.",
        "",
        "unknown_parameter",
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "an integer"),
        (1.0, "a decimal number"),
        ("1", "a string"),
        ([], "an array"),
        ({}, "an object"),
    ],
)
@pytest.mark.parametrize(
    ("model", "path", "expected", "fits"),
    [
        (AssistantCreate, "model", "a string", (str,)),
        (AssistantCreate, "name", "a string", (str, None)),
        (AssistantCreate, "description", "a string", (str, None)),
        (AssistantCreate, "instructions", "a string", (str, None)),
        (AssistantCreate, "temperature", "a decimal", (int, float, None)),
        (AssistantCreate, "top_p", "a decimal", (int, float, None)),
        (AssistantCreate, "tools", "an array of objects", (list,)),
        (AssistantCreate, "tools[0]", "an object", (dict,)),
        (AssistantCreate, "tools[0].function", "an object", (dict,)),
        (AssistantCreate, "tools[0].function.name", "a string", (str,)),
        (AssistantCreate, "tools[0].function.description", "a string", (str,)),
        (AssistantCreate, "tools[0].function.parameters", "an object", (dict,)),
        (AssistantCreate, "tools[0].function.strict", "a boolean", (bool, None)),
        (AssistantCreate, "tool_resources", "an object", (dict, None)),
        (AssistantCreate, "tool_resources.file_search", "an object", (dict, None)),
        (AssistantCreate, "metadata", "an object", (dict, None)),
        (AssistantCreate, "metadata.k", "a string", (str,)),
        (AssistantCreate, "response_format", "one of a string or object", (str, dict, None)),
        (AssistantCreate, "response_format.json_schema", "an object", (dict,)),
        (AssistantCreate, "response_format.json_schema.schema", "an object", (dict,)),
        (AssistantModify, "model", "a string", (str,)),
        (MessageCreate, "content", "one of a string or array of objects", (str, list)),
        (MessageCreate, "content[0]", "an object", (dict,)),
        (MessageCreate, "content[0].type", "one of 'text', 'image_url', or 'image_file'", (str,)),
        (MessageCreate, "content[0].text", "a string", (str,)),
        (MessageCreate, "content[1].image_url", "an object", (dict,)),
        (MessageCreate, "content[1].image_url.url", "a string", (str,)),
        (MessageCreate, "content[1].image_url.detail", "one of 'auto', 'low', or 'high'", (str,)),
        (MessageCreate, "role", "one of 'user' or 'assistant'", (str,)),
        (ThreadCreate, "messages", "an array of objects", (list,)),
        (ThreadCreate, "messages[1]", "an object", (dict,)),
        (ThreadRunCreate, "thread", "an object", (dict,)),
        (RunCreate, "assistant_id", "a string", (str,)),
        (RunCreate, "model", "a string", (str, None)),
        (RunCreate, "tools", "an array of objects", (list, None)),
        (RunCreate, "additional_instructions", "a string", (str, None)),
        (RunCreate, "additional_messages", "an array of objects", (list, None)),
        (RunCreate, "max_prompt_tokens", "an integer", (int, None)),
        (RunCreate, "max_completion_tokens", "an integer", (int, None)),
        (RunCreate, "tool_choice", "one of a string or object", (str, dict, None)),
        (RunCreate, "truncation_strategy", "an object", (dict, None)),
        (RunCreate, "truncation_strategy.last_messages", "an integer", (int,)),
        (RunCreate, "parallel_tool_calls", "a boolean", (bool,)),
        (RunCreate, "stream", "a boolean", (bool, None)),
        (SubmitToolOutputs, "tool_outputs", "an array of objects", (list,)),
        (SubmitToolOutputs, "tool_outputs[0].tool_call_id", "a string", (str,)),
        (SubmitToolOutputs, "tool_outputs[0].output", "a string", (str, None)),
    ],
)
def test_wrong_type(
    model: Model, path: str, expected: str, fits: tuple[type | None, ...], value: object, words: str
) -> None:
    body = put(model, path, value)
    if (None if value is None else type(value)) in fits:
        # Nothing is wrong with its type; something else may be.
        answered = answer(lambda: validate(model, body))
        assert not isinstance(answered, RequestError) or (answered.code, answered.param) != (
            "invalid_type",
            path,
        )
        return
    sentence = f"Invalid type for '{path}': expected {expected}, but got {words} instead."
    assert refusal(model, body) == (sentence, path, "invalid_type")


@pytest.mark.parametrize(
    ("body", "got"), [([], "an array"), ("{}", "a string"), (None, "null"), (1, "an integer")]
)
def test_body_that_is_no_object(body: object, got: str) -> None:
    sentence = f"Invalid type: expected an object, but got {got} instead."
    assert refusal(ThreadCreate, body) == (sentence, None, "invalid_type")


@pytest.mark.parametrize(
    ("model", "path", "supported"),
    [
        (MessageCreate, "role", "'user' and 'assistant'"),
        (ThreadCreate, "messages[1].role", "'user' and 'assistant'"),
        (MessageCreate, "content[0].type", "'text', 'image_url', and 'image_file'"),
        (MessageCreate, "content[1].image_url.detail", "'auto', 'low', and 'high'"),
        (AssistantCreate, "tools[0].type", "'code_interpreter', 'function', and 'file_search'"),
        (
            AssistantCreate,
            "reasoning_effort",
            "'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'",
        ),
        (AssistantCreate, "response_format", "'auto'"),
        (AssistantCreate, "response_format.type", "'json_object', 'json_schema', and 'text'"),
        (RunCreate, "tool_choice", "'none', 'auto', and 'required'"),
        (RunCreate, "tool_choice.type", "'code_interpreter', 'function', and 'file_search'"),
        (RunCreate, "truncation_strategy.type", "'auto' and 'last_messages'"),
    ],
)
@pytest.mark.parametrize("value", ["bogus", "", "User", "{path}"])
def test_value_outside_the_enumeration(model: Model, path: str, supported: str, value: str) -> None:
    sentence = f"Invalid value: '{value}'. Supported values are: {supported}."
    assert refusal(model, put(model, path, value)) == (sentence, path, "invalid_value")


@pytest.mark.parametrize(
    ("model", "path", "limit"),
    [
        (AssistantCreate, "name", 256),
        (AssistantCreate, "description", 512),
        (AssistantCreate, "instructions", 256_000),
        (AssistantCreate, "tools[0].function.name", 64),
        (AssistantCreate, "response_format.json_schema.name", 64),
        (AssistantCreate, "metadata.k", 512),
        (AssistantModify, "instructions", 256_000),
        (RunCreate, "instructions", 256_000),
        (MessageCreate, "content", 256_000),
        (MessageCreate, "content[0].text", 256_000),
    ],
)
def test_longest_string(model: Model, path: str, limit: int) -> None:
    validate(model, put(model, path, "x" * limit))
    sentence = (
        f"Invalid '{path}': string too long. Expected a string with maximum length {limit}, "
        f"but got a string with length {limit + 1} instead."
    )
    assert refusal(model, put(model, path, "x" * (limit + 1))) == (sentence, path, "string_above_max_length")


def test_length_is_counted_in_characters() -> None:
    validate(AssistantCreate, put(AssistantCreate, "name", "😀" * 256))
    assert "with length 257 " in refusal(AssistantCreate, put(AssistantCreate, "name", "😀" * 257))[0]


@pytest.mark.parametrize(
    ("model", "limit"),
    [(AssistantCreate, 128), (AssistantModify, 128), (RunCreate, 20), (ThreadRunCreate, 20)],
)
def test_most_tools(model: Model, limit: int) -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    validate(model, put(model, "tools", [tool] * limit))
    sentence = (
        f"Invalid 'tools': array too long. Expected an array with maximum length {limit}, "
        f"but got an array with length {limit + 1} instead."
    )
    assert refusal(model, put(model, "tools", [tool] * (limit + 1))) == (
        sentence,
        "tools",
        "array_above_max_length",
    )


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (AssistantCreate, "metadata"),
        (AssistantModify, "metadata"),
        (MessageCreate, "metadata"),
        (MessageModify, "metadata"),
        (ThreadCreate, "metadata"),
        (ThreadCreate, "messages[1].metadata"),
        (ThreadModify, "metadata"),
        (RunCreate, "metadata"),
        (RunModify, "metadata"),
        (ThreadRunCreate, "thread.metadata"),
    ],
)
def test_metadata_limits(model: Model, path: str) -> None:
    full = {f"k{i}": "v" for i in range(15)}
    validate(model, put(model, path, {**full, "k" * 64: "v"}))
    sentence = (
        f"Invalid '{path}': too many properties. Expected an object with at most 16 properties, "
        "but got an object with 17 properties instead."
    )
    too_full = put(model, path, {**full, "a": "", "b": ""})
    assert refusal(model, too_full) == (sentence, path, "object_above_max_properties")
    key = "abc" + "x" * 59 + "xyz"
    sentence = (
        f"Invalid property name in '{path}': 'abc...xyz' is too long. "
        "Expected a string with maximum length 64, but got a string with length 65 instead."
    )
    long_key = put(model, path, {key: "v"})
    assert refusal(model, long_key) == (sentence, f"{path}.{key}", "property_name_above_max_length")


def test_metadata_key_that_looks_like_the_mark_of_keys() -> None:
    for value in ("v" * 513, 1, {"[key]": 1}):
        assert refusal(MessageModify, {"metadata": {"[key]": value}})[1] == "metadata.[key]"


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("temperature", 3, "decimal above maximum value. Expected a value <= 2, but got 3"),
        ("temperature", 2.5, "decimal above maximum value. Expected a value <= 2, but got 2.5"),
        ("temperature", -2.5, "decimal below minimum value. Expected a value >= 0, but got -2.5"),
        ("top_p", 1.01, "decimal above maximum value. Expected a value <= 1, but got 1.01"),
        ("top_p", -1, "decimal below minimum value. Expected a value >= 0, but got -1"),
        ("max_completion_tokens", 15, "integer below minimum value. Expected a value >= 16, but got 15"),
        ("max_prompt_tokens", 0, "integer below minimum value. Expected a value >= 1, but got 0"),
        (
            "max_prompt_tokens",
            MAX_INTEGER + 1,
            f"integer above maximum value. Expected a value <= {MAX_INTEGER}, but got {MAX_INTEGER + 1}",
        ),
        (
            "truncation_strategy.last_messages",
            0,
            "integer below minimum value. Expected a value >= 1, but got 0",
        ),
    ],
)
def test_number_out_of_bounds(path: str, value: float, problem: str) -> None:
    kind, side, *_ = problem.split()
    code = f"{kind}_{side}_{'max' if side == 'above' else 'min'}_value"
    sentence = f"Invalid '{path}': {problem} instead."
    assert refusal(RunCreate, put(RunCreate, path, value)) == (sentence, path, code)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *(("temperature", value) for value in (0, 0.0, 2, 2.0)),
        *(("top_p", value) for value in (0, 0.0, 1, 1.0)),
        *(("max_completion_tokens", value) for value in (16, MAX_INTEGER)),
        *(("max_prompt_tokens", value) for value in (1, 256, MAX_INTEGER)),
        ("truncation_strategy.last_messages", 1),
    ],
)
def test_number_at_its_bound(path: str, value: float) -> None:
    validate(RunCreate, put(RunCreate, path, value))


@pytest.mark.parametrize("path", ["tools[0].function.name", "response_format.json_schema.name"])
def test_names(path: str) -> None:
    def refusal_of(name: str) -> object:
        return refusal(AssistantCreate, put(AssistantCreate, path, name))

    empty = "empty string. Expected a string with minimum length 1, but got an empty string instead."
    assert refusal_of("") == (f"Invalid '{path}': {empty}", path, "empty_string")
    pattern = "string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
    for name in ("get weather", "wetter_für", "f\n", "a.b"):
        assert refusal_of(name) == (f"Invalid '{path}': {pattern}", path, "invalid_value")
    validate(AssistantCreate, put(AssistantCreate, path, "get-Weather_2"))


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (MessageCreate, "content"),
        (ThreadCreate, "messages[1].content"),
        (ThreadRunCreate, "thread.messages[0].content"),
        (RunCreate, "additional_messages[0].content"),
    ],
)
def test_empty_content(model: Model, path: str) -> None:
    nothing = {"type": "text", "text": ""}
    for content in ("", [nothing], [nothing, nothing]):
        empty = ("Message content must be non-empty.", path, None)
        assert refusal(model, put(model, path, content)) == empty
    problem = "empty array. Expected an array with minimum length 1, but got an empty array instead."
    assert refusal(model, put(model, path, [])) == (f"Invalid '{path}': {problem}", path, "empty_array")


@pytest.mark.parametrize(
    "url", ["", "a.png", "/a.png", "http://", "https:// ", "ftp://a.example/a.png", "javascript:1"]
)
def test_image_url_that_is_none(url: str) -> None:
    path = "content[1].image_url.url"
    sentence = f"Invalid '{path}'. Expected a valid URL, but got a value with an invalid format."
    assert refusal(MessageCreate, put(MessageCreate, path, url)) == (sentence, path, "invalid_value")


@pytest.mark.parametrize("path", ["tools[0].function.parameters", "response_format.json_schema.schema"])
def test_infinite_number_in_a_schema(path: str) -> None:
    text = json.dumps(put(AssistantCreate, path, {"maximum": "here"})).replace('"here"', "1e999")
    sentence = f"Invalid '{path}': it holds a number that is out of range."
    assert refusal(AssistantCreate, parse_json(text.encode())) == (sentence, path, "invalid_value")


@pytest.mark.parametrize(
    ("model", "path", "value", "blamed", "what"),
    [
        (ThreadRunCreate, "thread.tool_resources.file_search.vector_stores", [None], "", "vector_stores"),
        (MessageCreate, "attachments", [{"file_id": "file-1"}], "", "attachments"),
        (
            MessageCreate,
            "content[0]",
            {"type": "image_file", "image_file": {}},
            "content[0].type",
            "image_file",
        ),
    ],
)
def test_what_is_not_served_yet(model: Model, path: str, value: object, blamed: str, what: str) -> None:
    sentence = f"Unsupported value: '{what}' (not served yet)."
    assert refusal(model, put(model, path, value)) == (sentence, blamed or path, "unsupported_value")


@pytest.mark.parametrize(
    ("model", "body", "param"),
    [
        (AssistantCreate, {"name": 1, "foo": 1}, "model"),
        (AssistantCreate, {"model": "m", "foo": 1, "name": 1}, "foo"),
        (AssistantCreate, {"model": "m", "name": 1, "foo": 1}, "name"),
        (AssistantCreate, {"temperature": 3, "name": 1, "model": "m"}, "temperature"),
        (AssistantCreate, {"tools": [{"type": "function"}], "name": 1}, "model"),
        (AssistantCreate, {"name": 1, "tools": [{"type": "function"}], "model": "m"}, "tools[0].function"),
        (AssistantCreate, {"metadata": {"b": 1, "a": 2}, "tools": [{"type": "x"}], "model": "m"}, "metadata.b"),
        (AssistantCreate, {"model": "m", "tools": [{"function": {"strict": 1, "name": 1}, "type": "function"}]},
         "tools[0].function.strict"),
        (MessageCreate, {"foo": 1}, "role"),
        (MessageCreate, {"content": 1, "role": 1}, "content"),
        (MessageCreate, {"role": 1, "content": 1}, "role"),
        (ThreadCreate, {"messages": [{"role": "user", "content": "Hi"}, {"content": [{"type": "x"}], "role": "x"}]},
         "messages[1].content[0].type"),
    ],
)  # fmt: skip
def test_first_error(model: Model, body: dict[str, Any], param: str) -> None:
    assert refusal(model, body)[1] == param


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'a': 1}",
        b'{"a": 1} x',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        b"\xff\xfe{\x00}\x00",
        b"[" * 100_000,
        b"[" * 300 + b"]" * 300,
        b"1" * 5_000,
        b" ",
    ],
)
def test_malformed_json(body: bytes) -> None:
    assert refused(lambda: parse_json(body)) == (MALFORMED_JSON, None, None)


def test_json() -> None:
    body = parse_json('{"b": "ü😀\\ud83d\\ude00", "a": [1, 2.5, null, true, {}]}'.encode())
    assert json.dumps(body) == json.dumps({"b": "ü😀😀", "a": [1, 2.5, None, True, {}]})
    assert parse_json(b"") == {}
