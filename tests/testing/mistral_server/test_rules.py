"""What the server that plays Mistral refuses, and what it must not refuse."""

from typing import Any

import pytest
from mistralai.client.models import ChatCompletionRequest

from supercompat.testing import MistralServer, text
from supercompat.testing.mistral_server.bodies import signature
from supercompat.testing.mistral_server.rules import ARGUMENTS
from tests.testing.mistral_server.asking import KEY, answer, question

USER = {"role": "user", "content": "Hi"}
PIXEL = "data:image/png;base64,iVBORw0KGgo="
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def asks(*ids: str, **more: Any) -> dict[str, Any]:
    """An assistant message that calls `f` once for each id."""
    calls = [{"id": one, "type": "function", "function": {"name": "f", "arguments": "{}"}} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls, **more}


def answers(call_id: Any, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": "42", **more}


def says(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content, **more}]}


def history(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [USER, *messages]}


def function(**fields: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": fields}]}


def schema(**fields: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": fields}}


def thinks(text: str, signed: str | None) -> dict[str, Any]:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": text}], "signature": signed}
    return {"role": "assistant", "content": [thinking, {"type": "text", "text": "Hello"}]}


# What is changed in a good request; the kind of the problem; its place; words of the message.
INVALID: list[tuple[dict[str, Any], str, list[str | int], str]] = [
    ({"max_completion_tokens": 7}, "extra_forbidden", ["max_completion_tokens"], "Extra inputs"),
    ({"seed": 7}, "extra_forbidden", ["seed"], "not permitted"),
    ({"stream_options": {"include_usage": True}}, "extra_forbidden", ["stream_options"], ""),
    ({"model": 7}, "string_type", ["model"], "valid string"),
    ({"messages": "Hi"}, "list_type", ["messages"], "valid list"),
    ({"messages": []}, "too_short", ["messages"], "at least 1"),
    ({"messages": ["Hi"]}, "model_attributes_type", ["messages", 0], "valid dictionary"),
    ({"messages": [{"content": "Hi"}]}, "missing", ["messages", 0, "role"], "Field required"),
    (says("developer", "Hi"), "union_tag_invalid", ["messages", 0], "Input tag 'developer'"),
    (says("user", "Hi", name="me"), "extra_forbidden", ["messages", 0, "user", "name"], ""),
    ({"messages": [{"role": "user"}]}, "missing", ["messages", 0, "user", "content"], "Field required"),
    (says("user", {"text": "Hi"}), "list_type", ["messages", 0, "user", "content"], ""),
    (
        says("user", [{"type": "refusal", "refusal": "No"}]),
        "literal_error",
        ["messages", 0, "user", "content", 0, "type"],
        "'text', 'image_url'",
    ),
    (
        says("system", [{"type": "image_url", "image_url": PIXEL}]),
        "literal_error",
        ["messages", 0, "system", "content", 0, "type"],
        "",
    ),
    (
        history({"role": "assistant", "content": "Hm", "reasoning_content": "Hm"}, USER),
        "extra_forbidden",
        ["messages", 1, "assistant", "reasoning_content"],
        "",
    ),
    (
        history(asks("abcDEF123", refusal=None), answers("abcDEF123")),
        "extra_forbidden",
        ["messages", 1, "assistant", "refusal"],
        "",
    ),
    ({"temperature": 1.6}, "less_than_equal", ["temperature"], "less than or equal to 1.5"),
    ({"temperature": -1}, "greater_than_equal", ["temperature"], ""),
    ({"temperature": "hot"}, "float_type", ["temperature"], "valid number"),
    ({"top_p": 0}, "greater_than", ["top_p"], "greater than 0"),
    ({"top_p": 1.1}, "less_than_equal", ["top_p"], ""),
    ({"presence_penalty": 3}, "less_than_equal", ["presence_penalty"], ""),
    ({"max_tokens": "many"}, "int_type", ["max_tokens"], ""),
    ({"max_tokens": -1}, "greater_than_equal", ["max_tokens"], ""),
    ({"random_seed": 0.5}, "int_type", ["random_seed"], ""),
    ({"n": 2}, "less_than_equal", ["n"], ""),
    ({"stream": "yes"}, "bool_type", ["stream"], ""),
    ({"stop": [7]}, "string_type", ["stop", 0], ""),
    ({"reasoning_effort": "some"}, "literal_error", ["reasoning_effort"], "or 'max'"),
    ({"tools": [{"type": "retrieval"}]}, "literal_error", ["tools", 0, "type"], "'function'"),
    (function(name="f"), "missing", ["tools", 0, "function", "parameters"], ""),
    (
        function(name="f", parameters={}, returns="x"),
        "extra_forbidden",
        ["tools", 0, "function", "returns"],
        "",
    ),
    (
        function(name="f", parameters={}, strict="yes"),
        "bool_type",
        ["tools", 0, "function", "strict"],
        "",
    ),
    ({"tools": [TOOL], "tool_choice": "always"}, "literal_error", ["tool_choice"], "'auto', 'none', 'any'"),
    ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "missing", ["tool_choice", "function"], ""),
    ({"response_format": {"type": "xml"}}, "literal_error", ["response_format", "type"], ""),
    (schema(name="n"), "missing", ["response_format", "json_schema", "schema"], "Field required"),
    (schema(schema={}), "missing", ["response_format", "json_schema", "name"], ""),
]


@pytest.mark.parametrize(("changed", "kind", "place", "words"), INVALID)
def test_what_is_invalid(
    server: MistralServer, changed: dict[str, Any], kind: str, place: list[str | int], words: str
) -> None:
    status, body = answer(server, question(**changed))
    assert (status, body["object"], body["type"]) == (422, "error", "invalid_request_error")
    (detail,) = body["message"]["detail"]
    assert (detail["type"], detail["loc"]) == (kind, ["body", *place])
    assert words in detail["msg"]
    assert server.requests[0].status == 422


ORDER, CALL, TOOL_MESSAGE = (
    "invalid_request_message_order",
    "invalid_function_call",
    "invalid_request_tool_message",
)

# What is changed in a good request; the kind of the problem; words of the message.
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (says("assistant", "Hi"), ORDER, "must start with a user message or system message"),
    (history({"role": "assistant", "content": "Hello"}), ORDER, "Expected last role User or Tool"),
    (history({"role": "system", "content": "Be kind."}), ORDER, "Expected last role"),
    (history(asks("abcDEF123"), answers("abcDEF123"), USER), ORDER, "role 'user' after role 'tool'"),
    (history(answers("abcDEF123")), ORDER, "role 'tool' after role 'user'"),
    (history(asks("abcDEF123"), USER), ORDER, "Not the same number"),
    (history(asks("abcDEF123", "abcDEF124"), answers("abcDEF123")), ORDER, "Not the same number"),
    (history(asks("abcDEF123"), answers("abcDEF124")), ORDER, "Unexpected tool call id abcDEF124"),
    (
        history(asks("abcDEF123"), answers("abcDEF123"), answers("abcDEF123")),
        ORDER,
        "Duplicate tool call id abcDEF123 in tool results",
    ),
    (history(asks("abcDEF123", "abcDEF123"), answers("abcDEF123")), ORDER, "Duplicate tool call id"),
    (history(asks("call_1"), answers("call_1")), CALL, "must be a-z, A-Z, 0-9, with a length of 9"),
    (history(asks("null"), answers("null")), CALL, "has to be defined"),
    (history(asks("abcDEF123"), answers("call_1")), TOOL_MESSAGE, "Tool call id was call_1"),
    (history(asks("abcDEF123"), answers(None)), TOOL_MESSAGE, "has to be defined"),
    (history(asks("abcDEF123"), answers("abcDEF123", name="a b")), TOOL_MESSAGE, "Function name was a b"),
    (
        history(asks("abcDEF123", content="Let me look."), answers("abcDEF123")),
        "invalid_request_error",
        "either content or tool_calls, but not both",
    ),
    (
        history({"role": "assistant", "content": ""}, USER),
        "invalid_request_error",
        "either content or tool_calls, but not none",
    ),
    (history(thinks("Hm.", "forged"), USER), "invalid_request_error", "Invalid signature"),
    (function(name="a b", parameters={}), "invalid_tool", "Function name was a b"),
    (
        says("user", [{"type": "image_url", "image_url": {"url": "ftp://x.test"}}]),
        "invalid_request_file",
        "Image URL",
    ),
    ({"temperature": 0, "top_p": 0.5}, "invalid_request_error", "top_p must be 1"),
]


