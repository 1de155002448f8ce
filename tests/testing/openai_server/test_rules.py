"""What the scripted server refuses, as OpenAI and Groq do, and what it must not refuse."""

from typing import Any

import openai
import pytest

from supercompat.testing.openai_server import ScriptedServer
from tests.testing.openai_server.asking import GROQ_PATH, HELLO, OPENAI_PATH, ask, question

PIXEL = "data:image/png;base64,iVBORw0KGgo="
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
USER = {"role": "user", "content": "Hi"}


def asks(*ids: str, **more: Any) -> dict[str, Any]:
    """An assistant message that calls `f` once for each id."""
    calls = [{"id": one, "type": "function", "function": {"name": "f", "arguments": "{}"}} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls, **more}


def answers(call_id: str, content: Any = "42") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def says(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content, **more}]}


def sees(image: Any, role: str = "user") -> dict[str, Any]:
    return says(role, [{"type": "image_url", "image_url": image}])


def history(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [USER, *messages]}


def function(**fields: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": fields}]}


def schema(**fields: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": fields}}


# What is changed in a good request; the param that is named; the code; words of the message.
REFUSED: list[tuple[dict[str, Any], str | None, str | None, str]] = [
    ({"model": ""}, None, None, "you must provide a model"),
    ({"model": 7}, "model", "invalid_type", "expected a string, but got an integer"),
    ({"messages": []}, "messages", "empty_array", "empty array"),
    ({"messages": "Hi"}, "messages", "invalid_type", "expected an array, but got a string"),
    ({"messages": ["Hi"]}, "messages[0]", "invalid_type", "expected an object, but got a string"),
    ({"messages": [{"content": "Hi"}]}, "messages[0].role", "missing_required_parameter", "Missing"),
    ({"thread_id": "t"}, None, None, "Unrecognized request argument supplied: thread_id"),
    # roles and content
    (says("model", "Hi"), "messages[0].role", "invalid_value", "'model'. Supported values are: 'system'"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter", "content"),
    (says("user", ""), "messages[0].content", "empty_string", "empty string"),
    (says("user", []), "messages[0].content", "empty_array", "empty array"),
    (says("user", None), "messages[0].content", "invalid_type", "array of objects, but got null"),
    (says("system", {"text": "Hi"}), "messages[0].content", "invalid_type", "but got an object"),
    (says("user", [{"type": "text", "text": ""}]), "messages[0].content[0].text", "empty_string", "empty"),
    (says("user", [{"type": "text"}]), "messages[0].content[0].text", "missing_required_parameter", "text"),
    (says("user", [{"type": "video"}]), "messages[0].content[0].type", "invalid_value", "'video'"),
    (
        says("user", [{"type": "text", "text": "Hi", "annotations": []}]),
        "messages[0].content[0].annotations",
        "unknown_parameter",
        "Unknown parameter",
    ),
    (says("user", "Hi", id="msg_1"), "messages[0].id", "unknown_parameter", "Unknown parameter"),
    (says("user", "Hi", name="two words"), "messages[0].name", "invalid_value", "pattern"),
    (
        says("user", [{"type": "refusal", "refusal": "No"}]),
        "messages[0].content[0].type",
        "invalid_value",
        "",
    ),
    (says("assistant", None), "messages[0].content", "invalid_value", "needs content or 'tool_calls'"),
    (says("assistant", ""), "messages[0].content", "invalid_value", "needs content or 'tool_calls'"),
    # images
    (sees({"url": PIXEL}, "system"), "messages[0].content[0]", "invalid_value", "only allowed for messages"),
    (sees({"url": PIXEL}, "assistant"), "messages[0].content[0]", "invalid_value", "role 'assistant'"),
    (sees(PIXEL), "messages[0].content[0].image_url", "invalid_type", "expected an object"),
    (sees({}), "messages[0].content[0].image_url.url", "missing_required_parameter", "url"),
    (sees({"url": "a.png"}), "messages[0].content[0].image_url.url", "invalid_image_url", "URL"),
    (sees({"url": "data:image/png,x"}), "messages[0].content[0].image_url.url", "invalid_base64", "base64"),
    (sees({"url": PIXEL, "detail": "fine"}), "messages[0].content[0].image_url.detail", "invalid_value", ""),
    (sees({"file_id": "f"}), "messages[0].content[0].image_url.file_id", "unknown_parameter", "file_id"),
    # calls and their answers
    (history(asks("c1"), USER), "messages.[2].role", None, "did not have response messages: c1"),
    (history(asks("c1", "c2"), answers("c1")), "messages.[3].role", None, "response messages: c2"),
    (history(asks("c1"), answers("c2")), "messages.[2].tool_call_id", None, "'c2' not found"),
    (history(asks("c1"), answers("c1"), answers("c1")), None, None, "Duplicate value for 'tool_call_id'"),
    (history(asks("c1", "c1"), answers("c1")), "messages.[1].tool_calls", None, "Duplicate"),
    (history(answers("c1")), "messages.[1].role", None, "must be a response to a preceeding message"),
    (
        history(asks("c1"), answers("c1"), USER, answers("c1")),
        "messages.[4].role",
        None,
        "must be a response",
    ),
    (history(asks()), "messages[1].tool_calls", "empty_array", "empty array"),
    (history(asks("c" * 41)), "messages[1].tool_calls[0].id", "string_above_max_length", "length 40"),
    (history(asks(""), answers("")), "messages[1].tool_calls[0].id", "empty_string", "empty"),
    (
        history({"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {}}]}),
        "messages[1].tool_calls[0].function.name",
        "missing_required_parameter",
        "name",
    ),
    (
        history(
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
                ],
            }
        ),
        "messages[1].tool_calls[0].function.arguments",
        "invalid_type",
        "expected a string, but got an object",
    ),
    (
        history(asks("c1"), {"role": "tool", "content": "42"}),
        "messages[2].tool_call_id",
        "missing_required_parameter",
        "",
    ),
    (history(asks("c1"), answers("c1", None)), "messages[2].content", "invalid_type", "null"),
    # tools
    ({"tools": []}, "tools", "empty_array", "empty array"),
    ({"tools": None}, "tools", "invalid_type", "null"),
    ({"tools": [TOOL] * 129}, "tools", "array_above_max_length", "128"),
    ({"tools": [{"type": "file_search"}]}, "tools[0].type", "invalid_value", "'file_search'"),
    ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter", "function"),
    (function(), "tools[0].function.name", "missing_required_parameter", "name"),
    (function(name="my tool"), "tools[0].function.name", "invalid_value", "'^[a-zA-Z0-9_-]+$'"),
    (function(name="f" * 65), "tools[0].function.name", "string_above_max_length", "64"),
    (function(name="f", args={}), "tools[0].function.args", "unknown_parameter", "args"),
    (function(name="f", parameters="{}"), "tools[0].function.parameters", "invalid_type", "an object"),
    (
        function(name="f", parameters={}),
        "tools[0].function.parameters",
        "invalid_function_parameters",
        "None",
    ),
    (
        function(name="f", parameters={"type": "object"}),
        "tools[0].function.parameters",
        "invalid_function_parameters",
        "object schema missing properties",
    ),
    (function(name="f", strict="yes"), "tools[0].function.strict", "invalid_type", "a boolean"),
    ({"tool_choice": "auto"}, "tool_choice", None, "only allowed when 'tools' are specified"),
    ({"parallel_tool_calls": True}, "parallel_tool_calls", None, "only allowed when 'tools' are specified"),
    ({"tools": [TOOL], "parallel_tool_calls": 1}, "parallel_tool_calls", "invalid_type", "a boolean"),
    ({"tools": [TOOL], "tool_choice": "f"}, "tool_choice", "invalid_value", "'f'"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "tool_choice",
        None,
        "'g' not found in 'tools'",
    ),
    ({"tools": [TOOL], "tool_choice": {"type": "file_search"}}, "tool_choice.type", "invalid_value", ""),
    (
        function(name="f", parameters=SCHEMA, strict=True),
        "tools[0].function.parameters",
        "invalid_function_parameters",
        "'additionalProperties' is required",
    ),
    # answers' format
    (
        schema(name="a", schema=SCHEMA, strict=True),
        "response_format.json_schema.schema",
        "invalid_json_schema",
        "response_format 'a'",
    ),
    ({"response_format": "auto"}, "response_format", "invalid_type", "an object"),
    ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value", "'xml'"),
    ({"response_format": {"type": "json_object"}}, "messages", None, "must contain the word 'json'"),
    (
        {"response_format": {"type": "json_schema"}},
        "response_format.json_schema",
        "missing_required_parameter",
        "",
    ),
    (schema(schema=SCHEMA), "response_format.json_schema.name", "missing_required_parameter", "name"),
    (schema(name="a b"), "response_format.json_schema.name", "invalid_value", "pattern"),
    (schema(name="a", schema="{}"), "response_format.json_schema.schema", "invalid_type", "an object"),
    # numbers
    ({"temperature": 2.1}, "temperature", "decimal_above_max_value", "<= 2, but got 2.1"),
    ({"temperature": -0.1}, "temperature", "decimal_below_min_value", ">= 0"),
    ({"temperature": "1"}, "temperature", "invalid_type", "a decimal"),
    ({"top_p": 1.5}, "top_p", "decimal_above_max_value", "<= 1"),
    ({"max_tokens": 0}, "max_tokens", "integer_below_min_value", ">= 1"),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens", "invalid_type", "an integer"),
    ({"max_completion_tokens": True}, "max_completion_tokens", "invalid_type", "a boolean"),
    ({"max_tokens": 5, "max_completion_tokens": 5}, None, None, "at the same time"),
    ({"n": 2}, "n", "integer_above_max_value", "<= 1"),
    ({"seed": "7"}, "seed", "invalid_type", "an integer"),
    ({"stop": ["a"] * 5}, "stop", "array_above_max_length", "4"),
    ({"stop": 7}, "stop", "invalid_type", "a string"),
    ({"reasoning_effort": "maximal"}, "reasoning_effort", "invalid_value", "'maximal'"),
    # the rest
    ({"stream": "yes"}, "stream", "invalid_type", "a boolean"),
    ({"stream_options": {"include_usage": True}}, "stream_options", None, "only allowed when 'stream'"),
    ({"stream": True, "stream_options": {"usage": True}}, "stream_options.usage", "unknown_parameter", ""),
    ({"metadata": {"a": "b"}}, "metadata", None, "only allowed when 'store' is enabled"),
    ({"metadata": {"a": 1}, "store": True}, "metadata.a", "invalid_type", "a string"),
    ({"user": None}, "user", "invalid_type", "null"),
    # families
    ({"model": "o3", "temperature": 0.5}, "temperature", "unsupported_value", "Only the default (1)"),
    ({"model": "gpt-5-mini", "top_p": 0}, "top_p", "unsupported_value", "Only the default (1)"),
]

TAKEN: list[dict[str, Any]] = [
    {"temperature": 2, "top_p": 0.0, "seed": 7, "stop": ["a", "b"], "max_completion_tokens": 1, "user": "u"},
    {"temperature": None, "top_p": None, "max_tokens": None, "stream": None, "stop": None, "n": 1},
    says("user", [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": PIXEL}}]),
    sees({"url": "https://example.com/a.png", "detail": "low"}),
    says("developer", "Be brief"),
    says("system", [{"type": "text", "text": "Be brief"}]),
    history(
        asks("c1", "c2"), answers("c2"), answers("c1", ""), says("assistant", "Done")["messages"][0], USER
    ),
    history(asks("c1"), answers("c1", [{"type": "text", "text": "42"}]), asks("c2"), answers("c2")),
    history(asks("c1", content=""), answers("c1")),
    {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    function(name="f", description="Does f", strict=None),
    {"response_format": {"type": "text"}},
    {"response_format": {"type": "json_object"}, **says("system", "Answer in JSON")},
    {"metadata": {"a": "b"}, "store": True},
    {"model": "o3", "temperature": 1, "max_completion_tokens": 9},
    {"model": "gpt-5.1", "temperature": 0.5},
]


@pytest.mark.parametrize("case", REFUSED, ids=[f"{number} {case[3]}" for number, case in enumerate(REFUSED)])
def test_openais_rules(
    server: ScriptedServer, case: tuple[dict[str, Any], str | None, str | None, str]
) -> None:
    change, param, code, words = case

    status, body = ask(server, question() | change)

    error = body["error"]
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert (error["param"], error["code"]) == (param, code)
    assert words in error["message"]


@pytest.mark.parametrize("path", [OPENAI_PATH, GROQ_PATH])
@pytest.mark.parametrize("change", TAKEN, ids=str)
def test_what_keeps_the_rules_is_answered(server: ScriptedServer, change: dict[str, Any], path: str) -> None:
    status, body = ask(server, question() | change, path=path)

    assert status == 200, body


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_what_must_be_there(server: ScriptedServer, missing: str) -> None:
    body = question()
    del body[missing]

    status, refusal = ask(server, body)

    assert status == 400
    assert missing in refusal["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b'{"temperature": NaN}', b"\xff", b"[]", b"null"])
def test_what_is_no_json_object(server: ScriptedServer, body: bytes) -> None:
    status, refusal = ask(server, body)

    assert status == 400
    assert "JSON body" in refusal["error"]["message"]


GROQ_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"logprobs": True}, "property 'logprobs' is unsupported"),
    ({"top_logprobs": 2}, "property 'top_logprobs' is unsupported"),
    ({"logit_bias": {"1": 1}}, "property 'logit_bias' is unsupported"),
    ({"prompt_cache_key": "k"}, "property 'prompt_cache_key' is unsupported"),
    (says("user", "Hi", name="Ann"), "'messages.0' : property 'name' is unsupported"),
    (schema(name="a", schema=SCHEMA) | {"stream": True}, "does not support stream"),
    (schema(name="a", schema=SCHEMA) | {"tools": [TOOL]}, "does not support tools"),
]


@pytest.mark.parametrize(("change", "words"), GROQ_REFUSED, ids=[words for _, words in GROQ_REFUSED])
def test_groqs_own_rules(server: ScriptedServer, change: dict[str, Any], words: str) -> None:
    refused, body = ask(server, question() | change, path=GROQ_PATH)

    assert refused == 400
    assert words in body["error"]["message"]


def test_openai_takes_what_only_groq_refuses(server: ScriptedServer) -> None:
    changes = [change for change, _ in GROQ_REFUSED if not change.get("stream")]

    assert [ask(server, question() | change)[0] for change in changes] == [200] * len(changes)


def test_groqs_own_arguments_and_ids(server: ScriptedServer) -> None:
    change = {"reasoning_format": "parsed", **history(asks("c" * 60), answers("c" * 60))}

    assert ask(server, question() | change, path=GROQ_PATH)[0] == 200
    assert ask(server, question() | change)[0] == 400


def test_the_sdk_sees_a_refusal_as_its_own_error(server: ScriptedServer, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="m", messages=HELLO, temperature=3)

    assert caught.value.param == "temperature"
    assert caught.value.code == "decimal_above_max_value"
    assert server.requests[0].status == 400
