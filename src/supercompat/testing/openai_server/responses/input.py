"""The input of a request as items."""

from collections.abc import Mapping
from typing import Any, cast

from supercompat.testing.openai_server.responses.objects import new_id

#: What the id of an item begins with, by its type.
PREFIXES: Mapping[str, str] = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fc",
    "reasoning": "rs",
}


def input_items(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a request brings, as items in the shape in which they are listed, each with an id."""
    given = request.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    return [_listed(item) for item in cast(list[dict[str, Any]], given or [])]


def _listed(item: Mapping[str, Any]) -> dict[str, Any]:
    kind = item.get("type") or ("message" if "role" in item else "item_reference")
    listed: dict[str, Any] = {"id": new_id(PREFIXES.get(kind, kind) + "_"), "type": kind, **item}
    if kind == "message":
        listed["status"] = "completed"
        if isinstance(item["content"], str):
            part = "output_text" if item["role"] == "assistant" else "input_text"
            extra: dict[str, Any] = {"annotations": []} if part == "output_text" else {}
            listed["content"] = [{"type": part, "text": item["content"], **extra}]
    elif kind.endswith("_output"):
        listed.setdefault("status", "completed")
    return listed
