"""A model request as the body of a chat completion."""

from typing import Any

import pytest

from supercompat.client_adapters.openai_wire import request_body
from supercompat.model.request import (
    AssistantTurn,
    FunctionTool,
    ImagePart,
    JsonObjectFormat,
    JsonSchemaFormat,
    ModelRequest,
    NamedTool,
    TextPart,
    ToolCall,
    ToolTurn,
    Turn,
    UserTurn,
)
from tests.client_adapters.asking import ADD, NOW, ask


def messages(*turns: Turn, instructions: str | None = None) -> list[Any]:
    return request_body(ModelRequest("m", turns, instructions))["messages"]


def test_what_was_not_asked_for_is_not_sent():
    assert request_body(ask("Hi")) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_everything_at_once():
    body = request_body(
        ask(
            instructions="Be brief.",
            tools=(ADD, NOW),
            tool_choice="required",
            parallel_tool_calls=False,
            response_format=JsonObjectFormat(),
            temperature=0.0,
            top_p=0.5,
            max_completion_tokens=100,
            reasoning_effort="low",
        ),
        usage_option=False,
    )
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    del body["messages"]
    assert body == {
        "model": "m",
        "stream": True,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "add",
                    "description": "Adds two numbers.",
                    "parameters": ADD.parameters,
                },
            },
            {
                "type": "function",
                "function": {"name": "now", "parameters": {"type": "object", "properties": {}}},
            },
        ],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
        "temperature": 0.0,
        "top_p": 0.5,
        "max_completion_tokens": 100,
        "reasoning_effort": "low",
    }


def test_an_answer_at_once_has_nothing_of_a_stream():
    assert request_body(ask(), stream=False).keys() == {"model", "messages"}


def test_the_limit_by_its_old_name():
    body = request_body(ask(max_completion_tokens=5), max_tokens_field="max_tokens")
    assert body["max_tokens"] == 5
    assert "max_completion_tokens" not in body


def test_choices_without_tools_are_not_sent():
    body = request_body(ask(tool_choice="none", parallel_tool_calls=True))
    assert body.keys().isdisjoint(("tool_choice", "parallel_tool_calls", "tools"))


def test_a_named_tool_and_a_strict_one():
    tool = FunctionTool("now", strict=True)
    body = request_body(ask(tools=(tool,), tool_choice=NamedTool("now")))
    assert body["tool_choice"] == {"type": "function", "function": {"name": "now"}}
    assert body["tools"][0]["function"]["strict"] is True


def test_a_conversation():
    calls = (ToolCall("call_1", "add", '{"a": 1, "b": 2}'), ToolCall("call_2", "now", "{}"))
    assert messages(
        UserTurn((TextPart("1 + 2?"),)),
        AssistantTurn("", calls),
        ToolTurn("call_1", "add", "3"),
        ToolTurn("call_2", "now", ""),
        AssistantTurn("3."),
    ) == [
        {"role": "user", "content": "1 + 2?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'},
                },
                {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "3"},
        {"role": "tool", "tool_call_id": "call_2", "content": ""},
        {"role": "assistant", "content": "3."},
    ]


def test_text_beside_calls():
    (message,) = messages(AssistantTurn("Let me see.", (ToolCall("call_1", "now", "{}"),)))
    assert message["content"] == "Let me see."


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        ((), ""),
        ((TextPart("one"),), "one"),
        (
            (TextPart("one"), TextPart("two")),
            [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
        ),
        (
            (ImagePart("https://host/a.png", "low"),),
            [{"type": "image_url", "image_url": {"url": "https://host/a.png", "detail": "low"}}],
        ),
    ],
)
def test_content(parts: Any, content: object):
    assert messages(UserTurn(parts)) == [{"role": "user", "content": content}]


def test_a_schema_with_only_what_is_given():
    body = request_body(ask(response_format=JsonSchemaFormat("answer", {"type": "object"}, strict=True)))
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
    }
