"""A reply as the events of a response, numbered and on time, and as what they add up to. Pure."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from supercompat.testing.openai_server.responses.items import Draft, FunctionCall, Item, Message
from supercompat.testing.openai_server.responses.objects import response_body, usage_body
from supercompat.testing.replies import Call, EmptyChunk, Failure, Gate, Piece, Reply, Step
from supercompat.testing.scripted import Event, encode

#: Endings that a model gives with `finish`, and what the response then says of itself.
_CUT_SHORT: Mapping[str, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Output:
    """Plays one reply to one request.

    Attributes:
        response: the response object as it is so far.
    """

    def __init__(self, reply: Reply, request: Mapping[str, Any]) -> None:
        self._reply = reply
        self._request = request
        self._number = -1
        self._item: Item | None = None
        self.response = response_body(request)

    def steps(self) -> Iterator[Event | Gate]:
        """All events but the one that ends the response."""
        yield self._event("response.created", response=self.response)
        self.response["status"] = "in_progress"
        yield self._event("response.in_progress", response=self.response)
        due = self._reply.first
        for step in self._reply.steps:
            if isinstance(step, Gate):
                yield step
            elif isinstance(step, EmptyChunk):
                yield self._event("keepalive")
            else:
                yield from (self._event(kind, due, **fields) for kind, fields in self._said(step))
                due += self._reply.interval
        if self._reply.ending == "whole":
            yield from (self._event(kind, **fields) for kind, fields in self._closing())

    def last(self) -> Event | None:
        """The event that ends the response, if its reply says how it ends."""
        if (status := self._end()) is None:
            return None
        return self._event(f"response.{status}", response=self.response)

    def error(self, failure: Failure) -> Event:
        """An error in mid stream."""
        return self._event("error", code=failure.code, message=failure.message, param=failure.param)

    def malformed(self) -> Event:
        """An event whose JSON is cut."""
        event = self._event("response.output_text.delta", delta="cut")
        return Event(event.data[:-12] + b"\n\n", event.due)

    def _end(self) -> str | None:
        """Sets what the response is in the end."""
        finish = self._reply.finish
        if finish is None:
            return None
        self.response["status"] = "incomplete" if finish in _CUT_SHORT else "completed"
        self.response["service_tier"] = "default"
        if finish in _CUT_SHORT:
            self.response["incomplete_details"] = {"reason": _CUT_SHORT[finish]}
        else:
            self.response["completed_at"] = int(time.time())
        if self._reply.usage is not None:
            self.response["usage"] = usage_body(self._reply.usage)
        return self.response["status"]

    def _said(self, step: Step) -> Iterator[Draft]:
        if self._item is None or not self._item.takes(step):
            yield from self._finish_item("completed")
            yield from self._begin_item(step)
        if self._item and self._item.takes(step):
            yield from self._item.add(step)

    def _begin_item(self, step: Step) -> Iterator[Draft]:
        index = len(self.response["output"])
        self._item = _new_item(step, index)
        self.response["output"].append(self._item.body)
        yield "response.output_item.added", {"output_index": index, "item": self._item.body}
        yield from self._item.begin()

    def _finish_item(self, status: str) -> Iterator[Draft]:
        if self._item is None:
            return
        yield from self._item.finish(status)
        index = len(self.response["output"]) - 1
        yield "response.output_item.done", {"output_index": index, "item": self._item.body}
        self._item = None

    def _closing(self) -> Iterator[Draft]:
        if not self.response["output"]:
            yield from self._said(Piece("content", ""))
        yield from self._finish_item("incomplete" if self._reply.finish in _CUT_SHORT else "completed")

    def _event(self, kind: str, due: float = 0.0, **fields: Any) -> Event:
        self._number += 1
        body = {"type": kind, "sequence_number": self._number, **fields}
        return Event(b"event: %b\ndata: %b\n\n" % (kind.encode(), encode(body)), due)


def _new_item(step: Step, index: int) -> Item:
    match step:
        case Call():
            return FunctionCall(index, step)
        case _:
            return Message(index)
