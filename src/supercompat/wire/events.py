"""The events of a run's stream, and how they are framed (section 3)."""

import json
from dataclasses import dataclass
from typing import Literal, TypeAlias

from supercompat.wire.objects import JsonObject, WireObject

EventName: TypeAlias = Literal[
    "thread.created",
    "thread.run.created",
    "thread.run.queued",
    "thread.run.in_progress",
    "thread.run.requires_action",
    "thread.run.completed",
    "thread.run.incomplete",
    "thread.run.failed",
    "thread.run.cancelling",
    "thread.run.cancelled",
    "thread.run.expired",
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.run.step.delta",
    "thread.run.step.completed",
    "thread.run.step.failed",
    "thread.run.step.cancelled",
    "thread.run.step.expired",
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.delta",
    "thread.message.completed",
    "thread.message.incomplete",
    "error",
]

DONE = b"event: done\ndata: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Piece:
    """The text of a delta: it continues one part, and so may be sent together with what follows it there.

    Args:
        kind: of what the text is: a content part of a message, or a call's arguments or its code in a step.
        of: id of the message or the step.
        index: of the content part, or of the call.
        first: whether the part begins here. Only that delta of a text carries the empty list of annotations (C-139).
    """

    kind: Literal["text", "refusal", "arguments", "input"]
    of: str
    index: int
    text: str
    first: bool = False

    @property
    def part(self) -> tuple[str, int]:
        """What it continues."""
        return self.of, self.index

    def event(self) -> "AssistantEvent":
        content: JsonObject
        match self.kind:
            case "text":
                opening: JsonObject = {"annotations": []} if self.first else {}
                content = {"index": self.index, "type": "text", "text": {"value": self.text, **opening}}
            case "refusal":
                content = {"index": self.index, "type": "refusal", "refusal": self.text}
            case "arguments":
                call = {"index": self.index, "type": "function", "function": {"arguments": self.text}}
                return _step_delta(self.of, call, self)
            case "input":
                code = {"input": self.text}
                call = {"index": self.index, "type": "code_interpreter", "code_interpreter": code}
                return _step_delta(self.of, call, self)
        data = {"id": self.of, "object": "thread.message.delta", "delta": {"content": [content]}}
        return AssistantEvent("thread.message.delta", data, self)


@dataclass(frozen=True, slots=True)
class AssistantEvent:
    """One event of a run's stream.

    Args:
        data: the object as of that instant, or a delta.
        piece: what a delta adds, if that is text and nothing else.
    """

    name: EventName
    data: WireObject | JsonObject
    piece: Piece | None = None

    def encode(self) -> bytes:
        """The event as one server-sent event, its JSON on one line."""
        if isinstance(self.data, WireObject):
            body = self.data.model_dump_json()
        else:
            body = json.dumps(self.data, ensure_ascii=False, separators=(",", ":"))
        return f"event: {self.name}\ndata: {body}\n\n".encode()


def call_opened(step_id: str, index: int, call_id: str, name: str) -> AssistantEvent:
    """The delta that begins a function call. Id and name come here and nowhere else (C-143)."""
    function = {"name": name, "arguments": "", "output": None}
    return _step_delta(step_id, {"index": index, "id": call_id, "type": "function", "function": function})


def tool_opened(step_id: str, index: int, call: WireObject) -> AssistantEvent:
    """The delta that begins a call of a tool of the API's own, as it is then (S6, S7)."""
    return _step_delta(step_id, {"index": index, **call.model_dump()})


def code_output(step_id: str, index: int, number: int, output: WireObject) -> AssistantEvent:
    """The delta with one output of code; `number` counts those of its call (S7)."""
    outputs = [{"index": number, **output.model_dump()}]
    call = {"index": index, "type": "code_interpreter", "code_interpreter": {"outputs": outputs}}
    return _step_delta(step_id, call)


def message_delta(message_id: str, *content: JsonObject) -> AssistantEvent:
    """A delta with parts that are no text alone: images, annotations (S6, S8)."""
    data = {"id": message_id, "object": "thread.message.delta", "delta": {"content": list(content)}}
    return AssistantEvent("thread.message.delta", data)


def _step_delta(step_id: str, call: JsonObject, piece: Piece | None = None) -> AssistantEvent:
    details = {"type": "tool_calls", "tool_calls": [call]}
    data = {"id": step_id, "object": "thread.run.step.delta", "delta": {"step_details": details}}
    return AssistantEvent("thread.run.step.delta", data, piece)
