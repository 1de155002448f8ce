"""What a request to Anthropic looks like."""

import base64
from typing import Any

import pytest

from supercompat.client_adapters.anthropic.request import request_body
from supercompat.errors import ProviderError
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
from supercompat.testing.anthropic_server.rules import VERSIONS, check
from tests.client_adapters.asking import ADD, NOW

HI = UserTurn((TextPart("Hi"),))
FAMILIES = [
    "claude-3-haiku-20240307",
    "claude-3-5-sonnet-20241022",
    "claude-3-7-sonnet-latest",
    "claude-sonnet-4-20250514",
    "claude-opus-4-1",
    "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "claude-opus-4-5@20251101",
    "claude-sonnet-4-6",
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-sonnet-5-5",
    "claude-opus-5-5",
    "claude-fable-5-2",
    "claude-saga-6",
    "kimi-k3",
]


def body(*turns: Turn, model: str = "claude-opus-5", **more: Any) -> dict[str, Any]:
    """The body of a request, which the fake would take."""
    sent = request_body(ModelRequest(model, turns or (HI,), **more))
    check({**sent, "stream": True}, VERSIONS[-1])
    return sent


def said(*turns: Turn, **more: Any) -> list[tuple[str, list[Any]]]:
    """The messages: roles, and texts or whole other blocks."""
    return [
        (message["role"], [block.get("text", block) for block in message["content"]])
        for message in body(*turns, **more)["messages"]
    ]


def test_neighbours_are_joined():
    more = UserTurn((TextPart("there"), TextPart(" "), TextPart("!")))
    assert said(HI, more, AssistantTurn("A"), AssistantTurn("B"), HI) == [
        ("user", ["Hi", "there", "!"]),
        ("assistant", ["A", "B"]),
        ("user", ["Hi"]),
    ]


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_blank_text_is_left_out(blank: str):
    turns = [HI, AssistantTurn(blank), UserTurn((TextPart(blank),)), HI]
    assert said(*turns, instructions=blank) == [("user", ["Hi", "Hi"])]
    assert "system" not in body(*turns, instructions=blank)


def test_the_assistant_begins_and_ends():
    assert said(AssistantTurn("Welcome.")) == [
        ("user", ["(The conversation begins with the assistant.)"]),
        ("assistant", ["Welcome."]),
        ("user", ["Continue."]),
    ]


def test_nothing_was_said():
    assert said(UserTurn(())) == [("user", ["(The conversation begins with the assistant.)"])]


def test_outputs_stand_first_and_together():
    calls = (ToolCall("call_1", "add", '{"a": 1}'), ToolCall("call_2", "now", "{}"))
    turns = [
        HI,
        AssistantTurn("Wait.", calls),
        ToolTurn("call_1", "add", "1"),
        ToolTurn("call_2", "now", ""),
        UserTurn((TextPart("And?"),)),
    ]
    [_, asked, answered] = said(*turns, tools=(ADD, NOW))
    assert asked[1][1:] == [
        {"type": "tool_use", "id": "call_1", "name": "add", "input": {"a": 1}},
        {"type": "tool_use", "id": "call_2", "name": "now", "input": {}},
    ]
    assert answered[1] == [
        {"type": "tool_result", "tool_use_id": "call_1", "content": "1"},
        {"type": "tool_result", "tool_use_id": "call_2"},
        "And?",
    ]


def test_ids_and_arguments_of_other_providers():
    call = ToolCall("functions.add:0", "add", '{"a": 1')
    [_, (_, [called]), (_, [answered])] = said(HI, AssistantTurn("", (call,)), ToolTurn(call.id, "add", "?"))
    assert called["id"] == answered["tool_use_id"] != call.id
    assert called["input"] == {"arguments": '{"a": 1'}


