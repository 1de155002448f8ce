"""An answer of Mistral's as model events, however it is cut."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supercompat.client_adapters.chunks import chunks_of
from supercompat.client_adapters.mistral.stream import MistralAnswerReader
from supercompat.errors import ProviderError
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
from supercompat.testing import call, reasoning, text, tool_calls
from supercompat.testing.mistral_server import bodies
from supercompat.testing.scripted import Event
from tests.client_adapters.asking import merged


def read(*chunks: dict[str, Any]) -> list[ModelEvent]:
    answer = MistralAnswerReader("m")
    events = [event for chunk in chunks for event in answer.read(chunk)]
    return events + list(answer.finish())


def says(content: Any = "", finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def thinks(*texts: str, **more: Any) -> dict[str, Any]:
    thoughts = [{"type": "text", "text": one} for one in texts]
    return {"type": "thinking", "thinking": thoughts, **more}


def states(events: Iterable[ModelEvent]) -> list[Any]:
    return [event.state for event in events if isinstance(event, ProviderStateReported)]


def content_of(events: Iterable[ModelEvent]) -> Any:
    (state,) = states(events)
    assert state["mistral"]["model"] == "m"
    return state["mistral"]["content"]


def test_text_has_no_state():
    events = read(says("Hel"), says([{"type": "text", "text": "lo"}]), says("", "stop"))
    assert events == [TextDelta("Hel"), TextDelta("lo"), Finished("stop")]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("tool_calls", "stop"),
        ("x", "stop"),
    ],
)
def test_reasons(finish: str, reason: str):
    assert read(says("Hi", finish))[-1] == Finished(reason)  # type: ignore[arg-type]


def test_an_answer_that_ended_with_an_error():
    with pytest.raises(ProviderError, match="did not explain"):
        read(says("Hi", "error"))


def test_an_answer_that_broke_off():
    assert read(says("Hi")) == [TextDelta("Hi")]


def test_usage_of_the_last_chunk():
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}}
    assert UsageReported(Usage(9, 4, 3)) in read(says("Hi", "stop") | {"usage": usage})


def test_an_error_in_the_stream():
    said = {"object": "error", "message": "Slow down.", "type": "rate_limited", "code": "1300"}
    with pytest.raises(ProviderError, match="Slow down") as caught:
        read(says("Hi"), said)
    assert caught.value.code == "rate_limit_exceeded"


class TestCalls:
    def test_whole(self):
        one = {"id": "abcDEF123", "function": {"name": "add", "arguments": '{"a": 1}'}, "index": 0}
        two = {"id": "abcDEF124", "function": {"name": "now", "arguments": ""}, "index": 1}
        assert read(says("", "tool_calls", tool_calls=[one, two])) == [
            ToolCallStarted(0, "abcDEF123", "add"),
            ToolCallArguments(0, '{"a": 1}'),
            ToolCallStarted(1, "abcDEF124", "now"),
            ToolCallArguments(1, "{}"),
            Finished("tool_calls"),
        ]

    def test_arguments_that_are_an_object(self):
        one = {"id": "abcDEF123", "function": {"name": "add", "arguments": {"a": "é"}}}
        assert ToolCallArguments(0, '{"a": "é"}') in read(says("", "tool_calls", tool_calls=[one]))

    def test_ids_that_are_missing(self):
        """The SDK's types say `null`, as a text, and the index 0 for each."""
        calls = [
            {"id": "null", "function": {"name": name, "arguments": "{}"}, "index": 0}
            for name in ("add", "now")
        ]
        events = read(says("", "tool_calls", tool_calls=calls))
        started = [event for event in events if isinstance(event, ToolCallStarted)]
        assert [(event.index, event.name) for event in started] == [(0, "add"), (1, "now")]
        assert len({event.id for event in started} - {"null", ""}) == 2

    def test_in_fragments(self):
        """The SDK's own reading of the stream would raise."""
        begun = {"id": "abcDEF123", "function": {"name": "add", "arguments": ""}, "index": 0}
        piece = {"function": {"arguments": '{"a": 1}'}, "index": 0}
        events = read(says(tool_calls=[begun]), says(tool_calls=[piece]), says("", "tool_calls"))
        assert events[:2] == [ToolCallStarted(0, "abcDEF123", "add"), ToolCallArguments(0, '{"a": 1}')]


