"""Replies in Gemini's JSON: the events of a stream, the one body of an answer, models, errors. Pure."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from supercompat.testing.google_server.signatures import sign, signs
from supercompat.testing.replies import (
    Arguments,
    Call,
    ChatStep,
    EmptyChunk,
    Failure,
    Gate,
    Piece,
    Reply,
    Usage,
)
from supercompat.testing.scripted import Event, Stream, encode

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_REASONS = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}


def error_body(failure: Failure) -> dict[str, Any]:
    """`{"error": {"code", "message", "status", "details"}}`. A code in capitals is Google's own, of the status or of
    the finer reason."""
    error: dict[str, Any] = {
        "code": failure.status,
        "message": failure.message,
        "status": _STATUSES.get(failure.status, "UNKNOWN"),
    }
    word = failure.code or ""
    if word in _STATUSES.values() or word == "FAILED_PRECONDITION":
        error["status"] = word
    elif word.isupper():
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        error["details"] = [{"@type": kind, "reason": word, "domain": "googleapis.com"}]
    return {"error": error}


def model_body(name: str) -> dict[str, Any]:
    """A model object."""
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


def answer_body(reply: Reply, model: str) -> dict[str, Any]:
    """The reply folded into one `GenerateContentResponse`."""
    said = _Said(reply, model)
    parts = [part for _, part in said.parts()]
    if said.blocked is not None:
        return said.envelope(promptFeedback=said.blocked)
    return said.envelope(candidates=[said.last_candidate(parts)])


def stream(reply: Reply, model: str) -> Stream:
    """The reply as server-sent events."""
    said = _Said(reply, model)
    steps = list(_steps(reply, said))
    if isinstance(reply.ending, Failure):
        return Stream(steps, _event(error_body(reply.ending)).data)
    last = _last(said)
    if reply.ending == "malformed":
        return Stream(steps, last[: len(last) // 2])
    return Stream(steps, last if reply.ending == "whole" else None)


def _steps(reply: Reply, said: "_Said") -> Iterator[Event | Gate]:
    due = reply.first
    for step, part in said.parts():
        if isinstance(step, Gate):
            yield step
        elif isinstance(step, EmptyChunk):
            yield _event(said.envelope())
        elif said.blocked is None:
            yield _event(said.envelope(candidates=[_candidate([part])]), due)
            due += reply.interval


def _last(said: "_Said") -> bytes:
    if said.blocked is not None:
        return _event(said.envelope(promptFeedback=said.blocked)).data
    return _event(said.envelope(candidates=[said.last_candidate([])])).data


class _Said:
    """A reply of one model, part by part."""

    def __init__(self, reply: Reply, model: str) -> None:
        self._reply = reply
        self._model = model
        self._id = uuid.uuid4().hex[:22]
        self._signed = not signs(model)
        refusals = [
            step.text for step in reply.chat_steps if isinstance(step, Piece) and step.field == "refusal"
        ]
        #: The feedback on a prompt that was blocked: a refusal of the script.
        self.blocked = (
            {"blockReason": "SAFETY", "blockReasonMessage": "".join(refusals)} if refusals else None
        )

    def parts(self) -> Iterator[tuple[ChatStep, dict[str, Any]]]:
        """Each step with the part it makes, which is empty where it makes none. Calls come whole: as the last step
        that belongs to them."""
        steps = self._reply.chat_steps
        for index, step in enumerate(steps):
            if isinstance(step, Piece):
                yield step, self._text(step)
            elif isinstance(step, Gate | EmptyChunk):
                yield step, {}
            elif not _goes_on(steps[index + 1 :]):
                yield step, self._call(steps[: index + 1])

    def _text(self, piece: Piece) -> dict[str, Any]:
        return {"text": piece.text, "thought": True} if piece.field == "reasoning" else {"text": piece.text}

    def _call(self, steps: Sequence[ChatStep]) -> dict[str, Any]:
        begin = max(index for index, step in enumerate(steps) if isinstance(step, Call))
        call = steps[begin]
        assert isinstance(call, Call)
        arguments = "".join(step.text for step in steps[begin:] if isinstance(step, Arguments))
        said: dict[str, Any] = {"name": call.name, "args": json.loads(arguments or "{}")}
        if call.id is not None or signs(self._model):
            said["id"] = call.id or uuid.uuid4().hex[:8]
        return self._with_signature({"functionCall": said})

    def _with_signature(self, part: dict[str, Any]) -> dict[str, Any]:
        """The first call carries the signature of all, or else the end of the text."""
        if self._signed:
            return part
        self._signed = True
        return {**part, "thoughtSignature": sign(self._model, part)}

    def last_candidate(self, parts: list[dict[str, Any]]) -> dict[str, Any]:
        """What ends the answer, behind or with the parts: perhaps a signature, and the finish reason."""
        if not self._signed:
            parts = [*parts, self._with_signature({"text": ""})]
        candidate = _candidate(parts)
        finish = self._reply.finish
        return candidate if finish is None else candidate | {"finishReason": _REASONS.get(finish, finish)}

    def envelope(self, **members: Any) -> dict[str, Any]:
        """Every chunk has the usage of all so far."""
        usage = self._reply.usage
        counts = {} if usage is None else {"usageMetadata": _usage(usage)}
        return {**members, **counts, "modelVersion": self._model, "responseId": self._id}


def _goes_on(steps: Sequence[ChatStep]) -> bool:
    """Whether more of the call before these steps comes among them."""
    said = next((step for step in steps if not isinstance(step, Gate | EmptyChunk)), None)
    return isinstance(said, Arguments)


def _candidate(parts: list[dict[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {"role": "model"}
    return {"content": content | {"parts": parts} if parts else content, "index": 0}


def _usage(usage: Usage) -> Mapping[str, Any]:
    counts = {
        "promptTokenCount": usage.prompt,
        "candidatesTokenCount": usage.completion - usage.reasoning,
        "thoughtsTokenCount": usage.reasoning,
        "cachedContentTokenCount": usage.cached,
        "totalTokenCount": usage.prompt + usage.completion,
    }
    return {name: count for name, count in counts.items() if count}


def _event(body: Mapping[str, Any], due: float = 0.0) -> Event:
    return Event(b"data: " + encode(body) + b"\r\n\r\n", due)