def test_calls_in_the_history_without_tools():
    sent = body(HI, AssistantTurn("", (ToolCall("c", "add", "{}"),)), ToolTurn("c", "add", "?"))
    assert [tool["name"] for tool in sent["tools"]] == ["add"]
    assert sent["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://example.com/a.png", {"type": "url", "url": "https://example.com/a.png"}),
        ("data:image/png;base64,aGk=", {"type": "base64", "media_type": "image/png", "data": "aGk="}),
        ("data:image/jpg;base64,aGk=", {"type": "base64", "media_type": "image/jpeg", "data": "aGk="}),
        (
            "data:image/gif,%00hi",
            {"type": "base64", "media_type": "image/gif", "data": base64.b64encode(b"\0hi").decode()},
        ),
    ],
)
def test_images(url: str, source: dict[str, str]):
    assert said(UserTurn((ImagePart(url),))) == [("user", [{"type": "image", "source": source}])]


@pytest.mark.parametrize("url", ["data:text/plain,hi", "data:image/png;base64,???", "data:image/png"])
def test_images_that_are_none(url: str):
    with pytest.raises(ProviderError, match="data URL") as caught:
        body(UserTurn((ImagePart(url),)))
    assert (caught.value.status, caught.value.code) == (400, "invalid_prompt")


