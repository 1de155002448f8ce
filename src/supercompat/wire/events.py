"""The events of a run's stream, and how they are framed (section 3)."""

import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

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
class AssistantEvent:
    """One event of a run's stream: `data` is the object as of that instant, or a delta."""

    name: EventName
    data: WireObject | JsonObject

    def encode(self) -> bytes:
        """The event as one server-sent event, its JSON on one line."""
        if isinstance(self.data, WireObject):
            body = self.data.model_dump_json()
        else:
            body = json.dumps(self.data, ensure_ascii=False, separators=(",", ":"))
        return f"event: {self.name}\ndata: {body}\n\n".encode()


def message_delta(message_id: str, part: JsonObject) -> AssistantEvent:
    """A piece of a message; `part` has the index of the content part that it continues."""
    data = {"id": message_id, "object": "thread.message.delta", "delta": {"content": [part]}}
    return AssistantEvent("thread.message.delta", data)


def text_part(index: int, value: str, *, first: bool) -> JsonObject:
    """A text delta. Only the first of a part carries the empty list of annotations (C-139)."""
    text: dict[str, Any] = {"value": value}
    if first:
        text["annotations"] = []
    return {"index": index, "type": "text", "text": text}


def refusal_part(index: int, refusal: str) -> JsonObject:
    return {"index": index, "type": "refusal", "refusal": refusal}


def step_delta(step_id: str, call: JsonObject) -> AssistantEvent:
    """A piece of a tool call; `call` has the index of the call in the step."""
    details = {"type": "tool_calls", "tool_calls": [call]}
    data = {"id": step_id, "object": "thread.run.step.delta", "delta": {"step_details": details}}
    return AssistantEvent("thread.run.step.delta", data)


def call_header(index: int, call_id: str, name: str) -> JsonObject:
    """The delta that begins a function call. Id and name come here and nowhere else (C-143)."""
    function = {"name": name, "arguments": "", "output": None}
    return {"index": index, "id": call_id, "type": "function", "function": function}


def call_arguments(index: int, arguments: str) -> JsonObject:
    return {"index": index, "type": "function", "function": {"arguments": arguments}}
