"""What is kept of an answer, so that the provider can be reminded of it: the `provider_state` of this wire.

`{"responses": {"server": …, "model": …, "id": …, "stored": …, "items": […]}}`: whose answer it is, what the provider
calls it, whether the provider keeps it, and its output items as they came.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from supercompat.client_adapters.openai_wire import json_values as json
from supercompat.model.request import AssistantTurn, ToolCall, ToolTurn, Turn

KEY = "responses"

#: Items that hold more bytes than they are worth where the provider keeps them itself.
_HEAVY = {"image_generation_call"}

_CALLS = ("function_call", "computer_call")

#: How a provider is reminded of what it said: by ids, where it keeps that; by its items, with all that is in them; in
#: the words of the thread.
Recall: TypeAlias = Literal["ids", "items", "words"]


def state_of(
    server: str, model: str, response_id: str, *, stored: bool, items: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """The state of an answer. Items matter only until its calls are answered."""
    has_calls = any(item.get("type") in _CALLS for item in items)
    kept = [_kept(item, stored=stored) for item in items] if has_calls else []
    state = {"server": server, "model": model, "id": response_id, "stored": stored, "items": kept}
    return {KEY: state}


def _kept(item: Mapping[str, Any], *, stored: bool) -> Mapping[str, Any]:
    is_referred_to = stored and item.get("type") in _HEAVY
    return {"type": "item_reference", "id": item.get("id")} if is_referred_to else item


def handle_of(handle: Mapping[str, Any] | None, server: str) -> str | None:
    """The id of the response that goes on in the background, if it does so on this server."""
    return _own(handle, server).get("id")


def previous_response(turns: Sequence[Turn], server: str) -> tuple[str, Sequence[Turn]] | None:
    """The answer whose calls the last turns answer, and these turns; None if the server does not keep it."""
    answers = len(turns)
    while answers and isinstance(turns[answers - 1], ToolTurn):
        answers -= 1
    asked = turns[answers - 1] if 0 < answers < len(turns) else None
    if not isinstance(asked, AssistantTurn):
        return None
    state = _own(asked.provider_state, server)
    return (state["id"], turns[answers:]) if state.get("stored") and state.get("id") else None


def items_of(turn: AssistantTurn, server: str, model: str, recall: Recall) -> list[dict[str, Any]]:
    """The items that the server's model gave for this turn; none if they are unknown, of other calls, or another
    model's, to which its reasoning says nothing."""
    state = _own(turn.provider_state, server)
    if recall == "words" or state.get("model") != model:
        return []
    items = [json.an_object(item) for item in json.a_list(state.get("items"))]
    calls = {call.id: call for call in turn.tool_calls}
    if {item.get("call_id") for item in items if item.get("type") in _CALLS} != set(calls):
        return []
    items = [_callable(item, calls) for item in items]
    if state.get("stored") and recall == "ids":
        return items
    return [_by_value(item) for item in items if _has_value(item)]


def _has_value(item: Mapping[str, Any]) -> bool:
    """Whether the item says something to who does not know its id."""
    if item.get("type") == "reasoning":
        return bool(item.get("encrypted_content") or item.get("content"))
    return item.get("type") != "item_reference"


def _by_value(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item without an id, by which a provider would miss the reasoning that led to it."""
    if item.get("type") == "message":
        phase = {"phase": item["phase"]} if item.get("phase") else {}
        return {"type": "message", "role": "assistant", "content": text_of(item), **phase}
    return {k: v for k, v in item.items() if k != "id" or item.get("type") != "function_call"}


def parts_of(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a message, whose content some servers give as a text."""
    content = item.get("content")
    if isinstance(content, str):
        content = [{"type": "output_text", "text": content}]
    yield from map(json.an_object, json.a_list(content))


def text_of(item: Mapping[str, Any]) -> str:
    """What a message says."""
    return "".join(
        json.a_text(part.get("text")) or json.a_text(part.get("refusal")) for part in parts_of(item)
    )


def _callable(item: dict[str, Any], calls: Mapping[str, ToolCall]) -> dict[str, Any]:
    """A function's call as it may be sent back, whatever the model said."""
    if item.get("type") != "function_call":
        return item
    call = calls[item["call_id"]]
    return {**item, "name": call.name, "arguments": call.arguments}


def _own(state: Mapping[str, Any] | None, server: str) -> dict[str, Any]:
    own = json.an_object((state or {}).get(KEY))
    return own if own.get("server") == server else {}