class TestTools:
    def test_schema_and_strictness(self):
        strict = FunctionTool("add", "Adds.", {**ADD.parameters, "title": "Numbers"}, strict=True)
        loose = FunctionTool("any", None, {"properties": {"x": {"minimum": 1}}}, strict=False)
        assert body(tools=(strict, loose))["tools"] == [
            {"name": "add", "description": "Adds.", "input_schema": strict.parameters, "strict": True},
            {"name": "any", "input_schema": {"type": "object", "properties": {"x": {"minimum": 1}}}},
        ]

    def test_a_schema_that_can_t_be_enforced_is_a_hint(self):
        open_ended = {"type": "object", "additionalProperties": {"type": "string"}}
        assert "strict" not in body(tools=(FunctionTool("f", None, open_ended, strict=True),))["tools"][0]

    @pytest.mark.parametrize(
        ("choice", "parallel", "sent"),
        [
            (None, None, None),
            (None, True, None),
            (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
            ("auto", None, {"type": "auto"}),
            ("none", False, {"type": "none"}),
            ("required", None, {"type": "any"}),
            ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
            (NamedTool("add"), None, {"type": "tool", "name": "add"}),
        ],
    )
    def test_choice(self, choice: Any, parallel: bool | None, sent: Any):
        assert body(tools=(ADD,), tool_choice=choice, parallel_tool_calls=parallel).get("tool_choice") == sent


class TestFormats:
    def test_a_schema_is_enforced(self):
        wanted = {
            "type": "object",
            "properties": {
                "age": {"type": "integer", "minimum": 1, "description": "Years."},
                "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "maxItems": 3},
                "who": {"oneOf": [{"type": "string", "format": "email"}, {"type": "null"}]},
            },
            "required": ["age"],
            "$defs": {"tag": {"type": "string", "pattern": "^a", "format": "odd"}},
            "$schema": "https://json-schema.org/draft/2020-12/schema",
        }
        sent = body(response_format=JsonSchemaFormat("answer", wanted, "An answer."))
        assert sent["output_config"]["format"]["schema"] == {
            "description": "An answer.",
            "type": "object",
            "properties": {
                "age": {"type": "integer", "description": 'Years.\n{"minimum": 1}'},
                "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "description": '{"maxItems": 3}'},
                "who": {"anyOf": [{"type": "string", "format": "email"}, {"type": "null"}]},
            },
            "required": ["age"],
            "$defs": {"tag": {"type": "string", "description": '{"pattern": "^a", "format": "odd"}'}},
            "additionalProperties": False,
        }
        assert "system" not in sent

    @pytest.mark.parametrize(
        "schema",
        [{"type": "object"}, {"type": "object", "properties": {"x": {}}}, {"additionalProperties": True}],
    )
    def test_a_schema_that_can_t_be_enforced_is_told(self, schema: dict[str, Any]):
        wanted = JsonSchemaFormat("answer", {"type": "object", **schema})
        sent = body(response_format=wanted, instructions="Be kind.")
        assert "output_config" not in sent
        assert sent["system"].startswith("Be kind.\n\nAnswer with JSON that fits this schema")

    @pytest.mark.parametrize("wanted", [JsonObjectFormat(), JsonSchemaFormat("answer")])
    def test_any_object_is_told(self, wanted: Any):
        assert body(response_format=wanted)["system"].startswith("Answer with one JSON object")


class TestFamilies:
    """Each family takes what it is sent: the fake has its own table of them."""

    @pytest.mark.parametrize("model", FAMILIES)
    @pytest.mark.parametrize("effort", [None, "none", "minimal", "low", "medium", "high", "xhigh", "max"])
    def test_every_effort(self, model: str, effort: str | None):
        sent = body(model=model, reasoning_effort=effort, tools=(ADD,))
        assert sent["max_tokens"] >= 4096

    @pytest.mark.parametrize("model", [*FAMILIES[:10], FAMILIES[-1]])
    @pytest.mark.parametrize("effort", [None, "none", "max"])
    def test_a_forced_call_goes_before_thinking(self, model: str, effort: str | None):
        sent = body(model=model, reasoning_effort=effort, tools=(ADD,), tool_choice="required")
        assert sent["tool_choice"] == {"type": "any"}

    @pytest.mark.parametrize(
        ("model", "effort", "sent"),
        [
            ("claude-3-5-haiku-latest", "high", {}),
            ("claude-haiku-4-5", "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
            ("claude-haiku-4-5", "none", {}),
            (
                "claude-sonnet-4-6",
                "xhigh",
                {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
            ),
            (
                "claude-opus-4-8",
                "xhigh",
                {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
            ),
            ("claude-opus-4-8", "none", {}),
            ("claude-opus-5", "minimal", {"output_config": {"effort": "low"}}),
            ("claude-opus-5", "none", {"thinking": {"type": "disabled"}}),
            ("claude-opus-5-5", "none", {"output_config": {"effort": "low"}}),
            ("claude-opus-5-5", "max", {"output_config": {"effort": "max"}}),
            ("kimi-k3", "high", {}),
        ],
    )
    def test_efforts(self, model: str, effort: str, sent: dict[str, Any]):
        found = body(model=model, reasoning_effort=effort)
        assert {name: found[name] for name in ("thinking", "output_config") if name in found} == sent

    def test_no_room_for_thinking(self):
        found = body(model="claude-haiku-4-5", reasoning_effort="high", max_completion_tokens=1_024)
        assert "thinking" not in found
        found = body(model="claude-haiku-4-5", reasoning_effort="high", max_completion_tokens=2_000)
        assert found["thinking"]["budget_tokens"] == 1_999

    def test_calls_that_were_made_without_thinking(self):
        call = AssistantTurn("", (ToolCall("c", "add", "{}"),))
        turns = (HI, call, ToolTurn("c", "add", "1"))
        assert "thinking" not in body(*turns, model="claude-haiku-4-5", reasoning_effort="high", tools=(ADD,))


@pytest.mark.parametrize("state", [{"groq": {}}, {"anthropic": "?"}, {"anthropic": {"content": [1]}}, {}])
def test_the_state_of_another_is_ignored(state: dict[str, Any]):
    assert said(HI, AssistantTurn("A", provider_state=state), HI)[1] == ("assistant", ["A"])


def test_sampling_where_it_is_taken():
    def sampled(model: str, **more: Any) -> set[str]:
        sent = request_body(ModelRequest(model, (HI,), **more), sampling=True)
        check(sent, VERSIONS[0])
        return {"temperature", "top_p"} & sent.keys()

    assert sampled("claude-haiku-4-5", temperature=0.3, top_p=0.5) == {"temperature"}
    assert sampled("claude-haiku-4-5", top_p=0.5) == {"top_p"}
    assert sampled("claude-haiku-4-5", temperature=0.3, reasoning_effort="high") == set()
    assert sampled("claude-opus-5", temperature=0.3) == set()
