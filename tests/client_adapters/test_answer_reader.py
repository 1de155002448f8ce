"""Chunks, as OpenAI and all who claim its wire send them, as model events."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supercompat.client_adapters.openai_wire import AnswerReader
from supercompat.errors import ProviderError
from supercompat.model.events import (
    Finished,
    ModelEvent,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from tests.client_adapters.asking import merged

Chunk = dict[str, Any]


def read(*chunks: Chunk) -> list[ModelEvent]:
    reader = AnswerReader()
    events = [event for chunk in chunks for event in reader.read(chunk)]
    return [*events, *reader.finish()]


def delta(finish: str | None = None, /, **fields: Any) -> Chunk:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def fragment(arguments: Any = None, /, **fields: Any) -> Chunk:
    """A fragment of a call; the name goes where it belongs."""
    function = {"name": fields.pop("name", None), "arguments": arguments}
    return delta(tool_calls=[{**fields, "function": {k: v for k, v in function.items() if v is not None}}])


def calls(*chunks: Chunk) -> list[tuple[str, str, str]]:
    """Id, name and arguments of the calls that chunks add up to. They are told one after the other (C-144)."""
    found: dict[int, tuple[str, str, str]] = {}
    for event in read(*chunks, delta("tool_calls")):
        match event:
            case ToolCallStarted(index, id, name):
                assert index == len(found)
                found[index] = (id, name, "")
            case ToolCallArguments(index, text):
                assert index == len(found) - 1
                id, name, before = found[index]
                found[index] = (id, name, before + text)
            case _:
                assert event == Finished("tool_calls")
    return list(found.values())


SAYING_NOTHING: list[Chunk] = [
    {},
    {"choices": []},
    {"choices": None},
    {"choices": [{}]},
    {"choices": [{"delta": None}]},
    {"choices": ["odd"]},
    {"choices": [], "prompt_filter_results": [{}]},
    delta(content=None, tool_calls=None, function_call=None),
    delta(content=7, reasoning={"effort": "low"}, tool_calls=["odd"]),
]


class TestTexts:
    def test_kinds(self):
        assert read(
            delta(role="assistant", content=""),
            delta(reasoning="Hm"),
            delta(reasoning_content="m."),
            delta(content="Hel"),
            delta(content="lo"),
            delta(refusal="No."),
            delta("stop"),
        ) == [
            ReasoningDelta("Hm"),
            ReasoningDelta("m."),
            TextDelta("Hel"),
            TextDelta("lo"),
            RefusalDelta("No."),
            Finished("stop"),
        ]

    def test_both_names_of_the_reasoning(self):
        assert read(delta(reasoning="Hm.", reasoning_content="Hm.")) == [ReasoningDelta("Hm.")]

    def test_content_as_a_list_of_parts(self):
        thinking = {
            "type": "thinking",
            "thinking": [{"type": "text", "text": "H"}, {"type": "text", "text": "m."}],
        }
        parts = [thinking, {"type": "thinking", "thinking": "So."}, {"type": "text", "text": "Hello"}]
        more = [{"type": "refusal", "refusal": "No."}, {"type": "reference", "reference_ids": [1]}, "odd"]
        assert read(delta(content=[*parts, *more])) == [
            ReasoningDelta("Hm."),
            ReasoningDelta("So."),
            TextDelta("Hello"),
            RefusalDelta("No."),
        ]

    @pytest.mark.parametrize("chunk", SAYING_NOTHING)
    def test_chunks_that_say_nothing(self, chunk: Chunk):
        assert read(chunk, delta("stop")) == [Finished("stop")]

    def test_other_choices_are_not_read(self):
        chunk = {
            "choices": [{"index": 1, "delta": {"content": "B"}}, {"index": 0, "delta": {"content": "A"}}]
        }
        assert read(chunk) == [TextDelta("A")]

    def test_the_whole_message_beside_each_delta_is_not_read(self):
        def chunk(new: str, all_so_far: str) -> Chunk:
            return {"choices": [{"delta": {"content": new}, "message": {"content": all_so_far}}]}

        assert read(
            chunk("", ""),
            chunk("Hel", "Hel"),
            chunk("lo", "Hello"),
            {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]},
        ) == [TextDelta("Hel"), TextDelta("lo"), Finished("stop")]

    def test_a_whole_completion(self):
        message = {
            "role": "assistant",
            "content": "Hello",
            "tool_calls": [{"id": "a", "function": {"name": "f"}}],
        }
        usage = {"prompt_tokens": 1, "completion_tokens": 2}
        body = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": usage}
        assert read(body) == [
            TextDelta("Hello"),
            ToolCallStarted(0, "a", "f"),
            UsageReported(Usage(1, 2)),
            ToolCallArguments(0, "{}"),
            Finished("tool_calls"),
        ]


class TestCalls:
    def test_as_openai_sends_them(self):
        assert calls(
            fragment("", index=0, id="call_a", name="add"),
            fragment('{"a"', index=0),
            fragment(": 1}", index=0),
            fragment("", index=1, id="call_b", name="now"),
            fragment("{}", index=1),
        ) == [("call_a", "add", '{"a": 1}'), ("call_b", "now", "{}")]

    def test_the_index_is_counted_anew(self):
        found = read(fragment("{}", index=3, id="a", name="f"), fragment("{}", index=7, id="b", name="g"))
        assert [event.index for event in found if isinstance(event, ToolCallStarted)] == [0, 1]

    def test_interleaved(self):
        assert calls(
            fragment("[", index=0, id="a", name="f"),
            fragment("{", index=1, id="b", name="g"),
            fragment("]", index=0),
            fragment("}", index=1),
        ) == [("a", "f", "[]"), ("b", "g", "{}")]

    def test_an_index_that_is_a_float(self):
        chunks = [fragment("{", index=0.0, id="a", name="f"), fragment("}", index=0.0)]
        assert calls(*chunks) == [("a", "f", "{}")]

    def test_no_index_but_ids(self):
        chunks = [
            fragment('{"a"', id="a", name="f"),
            fragment(":1}", id="a"),
            fragment("{", id="b", name="f"),
            fragment("}"),
        ]
        assert calls(*chunks) == [("a", "f", '{"a":1}'), ("b", "f", "{}")]

    @pytest.mark.parametrize("id", [None, "", "null"])
    def test_no_index_and_no_ids(self, id: str | None):
        found = calls(
            fragment('{"a"', id=id, name="f"),
            fragment(":1}", id=id),
            fragment("{}", id=id, name="f"),
            fragment("{}", id=id, name="g"),
        )
        assert [call[1:] for call in found] == [("f", '{"a":1}'), ("f", "{}"), ("g", "{}")]
        ids = {call[0] for call in found}
        assert len(ids) == 3
        assert all(one.startswith("call_") and len(one) == 29 and one[5:].isalnum() for one in ids)

    def test_the_same_index_for_whole_calls(self):
        chunks = [
            fragment('{"a":1}', index=0, id="a", name="f"),
            fragment('{"a":2}', index=0, id="b", name="f"),
            fragment("", index=0, id="c", name="g"),
            fragment("{}", index=0),
        ]
        assert calls(*chunks) == [("a", "f", '{"a":1}'), ("b", "f", '{"a":2}'), ("c", "g", "{}")]

    @pytest.mark.parametrize("ids", [("a", "a", "a"), ("a", None, None), ("a", "b", "c"), (None, None, None)])
    def test_a_name_that_is_repeated(self, ids: tuple[str | None, ...]):
        pieces = ['{"a"', ":", "1}"]
        chunks = [fragment(piece, index=0, id=id, name="f") for piece, id in zip(pieces, ids, strict=True)]
        (found,) = calls(*chunks)
        assert found[1:] == ("f", '{"a":1}')

    def test_a_name_that_comes_late(self):
        assert calls(fragment("{", index=0, id="a"), fragment("}", index=0, name="f")) == [("a", "f", "{}")]

    def test_arguments_as_an_object(self):
        assert calls(fragment({"city": "Zürich"}, id="a", name="f")) == [("a", "f", '{"city": "Zürich"}')]

    @pytest.mark.parametrize("arguments", [None, "", " "])
    def test_no_arguments(self, arguments: str | None):
        """C-100."""
        ((_, _, text),) = calls(fragment(arguments, index=0, id="a", name="f"))
        assert json.loads(text) == {}

    def test_two_calls_with_one_id(self):
        (first, _, _), (second, _, _) = calls(
            fragment('{"a":1}', index=0, id="c", name="f"), fragment("{}", index=1, id="c", name="g")
        )
        assert (first, second.startswith("call_")) == ("c", True)

    def test_no_arguments_of_parallel_calls(self):
        chunks = [fragment("", index=index, id=id, name="f") for index, id in enumerate("abc")]
        assert calls(*chunks) == [("a", "f", "{}"), ("b", "f", "{}"), ("c", "f", "{}")]

    def test_the_legacy_function_call(self):
        chunks = [
            delta(function_call={"name": "f", "arguments": ""}),
            delta(function_call={"arguments": '{"a":1}'}),
        ]
        events = read(*chunks, delta("function_call"))
        assert events[1:] == [ToolCallArguments(0, '{"a":1}'), Finished("tool_calls")]

    def test_a_call_without_a_name(self):
        with pytest.raises(ProviderError, match="without naming it"):
            calls(fragment("{}", index=0, id="a"))


class TestEnds:
    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            ("stop", "stop"),
            ("eos", "stop"),
            ("something_new", "stop"),
            ("tool_calls", "stop"),
            ("length", "length"),
            ("model_length", "length"),
            ("content_filter", "content_filter"),
        ],
    )
    def test_reasons_without_calls(self, said: str, reason: Any):
        assert read(delta(said, content="Hello"))[-1] == Finished(reason)

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            ("stop", "tool_calls"),
            ("eos", "tool_calls"),
            ("tool_calls", "tool_calls"),
            ("function_call", "tool_calls"),
            ("length", "length"),
            ("content_filter", "content_filter"),
        ],
    )
    def test_reasons_with_calls(self, said: str, reason: Any):
        assert read(fragment("{}", id="a", name="f"), delta(said))[-1] == Finished(reason)

    def test_no_reason(self):
        assert read(delta(content="Hel")) == [TextDelta("Hel")]
        assert read(fragment("{", id="a", name="f"))[-1] == ToolCallArguments(0, "{")

    def test_a_reason_before_the_last_words(self):
        assert read(delta("stop"), delta(content="lo")) == [TextDelta("lo"), Finished("stop")]

    def test_an_error_as_reason(self):
        with pytest.raises(ProviderError, match="ended the answer with an error"):
            read(delta(content="Hel"), delta("error"))

    @pytest.mark.parametrize(
        ("chunk", "message", "code"),
        [
            ({"error": {"message": "No.", "code": 429}}, "No.", "rate_limit_exceeded"),
            ({"error": "No."}, "No.", "server_error"),
            ({"x_groq": {"error": "over_capacity"}, "choices": []}, "over_capacity", "server_error"),
            ({"error": {}, "x_groq": {"error": {}}}, None, None),
        ],
    )
    def test_an_error_chunk(self, chunk: Chunk, message: str | None, code: str | None):
        if message is None:
            assert read(chunk) == []
            return
        with pytest.raises(ProviderError) as caught:
            read(chunk)
        assert (caught.value.message, caught.value.code) == (message, code)


class TestUsage:
    def test_the_last_one_counts(self):
        chunks: list[Chunk] = [
            {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": n}} for n in (1, 2, 3)
        ]
        assert read(*chunks, {"usage": None}) == [UsageReported(Usage(5, 3))]

    def test_details(self):
        usage = {
            "prompt_tokens": 5.0,
            "completion_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 2},
        }
        assert read({"usage": usage}) == [UsageReported(Usage(5, 7, 3, 2))]

    def test_groq_s_own_place(self):
        usage = {"prompt_tokens": 5, "completion_tokens": 7, "prompt_tokens_details": None}
        assert read({**delta("stop"), "x_groq": {"id": "req_1", "usage": usage}})[0] == UsageReported(
            Usage(5, 7)
        )


# Whole answers, and all the ways in which a server may cut them into chunks.

texts = st.text(max_size=8)
call_names = st.sampled_from(["add", "now", "get_weather"])
arguments = st.dictionaries(texts, st.integers() | texts, max_size=3).map(
    lambda members: json.dumps(members, ensure_ascii=False)
)
answers = st.tuples(texts, texts, st.lists(st.tuples(call_names, arguments), max_size=3))


def cut(draw: Callable[[st.SearchStrategy[Any]], Any], text: str) -> list[str]:
    ends = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


@st.composite
def streams(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[list[Chunk], list[ModelEvent]]:
    """An answer in chunks, and the events that it is."""
    thought, said, made = draw(answers)
    field = draw(st.sampled_from(["reasoning", "reasoning_content"]))
    chunks = [delta(**{field: piece}) for piece in cut(draw, thought)]
    chunks += [delta(content=draw(st.sampled_from([piece, [{"text": piece}]]))) for piece in cut(draw, said)]
    for number, (name, text) in enumerate(made):
        chunks += call_chunks(draw, number, name, text)
    if not made or draw(st.booleans()):
        chunks.append(delta("stop"))
    else:
        chunks[-1]["choices"][0]["finish_reason"] = draw(st.sampled_from(["stop", "tool_calls", "eos"]))
    for _ in range(draw(st.integers(0, 3))):
        chunks.insert(draw(st.integers(0, len(chunks))), {"choices": []})
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    chunks[draw(st.integers(0, len(chunks) - 1))]["usage"] = usage
    return chunks, list(whole(thought, said, made))


def call_chunks(
    draw: Callable[[st.SearchStrategy[Any]], Any], number: int, name: str, text: str
) -> list[Chunk]:
    by_index, names_again = draw(st.booleans()), draw(st.booleans())
    pieces: list[Any] = [json.loads(text)] if draw(st.booleans()) else cut(draw, text)
    place: dict[str, Any] = {"index": draw(st.sampled_from([number, float(number)]))} if by_index else {}
    first = {"id": f"call_{number}", "name": name}
    later = first if names_again or not by_index else {}
    return [fragment(piece, **place, **(later if at else first)) for at, piece in enumerate(pieces)]


def whole(thought: str, said: str, made: Iterable[tuple[str, str]]) -> Iterator[ModelEvent]:
    yield ReasoningDelta(thought)
    yield TextDelta(said)
    for index, (name, text) in enumerate(made):
        yield ToolCallStarted(index, f"call_{index}", name)
        yield ToolCallArguments(index, text)
    yield UsageReported(Usage(1, 2))
    yield Finished("tool_calls" if made else "stop")


@given(streams())
def test_however_an_answer_is_cut(stream: tuple[list[Chunk], list[ModelEvent]]):
    chunks, expected = stream
    assert merged(read(*chunks)) == merged(expected)


@pytest.mark.parametrize("field", ["content", "refusal"])
def test_a_character_that_is_cut_is_left_to_be_joined(field: str) -> None:
    """As some proxies cut it, between its UTF-16 units."""
    halves = [delta(**{field: half}) for half in ("\ud83d", "\ude00")]
    said = "".join(event.text for event in read(*halves) if isinstance(event, TextDelta | RefusalDelta))
    assert said.encode("utf-16-le", "surrogatepass").decode("utf-16-le") == "😀"
