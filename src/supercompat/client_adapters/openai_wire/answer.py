"""The chunks of a chat completion, or a whole one, as model events."""

from collections.abc import Iterator, Mapping
from typing import Any

from supercompat.client_adapters.errors import error_in_answer
from supercompat.client_adapters.openai_wire.calls import CallReader
from supercompat.client_adapters.openai_wire.json_values import a_list, a_number, a_piece, a_text, an_object
from supercompat.errors import ProviderError
from supercompat.model.events import (
    Finished,
    FinishReason,
    ModelEvent,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Usage,
    UsageReported,
)

#: Finish reasons of OpenAI's wire and of the servers that speak it; any other word counts as `stop`.
FINISH_REASONS: Mapping[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}


class AnswerReader:
    """Reads one answer: `read` for each chunk (or once, for the whole completion), then `finish`.

    Only the first choice counts; whatever a server does differently ends here.
    """

    def __init__(self) -> None:
        self._calls = CallReader()
        self._usage: Usage | None = None
        self._finish_reason = ""
        self._began = False

    def read(self, chunk: Mapping[str, Any]) -> Iterator[ModelEvent]:
        """What a chunk adds to the answer.

        Raises:
            ProviderError: the chunk says that the provider failed.
        """
        vendor = an_object(chunk.get("x_groq"))
        for place in (chunk, vendor):
            if place.get("error"):
                raise error_in_answer(place["error"])
            self._usage = _usage(an_object(place.get("usage"))) or self._usage
        for choice in map(an_object, a_list(chunk.get("choices"))):
            if not choice.get("index"):
                yield from self._read_choice(choice)

    def finish(self) -> Iterator[ModelEvent]:
        """What is only known at the end. There is no `Finished` if the provider gave no reason to finish.

        Raises:
            ProviderError: the answer can't be used.
        """
        if self._usage is not None:
            yield UsageReported(self._usage)
        if self._finish_reason == "error":
            raise ProviderError("The provider ended the answer with an error that it did not explain.")
        if self._finish_reason:
            yield from self._calls.finish()
            yield Finished(self._reason())

    def _read_choice(self, choice: Mapping[str, Any]) -> Iterator[ModelEvent]:
        # Some send the whole message so far beside each delta, others one whole message instead of deltas.
        delta = an_object(choice.get("delta"))
        if choice.get("delta") is None and not self._began:
            delta = an_object(choice.get("message"))
        self._began = self._began or bool(delta)
        yield from _texts(delta)
        for fragment in filter(None, map(an_object, a_list(delta.get("tool_calls")))):
            yield from self._calls.read(fragment)
        if function_call := an_object(delta.get("function_call")):
            yield from self._calls.read({"index": 0, "function": function_call})
        self._finish_reason = a_text(choice.get("finish_reason")) or self._finish_reason

    def _reason(self) -> FinishReason:
        """An answer with calls waits for their outputs, whatever it is said to have finished with; unless it was
        cut off, when the last call may be half of one."""
        reason = FINISH_REASONS.get(self._finish_reason, "stop")
        if reason in ("stop", "tool_calls"):
            return "tool_calls" if self._calls else "stop"
        return reason


def _texts(delta: Mapping[str, Any]) -> Iterator[ModelEvent]:
    """Text of all kinds. Both names of the reasoning may be there, with the same text."""
    if reasoning := a_text(delta.get("reasoning_content")) or a_text(delta.get("reasoning")):
        yield ReasoningDelta(reasoning)
    content = delta.get("content")
    if text := a_piece(content):
        yield TextDelta(text)
    for part in map(an_object, a_list(content)):
        yield from _part(part)
    if refusal := a_piece(delta.get("refusal")):
        yield RefusalDelta(refusal)


def _part(part: Mapping[str, Any]) -> Iterator[ModelEvent]:
    """One part of a content that is a list; `thinking` is a text, or a list of text parts."""
    if text := a_piece(part.get("text")):
        yield TextDelta(text)
    if refusal := a_piece(part.get("refusal")):
        yield RefusalDelta(refusal)
    thinking = part.get("thinking")
    inner = [a_text(an_object(one).get("text")) for one in a_list(thinking)]
    if thought := a_text(thinking) or "".join(inner):
        yield ReasoningDelta(thought)


def _usage(usage: Mapping[str, Any]) -> Usage | None:
    if not usage:
        return None
    prompt_details = an_object(usage.get("prompt_tokens_details"))
    completion_details = an_object(usage.get("completion_tokens_details"))
    return Usage(
        prompt=a_number(usage.get("prompt_tokens")) or 0,
        completion=a_number(usage.get("completion_tokens")) or 0,
        cached=a_number(prompt_details.get("cached_tokens")) or 0,
        reasoning=a_number(completion_details.get("reasoning_tokens")) or 0,
    )
