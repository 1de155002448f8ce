"""Output items that a model says by itself: messages, function calls, reasoning. Pure."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol, TypeAlias

from supercompat.testing.openai_server.responses.objects import new_id
from supercompat.testing.replies import Annotation, Arguments, Call, Piece

#: What a request includes to see the thoughts of a model sealed.
ENCRYPTED: Final = "reasoning.encrypted_content"

Draft: TypeAlias = tuple[str, dict[str, Any]]
"""An event before it has its number: its type, and its fields."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item stands, and what the request wants to see of it.

    Attributes:
        index: its place in the response's `output`.
        include: the request's `include`.
        tools: the types of the request's tools.
        summary: whether thoughts are to be summed up.
        thoughts: whether they are shown as they are, under Groq's path.
    """

    index: int
    include: Collection[str] = ()
    tools: Collection[str] = ()
    summary: bool = False
    thoughts: bool = False

    def of(self, body: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """The fields that tell which item an event is about."""
        return {"item_id": body["id"], "output_index": self.index, **more}


class Item(Protocol):
    """One output item in the making. What is in `body` is the item as it is so far."""

    body: dict[str, Any]

    def begin(self) -> Iterator[Draft]:
        """From `response.output_item.added` to the first piece."""
        ...

    def takes(self, step: Any) -> bool:
        """Whether the step goes on with this item."""
        ...

    def add(self, step: Any) -> Iterator[Draft]:
        """What the step adds."""
        ...

    def finish(self, status: str) -> Iterator[Draft]:
        """To the end, but for `response.output_item.done`; sets what the item is then."""
        ...


class Message:
    """A message, one part after the other."""

    _PARTS: ClassVar[Mapping[str, tuple[str, str]]] = {
        "content": ("output_text", "text"),
        "refusal": ("refusal", "refusal"),
    }

    def __init__(self, place: Place) -> None:
        self._place = place
        self._field = ""
        self._piece = 0
        self.body: dict[str, Any] = {
            "id": new_id("msg_"),
            "type": "message",
            "status": "in_progress",
            "content": [],
            "role": "assistant",
        }

    def begin(self) -> Iterator[Draft]:
        yield from ()

    def takes(self, step: Any) -> bool:
        return isinstance(step, Annotation) or (isinstance(step, Piece) and step.field in self._PARTS)

    def add(self, step: Piece | Annotation) -> Iterator[Draft]:
        field = step.field if isinstance(step, Piece) else "content"
        if field != self._field:
            yield from self._end_part()
            yield from self._begin_part(field)
        if isinstance(step, Annotation):
            yield self._annotate(step)
            return
        kind, member = self._PARTS[field]
        self._piece = len(self._part[member])
        self._part[member] += step.text
        yield f"response.{kind}.delta", self._at(delta=step.text, **self._logprobs())

    def finish(self, status: str) -> Iterator[Draft]:
        yield from self._end_part()
        self.body["status"] = status

    @property
    def _part(self) -> dict[str, Any]:
        return self.body["content"][-1]

    def _at(self, **more: Any) -> dict[str, Any]:
        return self._place.of(self.body, content_index=len(self.body["content"]) - 1, **more)

    def _logprobs(self) -> dict[str, Any]:
        return {"logprobs": []} if self._field == "content" else {}

    def _annotate(self, step: Annotation) -> Draft:
        end = len(self._part["text"])
        places = {"start_index": self._piece, "end_index": end, "index": end}
        # What the script leaves open is the last piece of text.
        annotation = {key: places[key] if value is None else value for key, value in step.fields.items()}
        self._part["annotations"].append(annotation)
        number = len(self._part["annotations"]) - 1
        fields = self._at(annotation_index=number, annotation=annotation)
        return "response.output_text.annotation.added", fields

    def _begin_part(self, field: str) -> Iterator[Draft]:
        self._field = field
        self._piece = 0
        kind, member = self._PARTS[field]
        annotations: dict[str, Any] = {"annotations": []} if field == "content" else {}
        self.body["content"].append({"type": kind, **annotations, **self._logprobs(), member: ""})
        yield "response.content_part.added", self._at(part=self._part)

    def _end_part(self) -> Iterator[Draft]:
        if not self._field:
            return
        kind, member = self._PARTS[self._field]
        yield f"response.{kind}.done", self._at(**{member: self._part[member]}, **self._logprobs())
        yield "response.content_part.done", self._at(part=self._part)


class FunctionCall:
    """A call of one of the request's functions."""

    def __init__(self, place: Place, call: Call) -> None:
        self._place = place
        self.body: dict[str, Any] = {
            "id": new_id("fc_"),
            "type": "function_call",
            "status": "in_progress",
            "arguments": "",
            "call_id": call.id or new_id("call_")[:29],
            "name": call.name,
        }

    def begin(self) -> Iterator[Draft]:
        yield from ()

    def takes(self, step: Any) -> bool:
        return isinstance(step, Arguments)

    def add(self, step: Arguments) -> Iterator[Draft]:
        self.body["arguments"] += step.text
        yield "response.function_call_arguments.delta", self._place.of(self.body, delta=step.text)

    def finish(self, status: str) -> Iterator[Draft]:
        whole = self._place.of(self.body, arguments=self.body["arguments"])
        yield "response.function_call_arguments.done", whole
        self.body["status"] = status


class Reasoning:
    """What the model thinks: summed up if the request asks for it, under Groq's path word by word."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._text: dict[str, Any] | None = None
        self.body: dict[str, Any] = {"id": new_id("rs_"), "type": "reasoning", "summary": []}
        if place.thoughts:
            self.body |= {"id": new_id("resp_"), "status": "in_progress", "content": []}
        if ENCRYPTED in place.include:
            self.body["encrypted_content"] = sealed(self.body["id"])

    def begin(self) -> Iterator[Draft]:
        if self._place.thoughts:
            self._text = {"type": "reasoning_text", "text": ""}
            self.body["content"].append(self._text)
            yield "response.content_part.added", self._of(content_index=0, part=self._text)
        elif self._place.summary:
            self._text = {"type": "summary_text", "text": ""}
            self.body["summary"].append(self._text)
            yield "response.reasoning_summary_part.added", self._of(summary_index=0, part=self._text)

    def takes(self, step: Any) -> bool:
        return isinstance(step, Piece) and step.field == "reasoning"

    def add(self, step: Piece) -> Iterator[Draft]:
        if self._text is None:
            return
        self._text["text"] += step.text
        if self._place.thoughts:
            yield "response.reasoning_text.delta", self._of(content_index=0, delta=step.text)
        else:
            yield "response.reasoning_summary_text.delta", self._of(summary_index=0, delta=step.text)

    def finish(self, status: str) -> Iterator[Draft]:
        if self._text is None:
            return
        said = self._text["text"]
        if self._place.thoughts:
            self.body["status"] = status
            yield "response.reasoning_text.done", self._of(content_index=0, text=said)
            yield "response.content_part.done", self._of(content_index=0, part=self._text)
        else:
            yield "response.reasoning_summary_text.done", self._of(summary_index=0, text=said)
            yield "response.reasoning_summary_part.done", self._of(summary_index=0, part=self._text)

    def _of(self, **more: Any) -> dict[str, Any]:
        return self._place.of(self.body, **more)


def sealed(item_id: str) -> str:
    """The encrypted content of a reasoning item, recognised without a memory of it."""
    return "gAAAAA" + hashlib.sha256(b"scripted " + item_id.encode()).hexdigest()
