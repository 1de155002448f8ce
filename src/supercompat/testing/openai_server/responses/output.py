"""A reply as the events of a response, numbered and on time, and as what they add up to. Pure."""

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from supercompat.testing.openai_server.responses.hosted_items import HostedItem
from supercompat.testing.openai_server.responses.items import (
    ENCRYPTED,
    Draft,
    FunctionCall,
    Item,
    Message,
    Place,
    Reasoning,
    sealed,
)
from supercompat.testing.openai_server.responses.objects import response_body, usage_body
from supercompat.testing.replies import (
    Call,
    EmptyChunk,
    Failed,
    Failure,
    Gate,
    Hosted,
    Piece,
    Reply,
    Step,
)
from supercompat.testing.scripted import Event, encode

#: Endings that a model gives with `finish`, and what the response then says of itself.
_CUT_SHORT: Mapping[str, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Output:
    """Plays one reply to one request.

    Args:
        is_kept: whether the API is one that stores responses; one that doesn't shows thoughts as they are.

    Attributes:
        response: the response object as it is so far.
        is_closing: whether all steps of the reply were played.
    """

    def __init__(self, reply: Reply, request: Mapping[str, Any], *, is_kept: bool = True) -> None:
        self._reply = reply
        self._number = -1
        self._item: Item | None = None
        self._failed: Failed | None = None
        reasoning: Mapping[str, Any] = request.get("reasoning") or {}
        self._place = Place(
            index=-1,
            include=request.get("include") or (),
            tools={tool["type"] for tool in request.get("tools") or ()},
            summary=any(reasoning.get(name) for name in ("summary", "generate_summary")),
            thoughts=not is_kept,
        )
        options: Mapping[str, Any] = request.get("stream_options") or {}
        self._is_obfuscated = options.get("include_obfuscation") is not False
        self._hidden: dict[str, HostedItem] = {}
        self.is_closing = False
        self.response = response_body(request, is_stored=is_kept and request.get("store") is not False)

    def shown(self, include: Collection[str]) -> dict[str, Any]:
        """The response with what another request includes of its items, and without what it doesn't."""
        items = [self._shown(item, include) for item in self.response["output"]]
        return {**self.response, "output": items}

    def _shown(self, item: dict[str, Any], include: Collection[str]) -> dict[str, Any]:
        if item["type"] == "reasoning":
            seal = {"encrypted_content": sealed(item["id"])} if ENCRYPTED in include else {}
            return {key: item[key] for key in item if key != "encrypted_content"} | seal
        hosted = self._hidden.get(item["id"])
        return hosted.shown(include) if hosted else item

    def steps(self) -> Iterator[Event | Gate]:
        """All events but the one that ends the response. What comes behind a failure is not said."""
        yield self._event("response.created", response=self.response)
        if self.response["status"] == "queued":
            yield self._event("response.queued", response=self.response)
            if self._reply.gate:
                yield self._reply.gate
        self.response["status"] = "in_progress"
        yield self._event("response.in_progress", response=self.response)
        due = self._reply.first
        for step in self._reply.steps:
            if isinstance(step, Failed):
                self._failed = step
                return
            if isinstance(step, Gate):
                yield step
            elif isinstance(step, EmptyChunk):
                yield self._event("keepalive")
            else:
                yield from (self._event(kind, due, **fields) for kind, fields in self._said(step))
                due += self._reply.interval
        self.is_closing = True
        if self._reply.ending == "whole" or (self.response["background"] and self._reply.ending == "dropped"):
            yield from (self._event(kind, **fields) for kind, fields in self._closing())

    def last(self) -> Event | None:
        """The event that ends the response, if its reply says how it ends."""
        if not self._end():
            return None
        return self._event(f"response.{self.response['status']}", response=self.response)

    def error(self, failure: Failure) -> Event:
        """An error in mid stream."""
        fields: dict[str, Any] = {"code": failure.code, "message": failure.message, "param": failure.param}
        if failure.nested:
            return self._event("error", error={"type": failure.type, **fields})
        return self._event("error", **fields)

    def malformed(self) -> Event:
        """An event whose JSON is cut."""
        event = self._event("response.output_text.delta", delta="cut")
        return Event(event.data[:-12] + b"\n\n", event.due)

    def cancel(self) -> Event:
        """The event that ends a response that was cancelled: nothing is left of what it said."""
        self.response |= {"status": "cancelled", "output": []}
        return self._event("response.failed", response=self.response)

    def fail(self, failure: Failure) -> Event:
        """The response has failed, with an event for it."""
        self._failed = Failed(failure.message, failure.code or "server_error")
        self._end()
        return self._event("response.failed", response=self.response)

    def _end(self) -> bool:
        """Sets what the response is in the end; False if that stays open."""
        finish = self._reply.finish
        if self._failed:
            error = {"code": self._failed.code, "message": self._failed.message}
            self.response |= {"status": "failed", "error": error}
            for _ in self._finish_item("incomplete"):
                pass
            return True
        if finish is None:
            return False
        if finish in _CUT_SHORT:
            self.response |= {"status": "incomplete", "incomplete_details": {"reason": _CUT_SHORT[finish]}}
        else:
            self.response |= {"status": "completed", "completed_at": int(time.time())}
        self.response["service_tier"] = "default"
        if self._reply.usage is not None:
            self.response["usage"] = usage_body(self._reply.usage)
        return True

    def _said(self, step: Step) -> Iterator[Draft]:
        if self._item is None or not self._item.takes(step):
            yield from self._finish_item("completed")
            yield from self._begin_item(step)
        if self._item and self._item.takes(step):
            yield from self._item.add(step)

    def _begin_item(self, step: Step) -> Iterator[Draft]:
        place = replace(self._place, index=len(self.response["output"]))
        self._item = _new_item(step, place)
        self.response["output"].append(self._item.body)
        if isinstance(self._item, HostedItem):
            self._hidden[self._item.body["id"]] = self._item
        yield "response.output_item.added", {"output_index": place.index, "item": self._item.body}
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
        if self._is_obfuscated and "delta" in fields:
            # Deltas of all lengths look alike to who only sees their size.
            body["obfuscation"] = "x" * (-len(fields["delta"]) % 16)
        return Event(b"event: %b\ndata: %b\n\n" % (kind.encode(), encode(body)), due)


def _new_item(step: Step, place: Place) -> Item:
    match step:
        case Call():
            return FunctionCall(place, step)
        case Hosted():
            return HostedItem(place, step)
        case Piece("reasoning"):
            return Reasoning(place)
        case _:
            return Message(place)
