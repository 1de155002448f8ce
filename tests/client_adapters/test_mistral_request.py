"""What Mistral is asked: its own rules on top of OpenAI's wire. The scripted server's rules judge every body."""

from typing import Any

import pytest

from supercompat.client_adapters.mistral.request import chat_knobs, mistral_body, mistral_call_id
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
from supercompat.testing.mistral_server.bodies import signature
from supercompat.testing.mistral_server.rules import check
from tests.client_adapters.asking import ADD, NOW, ask

HI = UserTurn((TextPart("Hi"),))
CALL = ToolCall("abcDEF123", "add", '{"a": 1, "b": 2}')
ANSWER = ToolTurn("abcDEF123", "add", "3")
THOUGHT: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "signature": signature("Hm.")},
    {"type": "text", "text": "Let me add."},
]
STATE = {"mistral": {"model": "m", "content": THOUGHT}}


def body_of(request: ModelRequest) -> dict[str, Any]:
    body = mistral_body(request)
    check(body)
    return body


def sent(*turns: Turn, instructions: str | None = None) -> list[dict[str, Any]]:
    """The messages of a conversation."""
    return body_of(ModelRequest("m", turns, instructions))["messages"]


def roles(*turns: Turn) -> list[tuple[str, Any]]:
    return [(message["role"], message.get("content")) for message in sent(*turns)]


def test_nothing_is_sent_that_was_not_asked_for():
    assert body_of(ask("Hi")) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    }


def test_everything_by_its_name():
    request = ask(
        "Hi",
        instructions="Be kind.",
        tools=(ADD, FunctionTool("now", strict=True)),
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0.5,
        top_p=0.9,
        max_completion_tokens=7,
        reasoning_effort="high",
        stop=("END",),
    )
    assert body_of(request) == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}],
        "stream": True,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "add",
                    "description": "Adds two numbers.",
                    "parameters": dict(ADD.parameters),
                },
            },
            {
                "type": "function",
                "function": {
                    "name": "now",
                    "parameters": {"type": "object", "properties": {}},
                    "strict": True,
                },
            },
        ],
        "tool_choice": "any",
        "parallel_tool_calls": False,
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "reasoning_effort": "high",
        "stop": ["END"],
    }


@pytest.mark.parametrize(
    ("choice", "asked"),
    [
        ("none", "none"),
        ("auto", "auto"),
        ("required", "any"),
        (NamedTool("now"), {"type": "function", "function": {"name": "now"}}),
    ],
)
def test_tool_choices(choice: Any, asked: object):
    assert body_of(ask(tools=(NOW,), tool_choice=choice))["tool_choice"] == asked


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        (JsonObjectFormat(), {"type": "json_object"}),
        (
            JsonSchemaFormat("n", {"type": "object", "properties": {}}, "What for", True),
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "n",
                    "schema": {"type": "object", "properties": {}},
                    "description": "What for",
                    "strict": True,
                },
            },
        ),
        (
            JsonSchemaFormat("n"),
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        ),
    ],
)
def test_response_formats(wanted: Any, asked: object):
    assert body_of(ask(response_format=wanted))["response_format"] == asked


def test_greedy_sampling_needs_no_top_p():
    assert "top_p" not in body_of(ask(temperature=0, top_p=0.5))


def test_images():
    images = (ImagePart("https://x.test/a.png", "high"), ImagePart("data:image/png;base64,iVBORw0KGgo="))
    (message,) = sent(UserTurn((TextPart("See"), *images)))
    assert message["content"] == [
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"}},
    ]


