"""Output items of the tools that the provider runs itself. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from supercompat.testing.openai_server.responses.items import Draft, Place
from supercompat.testing.openai_server.responses.objects import new_id
from supercompat.testing.replies import Fragment, Hosted


@dataclass(frozen=True, slots=True)
class _Kind:
    """How items of one type come about.

    Attributes:
        prefix: of their ids.
        unfinished: what their fields are at first, as far as they are there and change.
        begins: the states they go through before what they stream.
        delta: the event of a fragment, less `.delta`, and the field that the fragments add up to.
        works: the states after that.
        ends: whether there is an event for the end.
        has_status: whether the item has a status.
    """

    prefix: str
    unfinished: Mapping[str, Any]
    begins: tuple[str, ...] = ()
    delta: tuple[str, str] | None = None
    works: tuple[str, ...] = ()
    ends: bool = True
    has_status: bool = True


_KINDS: Mapping[str, _Kind] = {
    "file_search_call": _Kind("fs_", {"queries": [], "results": None}, ("in_progress", "searching")),
    "web_search_call": _Kind("ws_", {"action": {"type": "search"}}, ("in_progress", "searching")),
    "code_interpreter_call": _Kind(
        "ci_",
        {"outputs": None},
        ("in_progress",),
        ("response.code_interpreter_call_code", "code"),
        ("interpreting",),
    ),
    "mcp_list_tools": _Kind("mcpl_", {"tools": [], "error": None}, ("in_progress",), has_status=False),
    "mcp_call": _Kind(
        "mcp_",
        {"output": None, "error": None},
        ("in_progress",),
        ("response.mcp_call_arguments", "arguments"),
    ),
    "mcp_approval_request": _Kind("mcpr_", {}, ends=False, has_status=False),
    "image_generation_call": _Kind(
        "ig_", {"result": None, "revised_prompt": None}, ("in_progress", "generating")
    ),
    "computer_call": _Kind("cu_", {}, ends=False),
}

#: Fields that are null unless the request includes them, by type.
_INCLUDED: Mapping[str, tuple[str, str]] = {
    "file_search_call": ("results", "file_search_call.results"),
    "code_interpreter_call": ("outputs", "code_interpreter_call.outputs"),
}
_SOURCES = "web_search_call.action.sources"


class HostedItem:
    """An item of any hosted tool."""

    def __init__(self, place: Place, step: Hosted) -> None:
        self._place = place
        self._kind = _KINDS[step.type]
        self._type = step.type
        self._status: str = step.fields["status"]
        self._all = _fields(step, place)
        self._final = _included(self._type, self._all, place.include)
        self._partials = 0
        self._is_done = False
        self.body: dict[str, Any] = {"id": new_id(self._kind.prefix), "type": step.type, **self._final}
        self.body |= self._kind.unfinished
        if self._kind.has_status:
            self.body["status"] = "in_progress"
        if self._kind.delta:
            self.body[self._kind.delta[1]] = ""

    def begin(self) -> Iterator[Draft]:
        for state in self._kind.begins:
            yield self._state(state)

    def takes(self, step: Any) -> bool:
        return isinstance(step, Fragment)

    def add(self, step: Fragment) -> Iterator[Draft]:
        if self._kind.delta is None:
            yield self._partial(step.text)
            return
        name, field = self._kind.delta
        self.body[field] += step.text
        yield f"{name}.delta", self._place.of(self.body, delta=step.text)

    def finish(self, status: str) -> Iterator[Draft]:
        if self._kind.delta:
            name, field = self._kind.delta
            yield f"{name}.done", self._place.of(self.body, **{field: self.body[field]})
        for state in self._kind.works:
            yield self._state(state)
        if status == "completed":
            self._is_done = True
            self.body |= self._final
        reached = self._status if status == "completed" else status
        if self._kind.ends and (reached == "completed" or (reached == "failed" and "mcp" in self._type)):
            yield self._state(reached)
        if self._kind.has_status:
            # An image that was broken off has no status of its own for it.
            is_image = self._type == "image_generation_call"
            self.body["status"] = "failed" if is_image and reached == "incomplete" else reached

    def shown(self, include: Collection[str]) -> dict[str, Any]:
        """The item as it is, with what else is to be seen of it."""
        return self.body | (_included(self._type, self._all, include) if self._is_done else {})

    def _state(self, state: str) -> Draft:
        return f"response.{self._type}.{state}", self._place.of(self.body)

    def _partial(self, image: str) -> Draft:
        fields = {name: self._final[name] for name in ("size", "quality", "background", "output_format")}
        fields |= {"partial_image_index": self._partials, "partial_image_b64": image}
        self._partials += 1
        return "response.image_generation_call.partial_image", self._place.of(self.body, **fields)


def _fields(step: Hosted, place: Place) -> dict[str, Any]:
    """All fields of the item in the end."""
    fields = {name: value for name, value in step.fields.items() if name != "status"}
    if step.type == "computer_call":
        fields["call_id"] = fields["call_id"] or new_id("call_")[:29]
        if "computer" not in place.tools and len(fields["actions"]) == 1:
            (fields["action"],) = fields.pop("actions")
    return fields


def _included(kind: str, fields: Mapping[str, Any], include: Collection[str]) -> dict[str, Any]:
    """The fields that are to be seen."""
    shown = dict(fields)
    field, needed = _INCLUDED.get(kind, ("", ""))
    if needed and needed not in include:
        shown[field] = None
    if kind == "web_search_call" and _SOURCES not in include:
        shown["action"] = {name: value for name, value in fields["action"].items() if name != "sources"}
    return shown
