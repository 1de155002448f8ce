"""What is kept of an answer, so that the provider can be reminded of it: the `provider_state` of this wire.

`{"responses": {"server": …, "id": …, "stored": …, "items": […]}}`: whose answer it is, what the provider calls it,
whether the provider keeps it, and its output items as they came.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from supercompat.client_adapters.openai_wire import json_values as json
from supercompat.model.request import AssistantTurn, ToolCall, ToolTurn, Turn

KEY = "responses"

#: Items that hold more bytes than they are worth where the provider keeps them itself.
_HEAVY = {"image_generation_call"}


def state_of(
    server: str, response_id: str, *, stored: bool, items: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    """The state of an answer. Items matter only until its calls are answered."""
    has_calls = any(item.get("type") in ("function_call", "computer_call") for item in items)
    kept = [item for item in items if _is_worth(item, stored=stored)] if has_calls else []
    return {KEY: {"server": server, "id": response_id, "stored": stored, "items": kept}}


def _is_worth(item: Mapping[str, Any], *, stored: bool) -> bool:
    if stored:
        return item.get("type") not in _HEAVY
    # Nobody but the provider knows what is behind an id: without its content it would be refused as not found.
    is_thought = item.get("type") == "reasoning"
    return not is_thought or bool(item.get("encrypted_content") or item.get("content"))


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


def items_of(turn: AssistantTurn, server: str) -> list[dict[str, Any]]:
    """The items that the server gave for this turn; none if they are unknown or of other calls."""
    items = [json.an_object(item) for item in json.a_list(_own(turn.provider_state, server).get("items"))]
    calls = {call.id: call for call in turn.tool_calls}
    called = {item.get("call_id") for item in items if item.get("type") in ("function_call", "computer_call")}
    return [_callable(item, calls) for item in items] if called == set(calls) else []


def _callable(item: dict[str, Any], calls: Mapping[str, ToolCall]) -> dict[str, Any]:
    """A function's call as it may be sent back, whatever the model said."""
    if item.get("type") != "function_call":
        return item
    call = calls[item["call_id"]]
    return {**item, "name": call.name, "arguments": call.arguments}


def _own(state: Mapping[str, Any] | None, server: str) -> dict[str, Any]:
    own = json.an_object((state or {}).get(KEY))
    return own if own.get("server") == server else {}
