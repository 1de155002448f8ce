"""The events of a message as model events. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from supercompat.client_adapters.openai_wire.json_values import a_number, a_text, an_object
from supercompat.model.events import (
    Finished,
    FinishReason,
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
from supercompat.model.ids import new_call_id

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
#: What a turn says without the help of its blocks.
_PLAIN = ("text", "tool_use")


class MessageReader:
    """Reads one answer: `read` for each event, then `finish`. An answer that pauses goes on in another message.

    Attributes:
        is_paused: whether the last message ended only to be continued.
    """

    def __init__(self) -> None:
        self.is_paused = False
        self._content: list[dict[str, Any]] = []
        self._first = 0
        self._arguments: dict[int, str] = {}
        self._calls: dict[int, int] = {}
        self._before = Usage()
        self._usage: dict[str, Any] = {}
        self._stop_reason = ""
        self._refusal = ""

    def read(self, event: Mapping[str, Any]) -> Iterator[ModelEvent]:
        """What an event adds to the answer."""
        place = self._first + (a_number(event.get("index")) or 0)
        match event.get("type"):
            case "message_start":
                self._count(an_object(event.get("message")))
            case "content_block_start":
                yield from self._start(place, an_object(event.get("content_block")))
            case "content_block_delta" if place < len(self._content):
                yield from self._extend(place, an_object(event.get("delta")))
            case "content_block_stop" if place in self._calls:
                yield from self._end_call(place)
            case "message_delta":
                self._count(event)
                self._stop(an_object(event.get("delta")))
            case _:
                pass

    def continued(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The request that goes on where the message paused."""
        self.is_paused = False
        self._first = len(self._content)
        self._before, self._usage = self._total(), {}
        said = {"role": "assistant", "content": self._replayable()}
        return {**body, "messages": [*body["messages"], said]}

    def finish(self, origin: Mapping[str, str]) -> Iterator[ModelEvent]:
        """What is only known at the end. There is no `Finished` if the provider gave no reason to stop.

        Args:
            origin: what the answer is bound to, to be kept with it.
        """
        content = self._replayable()
        if any(block.get("type") not in _PLAIN for block in content):
            yield ProviderStateReported({"anthropic": {**origin, "content": content}})
        yield UsageReported(self._total())
        if self._refusal:
            yield RefusalDelta(self._refusal)
        if self._stop_reason:
            yield Finished(self._reason())

    def _reason(self) -> FinishReason:
        done: FinishReason = "tool_calls" if self._calls else "stop"
        return _FINISH_REASONS.get(self._stop_reason, done)

    def _start(self, place: int, block: dict[str, Any]) -> Iterator[ModelEvent]:
        self._content += [{} for _ in range(len(self._content), place + 1)]
        self._content[place] = block
        match block.get("type"):
            case "text" if text := a_text(block.get("text")):
                yield TextDelta(text)
            case "thinking" if thought := a_text(block.get("thinking")):
                yield ReasoningDelta(thought)
            case "tool_use":
                block["id"] = a_text(block.get("id")) or new_call_id()
                self._calls[place] = len(self._calls)
                self._arguments[place] = ""
                yield ToolCallStarted(self._calls[place], block["id"], a_text(block.get("name")))
            case _:
                pass

    def _extend(self, place: int, delta: Mapping[str, Any]) -> Iterator[ModelEvent]:
        block = self._content[place]
        match delta.get("type"):
            case "text_delta":
                text = a_text(delta.get("text"))
                block["text"] = a_text(block.get("text")) + text
                yield TextDelta(text)
            case "thinking_delta":
                thought = a_text(delta.get("thinking"))
                block["thinking"] = a_text(block.get("thinking")) + thought
                yield ReasoningDelta(thought)
            case "signature_delta":
                block["signature"] = a_text(delta.get("signature"))
            case "citations_delta":
                block["citations"] = [*(block.get("citations") or ()), delta.get("citation")]
            case "input_json_delta":
                piece = a_text(delta.get("partial_json"))
                self._arguments[place] = self._arguments.get(place, "") + piece
                if piece and place in self._calls:
                    yield ToolCallArguments(self._calls[place], piece)
            case _:
                pass

    def _end_call(self, place: int) -> Iterator[ModelEvent]:
        """Arguments that did not come in pieces are those that the block began with: none, as a rule (C-100)."""
        if not self._arguments[place].strip():
            whole = json.dumps(an_object(self._content[place].get("input")), ensure_ascii=False)
            self._arguments[place] = whole
            yield ToolCallArguments(self._calls[place], whole)

    def _stop(self, delta: Mapping[str, Any]) -> None:
        self._stop_reason = a_text(delta.get("stop_reason")) or self._stop_reason
        self.is_paused = self._stop_reason == "pause_turn"
        self._refusal = a_text(an_object(delta.get("stop_details")).get("explanation"))

    def _count(self, place: Mapping[str, Any]) -> None:
        """Counts are those of the whole message so far: the last ones hold."""
        usage = an_object(place.get("usage"))
        self._usage.update((name, value) for name, value in usage.items() if value is not None)

    def _total(self) -> Usage:
        counts = self._usage
        cached = a_number(counts.get("cache_read_input_tokens")) or 0
        written = a_number(counts.get("cache_creation_input_tokens")) or 0
        details = an_object(counts.get("output_tokens_details"))
        return self._before + Usage(
            prompt=(a_number(counts.get("input_tokens")) or 0) + cached + written,
            completion=a_number(counts.get("output_tokens")) or 0,
            cached=cached,
            reasoning=a_number(details.get("thinking_tokens")) or 0,
        )

    def _replayable(self) -> list[dict[str, Any]]:
        """The blocks that the provider takes back: whole ones, and no blank text."""
        blocks: list[dict[str, Any]] = []
        for place, block in enumerate(self._content):
            members = {name: value for name, value in block.items() if value is not None}
            if self._arguments.get(place):
                try:
                    members["input"] = json.loads(self._arguments[place])
                except ValueError:
                    continue
            if _is_whole(members):
                blocks.append(members)
        return blocks


def _is_whole(block: Mapping[str, Any]) -> bool:
    match block.get("type"):
        case "text":
            return bool(a_text(block.get("text")).strip())
        case "thinking":
            return bool(block.get("signature"))
        case kind:
            return bool(kind)
