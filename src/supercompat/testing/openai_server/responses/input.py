"""The input of a request as items."""

from collections.abc import Mapping
from typing import Any, cast

from supercompat.testing.openai_server.responses.input_rules import PREFIXES
from supercompat.testing.openai_server.responses.objects import new_id


def input_items(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a request brings, as items in the shape in which they are listed, each with an id."""
    given = request.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    return [_listed(item) for item in cast(list[dict[str, Any]], given or [])]


def _listed(item: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in item.items() if value is not None}
    kind = given.get("type") or ("message" if "role" in given else "item_reference")
    listed: dict[str, Any] = {"id": new_id(PREFIXES.get(kind, kind) + "_"), **given, "type": kind}
    if kind in ("message", "function_call") or kind.endswith("_output"):
        listed.setdefault("status", "completed")
    if kind == "message":
        listed["content"] = _parts(listed)
    return listed


def _parts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not isinstance(message["content"], str):
        parts = cast(list[dict[str, Any]], message["content"])
        return [{"detail": "auto", **part} if part["type"] == "input_image" else part for part in parts]
    if message["role"] == "assistant":
        return [{"type": "output_text", "text": message["content"], "annotations": []}]
    return [{"type": "input_text", "text": message["content"]}]
