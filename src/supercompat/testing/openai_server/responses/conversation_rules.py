"""What the Responses API refuses of a conversation: what a request brings, behind what it goes on from.

A call is answered exactly once, before anything else is said to the model. Thoughts go back with what they led to.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from supercompat.testing.openai_server.fields import refused
from supercompat.testing.openai_server.responses.items import sealed
from supercompat.testing.openai_server.responses.kept import Shelf
from supercompat.testing.scripted import Refused

Item = dict[str, Any]

#: Outputs by their type, and the calls that they answer.
_ANSWERS: Final[Mapping[str, str]] = {
    "function_call_output": "function_call",
    "computer_call_output": "computer_call",
}


def check_conversation(before: Sequence[Item], given: Sequence[Item], shelf: Shelf) -> list[Item]:
    """Raises `Refused` unless `given` may follow `before`; returns it with what it refers to in its place."""
    items = [_resolved(item, shelf) for item in given]
    _check_twice([*before, *items])
    for index, item in enumerate(items):
        if item["type"] == "reasoning":
            _check_thought(item, items[index + 1 :], shelf)
        else:
            _check_reasons(item, items[:index], before, shelf)
    _Calls().check([*before, *items])
    return items


def check_pairs(given: Sequence[Item]) -> None:
    """The same for an API that keeps nothing: only that calls are answered."""
    _Calls().check(given)


def _resolved(item: Item, shelf: Shelf) -> Item:
    if item["type"] != "item_reference":
        return item
    if (found := shelf.item(item["id"])) is None:
        raise _unknown_item(item["id"])
    return found


def _check_twice(items: Sequence[Item]) -> None:
    seen: set[str] = set()
    for item in items:
        if (item_id := item.get("id")) in seen:
            why = "Remove duplicate items from your input and try again."
            raise refused(f"Duplicate item found with id {item_id}. {why}", "input")
        if item_id:
            seen.add(item_id)


def _check_thought(item: Item, after: Sequence[Item], shelf: Shelf) -> None:
    encrypted = item.get("encrypted_content")
    if encrypted and encrypted != sealed(item["id"]):
        shown = f"{encrypted[:4]}...{encrypted[-4:]}"
        message = f"The encrypted content {shown} could not be verified."
        raise refused(message, code="invalid_encrypted_content")
    if not encrypted and shelf.item(item["id"]) is None:
        raise _unknown_item(item["id"])
    follower = next((one for one in after if one["type"] != "reasoning"), None)
    if follower is None or not _is_said(follower):
        why = "was provided without its required following item."
        raise refused(f"Item '{item['id']}' of type 'reasoning' {why}", "input")


def _is_said(item: Item) -> bool:
    """Whether the model said it."""
    if item["type"] == "message":
        return item["role"] == "assistant"
    return item["type"] not in (*_ANSWERS, "mcp_approval_response")


def _check_reasons(item: Item, ahead: Sequence[Item], before: Sequence[Item], shelf: Shelf) -> None:
    needed = shelf.thought_before(item.get("id"))
    thoughts = {one["id"] for one in (*before, *ahead) if one["type"] == "reasoning"}
    if needed and needed not in thoughts:
        why = f"was provided without its required 'reasoning' item: '{needed}'."
        raise refused(f"Item '{item['id']}' of type '{item['type']}' {why}", "input")


def _unknown_item(item_id: str) -> Refused:
    why = (
        "Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove"
    )
    return refused(
        f"Item with id '{item_id}' not found. {why} this item from your input.", "input", status=404
    )


class _Calls:
    """The calls so far, and which of them are to be answered."""

    def __init__(self) -> None:
        self._open: dict[str, Item] = {}
        self._answered: set[str] = set()
        self._requests: set[str] = set()

    def check(self, items: Sequence[Item]) -> None:
        """All items of a conversation, in their order."""
        for item in items:
            kind = item["type"]
            if kind in _ANSWERS:
                self._answer(item)
            elif kind in _ANSWERS.values():
                self._open[item["call_id"]] = item
            elif kind == "mcp_approval_request":
                self._requests.add(item["id"])
            elif kind == "mcp_approval_response":
                self._approve(item)
            elif kind == "message" and item["role"] != "assistant":
                self._all_answered()
        self._all_answered()

    def _answer(self, item: Item) -> None:
        call_id = item["call_id"]
        words = _ANSWERS[item["type"]].replace("_", " ")
        call = self._open.get(call_id)
        if call is None and call_id in self._answered:
            raise refused(f"Duplicate output found for {words} {call_id}.", "input")
        if call is None or call["type"] != _ANSWERS[item["type"]]:
            noun = words.replace("function", "tool")
            raise refused(f"No {noun} found for {words} output with call_id {call_id}.", "input")
        acknowledged = {check["id"] for check in item.get("acknowledged_safety_checks") or ()}
        for check in call.get("pending_safety_checks") or ():
            if check["id"] not in acknowledged:
                raise refused(
                    f"Safety check {check['id']} of computer call {call_id} was not acknowledged.", "input"
                )
        del self._open[call_id]
        self._answered.add(call_id)

    def _approve(self, item: Item) -> None:
        request_id = item["approval_request_id"]
        if request_id not in self._requests:
            raise refused(f"No approval request found with id '{request_id}'.", "input")
        self._requests.remove(request_id)

    def _all_answered(self) -> None:
        for call_id, call in self._open.items():
            words = call["type"].replace("_", " ")
            noun = "tool" if call["type"] == "function_call" else "computer screenshot"
            raise refused(f"No {noun} output found for {words} {call_id}.", "input")
