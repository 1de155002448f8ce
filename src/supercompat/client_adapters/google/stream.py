"""The chunks of an answer of Gemini's as model events."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from supercompat.client_adapters.google.contents import STATE
from supercompat.errors import ProviderError
from supercompat.model.events import (
    Finished,
    FinishReason,
    ModelEvent,
    ProviderStateReported,
    ReasoningDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from supercompat.model.ids import new_call_id

_FILTERS = (
    "BLOCKLIST",
    "IMAGE_",
    "LANGUAGE",
    "MODEL_ARMOR",
    "PROHIBITED_CONTENT",
    "RECITATION",
    "SAFETY",
    "SPII",
)


class AnswerReader:
    """Reads one answer: `read` for each chunk, as plain JSON with the wire's own names, then `finish`.

    Args:
        model: the name of the model, to be kept with what only it can read.
        one_call: whether all calls but the first are left out. Gemini can't be told to make only one.
    """

    def __init__(self, model: str, *, one_call: bool = False) -> None:
        self._model = model
        self._most_calls = 1 if one_call else None
        self._calls = 0
        self._parts = _Parts()
        self._usage: Usage | None = None
        self._reason: FinishReason | None = None

    def read(self, chunk: Mapping[str, Any]) -> Iterator[ModelEvent]:
        """What a chunk adds to the answer.

        Raises:
            ProviderError: the prompt was blocked, or the model failed.
        """
        self._usage = _usage(chunk.get("usageMetadata")) or self._usage
        candidates: list[dict[str, Any]] = chunk.get("candidates") or []
        if not candidates:
            _check_blocked(chunk.get("promptFeedback"))
        for candidate in candidates:
            if not candidate.get("index"):
                yield from self._read_candidate(candidate)

    def finish(self) -> Iterator[ModelEvent]:
        """What is only known at the end. There is no `Finished` if Gemini gave no reason to finish."""
        if self._usage is not None:
            yield UsageReported(self._usage)
        if self._reason is None:
            return
        if self._parts.signed:
            yield ProviderStateReported({STATE: {"model": self._model, "parts": self._parts.joined()}})
        # Calls and plain text end with the same word.
        yield Finished("tool_calls" if self._calls and self._reason == "stop" else self._reason)

    def _read_candidate(self, candidate: Mapping[str, Any]) -> Iterator[ModelEvent]:
        content: dict[str, Any] = candidate.get("content") or {}
        parts: list[dict[str, Any]] = content.get("parts") or []
        for part in parts:
            call: dict[str, Any] | None = part.get("functionCall")
            if call is not None and self._calls == self._most_calls:
                continue
            self._parts.add(part)
            if call is not None:
                yield from self._read_call(call)
            elif text := part.get("text"):
                yield ReasoningDelta(text) if part.get("thought") else TextDelta(text)
        if reason := candidate.get("finishReason"):
            self._reason = _reason(str(reason), candidate.get("finishMessage"))

    def _read_call(self, call: Mapping[str, Any]) -> Iterator[ModelEvent]:
        index = self._calls
        self._calls += 1
        yield ToolCallStarted(index, call.get("id") or new_call_id(), call.get("name") or "")
        yield ToolCallArguments(index, json.dumps(call.get("args") or {}, ensure_ascii=False))


class _Parts:
    """What the model said, to be given back to it. Pieces of one text are joined, unless one carries a signature,
    which belongs where it came."""

    def __init__(self) -> None:
        self.signed = False
        self._parts: list[dict[str, Any]] = []
        self._text: list[str] = []

    def add(self, part: Mapping[str, Any]) -> None:
        self.signed = self.signed or "thoughtSignature" in part
        last = self._parts[-1] if self._parts else {}
        if self._text and _is_plain(part) and part.get("thought") == last.get("thought"):
            self._text.append(part["text"])
            return
        self._join()
        self._parts.append(dict(part))
        if _is_plain(part):
            self._text.append(part["text"])

    def joined(self) -> list[dict[str, Any]]:
        self._join()
        return self._parts

    def _join(self) -> None:
        if self._text:
            self._parts[-1]["text"] = "".join(self._text)
            self._text = []


def _is_plain(part: Mapping[str, Any]) -> bool:
    return "text" in part and part.keys() <= {"text", "thought"}


def _check_blocked(feedback: Mapping[str, Any] | None) -> None:
    if feedback and (reason := feedback.get("blockReason")):
        why = feedback.get("blockReasonMessage") or "no reason was given in words"
        raise ProviderError(
            f"The prompt was blocked ({reason}): {why}",
            code="invalid_prompt",
            status=400,
            body={"type": "invalid_request_error", "code": "content_filter", "param": None},
        )


def _reason(word: str, message: str | None) -> FinishReason:
    """Gemini's many words for what is wrong with its answer are all errors, also those that are not known yet."""
    if word == "STOP":
        return "stop"
    if word == "MAX_TOKENS":
        return "length"
    if word.startswith(_FILTERS):
        return "content_filter"
    raise ProviderError(f"The model ended its answer with {word}: {message or 'it did not say why'}")


def _usage(counts: Mapping[str, Any] | None) -> Usage | None:
    """Of the answer so far: every chunk has it, the last one counts."""
    if not counts:
        return None
    thoughts = counts.get("thoughtsTokenCount") or 0
    return Usage(
        prompt=(counts.get("promptTokenCount") or 0) + (counts.get("toolUsePromptTokenCount") or 0),
        completion=(counts.get("candidatesTokenCount") or 0) + thoughts,
        cached=counts.get("cachedContentTokenCount") or 0,
        reasoning=thoughts,
    )
