"""Replies in the wire's JSON: the events of a stream, the one body of a completion, models, errors. Pure."""

import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from supercompat.testing.openai_server.dialects import Dialect
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

_FINGERPRINT = "fp_scripted"


def error_body(failure: Failure, dialect: Dialect) -> dict[str, Any]:
    """`{"error": {"message", "type", "param", "code"}}`."""
    error = {"message": failure.message, "type": failure.type, "param": failure.param, "code": failure.code}
    if not dialect.error_nulls:
        error = {name: value for name, value in error.items() if value is not None}
    return {"error": error}


def model_body(name: str) -> dict[str, Any]:
    """A model object."""
    return {"id": name, "object": "model", "created": 1715367049, "owned_by": "scripted"}


def usage_body(usage: Usage) -> dict[str, Any]:
    """The `usage` object, with its details."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def completion_body(reply: Reply, request: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """The reply folded into one `chat.completion`."""
    choice = {
        "index": 0,
        "message": _message(reply, dialect),
        "logprobs": None,
        "finish_reason": reply.finish,
    }
    body = _envelope("chat.completion", request) | {"choices": [choice]}
    if reply.usage is not None:
        body["usage"] = usage_body(reply.usage)
    if dialect.vendor_usage:
        body["x_groq"] = {"id": _new_id("req_")}
    return body


def _message(reply: Reply, dialect: Dialect) -> dict[str, Any]:
    texts = {
        name: "".join(
            step.text for step in reply.chat_steps if isinstance(step, Piece) and step.field == name
        )
        for name in ("content", "refusal", "reasoning")
    }
    message: dict[str, Any] = {"role": "assistant", "content": texts["content"] or None}
    calls = _folded_calls(reply.chat_steps)
    if calls:
        message["tool_calls"] = calls
    elif not texts["refusal"]:
        message["content"] = texts["content"]
    if texts["refusal"] or not dialect.vendor_usage:
        message["refusal"] = texts["refusal"] or None
    if texts["reasoning"]:
        message[dialect.reasoning_field] = texts["reasoning"]
    return message


def _folded_calls(steps: tuple[ChatStep, ...]) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []
    for step in steps:
        if isinstance(step, Call):
            calls.append(_opened(step))
        elif isinstance(step, Arguments):
            calls[-1]["function"]["arguments"] += step.text
    return calls


def stream(reply: Reply, request: Mapping[str, Any], dialect: Dialect) -> Stream:
    """The reply as server-sent events."""
    options: Mapping[str, Any] = request.get("stream_options") or {}
    chunks = _Chunks(request, with_usage=bool(options.get("include_usage")))
    steps = list(_deltas(reply, chunks, dialect))
    if isinstance(reply.ending, Failure):
        return Stream(steps, _event(encode(error_body(reply.ending, dialect))).data)
    if reply.ending == "malformed":
        return Stream(steps, _event(chunks.one(_choice({"content": "cut"}))[:-20]).data)
    if reply.ending == "whole":
        steps.extend(_event(data) for data in _closing(reply, chunks, dialect))
        return Stream(steps, _event(b"[DONE]").data)
    return Stream(steps, None)


def _deltas(reply: Reply, chunks: "_Chunks", dialect: Dialect) -> Iterator[Event | Gate]:
    due = reply.first
    spoken, calls = False, -1
    for step in reply.chat_steps:
        if isinstance(step, Gate):
            yield step
        elif isinstance(step, EmptyChunk):
            yield _event(chunks.one())
        else:
            if not spoken:
                yield _event(chunks.one(_opening(step, dialect)), due)
            spoken = True
            calls += isinstance(step, Call)
            yield _event(chunks.one(_choice(_delta(step, calls, dialect))), due)
            due += reply.interval
    if not spoken and reply.ending == "whole":
        yield _event(chunks.one(_opening(Piece("content", ""), dialect)), due)


def _opening(step: Piece | Call | Arguments, dialect: Dialect) -> dict[str, Any]:
    in_content = isinstance(step, Piece) and step.field == "content"
    delta: dict[str, Any] = {"role": "assistant", "content": "" if in_content else None}
    return _choice(delta if dialect.vendor_usage else delta | {"refusal": None})


def _delta(step: Piece | Call | Arguments, index: int, dialect: Dialect) -> dict[str, Any]:
    match step:
        case Piece("reasoning", text):
            return {dialect.reasoning_field: text}
        case Piece(field, text):
            return {field: text}
        case Call():
            return {"tool_calls": [{"index": index, **_opened(step)}]}
        case Arguments(text):
            return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}


def _closing(reply: Reply, chunks: "_Chunks", dialect: Dialect) -> Iterator[bytes]:
    usage = reply.usage and usage_body(reply.usage)
    if dialect.vendor_usage:
        vendor = {"id": _new_id("req_")} | ({"usage": usage} if usage else {})
        yield chunks.one(_choice({}, reply.finish), x_groq=vendor)
    elif reply.finish is not None:
        yield chunks.one(_choice({}, reply.finish))
    if chunks.with_usage and usage:
        yield chunks.one(usage=usage)


class _Chunks:
    """Chunks of one stream. What they share is encoded once, because benchmarks play long streams."""

    def __init__(self, request: Mapping[str, Any], *, with_usage: bool) -> None:
        self.with_usage = with_usage
        self._head = encode(_envelope("chat.completion.chunk", request))[:-1] + b',"choices":['

    def one(self, choice: dict[str, Any] | None = None, **extra: Any) -> bytes:
        if self.with_usage:
            extra.setdefault("usage", None)
        tail = b"," + encode(extra)[1:] if extra else b"}"
        return self._head + (encode(choice) if choice else b"") + b"]" + tail


def _event(data: bytes, due: float = 0.0) -> Event:
    return Event(b"data: " + data + b"\n\n", due)


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _opened(call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": ""}
    return {"id": call.id or _new_id("call_"), "type": "function", "function": function}


def _envelope(kind: str, request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": _new_id("chatcmpl-"),
        "object": kind,
        "created": int(time.time()),
        "model": request["model"],
        "system_fingerprint": _FINGERPRINT,
    }


def _new_id(prefix: str) -> str:
    return prefix + uuid.uuid4().hex[:24]
