"""Replies in the wire's JSON: the events of a stream, the one body of a message, models, errors. Pure."""

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from supercompat.testing.anthropic_server.signatures import sign
from supercompat.testing.replies import Arguments, Call, EmptyChunk, Failure, Gate, Piece, Reply, Usage
from supercompat.testing.scripted import Event, Stream, encode

Data: TypeAlias = dict[str, Any]

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
#: Error types of OpenAI's wire, which are what `error` and `then_error` put where a test names none.
_UNNAMED = ("invalid_request_error", "server_error", "requests")


def new_id(prefix: str) -> str:
    """An id in the provider's shape."""
    return f"{prefix}_01{uuid.uuid4().hex[:22]}"


def error_body(failure: Failure) -> Data:
    """`{"type": "error", "error": {"type", "message"}, "request_id"}`."""
    kind = failure.type
    if kind in _UNNAMED:
        kind = _ERROR_TYPES.get(failure.status, "api_error" if failure.status >= 500 else kind)
    error = {"type": kind, "message": failure.message}
    return {"type": "error", "error": error, "request_id": new_id("req")}


def model_body(name: str) -> Data:
    """A model object."""
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "2026-09-22T00:00:00Z",
        "lifecycle": "active",
    }


def stream(reply: Reply, request: Mapping[str, Any]) -> Stream:
    """The reply as server-sent events."""
    steps = [_event(one) if isinstance(one, _Timed) else one for one in _Writer(request).write(reply)]
    if isinstance(reply.ending, Failure):
        return Stream(steps, _event(_Timed(error_body(reply.ending))).data)
    if reply.ending == "malformed":
        cut = _event(_Timed({"type": "content_block_delta", "index": 0})).data
        return Stream(steps, cut[:-12] + b"\n\n")
    if reply.ending != "whole":
        return Stream(steps, None)
    if reply.finish is None:
        return Stream(steps, b": the end\n\n")
    return Stream(steps, _event(_Timed({"type": "message_stop"})).data)


def message_body(reply: Reply, request: Mapping[str, Any]) -> Data:
    """The reply folded into one message."""
    message: Data = {}
    partial = ""
    for step in _Writer(request).write(reply):
        data: Data = step.data if isinstance(step, _Timed) else {"type": "gate"}
        match data["type"]:
            case "message_start":
                message = data["message"]
            case "content_block_start":
                message["content"].append(data["content_block"])
                partial = ""
            case "content_block_delta":
                kind, delta = data["delta"]["type"], data["delta"]
                block = message["content"][-1]
                partial += delta.get("partial_json", "")
                name = kind.removesuffix("_delta")
                if name in ("text", "thinking", "signature"):
                    block[name] = block.get(name, "") + delta[name]
            case "content_block_stop" if partial:
                message["content"][-1]["input"] = json.loads(partial)
            case "message_delta":
                message |= data["delta"]
                message["usage"] |= data["usage"]
            case _:
                pass
    return message


class _Timed(NamedTuple):
    data: Data
    due: float = 0.0


def _event(timed: _Timed) -> Event:
    name = timed.data["type"].encode()
    return Event(b"event: " + name + b"\ndata: " + encode(timed.data) + b"\n\n", timed.due)


class _Writer:
    """Writes a reply as the events of one message: pieces of a kind are one block."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._request = request
        self._index = -1
        self._open: str | None = None
        self._thought = ""
        self._refusal = ""

    def write(self, reply: Reply) -> Iterator[_Timed | Gate]:
        due = reply.first
        yield _Timed(self._start(reply.usage or Usage(0, 0)), due)
        for step in reply.chat_steps:
            if isinstance(step, Gate):
                yield step
            elif isinstance(step, EmptyChunk):
                yield _Timed({"type": "ping"})
            else:
                yield from (_Timed(data, due) for data in self._step(step))
                due += reply.interval
        if reply.ending == "whole":
            yield from map(_Timed, self._close())
            if reply.finish is not None:
                yield _Timed(self._delta(reply))

    def _step(self, step: Piece | Call | Arguments) -> Iterator[Data]:
        match step:
            case Piece("content", text):
                yield from self._block("text", {"type": "text", "text": ""})
                yield self._more({"type": "text_delta", "text": text})
            case Piece("reasoning", text):
                yield from self._block("thinking", {"type": "thinking", "thinking": "", "signature": ""})
                self._thought += text
                yield self._more({"type": "thinking_delta", "thinking": text})
            case Piece(_, text):
                self._refusal += text
            case Call(name, _, call_id):
                block: Data = {
                    "type": "tool_use",
                    "id": call_id or new_id("toolu"),
                    "name": name,
                    "input": {},
                }
                yield from self._block("tool_use", block, another=True)
                yield self._more({"type": "input_json_delta", "partial_json": ""})
            case Arguments(text):
                yield self._more({"type": "input_json_delta", "partial_json": text})

    def _block(self, kind: str, block: Data, *, another: bool = False) -> Iterator[Data]:
        if self._open == kind and not another:
            return
        yield from self._close()
        self._open = kind
        self._index += 1
        yield {"type": "content_block_start", "index": self._index, "content_block": block}

    def _close(self) -> Iterator[Data]:
        if self._open == "thinking":
            signature = sign(self._thought, self._request)
            self._thought = ""
            yield self._more({"type": "signature_delta", "signature": signature})
        if self._open:
            self._open = None
            yield {"type": "content_block_stop", "index": self._index}

    def _more(self, delta: Data) -> Data:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _start(self, usage: Usage) -> Data:
        counts = {
            "input_tokens": usage.prompt - usage.cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": usage.cached,
            "output_tokens": 1,
        }
        message: Data = {
            "id": new_id("msg"),
            "type": "message",
            "role": "assistant",
            "model": self._request["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": counts,
        }
        return {"type": "message_start", "message": message}

    def _delta(self, reply: Reply) -> Data:
        reason = "refusal" if self._refusal else _STOP_REASONS.get(reply.finish or "", reply.finish)
        delta: Data = {"stop_reason": reason, "stop_sequence": None}
        if reason == "refusal":
            explanation = self._refusal or None
            delta["stop_details"] = {"type": "refusal", "category": None, "explanation": explanation}
        usage = reply.usage or Usage(0, 0)
        counts: Data = {"output_tokens": usage.completion}
        if usage.reasoning:
            counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
        return {"type": "message_delta", "delta": delta, "usage": counts}
