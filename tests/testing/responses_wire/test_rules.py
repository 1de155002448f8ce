"""What the Responses wire refuses of a request, and what it must not refuse."""

from typing import Any

import openai
import pytest

from supercompat.testing import ScriptedServer, text
from tests.testing.openai_server.asking import ask

PATH = "/v1/responses"
GROQ_PATH = "/openai/v1/responses"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}
STRICT: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {**SCHEMA, "additionalProperties": False}}},
    "required": ["a"],
    "additionalProperties": False,
}
FUNCTION: dict[str, Any] = {"type": "function", "name": "f", "parameters": SCHEMA}
MCP: dict[str, Any] = {"type": "mcp", "server_label": "docs", "server_url": "https://a.example"}


def asks(**more: Any) -> dict[str, Any]:
    """A request that keeps all rules, with `more` in it."""
    return {"model": "gpt-4o", "input": "Hi", **more}


def says(content: Any, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"input": [{"role": role, "content": content, **more}]}


def part(kind: str, **fields: Any) -> dict[str, Any]:
    return says([{"type": kind, **fields}])


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return {"input": [{"type": kind, **fields}]}


def tool(kind: str, **fields: Any) -> dict[str, Any]:
    return {"tools": [{"type": kind, **fields}]}


def function(**fields: Any) -> dict[str, Any]:
    return tool("function", name="f", **fields)


def answer_in(**fields: Any) -> dict[str, Any]:
    return {"text": {"format": {"type": "json_schema", **fields}}}


def thinks(model: str = "o3", **more: Any) -> dict[str, Any]:
    return {"model": model, **more}


Case = tuple[dict[str, Any], str | None, str | None, str]

