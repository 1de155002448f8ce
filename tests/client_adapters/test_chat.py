"""Chat completions of a provider that has none: what is read of a request, and the shape of the answer."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from supercompat.client_adapters.base import ChatAnswer
from supercompat.client_adapters.chat import chat_answer, request_of
from supercompat.errors import ProviderError
from supercompat.model.events import (
    Finished,
    ModelEvent,
    ProviderStateReported,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStarted,
    Usage,
    UsageReported,
)
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
    UserTurn,
)

HI = {"role": "user", "content": "Hi"}
STATE = {"anthropic": {"content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]}}


def asked(**more: Any) -> ModelRequest:
    return request_of({"model": "m", "messages": [HI], **more})


def test_a_conversation():
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    image = {"type": "image_url", "image_url": {"url": "u"}}
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, image]},
        {"role": "assistant", "content": None, "tool_calls": [call], "provider_state": STATE},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "1"}]},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "assistant", "content": None, "refusal": "No."},
        HI,
    ]
    assert asked(messages=messages) == ModelRequest(
        model="m",
        instructions="Be kind.\n\nBe brief.",
        turns=(
            UserTurn((TextPart("Look"), ImagePart("u"))),
            AssistantTurn("", (ToolCall("call_1", "add", '{"a":1}'),), STATE),
            ToolTurn("call_1", "add", "1"),
            AssistantTurn("No."),
            UserTurn((TextPart("Hi"),)),
        ),
    )


def test_options():
    function = {"name": "add", "description": "Adds.", "parameters": {"type": "object"}, "strict": True}
    schema = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    request = asked(
        tools=[{"type": "function", "function": function}, {"type": "function", "function": {"name": "now"}}],
        tool_choice={"type": "function", "function": {"name": "add"}},
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": schema},
        temperature=0,
        top_p=0.5,
        max_tokens=9,
        reasoning_effort="low",
        seed=7,
        user="u",
    )
    assert request.tools == (FunctionTool("add", "Adds.", {"type": "object"}, True), FunctionTool("now"))
    assert request.tool_choice == NamedTool("add")
    assert request.parallel_tool_calls is False
    assert request.response_format == JsonSchemaFormat("answer", {"type": "object"}, strict=True)
    assert (request.temperature, request.top_p, request.max_completion_tokens) == (0, 0.5, 9)
    assert request.reasoning_effort == "low"
    assert asked(max_completion_tokens=3, max_tokens=9).max_completion_tokens == 3
    assert asked(response_format={"type": "json_object"}).response_format == JsonObjectFormat()
    assert asked(response_format={"type": "text"}, n=1, logprobs=False).response_format is None


def test_stop_sequences_where_the_adapter_sends_them():
    body = {"model": "m", "messages": [HI]}
    assert request_of({**body, "stop": "."}, stop=True).stop == (".",)
    assert request_of({**body, "stop": ["a", "b"]}, stop=True).stop == ("a", "b")


UNSERVED: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "model"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "wizard"}]}, "messages.0"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages.0.user.content"),
    ({"messages": [{"role": "tool", "tool_call_id": "x", "content": ""}]}, "messages.0.tool_call_id"),
    ({"tools": [{"type": "custom", "custom": {}}]}, "tools.0.type"),
    ({"temperature": "hot"}, "temperature"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"n": 2}, "n"),
    ({"logprobs": True}, "logprobs"),
    ({"functions": [{}]}, "functions"),
    ({"modalities": ["audio"]}, "modalities"),
    ({"stop": "."}, "stop"),
]


@pytest.mark.parametrize(("change", "param"), UNSERVED)
def test_what_can_t_be_served_is_refused(change: dict[str, Any], param: str):
    with pytest.raises(ProviderError) as caught:
        asked(**change)
    assert (caught.value.status, caught.value.code) == (400, "invalid_prompt")
    assert str((caught.value.body or {})["param"]).startswith(param)
    assert param.partition(".")[0] in caught.value.message


async def said(*events: ModelEvent) -> AsyncIterator[ModelEvent]:
    for event in events:
        yield event


EVERYTHING: tuple[ModelEvent, ...] = (
    ReasoningDelta("Hm."),
    TextDelta("Let me "),
    TextDelta("see."),
    ToolCallStarted(0, "call_1", "add"),
    ToolCallArguments(0, '{"a":'),
    ToolCallArguments(0, "1}"),
    ToolCallStarted(1, "call_2", "now"),
    ToolCallArguments(1, "{}"),
    ProviderStateReported(STATE),
    Finished("tool_calls"),
    UsageReported(Usage(11, 7, 3, 2)),
)


async def test_a_whole_answer():
    answer = await chat_answer(said(*EVERYTHING), {"model": "m"})
    body = answer.body or {}
    ChatCompletion.model_validate(body, strict=True)
    [choice] = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": "Let me see.",
        "refusal": None,
        "reasoning_content": "Hm.",
        "provider_state": STATE,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}},
            {"id": "call_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        ],
    }
    assert body["usage"]["total_tokens"] == 18
    assert body["usage"]["prompt_tokens_details"] == {"cached_tokens": 3}
    assert request_of({"model": "m", "messages": [choice["message"]]}).turns[0] == AssistantTurn(
        "Let me see.", (ToolCall("call_1", "add", '{"a":1}'), ToolCall("call_2", "now", "{}")), STATE
    )


@pytest.mark.parametrize("with_usage", [False, True])
async def test_a_streamed_answer(with_usage: bool):
    params = {"model": "m", "stream": True, "stream_options": {"include_usage": with_usage}}
    answer = await chat_answer(said(*EVERYTHING), params)
    chunks = await everything(answer)
    assert len({ChatCompletionChunk.model_validate(chunk, strict=True).id for chunk in chunks}) == 1
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert deltas[:3] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hm."},
        {"content": "Let me "},
    ]
    assert deltas[-2:] == [{"provider_state": STATE}, {}]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"]]
    assert set(reasons[:-1]) == {None}
    assert reasons[-1] == "tool_calls"
    assert [chunk["usage"]["total_tokens"] for chunk in chunks if "usage" in chunk] == [18] * with_usage


async def test_a_refusal():
    answer = await chat_answer(said(RefusalDelta("No."), Finished("content_filter")), {"model": "m"})
    assert (answer.body or {})["choices"][0]["message"]["refusal"] == "No."


async def everything(answer: ChatAnswer) -> list[dict[str, Any]]:
    assert answer.chunks is not None
    return [chunk async for chunk in answer.chunks]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_breaks_off(stream: bool):
    with pytest.raises(ProviderError, match="broke off"):
        await everything(await chat_answer(said(TextDelta("Hel")), {"model": "m", "stream": stream}))
