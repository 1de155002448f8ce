"""Output items that any model says by itself: messages, function calls, reasoning. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol, TypeAlias

from supercompat.testing.openai_server.responses.objects import new_id
from supercompat.testing.replies import Arguments, Call, Piece

Draft: TypeAlias = tuple[str, dict[str, Any]]
"""An event before it has its number: its type, and its fields."""


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


def place(index: int, body: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The fields that tell which item an event is about."""
    return {"item_id": body["id"], "output_index": index, **more}


class Message:
    """A message, one part after the other."""

    _PARTS: ClassVar[Mapping[str, tuple[str, str]]] = {
        "content": ("output_text", "text"),
        "refusal": ("refusal", "refusal"),
    }

    def __init__(self, index: int) -> None:
        self._index = index
        self._field = ""
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
        return isinstance(step, Piece) and step.field in self._PARTS

    def add(self, step: Piece) -> Iterator[Draft]:
        if step.field != self._field:
            yield from self._end_part()
            yield from self._begin_part(step.field)
        kind, member = self._PARTS[step.field]
        self._part[member] += step.text
        extra: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        yield f"response.{kind}.delta", self._at(delta=step.text, **extra)

    def finish(self, status: str) -> Iterator[Draft]:
        yield from self._end_part()
        self.body["status"] = status

    @property
    def _part(self) -> dict[str, Any]:
        return self.body["content"][-1]

    def _at(self, **more: Any) -> dict[str, Any]:
        return place(self._index, self.body, content_index=len(self.body["content"]) - 1, **more)

    def _begin_part(self, field: str) -> Iterator[Draft]:
        self._field = field
        kind, member = self._PARTS[field]
        extra: dict[str, Any] = {"annotations": [], "logprobs": []} if kind == "output_text" else {}
        self.body["content"].append({"type": kind, **extra, member: ""})
        yield "response.content_part.added", self._at(part=self._part)

    def _end_part(self) -> Iterator[Draft]:
        if not self._field:
            return
        kind, member = self._PARTS[self._field]
        extra: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        yield f"response.{kind}.done", self._at(**{member: self._part[member]}, **extra)
        yield "response.content_part.done", self._at(part=self._part)


class FunctionCall:
    """A call of one of the request's functions."""

    def __init__(self, index: int, call: Call) -> None:
        self._index = index
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
        yield "response.function_call_arguments.delta", place(self._index, self.body, delta=step.text)

    def finish(self, status: str) -> Iterator[Draft]:
        whole = place(self._index, self.body, arguments=self.body["arguments"])
        yield "response.function_call_arguments.done", whole
        self.body["status"] = status