# What is changed in a good request; the param that is named; the code; words of the message.
REFUSED: list[Case] = [
    ({"model": None}, "model", "invalid_type", "expected a string"),
    ({"model": ""}, "model", "empty_string", "empty"),
    ({"input": None}, "input", "missing_required_parameter", "'input'"),
    ({"input": 7}, "input", "invalid_type", "one of a string or array of input items, but got an integer"),
    ({"input": [7]}, "input[0]", "invalid_type", "expected an input item, but got an integer"),
    # what chat completions have
    ({"messages": []}, "messages", "unsupported_parameter", "moved to 'input'"),
    ({"response_format": {}}, "response_format", "unsupported_parameter", "moved to 'text.format'"),
    ({"max_tokens": 9}, "max_tokens", "unsupported_parameter", "moved to 'max_output_tokens'"),
    ({"max_completion_tokens": 9}, "max_completion_tokens", "unsupported_parameter", "max_output_tokens"),
    ({"reasoning_effort": "low"}, "reasoning_effort", "unsupported_parameter", "'reasoning.effort'"),
    ({"verbosity": "low"}, "verbosity", "unsupported_parameter", "'text.verbosity'"),
    ({"stop": "a"}, "stop", "unknown_parameter", "Unknown parameter: 'stop'"),
    ({"n": 1}, "n", "unknown_parameter", "'n'"),
    ({"seed": 7}, "seed", "unknown_parameter", "'seed'"),
    ({"conversation": "conv_1"}, "conversation", None, "does not have 'conversation'"),
    # messages
    (says("Hi", "model"), "input[0]", "invalid_value", "'model'. Supported values are: 'assistant'"),
    ({"input": [{"role": "user"}]}, "input[0].content", "missing_required_parameter", "content"),
    (says(None), "input[0].content", "invalid_type", "array of objects or string, but got null"),
    (says("Hi", bogus=1), "input[0].bogus", "unknown_parameter", "bogus"),
    (says("Hi", name="Ann"), "input[0].name", "unknown_parameter", "name"),
    (says("Hi", phase="final_answer"), "input[0].phase", "unknown_parameter", "phase"),
    (says("Hi", id="x"), "input[0].id", "invalid_value", "begins with 'msg'"),
    (part("text", text="Hi"), "input[0].content[0].type", "invalid_value", "'text'"),
    (part("output_text", text="Hi"), "input[0].content[0]", "invalid_value", "'input_text'"),
    (
        says([{"type": "input_text", "text": "Hi"}], "assistant"),
        "input[0].content[0]",
        "invalid_value",
        "'output_text' and 'refusal'",
    ),
    (part("input_text"), "input[0].content[0].text", "missing_required_parameter", "text"),
    (
        part("input_image", image_url={"url": PIXEL}),
        "input[0].content[0].image_url",
        "invalid_type",
        "a string, but got an object",
    ),
    (part("input_image", image_url="a.png"), "input[0].content[0].image_url", "invalid_image_url", "URL"),
    (part("input_image"), "input[0].content[0]", "invalid_value", "exactly one of 'image_url'"),
    (
        part("input_image", image_url=PIXEL, detail="fine"),
        "input[0].content[0].detail",
        "invalid_value",
        "'fine'",
    ),
    (part("input_file", filename="a.txt"), "input[0].content[0]", "invalid_value", "exactly one of"),
    # other items
    (item("tool_call"), "input[0]", "invalid_value", "'tool_call'. Supported values are: 'message'"),
    (
        item("function_call", name="f", arguments="{}"),
        "input[0].call_id",
        "missing_required_parameter",
        "call_id",
    ),
    (
        item("function_call", call_id="c", name="f", arguments={}),
        "input[0].arguments",
        "invalid_type",
        "a string, but got an object",
    ),
    (
        item("function_call", id="call_1", call_id="call_1", name="f", arguments="{}"),
        "input[0].id",
        "invalid_value",
        "'call_1'. Expected an ID that begins with 'fc'",
    ),
    (
        item("function_call", call_id="c" * 65, name="f", arguments="{}"),
        "input[0].call_id",
        "string_above_max_length",
        "64",
    ),
    (item("function_call_output", call_id="c"), "input[0].output", "missing_required_parameter", "output"),
    (
        item("function_call_output", call_id="c", output={"a": 1}),
        "input[0].output",
        "invalid_type",
        "a string",
    ),
    (item("reasoning", summary=[]), "input[0].id", "missing_required_parameter", "id"),
    (item("reasoning", id="rs_1"), "input[0].summary", "missing_required_parameter", "summary"),
    (item("reasoning", id="msg_1", summary=[]), "input[0].id", "invalid_value", "begins with 'rs'"),
    (item("web_search_call", id="ws_1"), "input[0].action", "missing_required_parameter", "action"),
    (item("mcp_approval_response", approve=True), "input[0].approval_request_id", None, "approval"),
    # tools
    (tool("retrieval"), "tools[0].type", "invalid_value", "'retrieval'"),
    ({"tools": [{"name": "f"}]}, "tools[0].type", "missing_required_parameter", "type"),
    (
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        "tools[0].name",
        "missing_required_parameter",
        "'tools[0].name'",
    ),
    (function(function={}), "tools[0].function", "unknown_parameter", "function"),
    (tool("function", name="my tool"), "tools[0].name", "invalid_value", "pattern"),
    (function(parameters={}), "tools[0].parameters", "invalid_function_parameters", "None"),
    (
        function(parameters=SCHEMA, strict=True),
        "tools[0].parameters",
        "invalid_function_parameters",
        "'additionalProperties' is required",
    ),
    (
        function(parameters={**STRICT, "required": []}, strict=True),
        "tools[0].parameters",
        "invalid_function_parameters",
        "Missing 'a'",
    ),
    (
        function(parameters={**STRICT, "properties": {"a": SCHEMA}}, strict=True),
        "tools[0].parameters",
        "invalid_function_parameters",
        "('properties', 'a')",
    ),
    ({"tools": [FUNCTION] * 129}, "tools", "array_above_max_length", "128"),
    (tool("file_search"), "tools[0].vector_store_ids", "missing_required_parameter", "vector_store_ids"),
    (
        tool("file_search", vector_store_ids=["vs_1"], max_num_results=51),
        "tools[0].max_num_results",
        "integer_above_max_value",
        "50",
    ),
    (tool("code_interpreter"), "tools[0].container", "missing_required_parameter", "container"),
    (tool("code_interpreter", container="c_1"), "tools[0].container", "invalid_value", "'cntr'"),
    (tool("mcp", server_label="docs"), "tools[0].server_url", "missing_required_parameter", "exactly one"),
    (
        tool("web_search", search_context_size="huge"),
        "tools[0].search_context_size",
        "invalid_value",
        "'huge'",
    ),
    (
        tool("image_generation", partial_images=4),
        "tools[0].partial_images",
        "integer_above_max_value",
        "3",
    ),
    (tool("computer_use_preview"), "tools[0].display_width", "missing_required_parameter", "display_width"),
    ({"tool_choice": "required"}, "tool_choice", None, "must be specified with 'tools'"),
    ({"tools": [FUNCTION], "tool_choice": "f"}, "tool_choice", "invalid_value", "'f'"),
    (
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}},
        "tool_choice",
        None,
        "'g' not found",
    ),
    (
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        "tool_choice.function",
        "unknown_parameter",
        "function",
    ),
    ({"tools": [FUNCTION], "tool_choice": {"type": "web_search"}}, "tool_choice", None, "'web_search' not"),
    ({"parallel_tool_calls": 1}, "parallel_tool_calls", "invalid_type", "a boolean"),
    # answers' format
    ({"text": {"format": "text"}}, "text.format", "invalid_type", "an object"),
    ({"text": {"zzz": 1}}, "text.zzz", "unknown_parameter", "zzz"),
    ({"text": {"verbosity": "loud"}}, "text.verbosity", "invalid_value", "'loud'"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type", "invalid_value", "'json_object', 'text'"),
    ({"text": {"format": {"type": "json_object"}}}, "input", None, "must contain the word 'json'"),
    (answer_in(schema=SCHEMA), "text.format.name", "missing_required_parameter", "name"),
    (answer_in(name="a"), "text.format.schema", "missing_required_parameter", "schema"),
    (
        answer_in(json_schema={"name": "a"}, name="a", schema=SCHEMA),
        "text.format.json_schema",
        "unknown_parameter",
        "json_schema",
    ),
    (
        answer_in(name="a", schema=SCHEMA, strict=True),
        "text.format.schema",
        "invalid_json_schema",
        "response_format 'a'",
    ),
    # numbers
    ({"max_output_tokens": 15}, "max_output_tokens", "integer_below_min_value", ">= 16, but got 15"),
    ({"max_tool_calls": 0}, "max_tool_calls", "integer_below_min_value", ">= 1"),
    ({"temperature": 2.1}, "temperature", "decimal_above_max_value", "<= 2"),
    ({"top_p": "1"}, "top_p", "invalid_type", "a decimal"),
    ({"top_logprobs": 21}, "top_logprobs", "integer_above_max_value", "20"),
    # the rest
    ({"reasoning": {"effort": "huge"}}, "reasoning.effort", "invalid_value", "'huge'"),
    ({"reasoning": {"summary": "long"}}, "reasoning.summary", "invalid_value", "'long'"),
    ({"reasoning": {"budget": 1}}, "reasoning.budget", "unknown_parameter", "budget"),
    ({"include": ["everything"]}, "include[0]", "invalid_value", "'everything'"),
    ({"truncation": "last"}, "truncation", "invalid_value", "'auto' and 'disabled'"),
    ({"store": "yes"}, "store", "invalid_type", "a boolean"),
    ({"stream": 1}, "stream", "invalid_type", "a boolean"),
    ({"stream_options": {}}, "stream_options", None, "only allowed when 'stream'"),
    (
        {"stream": True, "stream_options": {"include_usage": True}},
        "stream_options.include_usage",
        "unknown_parameter",
        "include_usage",
    ),
    ({"background": True, "store": False}, "background", "unsupported_parameter", "'store'"),
    ({"metadata": {"a": 1}}, "metadata.a", "invalid_type", "a string"),
    ({"metadata": {f"k{n}": "" for n in range(17)}}, "metadata", "object_above_max_properties", "16"),
    ({"instructions": ["Be brief"]}, "instructions", "invalid_type", "a string"),
    ({"previous_response_id": "msg_1"}, "previous_response_id", "invalid_value", "begins with 'resp'"),
    (
        {"previous_response_id": "resp_1"},
        "previous_response_id",
        "previous_response_not_found",
        "Previous response with id 'resp_1' not found.",
    ),
    # families
    (thinks(temperature=1), "temperature", "unsupported_parameter", "not supported with this model"),
    (thinks("gpt-5-mini", top_p=0.5), "top_p", "unsupported_parameter", "not supported with this model"),
    (
        thinks("gpt-5.1", temperature=0, reasoning={"effort": "low"}),
        "temperature",
        "unsupported_parameter",
        "",
    ),
    (thinks("gpt-5.6", top_p=1), "top_p", "unsupported_parameter", "not supported with this model"),
    ({"reasoning": {"effort": "low"}}, "reasoning.effort", "unsupported_parameter", "with this model"),
    ({"include": ["reasoning.encrypted_content"]}, "include", None, "Encrypted content is not supported"),
]

