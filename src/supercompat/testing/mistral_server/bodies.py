"""Replies in Mistral's JSON: the events of a stream, the one body of a completion, models, errors. Pure."""

import hashlib
import secrets
import string
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from supercompat.testing.openai_server.bodies import usage_body
from supercompat.testing.replies import Call, ChatStep, EmptyChunk, Failure, Gate, Piece, Reply, Usage
from supercompat.testing.scripted import Event, Stream, encode

__all__ = ["completion_body", "encode", "error_body", "model_body", "signature", "stream"]

_ALPHABET = string.ascii_letters + string.digits


def error_body(failure: Failure) -> dict[str, Any]:
    """`{"object": "error", "message", "type", "param", "code"}`; a rate limit in Mistral's own words."""
    kind, code = failure.type, failure.code
    if code == "rate_limit_exceeded":
        kind, code = "rate_limited", "1300"
    return {"object": "error", "message": failure.message, "type": kind, "param": failure.param, "code": code}


def model_body(name: str) -> dict[str, Any]:
    """A model object."""
    capabilities = {"completion_chat": True, "function_calling": True, "reasoning": True, "vision": True}
    return {
        "id": name,
        "object": "model",
        "created": 1715367049,
        "owned_by": "mistralai",
        "capabilities": capabilities,
        "name": name,
        "max_context_length": 131072,
        "aliases": [],
        "type": "base",
    }


def signature(thoughts: str) -> str:
    """What thinking is signed with."""
    return hashlib.sha256(thoughts.encode()).hexdigest()[:24]


def completion_body(reply: Reply, request: Mapping[str, Any]) -> dict[str, Any]:
    """The reply folded into one `chat.completion`."""
    speech = _Speech()
    contents: list[str | dict[str, Any]] = []
    for step in reply.chat_steps:
        for delta in speech.say(step):
            contents += [delta["content"]] if isinstance(delta.get("content"), str) else delta["content"]
    contents += [part for delta in speech.signed() for part in delta["content"]]
    message: dict[str, Any] = {"role": "assistant", "tool_calls": speech.calls or None, "prefix": False}
    message["content"] = _folded(contents)
    choice = {"index": 0, "message": message, "finish_reason": reply.finish}
    body = _envelope("chat.completion", request) | {"choices": [choice]}
    if reply.usage is not None:
        body["usage"] = usage_body(reply.usage)
    return body


def _folded(contents: list[str | dict[str, Any]]) -> str | list[dict[str, Any]]:
    text = "".join(one for one in contents if isinstance(one, str))
    thoughts = [one for one in contents if not isinstance(one, str)]
    if not thoughts:
        return text
    thought = "".join(inner["text"] for part in thoughts for inner in part["thinking"])
    thinking = {
        "type": "thinking",
        "thinking": [{"type": "text", "text": thought}],
        "signature": signature(thought),
        "closed": True,
    }
    return [thinking, {"type": "text", "text": text}] if text else [thinking]


def stream(reply: Reply, request: Mapping[str, Any]) -> Stream:
    """The reply as server-sent events."""
    envelope = _envelope("chat.completion.chunk", request)
    steps: list[Event | Gate] = [_event(envelope, {"role": "assistant", "content": ""}, due=reply.first)]
    speech = _Speech()
    due = reply.first
    for step in reply.chat_steps:
        if isinstance(step, Gate):
            steps.append(step)
        elif isinstance(step, EmptyChunk):
            steps.append(_event(envelope, None))
        else:
            steps += [_event(envelope, delta, due=due) for delta in speech.say(step)]
            due += reply.interval
    steps += [_event(envelope, delta) for delta in speech.signed()]
    last = {"content": "", "tool_calls": speech.calls} if speech.calls else {"content": ""}
    if reply.ending == "whole":
        if reply.finish is not None:
            steps.append(_event(envelope, last, finish=reply.finish, usage=reply.usage))
        return Stream(steps, b"data: [DONE]\n\n")
    if speech.calls:
        steps.append(_event(envelope, last))
    if isinstance(reply.ending, Failure):
        return Stream(steps, b"data: " + encode(error_body(reply.ending)) + b"\n\n")
    if reply.ending == "malformed":
        return Stream(steps, _event(envelope, {"content": "cut"}).data[:-20] + b"\n\n")
    return Stream(steps, None)


class _Speech:
    """Steps as deltas. Thinking is signed when it is over, and calls wait until they are whole.

    Attributes:
        calls: those so far.
    """

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self._thoughts = ""

    def say(self, step: ChatStep) -> Iterator[dict[str, Any]]:
        match step:
            case Piece("reasoning", text):
                self._thoughts += text
                yield {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}
            case Piece(_, text):
                yield from self.signed()
                yield {"content": text}
            case Call():
                yield from self.signed()
                self.calls.append(_opened(step, len(self.calls)))
            case Gate() | EmptyChunk():
                pass
            case _:
                self.calls[-1]["function"]["arguments"] += step.text

    def signed(self) -> Iterator[dict[str, Any]]:
        """The signature of what was thought, if anything was."""
        if self._thoughts:
            end = {"type": "thinking", "thinking": list[Any](), "signature": signature(self._thoughts)}
            self._thoughts = ""
            yield {"content": [end]}


def _opened(call: Call, index: int) -> dict[str, Any]:
    call_id = call.id or "".join(secrets.choice(_ALPHABET) for _ in range(9))
    return {"id": call_id, "function": {"name": call.name, "arguments": ""}, "index": index}


def _event(
    envelope: Mapping[str, Any],
    delta: Mapping[str, Any] | None,
    *,
    due: float = 0.0,
    finish: str | None = None,
    usage: Usage | None = None,
) -> Event:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk: dict[str, Any] = {**envelope, "choices": choices}
    if usage is not None:
        chunk["usage"] = usage_body(usage)
    return Event(b"data: " + encode(chunk) + b"\n\n", due)


def _envelope(kind: str, request: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "object": kind, "created": int(time.time()), "model": request["model"]}