class TestOrder:
    def test_a_tool_round(self):
        assert sent(HI, AssistantTurn(tool_calls=(CALL,)), ANSWER) == [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "abcDEF123",
                        "type": "function",
                        "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "abcDEF123", "name": "add", "content": "3"},
        ]

    def test_text_and_calls_of_one_answer_are_two_messages(self):
        said = sent(HI, AssistantTurn("Let me add.", (CALL,)), ANSWER)
        assert [message["role"] for message in said] == ["user", "assistant", "assistant", "tool"]
        assert said[1] == {"role": "assistant", "content": "Let me add."}
        assert (said[2]["content"], len(said[2]["tool_calls"])) == (None, 1)

    def test_a_user_behind_a_tool(self):
        assert roles(HI, AssistantTurn(tool_calls=(CALL,)), ANSWER, HI)[2:] == [
            ("tool", "3"),
            ("assistant", "OK."),
            ("user", "Hi"),
        ]

    def test_an_assistant_last(self):
        assert roles(HI, AssistantTurn("Hello")) == [
            ("user", "Hi"),
            ("assistant", "Hello"),
            ("user", "Continue."),
        ]

    def test_an_assistant_first(self):
        assert roles(AssistantTurn("Welcome"), HI) == [("assistant", "Welcome"), ("user", "Hi")]

    def test_one_role_twice(self):
        said = roles(HI, HI, AssistantTurn("Hello"), AssistantTurn("there"), HI)
        assert [role for role, _ in said] == ["user", "user", "assistant", "assistant", "user"]

    def test_nobody_spoke(self):
        assert roles() == [("user", "Continue.")]
        said = sent(instructions="Tell a joke.")
        assert [message["role"] for message in said] == ["system", "user"]

    def test_an_assistant_that_said_nothing(self):
        assert roles(HI, AssistantTurn(), HI) == [("user", "Hi"), ("user", "Hi")]


class TestCallIds:
    @pytest.mark.parametrize("call_id", ["abcDEF123", "000000000"])
    def test_what_fits_stays(self, call_id: str):
        assert mistral_call_id(call_id) == call_id

    @pytest.mark.parametrize("call_id", ["", "call_1", "call_" + "x" * 24, "toolu_01", "ünïcödé12", "\ud800"])
    def test_what_does_not_is_hashed(self, call_id: str):
        mapped = mistral_call_id(call_id)
        assert len(mapped) == 9
        assert mapped.isascii()
        assert mapped.isalnum()
        assert mapped == mistral_call_id(call_id)

    def test_the_same_in_every_process(self):
        assert mistral_call_id("call_1") == "bU09E4FDZ"

    def test_many_are_different(self):
        assert len({mistral_call_id(f"call_{n}") for n in range(2_000)}) == 2_000

    def test_calls_and_outputs_agree(self):
        calls = (ToolCall("call_1", "add", "{}"), ToolCall("call_2", "now", "{}"))
        answers = (ToolTurn("call_2", "now", "noon"), ToolTurn("call_1", "add", "3"))
        said = sent(HI, AssistantTurn(tool_calls=calls), *answers)
        ids = [call["id"] for call in said[1]["tool_calls"]]
        assert [message["tool_call_id"] for message in said[2:]] == ids[::-1]


class TestOwnWords:
    def test_thinking_goes_back_as_it_was_said(self):
        said = sent(HI, AssistantTurn("Let me add.", (CALL,), STATE), ANSWER)
        assert [message["role"] for message in said] == ["user", "assistant", "tool"]
        assert said[1]["content"] == THOUGHT
        assert len(said[1]["tool_calls"]) == 1

    def test_also_without_calls(self):
        assert sent(HI, AssistantTurn("Let me add.", (), STATE), HI)[1]["content"] == THOUGHT

    @pytest.mark.parametrize(
        "state", [{"anthropic": {"blocks": []}}, {"mistral": {"model": "other", "content": THOUGHT}}, {}]
    )
    def test_the_words_of_others_don_t(self, state: dict[str, Any]):
        said = sent(HI, AssistantTurn("Let me add.", (CALL,), state), ANSWER)
        assert [message.get("content") for message in said] == ["Hi", "Let me add.", None, "3"]


def test_what_a_chat_request_has_beside():
    params = {"seed": 7, "presence_penalty": 0.5, "user": "me", "stop": "x", "frequency_penalty": None}
    assert chat_knobs(params) == {"random_seed": 7, "presence_penalty": 0.5}