@pytest.mark.parametrize(("changed", "kind", "words"), REFUSED)
def test_what_is_refused(server: MistralServer, changed: dict[str, Any], kind: str, words: str) -> None:
    status, body = answer(server, question(**changed))
    assert (status, body["object"], body["type"], body["raw_status_code"]) == (400, "error", kind, 400)
    assert words in body["message"]


TAKEN: list[dict[str, Any]] = [
    {},
    {"temperature": 0, "top_p": 1, "max_tokens": 7, "random_seed": 1, "stop": "END", "n": 1},
    {"temperature": None, "tools": None, "stop": ["a", "b"], "safe_prompt": False},
    {"messages": [{"role": "system", "content": "Tell a joke."}]},
    {"messages": [{"role": "system", "content": [{"type": "text", "text": "Be kind."}]}, USER]},
    {"messages": [{"role": "assistant", "content": "Welcome"}, USER]},
    history(USER, {"role": "assistant", "content": "One"}, {"role": "assistant", "content": "two"}, USER),
    history({"role": "assistant", "content": "Look."}, asks("abcDEF123"), answers("abcDEF123")),
    history(asks("abcDEF123", "abcDEF124"), answers("abcDEF124"), answers("abcDEF123", name="f")),
    history(thinks("Hm.", signature("Hm.")), USER),
    history(thinks("Hm.", None), USER),
    history(asks("abcDEF123") | thinks("Hm.", signature("Hm.")), answers("abcDEF123")),
    says("user", [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": PIXEL}]),
    says("user", [{"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}}]),
    {"tools": [TOOL], "tool_choice": "any", "parallel_tool_calls": False},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    function(name="f", parameters={}, strict=True, description="Does."),
    schema(name="n", schema={"type": "object"}, strict=True),
    {"response_format": {"type": "json_object"}},
    {"reasoning_effort": "high", "prompt_mode": "reasoning"},
]


@pytest.mark.parametrize("changed", TAKEN)
def test_what_is_taken(server: MistralServer, changed: dict[str, Any]) -> None:
    status, body = answer(server, question(**changed))
    assert status == 200, body
    assert server.requests[0].status == 200


def test_the_arguments_are_those_of_the_sdk() -> None:
    assert set(ChatCompletionRequest.model_fields) == ARGUMENTS


def test_who_is_refused_takes_no_reply(server: MistralServer) -> None:
    server.reply(text("Hello"))
    answer(server, question(seed=7))
    assert server.pending == 1


def test_a_body_that_is_no_json_object(server: MistralServer) -> None:
    for data, kind in ((b"{", "json_invalid"), (b"[]", "model_attributes_type")):
        status, body = answer(server, data)
        assert (status, body["message"]["detail"][0]["type"]) == (422, kind)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic x"}])
def test_a_key_is_needed(server: MistralServer, headers: dict[str, str]) -> None:
    status, body = answer(server, question(), headers=headers)
    assert (status, body["message"]) == (401, "Unauthorized")


def test_other_paths(server: MistralServer) -> None:
    for path in ("/", "/v1/embeddings", "/v1/projects/p/models/m:rawPredict"):
        assert answer(server, question(), path=path)[0] == 404
    assert answer(server, method="GET")[0] == 404


def test_models() -> None:
    with MistralServer(models=["one", "two"]) as server:
        status, listed = answer(server, method="GET", path="/v1/models", headers=KEY)
        assert (status, [model["id"] for model in listed["data"]]) == (200, ["one", "two"])
        assert answer(server, method="GET", path="/v1/models/one")[1]["id"] == "one"
        assert answer(server, method="GET", path="/v1/models/three")[0] == 400
        status, body = answer(server, question())
        assert (status, body["type"]) == (400, "invalid_model")
