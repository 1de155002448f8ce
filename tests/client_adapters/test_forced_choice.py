"""A call that a model must make, held to a schema where a server ignores the choice."""

import json
from typing import Any

import openai
import pytest

from supercompat.client_adapters.openai import OpenAIClientAdapter
from supercompat.model.events import Finished, ModelEvent, TextDelta, ToolCallArguments, ToolCallStarted
from supercompat.model.forced_choice import ForcedCallReader, forced_functions, with_schema
from supercompat.model.request import (
    AssistantTurn,
    JsonObjectFormat,
    JsonSchemaFormat,
    ModelRequest,
    NamedTool,
    TextPart,
    ToolCall,
    ToolTurn,
    UserTurn,
)
from supercompat.testing.openai_server import ScriptedServer, text
from tests.client_adapters.asking import ADD, NOW, ask, heard
from tests.client_adapters.conftest import opened


def call_schema(name: str, parameters: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("choice", "functions"),
    [
        (None, ()),
        ("auto", ()),
        ("none", ()),
        ("required", (ADD, NOW)),
        (NamedTool("now"), (NOW,)),
        (NamedTool("gone"), ()),
    ],
)
def test_which_functions_are_forced(choice: Any, functions: Any):
    assert forced_functions(ask(tools=(ADD, NOW), tool_choice=choice)) == functions


def test_a_schema_instead_of_the_tools():
    request = ask(
        instructions="Be brief.",
        tools=(ADD, NOW),
        tool_choice=NamedTool("add"),
        parallel_tool_calls=True,
        response_format=JsonObjectFormat(),
        temperature=0.5,
    )
    changed = with_schema(request, (ADD,))
    assert (changed.tools, changed.tool_choice, changed.parallel_tool_calls) == ((), None, None)
    assert changed.response_format == JsonSchemaFormat("function_call", call_schema("add", ADD.parameters))
    assert changed.instructions is not None
    assert changed.instructions.startswith("Be brief.\n\n")
    assert changed.instructions.endswith("- add: Adds two numbers.")
    assert (changed.turns, changed.temperature) == (request.turns, 0.5)


def test_one_of_several():
    changed = with_schema(ask(tools=(ADD, NOW), tool_choice="required"), (ADD, NOW))
    assert isinstance(changed.response_format, JsonSchemaFormat)
    assert changed.response_format.schema == {
        "anyOf": [call_schema("add", ADD.parameters), call_schema("now", NOW.parameters)]
    }
    assert changed.instructions is not None
    assert changed.instructions.endswith("- add: Adds two numbers.\n- now")


def read(text: str, reason: Any = "stop") -> list[ModelEvent]:
    pieces: list[ModelEvent] = [TextDelta(letter) for letter in text]
    return list(ForcedCallReader().read([*pieces, Finished(reason)]))


def test_the_answer_is_a_call():
    started, arguments, finished = read('{"name": "add", "arguments": {"a": 1, "b": "ü"}}')
    assert isinstance(started, ToolCallStarted)
    assert (started.index, started.name) == (0, "add")
    assert started.id.startswith("call_")
    assert arguments == ToolCallArguments(0, '{"a": 1, "b": "ü"}')
    assert finished == Finished("tool_calls")


@pytest.mark.parametrize("answer", ['{"name": "now", "arguments": {}}', '{"name": "now"}'])
def test_a_call_without_arguments(answer: str):
    assert read(answer)[1] == ToolCallArguments(0, "{}")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Hello", "stop"),
        ("[]", "stop"),
        ('{"arguments": {}}', "stop"),
        ('{"name": "ad', "length"),
        ('{"name": "add", "arguments": {}}', "content_filter"),
    ],
)
def test_what_is_no_call_stays_text(answer: str, reason: Any):
    assert read(answer, reason) == [TextDelta(answer), Finished(reason)]


def test_an_answer_without_text():
    assert read("") == [Finished("stop")]


@pytest.mark.parametrize("make", [openai.OpenAI, openai.AsyncOpenAI])
async def test_over_the_wire(make: Any, server: ScriptedServer):
    server.reply(
        text('{"name": "add", "argu', 'ments": {"a": 1, "b": 2}}').with_usage(None), text("3."), text("3.")
    )
    async with opened(make, base_url=server.base_url) as client:
        connection = OpenAIClientAdapter(client, forced_tool_choice="json_schema").connect(own_pool=False)
        forced = ask(tools=(ADD, NOW), tool_choice=NamedTool("add"))
        started, arguments, finished = await heard(connection, forced)
        assert isinstance(started, ToolCallStarted)
        assert arguments == ToolCallArguments(0, '{"a": 1, "b": 2}')
        assert finished == Finished("tool_calls")
        # The calls of the past are sent as what they were, and a model that is free gets its tools.
        turns = (
            UserTurn((TextPart("1 + 2?"),)),
            AssistantTurn("", (ToolCall(started.id, "add", '{"a": 1, "b": 2}'),)),
            ToolTurn(started.id, "add", "3"),
        )
        for choice in ("auto", "required"):
            request = ModelRequest("m", turns, tools=(ADD,), tool_choice=choice)
            assert TextDelta("3.") in await heard(connection, request)
    first, free, again = [request.body for request in server.requests]
    assert first.keys().isdisjoint(("tools", "tool_choice"))
    assert first["response_format"]["json_schema"]["schema"] == json.loads(
        json.dumps(call_schema("add", ADD.parameters))
    )
    assert first["messages"][0]["role"] == "system"
    assert (free["tool_choice"], "response_format" in free) == ("auto", False)
    assert "tools" not in again
    for body in (free, again):
        kinds = [message["role"] for message in body["messages"] if message["role"] != "system"]
        assert kinds == ["user", "assistant", "tool"]


async def test_a_server_that_honours_the_choice_is_asked_natively(server: ScriptedServer):
    async with opened(openai.OpenAI, base_url=server.base_url) as client:
        connection = OpenAIClientAdapter(client).connect(own_pool=False)
        await heard(connection, ask(tools=(ADD,), tool_choice="required"))
    assert server.requests[0].body["tool_choice"] == "required"
    assert "response_format" not in server.requests[0].body
