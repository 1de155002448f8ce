"""A provider that says events as they are given: for servers that deviate from OpenAI's."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from supercompat.testing.replies import Failure, Reply
from supercompat.testing.scripted import Broadcast, LoopbackServer, Received, Replay, Stream, Wire
from supercompat.testing.scripted.server import Answered

Event = dict[str, Any]

RESPONSE: Event = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
_LAST = ("response.completed", "response.incomplete", "response.failed", "error")
USAGE = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}


class EventServer(LoopbackServer):
    """Answers each request with the next of these: an object, an error, or events, behind which the connection is
    dropped if they do not end the answer."""

    def __init__(self, *answers: Sequence[Event] | Event | Failure) -> None:
        self._answers = list(answers)
        super().__init__(default=Reply(()))
        self.base_url = f"{self.url}/v1"

    def wire(self, received: Received) -> Wire:
        return _Plain()

    def answer(self, received: Received, body: bytes) -> Answered:
        received.body = json.loads(body or b"{}")
        answer = self._answers.pop(0)
        if isinstance(answer, dict | Failure):
            return answer
        said = Broadcast()
        for number, event in enumerate(answer):
            data = {"sequence_number": number, **event}
            said.add(f"event: {event.get('type')}\ndata: {json.dumps(data)}\n\n".encode())
        is_whole = bool(answer) and answer[-1]["type"] in _LAST
        said.end() if is_whole else said.break_off()
        return Replay(said, breaks=not is_whole)


class _Plain:
    def headers(self) -> Mapping[str, str]:
        return {}

    def is_streamed(self, received: Received) -> bool:
        return True

    def stream(self, reply: Reply, received: Received) -> Stream:
        raise NotImplementedError

    def body(self, reply: Reply, received: Received) -> Event:
        raise NotImplementedError

    def error(self, failure: Failure) -> Event:
        return {"error": {"message": failure.message}}


def answered(
    *events: Event, output: Sequence[Event] = (), status: str = "completed", **more: Any
) -> list[Event]:
    """These events, with those around them."""
    ended = {**RESPONSE, "status": status, "output": list(output), "usage": USAGE, **more}
    return [
        {"type": "response.created", "response": RESPONSE},
        *events,
        {"type": f"response.{status}", "response": ended},
    ]


def begun(index: int, item: Event) -> Event:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(index: int, item: Event) -> Event:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def delta(index: int, text: str) -> Event:
    return {"type": "response.output_text.delta", "output_index": index, "content_index": 0, "delta": text}


def message(text: str, *annotations: Event) -> Event:
    part = {"type": "output_text", "text": text, "annotations": list(annotations)}
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": [part]}
