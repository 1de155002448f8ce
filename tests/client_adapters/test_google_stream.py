"""Gemini's answers as model events, however they are cut."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from importlib import import_module
from itertools import pairwise
from typing import Any

import pytest
from google import genai
from hypothesis import given, settings
from hypothesis import strategies as st

from supercompat.client_adapters.google import GoogleClientAdapter
from supercompat.client_adapters.google.stream import AnswerReader
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
from tests.client_adapters.asking import heard, merged
from tests.client_adapters.on_google import KEY, SIGNS, ask

#: The HTTP library of the SDK that is installed.
HTTP: Any = import_module("httpx2" if int(genai.__version__.partition(".")[0]) >= 3 else "httpx")


def read(*chunks: dict[str, Any], **how: Any) -> list[ModelEvent]:
    reader = AnswerReader(SIGNS, **how)
    said = [event for chunk in chunks for event in reader.read(chunk)]
    return [*said, *reader.finish()]


def says(*parts: dict[str, Any], finish: str | None = None, **members: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    return {"candidates": [candidate if finish is None else candidate | {"finishReason": finish}], **members}


def calls(name: str, args: Any = None, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "id": f"id-{name}", "args": args or {}}, **more}


def state(events: Iterable[ModelEvent]) -> Any:
    (reported,) = (event.state for event in events if isinstance(event, ProviderStateReported))
    return reported["google"]


def test_the_last_usage_counts():
    first = {"promptTokenCount": 11, "candidatesTokenCount": 1}
    last = {
        "promptTokenCount": 11,
        "toolUsePromptTokenCount": 4,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 2,
        "cachedContentTokenCount": 3,
        "totalTokenCount": 22,
    }
    events = read(says({"text": "a"}, usageMetadata=first), says(finish="STOP", usageMetadata=last))
    assert UsageReported(Usage(prompt=15, completion=7, cached=3, reasoning=2)) in events


def test_candidates_without_anything():
    assert read({}, {"candidates": []}, {"candidates": [{}]}, says(finish="STOP")) == [Finished("stop")]


def test_another_candidate_does_not_count():
    other = {"candidates": [{"index": 1, "content": {"parts": [{"text": "b"}]}, "finishReason": "OTHER"}]}
    assert read(says({"text": "a"}), other, says(finish="STOP")) == [TextDelta("a"), Finished("stop")]


def test_calls_end_with_the_word_that_text_ends_with():
    assert read(says(calls("f"), finish="STOP"))[-1] == Finished("tool_calls")
    assert read(says(calls("f"), finish="MAX_TOKENS"))[-1] == Finished("length")


def test_a_warning_about_the_prompt_is_no_block():
    feedback = {"safetyRatings": [{"category": "HARM", "probability": "LOW"}]}
    assert read({"promptFeedback": feedback}, says({"text": "a"}, finish="STOP"))[0] == TextDelta("a")


def test_a_block_without_words():
    with pytest.raises(ProviderError, match=r"blocked \(BLOCKLIST\)"):
        read({"promptFeedback": {"blockReason": "BLOCKLIST"}})


def test_the_words_of_an_unknown_reason():
    candidate = {"finishReason": "OF_NEXT_YEAR", "finishMessage": "It rained."}
    with pytest.raises(ProviderError, match=r"OF_NEXT_YEAR: It rained\."):
        read({"candidates": [candidate]})


def test_without_a_signature_nothing_is_kept():
    assert not [
        event for event in read(says({"text": "a"}, finish="STOP")) if "State" in type(event).__name__
    ]


def test_what_is_kept_has_each_signature_where_it_was():
    signed = {"text": "b", "thoughtSignature": "c2ln"}
    thought = {"text": "Hm", "thought": True}
    parts = [thought, thought, {"text": "a"}, {"text": "a"}, signed, {"text": "c"}, {"text": "c"}, calls("f")]
    kept = state(read(*[says(part) for part in parts], says(finish="STOP")))
    assert kept["model"] == SIGNS
    assert kept["parts"] == [
        {"text": "HmHm", "thought": True},
        {"text": "aa"},
        signed,
        {"text": "cc"},
        calls("f"),
    ]


PARTS = st.lists(
    st.one_of(
        st.text(min_size=1).map(lambda text: {"text": text}),
        st.text(min_size=1).map(lambda text: {"text": text, "thought": True}),
        st.text().map(lambda text: {"text": text, "thoughtSignature": "c2ln"}),
        st.builds(
            calls,
            st.sampled_from(["f", "g"]),
            st.dictionaries(st.text(), st.integers() | st.text()),
            thoughtSignature=st.just("c2ln"),
        ),
        st.builds(calls, st.sampled_from(["f", "g"])),
    ),
    max_size=6,
)


def expected(parts: list[dict[str, Any]]) -> list[ModelEvent]:
    """What the parts say, told without a thought for chunks."""
    events: list[ModelEvent] = []
    for part in parts:
        if call := part.get("functionCall"):
            index = sum(isinstance(event, ToolCallStarted) for event in events)
            events.append(ToolCallStarted(index, call["id"], call["name"]))
            events.append(ToolCallArguments(index, json.dumps(call["args"], ensure_ascii=False)))
        elif part["text"]:
            events.append(ReasoningDelta(part["text"]) if part.get("thought") else TextDelta(part["text"]))
    called = any("functionCall" in part for part in parts)
    return merged([*events, Finished("tool_calls" if called else "stop")])


@given(PARTS, st.data())
def test_it_does_not_matter_how_an_answer_is_cut(parts: list[dict[str, Any]], data: st.DataObject):
    """Plain texts in any pieces, and the pieces in any chunks."""
    pieces = [piece for part in parts for piece in cut(part, data)]
    places = sorted(data.draw(st.lists(st.integers(0, len(pieces)))))
    chunks = [says(*pieces[start:end]) for start, end in pairwise([0, *places, len(pieces)])]
    events = read(*chunks, says(finish="STOP"))
    whole = read(says(*parts), says(finish="STOP"))
    said = [event for event in events if not isinstance(event, ProviderStateReported)]
    assert merged(said) == expected(parts)
    if any("thoughtSignature" in part for part in parts):
        assert state(events) == state(whole)


def cut(part: dict[str, Any], data: st.DataObject) -> list[dict[str, Any]]:
    if "thoughtSignature" in part or len(part.get("text", "")) < 2:
        return [part]
    place = data.draw(st.integers(1, len(part["text"]) - 1))
    return [{**part, "text": part["text"][:place]}, {**part, "text": part["text"][place:]}]


@given(PARTS, st.data())
@settings(max_examples=25, deadline=None)
def test_it_does_not_matter_how_its_bytes_are_cut(parts: list[dict[str, Any]], data: st.DataObject):
    """Through the real SDK, which joins them again: also between the bytes of one character."""
    chunks = [*(says(part) for part in parts), says(finish="STOP")]
    raw = b"".join(b"data: %b\r\n\r\n" % json.dumps(chunk, ensure_ascii=False).encode() for chunk in chunks)
    places = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[start:end] for start, end in pairwise([0, *places, len(raw)])]
    said = [event for event in asyncio.run(answer(pieces)) if not isinstance(event, ProviderStateReported)]
    assert merged(said) == expected(parts)


async def answer(pieces: list[bytes]) -> list[ModelEvent]:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    def respond(_: object) -> Any:
        return HTTP.Response(200, headers={"content-type": "text/event-stream"}, content=body())

    transport = {"transport": HTTP.MockTransport(respond)}
    client = genai.Client(api_key=KEY, http_options={"async_client_args": transport})
    try:
        return await heard(GoogleClientAdapter(client).connect(own_pool=False), ask())
    finally:
        await client.aio.aclose()
        client.close()