TAKEN: list[dict[str, Any]] = [
    {"temperature": 0, "top_p": 1, "max_output_tokens": 16, "user": "u", "metadata": {"a": "b"}},
    dict.fromkeys(("temperature", "tools", "user", "text", "store", "include", "instructions", "stream")),
    says([{"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": PIXEL}]),
    says([{"type": "input_image", "file_id": "file-1", "detail": "low"}]),
    says([{"type": "input_file", "file_id": "file-1"}]),
    says("Be brief", "developer"),
    says("Done", "assistant"),
    says([{"type": "output_text", "text": "Done", "annotations": []}], "assistant", status="completed"),
    says("Hi", type="message"),
    {"tools": [FUNCTION], "tool_choice": "required", "parallel_tool_calls": False},
    {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "f"}},
    {"tools": [{"type": "function", "name": "f"}], "tool_choice": "auto"},
    {"tools": [], "tool_choice": "auto"},
    function(parameters=STRICT, strict=True),
    {
        "tools": [
            {"type": "file_search", "vector_store_ids": ["vs_1"], "ranking_options": {"score_threshold": 0}},
            {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"]}},
            {"type": "web_search", "user_location": {"type": "approximate", "city": "Oslo"}},
            {"type": "web_search_preview"},
            {**MCP, "require_approval": {"never": {"tool_names": ["ask"]}}, "headers": {"a": "b"}},
            {"type": "image_generation", "partial_images": 2},
        ],
        "tool_choice": {"type": "file_search"},
    },
    {"tools": [MCP], "tool_choice": {"type": "mcp", "server_label": "docs"}},
    {
        "tools": [
            {
                "type": "computer_use_preview",
                "display_width": 1,
                "display_height": 1,
                "environment": "browser",
            }
        ],
        "truncation": "auto",
    },
    {"text": {"format": {"type": "json_object"}}, "input": "Answer in JSON"},
    answer_in(name="a", schema=SCHEMA),
    {"background": True},
    {"store": False},
    thinks(reasoning={"effort": "low", "summary": "auto"}, include=["reasoning.encrypted_content"]),
    thinks("gpt-5.1", temperature=0.5),
    thinks("gpt-5.6", temperature=0.5, reasoning={"effort": "none"}),
    thinks("gpt-5-chat-latest", temperature=0.5),
    thinks("unheard-of", temperature=0.5, reasoning={"effort": "low"}),
]


