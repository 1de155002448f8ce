"""What the server that plays Gemini refuses, and what it must not refuse."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from supercompat.testing import GoogleServer, tool_calls
from supercompat.testing import call as scripted_call
from supercompat.testing.google_server import UNSIGNED
from tests.testing.google_server.asking import (
    PLAIN,
    SIGNS,
    ask,
    call,
    history,
    model,
    path,
    question,
    response,
    user,
)

SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
JSON = {"responseMimeType": "application/json"}


def tools(*declarations: dict[str, Any]) -> dict[str, Any]:
    return {"tools": [{"functionDeclarations": list(declarations)}]}


def function(**more: Any) -> dict[str, Any]:
    return {"name": "f", "parametersJsonSchema": SCHEMA, **more}


def choice(**more: Any) -> dict[str, Any]:
    return {"toolConfig": {"functionCallingConfig": more}}


def generation(**more: Any) -> dict[str, Any]:
    return {"generationConfig": more}


def thinking(**more: Any) -> dict[str, Any]:
    return generation(thinkingConfig=more)


def sees(**blob: Any) -> dict[str, Any]:
    return {"contents": [user({"inlineData": blob})]}


@pytest.fixture(scope="module")
def server() -> Iterator[GoogleServer]:
    with GoogleServer() as server:
        yield server


# What is changed in a good request; the model; words of the message.
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    # shape
    ({"messages": []}, PLAIN, 'Unknown name "messages": Cannot find field.'),
    (generation(temprature=1), PLAIN, "Unknown name \"temprature\" at 'generation_config'"),
    ({"contents": [{"role": "user", "parts": [{"type": "text"}]}]}, PLAIN, "at 'contents[0].parts[0]'"),
    ({"contents": "Hi"}, PLAIN, "Invalid value at 'contents'"),
    ({"contents": ["Hi"]}, PLAIN, "Invalid value at 'contents[0]'"),
    (generation(maxOutputTokens="9"), PLAIN, "Invalid value at 'generation_config.max_output_tokens'"),
    (generation(maxOutputTokens=True), PLAIN, "Invalid value"),
    (generation(temperature="hot"), PLAIN, "Invalid value"),
    (choice(mode="ALWAYS"), PLAIN, "Invalid value at 'tool_config.function_calling_config.mode'"),
    ({"contents": [user({"text": "a", "thought": "yes"})]}, PLAIN, "Invalid value"),
    ({"contents": [user({"text": "a", "thoughtSignature": "?"})]}, PLAIN, "Invalid value"),
    (history(model(call()), user(response(response="1"))), PLAIN, "Invalid value"),
    # roles and parts
    ({"contents": []}, PLAIN, "contents is not specified"),
    ({"contents": [{"parts": [{"text": "Hi"}]}]}, PLAIN, "valid role: user, model"),
    ({"contents": [{**user("Hi"), "role": "assistant"}]}, PLAIN, "valid role: user, model"),
    ({"contents": [{"role": "user", "parts": []}]}, PLAIN, "parts must not be empty"),
    ({"contents": [user({})]}, PLAIN, "required oneof field 'data'"),
    ({"contents": [user({"text": "a", **call()})]}, PLAIN, "required oneof field 'data'"),
    ({"contents": [user("")]}, PLAIN, "must have a text parameter"),
    ({"contents": [user(call())]}, PLAIN, "Role 'user' does not support"),
    (history(model(response()), user("a")), PLAIN, "Role 'model' does not support"),
    ({"systemInstruction": {"parts": [{"text": ""}]}}, PLAIN, "System instruction must have text parts"),
    ({"systemInstruction": {"parts": []}}, PLAIN, "System instruction must have text parts"),
    # order
    (history(user("Hi")), PLAIN, "alternate between user and model"),
    (history(model("a"), model("b"), user("c")), PLAIN, "alternate between user and model"),
    ({"contents": [model("a"), user("b")]}, PLAIN, "begin with a user role"),
    (history(model("a")), PLAIN, "end with a user role"),
    # calls and responses
    (history(model("a"), user(response())), PLAIN, "immediately after a function call turn"),
    ({"contents": [user(response())]}, PLAIN, "immediately after a function call turn"),
    (history(model(call()), user("a")), PLAIN, "number of function response parts is equal"),
    (history(model(call(), call()), user(response())), PLAIN, "number of function response parts is equal"),
    (history(model(call()), user(response(), response())), PLAIN, "number of function response parts"),
    (history(model(call("f")), user(response("g"))), PLAIN, "names of the function calls"),
    (history(model(call(id="1")), user(response(id="2"))), PLAIN, "ids of the function calls"),
    (history(model(call("")), user(response())), PLAIN, "function_call.name: Name cannot be empty"),
    (history(model(call()), user(response(""))), PLAIN, "function_response.name: Name cannot be empty"),
    (history(model(call()), user(response(response={}))), PLAIN, "Response cannot be empty"),
    # signatures
    (history(model(call()), user(response())), SIGNS, "missing a thought_signature in functionCall parts"),
    (
        history(model(call(signature=UNSIGNED)), user(response()), model(call()), user(response())),
        SIGNS,
        "function call `f`, position 4",
    ),
    (
        history(model(call(), call(signature=UNSIGNED)), user(response(), response())),
        SIGNS,
        "missing a thought_signature",
    ),
    (history(model(call(signature="c2ln")), user(response())), SIGNS, "Corrupted thought signature"),
    (history(model({"text": "a", "thoughtSignature": "c2ln"}), user("b")), SIGNS, "Corrupted thought"),
    # images
    (sees(mimeType="image/svg+xml", data="YQ=="), PLAIN, "Unsupported MIME type: image/svg+xml"),
    (sees(mimeType="image/png", data=""), PLAIN, "Unable to process input image"),
    (
        {"contents": [user({"fileData": {"fileUri": "https://a.test/b.png", "mimeType": "image/png"}})]},
        PLAIN,
        "Cannot fetch content from the provided URL",
    ),
    # tools
    ({"tools": [{}]}, PLAIN, "tool_type"),
    (tools(function(name="1f")), PLAIN, "Invalid function name"),
    (tools(function(name="f" * 65)), PLAIN, "Invalid function name"),
    (tools(function(), function()), PLAIN, "Duplicate function declaration found: f"),
    (tools(function(parameters=SCHEMA)), PLAIN, "mutually exclusive"),
    (tools(function(strict=True)), PLAIN, 'Unknown name "strict"'),
    (tools(function(parametersJsonSchema={})), PLAIN, "should be of type OBJECT"),
    (choice(mode="AUTO"), PLAIN, "without function_declarations"),
    (
        tools(function()) | choice(mode="AUTO", allowedFunctionNames=["f"]),
        PLAIN,
        "Allowed function names may",
    ),
    (tools(function()) | choice(mode="ANY", allowedFunctionNames=["g"]), PLAIN, "Allowed function name g"),
    # generation
    (generation(temperature=2.1), PLAIN, "temperature must be in the range [0, 2]"),
    (generation(topP=-0.1), PLAIN, "topP must be in the range"),
    (generation(maxOutputTokens=0), PLAIN, "max_output_tokens must be positive"),
    (generation(stopSequences=list("abcdef")), PLAIN, "at most 5"),
    (generation(candidateCount=2), PLAIN, "Multiple candidates"),
    (generation(responseJsonSchema=SCHEMA), PLAIN, "only supported with response_mime_type application/json"),
    (generation(**JSON, responseJsonSchema=SCHEMA, responseSchema=SCHEMA), PLAIN, "Only one of"),
    (tools(function()) | generation(**JSON), PLAIN, "Function calling with a response mime type"),
    # thinking
    (thinking(thinkingBudget=0), "gemini-2.0-flash", "Thinking is not enabled"),
    (thinking(thinkingBudget=0), "gemma-4", "Thinking is not enabled"),
    (thinking(thinkingLevel="LOW"), PLAIN, "Thinking level is not supported"),
    (thinking(thinkingLevel="LOW", thinkingBudget=1), SIGNS, "only one of thinking budget and"),
    (thinking(thinkingLevel="MINIMAL"), SIGNS, "Thinking level MINIMAL is not supported"),
    (thinking(thinkingLevel="MEDIUM"), "gemini-3-pro", "Thinking level MEDIUM is not supported"),
    (thinking(thinkingBudget=0), "gemini-2.5-pro", "thinking budget 0 is invalid"),
]


@pytest.mark.parametrize(("change", "name", "words"), REFUSED, ids=range(len(REFUSED)))
def test_refused(server: GoogleServer, change: dict[str, Any], name: str, words: str):
    status, raw = ask(server, question(**change), to=path(name))
    error = json.loads(raw)["error"]
    assert (status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert words in error["message"]


TAKEN: list[tuple[dict[str, Any], str]] = [
    (question(), PLAIN),
    ({"contents": [user("Hi")], "system_instruction": {"parts": [{"text": "Be brief."}]}}, PLAIN),
    (question(generation_config={"max_output_tokens": 9, "thinking_config": {"thinking_budget": 0}}), PLAIN),
    (question(toolConfig=None), PLAIN),
    (history(model(call()), user(response())), PLAIN),
    (
        history(model("a", call("f", id="1"), call("g")), user(response("g"), response("f", id="1"), "b")),
        PLAIN,
    ),
    (history(model(call(signature=UNSIGNED), call()), user(response(), response())), SIGNS),
    # Only the calls of the current turn have to be signed.
    (history(model(call()), user(response()), model("a"), user("b")), SIGNS),
    (sees(mimeType="image/png", data="_-8="), PLAIN),
    (question(**tools(function()), **choice(mode="VALIDATED", allowedFunctionNames=["f"])), PLAIN),
    (question(**tools(function()), **generation(**JSON, responseJsonSchema=SCHEMA)), SIGNS),
    (question(**thinking(thinkingLevel="low", includeThoughts=True)), "gemini-flash-latest"),
]


@pytest.mark.parametrize(("body", "name"), TAKEN, ids=range(len(TAKEN)))
def test_taken(server: GoogleServer, body: dict[str, Any], name: str):
    assert ask(server, body, to=path(name))[0] == 200


@pytest.mark.parametrize("other", ["another model", "another part"])
def test_a_signature_is_of_one_model_and_one_part(server: GoogleServer, other: str):
    server.reply(tool_calls(scripted_call("f")))
    (part,) = json.loads(ask(server, question(), to=path(SIGNS))[1])["candidates"][0]["content"]["parts"]
    answer = user(response("f", id=part["functionCall"]["id"]))
    assert ask(server, history(model(part), answer), to=path(SIGNS))[0] == 200
    if other == "another part":
        part["functionCall"]["args"] = {"a": 1}
    name = "gemini-3-flash" if other == "another model" else SIGNS
    status, raw = ask(server, history(model(part), answer), to=path(name))
    assert status == 400
    assert b"Corrupted thought signature" in raw


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"contents": NaN}'])
def test_what_is_no_json_object(server: GoogleServer, body: bytes):
    status, raw = ask(server, body)
    assert status == 400
    assert b"Invalid JSON payload received" in raw


@pytest.mark.parametrize(
    ("to", "method", "status"),
    [
        ("/v1/models/m:countTokens", "POST", 404),
        ("/v2/models/m:generateContent", "POST", 404),
        ("/v1/models", "POST", 404),
        ("/v1/models/m:generateContent", "GET", 404),
        ("/v1/models/m:streamGenerateContent", "POST", 400),
    ],
)
def test_other_paths(server: GoogleServer, to: str, method: str, status: int):
    assert ask(server, question(), to=to, method=method)[0] == status


def test_a_key_is_needed(server: GoogleServer):
    status, raw = ask(server, question(), headers={})
    assert (status, json.loads(raw)["error"]["status"]) == (403, "PERMISSION_DENIED")
