"""What a valid body comes out as."""

import json
from typing import Any

import pytest

from supercompat.api.validation import validate
from supercompat.wire.objects import (
    FunctionDefinition,
    FunctionTool,
    ImageUrl,
    ImageUrlContent,
    Text,
    TextContent,
    TruncationStrategy,
)
from supercompat.wire.requests import (
    AssistantCreate,
    AssistantModify,
    MessageCreate,
    RunCreate,
    SubmitToolOutputs,
    ThreadCreate,
    ThreadRunCreate,
)
from tests.api.bodies import put


def function_tool(**fields: object) -> FunctionTool:
    body = put(AssistantCreate, "tools", [{"type": "function", "function": {"name": "f", **fields}}])
    [tool] = validate(AssistantCreate, body).tools
    assert isinstance(tool, FunctionTool)
    return tool


def test_function_tool_is_filled_in() -> None:
    parameters: dict[str, Any] = {"type": "object", "properties": {}}
    assert function_tool() == FunctionTool(
        function=FunctionDefinition(name="f", parameters=parameters, strict=False)
    )
    assert function_tool().model_dump() == {
        "type": "function",
        "function": {"name": "f", "parameters": parameters, "strict": False},
    }


def test_function_tool_keeps_what_it_says() -> None:
    said: dict[str, Any] = {
        "description": "",
        "parameters": {"type": "object", "properties": {"a": {"enum": [1, 2.5, None]}}},
        "strict": True,
    }
    assert function_tool(**said).function.model_dump() == {"name": "f", **said}
    assert function_tool(parameters={}).function.parameters == {}
    assert function_tool(strict=None).function.strict is False


def test_string_content_is_one_text_part() -> None:
    said = "Grüße 😀\n\x00"
    body = validate(MessageCreate, {"role": "assistant", "content": said})
    assert body.parts() == [TextContent(text=Text(value=said))]


def test_parts_keep_their_order_and_get_their_detail() -> None:
    content = [
        {"type": "image_url", "image_url": {"url": "https://a.example/a.png"}},
        {"type": "text", "text": ""},
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
    ]
    assert validate(MessageCreate, {"role": "user", "content": content}).parts() == [
        ImageUrlContent(image_url=ImageUrl(url="https://a.example/a.png", detail="auto")),
        TextContent(text=Text(value="")),
        TextContent(text=Text(value="What is this?")),
        ImageUrlContent(image_url=ImageUrl(url="data:image/png;base64,AAAA", detail="low")),
    ]


@pytest.mark.parametrize(
    "wanted",
    [
        "auto",
        {"type": "text"},
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "n"}},
        {
            "json_schema": {"schema": {"type": "object"}, "strict": None, "name": "n", "description": "d"},
            "type": "json_schema",
        },
    ],
)
def test_response_format_comes_out_as_it_came(wanted: object) -> None:
    body = validate(AssistantCreate, {"model": "m", "response_format": wanted})
    assert json.dumps(body.response_format) == json.dumps(wanted)


@pytest.mark.parametrize(
    "wanted", ["none", "auto", "required", {"type": "function", "function": {"name": "f"}}]
)
def test_tool_choice_comes_out_as_it_came(wanted: object) -> None:
    assert validate(RunCreate, {"assistant_id": "asst_1", "tool_choice": wanted}).tool_choice == wanted


def test_truncation_strategy() -> None:
    def strategy(**fields: object) -> object:
        return validate(
            RunCreate, {"assistant_id": "asst_1", "truncation_strategy": fields}
        ).truncation_strategy

    assert strategy(type="auto") == TruncationStrategy()
    assert strategy(type="auto", last_messages=None) == TruncationStrategy()
    expected = TruncationStrategy(type="last_messages", last_messages=1)
    assert strategy(type="last_messages", last_messages=1) == expected


def test_zero_is_kept() -> None:
    body = validate(AssistantCreate, {"model": "m", "temperature": 0, "top_p": 0})
    assert (body.temperature, body.top_p) == (0.0, 0.0)


@pytest.mark.parametrize(
    "field",
    ["name", "description", "instructions", "tool_resources", "metadata", "temperature", "top_p", "reasoning_effort",
     "response_format"],
)  # fmt: skip
def test_null_is_told_from_absent(field: str) -> None:
    assert getattr(validate(AssistantModify, {}), field) is None
    body = validate(AssistantModify, {field: None})
    assert getattr(body, field) is None
    assert body.model_fields_set == {field}


@pytest.mark.parametrize(
    "field",
    ["model", "instructions", "tools", "metadata", "temperature", "top_p", "reasoning_effort", "response_format",
     "max_prompt_tokens", "max_completion_tokens", "truncation_strategy", "tool_choice", "stream",
     "additional_instructions", "additional_messages"],
)  # fmt: skip
def test_null_on_a_run_leaves_the_choice(field: str) -> None:
    assert getattr(validate(RunCreate, {"assistant_id": "asst_1", field: None}), field) is None


def test_empty_tools_of_a_run_are_not_null() -> None:
    assert validate(RunCreate, {"assistant_id": "asst_1", "tools": []}).tools == []


def test_tool_outputs() -> None:
    outputs: list[dict[str, object]] = [
        {"tool_call_id": "a"},
        {"tool_call_id": "b", "output": None},
        {"tool_call_id": "c", "output": "\x00ü"},
    ]
    body = validate(SubmitToolOutputs, {"tool_outputs": outputs, "stream": True})
    assert [output.output for output in body.tool_outputs] == [None, None, "\x00ü"]
    assert validate(SubmitToolOutputs, {"tool_outputs": []}).tool_outputs == []


def test_thread_is_optional_with_a_run() -> None:
    assert validate(ThreadRunCreate, {"assistant_id": "asst_1"}).thread == ThreadCreate()


@pytest.mark.parametrize(
    "resources",
    [
        None,
        {},
        {"code_interpreter": None, "file_search": {}},
        {
            "code_interpreter": {"file_ids": []},
            "file_search": {"vector_store_ids": [], "vector_stores": None},
        },
    ],
)
def test_empty_tool_resources_ask_for_nothing(resources: object) -> None:
    for model in (ThreadCreate, AssistantCreate, ThreadRunCreate):
        assert not validate(model, put(model, "tool_resources", resources)).tool_resources


@pytest.mark.parametrize("attachments", [None, []])
def test_empty_attachments_ask_for_nothing(attachments: object) -> None:
    assert validate(MessageCreate, put(MessageCreate, "attachments", attachments)).attachments == []


@pytest.mark.parametrize("messages", [0, 1, 100])
def test_messages_of_a_new_thread(messages: int) -> None:
    body = validate(
        ThreadCreate, {"messages": [{"role": "user", "content": str(i)} for i in range(messages)]}
    )
    assert [message.content for message in body.messages] == [str(i) for i in range(messages)]