@pytest.mark.parametrize("case", REFUSED, ids=[f"{number} {case[3]}" for number, case in enumerate(REFUSED)])
def test_what_is_refused(server: ScriptedServer, case: Case) -> None:
    change, param, code, words = case

    status, body = ask(server, asks(**change), path=PATH)

    assert status == 400, body
    error = body["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert code is None or error["code"] == code
    assert words in error["message"]


@pytest.mark.parametrize("change", TAKEN, ids=str)
def test_what_is_taken(server: ScriptedServer, change: dict[str, Any]) -> None:
    status, body = ask(server, asks(**change), path=PATH)

    assert status == 200, body


def test_what_must_be_there(server: ScriptedServer) -> None:
    status, body = ask(server, {"input": "Hi"}, path=PATH)

    assert (status, body["error"]["code"]) == (400, "missing_required_parameter")


def test_a_refused_request_takes_no_reply(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("Still here."))

    ask(server, asks(n=1), path=PATH)

    assert client.responses.create(model="gpt-4o", input="Hi").output_text == "Still here."


GROQ_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"previous_response_id": "resp_1"}, "property 'previous_response_id' is unsupported"),
    ({"store": True}, "property 'store' is unsupported"),
    ({"background": True}, "property 'background' is unsupported"),
    ({"truncation": "auto"}, "property 'truncation' is unsupported"),
    ({"include": ["reasoning.encrypted_content"]}, "property 'include' is unsupported"),
    ({"safety_identifier": "s"}, "property 'safety_identifier' is unsupported"),
    ({"prompt_cache_key": "k"}, "property 'prompt_cache_key' is unsupported"),
    ({"messages": []}, "property 'messages' is unsupported"),
    (tool("file_search", vector_store_ids=["vs_1"]), "'file_search'"),
    ({"max_output_tokens": "9"}, "expected an integer"),
]


@pytest.mark.parametrize(("change", "words"), GROQ_REFUSED, ids=[words for _, words in GROQ_REFUSED])
def test_groqs_own_rules(server: ScriptedServer, change: dict[str, Any], words: str) -> None:
    status, body = ask(server, asks(**change), path=GROQ_PATH)

    assert status == 400
    assert words in body["error"]["message"]


def test_what_groq_takes(server: ScriptedServer) -> None:
    changes: list[dict[str, Any]] = [
        {"store": False, "truncation": "disabled", "background": False, "model": "openai/gpt-oss-20b"},
        {"model": "openai/gpt-oss-20b", "temperature": 0.5, "reasoning": {"effort": "low"}},
        tool("browser_search"),
        item("message", role="user", content="Hi", id="anything"),
        {"previous_response_id": None, "include": None},
    ]

    assert [ask(server, asks(**change), path=GROQ_PATH)[0] for change in changes] == [200] * len(changes)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_groq_keeps_nothing(server: ScriptedServer, method: str) -> None:
    _, response = ask(server, asks(), path=GROQ_PATH)

    status, body = ask(server, None, method=method, path=f"{GROQ_PATH}/{response['id']}")

    assert response["store"] is False
    assert (status, body["error"].get("code")) == (404, "unknown_url")
