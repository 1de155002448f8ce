"""The tool calls of one answer, put together from what providers stream of them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from supercompat.client_adapters.openai_wire.json_values import a_number, a_piece, a_text, an_object
from supercompat.errors import ProviderError
from supercompat.model.events import ModelEvent, ToolCallArguments, ToolCallStarted
from supercompat.model.ids import new_call_id


@dataclass(slots=True, eq=False)
class _Call:
    """`given_id` is the id in the provider's words, if it gave one. `index` is None until the call has a name."""

    given_id: str
    name: str = ""
    arguments: str = ""
    index: int | None = None


class CallReader:
    """Decides which call a fragment belongs to, and what is new about it.

    Calls are told one after the other: what comes of a later one waits until the one before it is whole.

    Servers differ: `index` comes as 0.0, never, or as 0 for every call; ids are missing, the text `null`, or fresh
    in each fragment; names are repeated; arguments come in pieces, at once, or as an object.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._places: dict[int, _Call] = {}
        self._ids: dict[str, _Call] = {}
        # Those that have a name, by their index; what is said of the ones behind the current one waits.
        self._started: list[_Call] = []
        self._held: list[list[ModelEvent]] = []
        self._current = 0

    def __len__(self) -> int:
        return len(self._calls)

    def read(self, fragment: Mapping[str, Any]) -> Iterator[ModelEvent]:
        """What one member of `delta.tool_calls` adds."""
        function = an_object(fragment.get("function"))
        place = a_number(fragment.get("index"))
        given_id = a_text(fragment.get("id"))
        name = a_text(function.get("name"))
        arguments = _arguments(function.get("arguments"))
        call = self._call(place, "" if given_id == "null" else given_id, name, arguments)
        events = self._extend(call, name, arguments)
        if call.index is not None:
            self._held[call.index] += events
            yield from self._release()

    def finish(self) -> Iterator[ModelEvent]:
        """Calls without arguments get `{}` (C-100).

        Raises:
            ProviderError: a call has no name.
        """
        if len(self._started) < len(self._calls):
            raise ProviderError("The model called a function without naming it.")
        for index, call in enumerate(self._started):
            yield from self._held[index]
            if not call.arguments.strip():
                yield ToolCallArguments(index, "{}")

    def _release(self) -> Iterator[ModelEvent]:
        while True:
            held, self._held[self._current] = self._held[self._current], []
            yield from held
            following = self._current + 1
            if following == len(self._held) or not _is_whole(self._started[self._current].arguments):
                return
            self._current = following

    def _call(self, place: int | None, given_id: str, name: str, arguments: str) -> _Call:
        if place is not None:
            call = self._places.get(place)
        else:
            call = self._ids.get(given_id)
            # Without an index, only a name that comes with a new id, or follows a whole call, begins another.
            if call is None and self._calls and not (given_id and name):
                call = self._calls[-1]
        if call is None or _is_another(call, given_id, name, arguments):
            call = _Call(given_id)
            self._calls.append(call)
        if place is not None:
            self._places[place] = call
        if given_id:
            self._ids.setdefault(given_id, call)
        return call

    def _extend(self, call: _Call, name: str, arguments: str) -> list[ModelEvent]:
        call.arguments += arguments
        if call.index is not None:
            return [ToolCallArguments(call.index, arguments)] if arguments else []
        if not name:
            return []
        call.name = name
        call.index = len(self._started)
        self._started.append(call)
        self._held.append([])
        events: list[ModelEvent] = [ToolCallStarted(call.index, self._new_id(call), name)]
        if call.arguments:
            events.append(ToolCallArguments(call.index, call.arguments))
        return events

    def _new_id(self, call: _Call) -> str:
        """The provider's id, unless another call of this answer has it: outputs are told apart by it."""
        taken = {other.given_id for other in self._started if other is not call}
        return call.given_id if call.given_id and call.given_id not in taken else new_call_id()


def _is_another(call: _Call, given_id: str, name: str, arguments: str) -> bool:
    """Whether a fragment at the place of `call` begins another call, as where every call has the index 0."""
    if not name or not call.name or (given_id and given_id == call.given_id):
        return False
    if given_id and name != call.name:
        return True
    return bool(given_id or arguments.strip()) and _is_whole(call.arguments)


def _is_whole(arguments: str) -> bool:
    try:
        json.loads(arguments)
    except ValueError:
        return False
    return True


def _arguments(value: object) -> str:
    """Text goes as it is; some servers send the object itself."""
    if value is None or isinstance(value, str):
        return a_piece(value)
    return json.dumps(value, ensure_ascii=False)
