"""The events of Anthropic's stream, however they are cut, and what odd servers make of them."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supercompat.client_adapters.anthropic.stream import MessageReader
from supercompat.client_adapters.openai_wire import FrameReader
from supercompat.model.events import (
    Finished,
    ModelEvent,
    ProviderStateReported,
    ReasoningDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStarted,
    Usage,
    UsageReported,
)

ORIGIN = {"model": "m", "prefix": "p"}
USAGE = {
    "input_tokens": 11,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 3,
    "output_tokens": 1,
}
START: dict[str, Any] = {
    "type": "message_start",
    "message": {"role": "assistant", "content": [], "usage": USAGE},
}


def started(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def more(index: int, kind: str, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def stopped(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str, **usage: Any) -> list[dict[str, Any]]:
    counts = {"output_tokens": 7, "input_tokens": None, **usage}
    delta = {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": counts}
    return [delta, {"type": "message_stop"}]


ANSWER: list[dict[str, Any]] = [
    START,
    {"type": "ping"},
    started(0, type="thinking", thinking="", signature=""),
    more(0, "thinking_delta", thinking="Grüße 😀\r\n"),
    more(0, "signature_delta", signature="sig=="),
    stopped(0),
    started(1, type="redacted_thinking", data="xyz"),
    stopped(1),
    started(2, type="text", text="", citations=None),
    more(2, "text_delta", text="Let me\n\n"),
    more(2, "citations_delta", citation={"cited_text": "x"}),
    more(2, "text_delta", text="see 😀."),
    stopped(2),
    started(3, type="tool_use", id="toolu_1", name="add", input={}),
    more(3, "input_json_delta", partial_json=""),
    more(3, "input_json_delta", partial_json='{"a": '),
    more(3, "input_json_delta", partial_json='"ü"}'),
    stopped(3),
    started(4, type="tool_use", id="toolu_2", name="now", input={}),
    stopped(4),
    *ended("tool_use", output_tokens_details={"thinking_tokens": 4}),
]
CONTENT: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Grüße 😀\r\n", "signature": "sig=="},
    {"type": "redacted_thinking", "data": "xyz"},
    {"type": "text", "text": "Let me\n\nsee 😀.", "citations": [{"cited_text": "x"}]},
    {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": "ü"}},
    {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
]
SAID: list[ModelEvent] = [
    ReasoningDelta("Grüße 😀\r\n"),
    TextDelta("Let me\n\n"),
    TextDelta("see 😀."),
    ToolCallStarted(0, "toolu_1", "add"),
    ToolCallArguments(0, '{"a": '),
    ToolCallArguments(0, '"ü"}'),
    ToolCallStarted(1, "toolu_2", "now"),
    ToolCallArguments(1, "{}"),
    ProviderStateReported({"anthropic": {**ORIGIN, "content": CONTENT}}),
    UsageReported(Usage(prompt=16, completion=7, cached=3, reasoning=4)),
    Finished("tool_calls"),
]


def read(events: Iterable[dict[str, Any]]) -> list[ModelEvent]:
    reader = MessageReader()
    said = [event for one in events for event in reader.read(json.loads(json.dumps(one)))]
    return [*said, *reader.finish(ORIGIN)]


def encoded(events: Iterable[dict[str, Any]], newline: str = "\n") -> bytes:
    frames = (f"event: {one['type']}{newline}data: {json.dumps(one, ensure_ascii=False)}" for one in events)
    return "".join(frame + 2 * newline for frame in frames).encode()


@given(
    cuts=st.sets(st.integers(0, len(encoded(ANSWER))), max_size=40), newline=st.sampled_from(["\n", "\r\n"])
)
def test_cut_anywhere(cuts: set[int], newline: str):
    wire = encoded(ANSWER, newline)
    places = [0, *sorted(cuts), len(wire)]
    frames = FrameReader()
    blocks = [wire[start:end] for start, end in pairwise(places)]
    found = [json.loads(data) for block in blocks for data in frames.read(block)]
    assert read([*found, *map(json.loads, frames.finish())]) == SAID


def test_every_byte_apart():
    frames = FrameReader()
    found = [json.loads(data) for byte in encoded(ANSWER) for data in frames.read(bytes([byte]))]
    assert read(found) == SAID


def test_text_and_calls_need_no_state():
    events = [START, started(0, type="text", text="Hi"), stopped(0), *ended("end_turn")]
    assert read(events) == [TextDelta("Hi"), UsageReported(Usage(16, 7, 3)), Finished("stop")]


def test_arguments_that_came_at_once():
    block = started(0, type="tool_use", id="toolu_1", name="add", input={"a": 1})
    assert ToolCallArguments(0, '{"a": 1}') in read([START, block, stopped(0), *ended("tool_use")])


def test_a_stop_reason_that_hides_the_calls():
    block = started(0, type="tool_use", id="toolu_1", name="now", input={})
    assert read([START, block, stopped(0), *ended("end_turn")])[-1] == Finished("tool_calls")


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
def test_calls_that_were_cut_off(reason: str):
    events = [
        started(0, type="tool_use", id="toolu_1", name="add"),
        more(0, "input_json_delta", partial_json='{"a'),
    ]
    assert read([START, *events, *ended(reason)])[-1] == Finished("length")


def test_thinking_without_its_signature_is_not_kept():
    events = [START, started(0, type="thinking", thinking=""), more(0, "thinking_delta", thinking="Hm")]
    assert read([*events, *ended("max_tokens")])[0] == ReasoningDelta("Hm")
    assert not any(
        isinstance(event, ProviderStateReported) for event in read([*events, *ended("max_tokens")])
    )


def test_tools_of_the_provider_are_kept():
    search = started(0, type="server_tool_use", id="srvtoolu_1", name="web_search", input={})
    query = more(0, "input_json_delta", partial_json='{"query": "x"}')
    found = started(1, type="web_search_tool_result", tool_use_id="srvtoolu_1", content=[])
    blank = started(2, type="text", text=" ")
    events = [START, search, query, stopped(0), found, stopped(1), blank, stopped(2), *ended("end_turn")]
    [state] = [event.state for event in read(events) if isinstance(event, ProviderStateReported)]
    assert state["anthropic"]["content"] == [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
    ]


def test_what_is_not_known_is_passed_over():
    odd: list[dict[str, Any]] = [
        {"type": "new_event"},
        more(9, "text_delta", text="?"),
        stopped(9),
        more(0, "new_delta"),
        {},
    ]
    assert read([START, started(0, type="text", text=""), *odd, *ended("end_turn")])[-1] == Finished("stop")