class TestThinking:
    def test_pieces_become_one(self):
        chunks = (
            says([thinks("Hm")]),
            says([thinks(", well", ".")]),
            says([thinks(signature="s1", closed=True)]),
            says("Hel"),
            says([{"type": "text", "text": "lo"}], "stop"),
        )
        events = read(*chunks)
        assert merged(events)[:2] == [ReasoningDelta("Hm, well."), TextDelta("Hello")]
        assert content_of(events) == [
            thinks("Hm, well.", signature="s1", closed=True),
            {"type": "text", "text": "Hello"},
        ]

    def test_a_signature_ends_a_piece(self):
        events = read(
            says([thinks("One.", signature="s1")]), says([thinks("Two."), thinks(signature="s2")], "stop")
        )
        assert content_of(events) == [thinks("One.", signature="s1"), thinks("Two.", signature="s2")]

    def test_what_is_no_text_is_kept_in_its_place(self):
        reference = {"type": "reference", "reference_ids": [1]}
        looked = {"type": "tool_reference", "tool": "search"}
        thought = {"type": "thinking", "thinking": [looked, {"type": "text", "text": "So"}]}
        events = read(says([thought]), says([thinks(" it is.")]), says(["?", reference]), says("Yes", "stop"))
        assert content_of(events) == [
            {"type": "thinking", "thinking": [looked, {"type": "text", "text": "So it is."}]},
            reference,
            {"type": "text", "text": "Yes"},
        ]
        assert merged(events)[:2] == [ReasoningDelta("So it is."), TextDelta("Yes")]

    def test_the_state_is_told_once_and_before_the_end(self):
        events = read(says([thinks("Hm.")]), says("Hi", "stop"))
        assert len(states(events)) == 1
        assert events[-1] == Finished("stop")


ANSWER = (
    reasoning("Hm, ", "naïve 🎉.")
    + text("Let me ", "séé.\n\ndata: no")
    + tool_calls(call("add", '{"a": "\\n\\n"', ', "b": "é"}', id="abcDEF123"), call("now", id="abcDEF124"))
)
STREAM = bodies.stream(ANSWER, {"model": "m"})
WHOLE = b"".join(step.data for step in STREAM.steps if isinstance(step, Event)) + (STREAM.last or b"")


async def events_of(blocks: Iterable[bytes]) -> list[ModelEvent]:
    async def pieces() -> AsyncIterator[bytes]:
        for block in blocks:
            yield block

    async with chunks_of(pieces(), object()) as chunks:
        return read(*[chunk async for chunk in chunks])


@cache
def expected() -> list[ModelEvent]:
    return asyncio.run(events_of([WHOLE]))


@given(st.lists(st.integers(0, len(WHOLE)), max_size=40).map(sorted))
def test_cut_anywhere(cuts: list[int]):
    blocks = [WHOLE[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(WHOLE)], strict=True)]
    assert asyncio.run(events_of(blocks)) == expected()


def test_cut_everywhere():
    assert asyncio.run(events_of(bytes([byte]) for byte in WHOLE)) == expected()
    assert merged(expected()) == [
        ReasoningDelta("Hm, naïve 🎉."),
        TextDelta("Let me séé.\n\ndata: no"),
        ToolCallStarted(0, "abcDEF123", "add"),
        ToolCallArguments(0, '{"a": "\\n\\n", "b": "é"}'),
        ToolCallStarted(1, "abcDEF124", "now"),
        *expected()[-4:],
    ]
