"""JSON schemas in the part of the language that Anthropic enforces. What it refuses becomes a hint for the model."""

import json
from collections.abc import Mapping
from typing import Any, cast

#: Keywords that are sent as they are; those that hold schemas are gone through.
_KEPT = ("$ref", "type", "description", "title", "enum", "const", "format", "required", "default", "minItems")
_FORMATS = (
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
    "uuid",
)


def enforceable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with closed objects, and without keywords that are refused: these are told in the description."""
    result: dict[str, Any] = {}
    hints: dict[str, Any] = {}
    for name, value in schema.items():
        if name in ("properties", "$defs", "definitions"):
            result[name] = {key: _inner(inner) for key, inner in cast(dict[str, object], value).items()}
        elif name in ("anyOf", "oneOf", "allOf"):
            result["allOf" if name == "allOf" else "anyOf"] = [_inner(one) for one in value]
        elif name == "items":
            result[name] = _inner(value)
        elif _is_kept(name, value):
            result[name] = value
        elif name not in ("additionalProperties", "$schema"):
            hints[name] = value
    if schema.get("type") == "object" or "properties" in schema:
        result["additionalProperties"] = False
    if hints:
        words = [str(result["description"])] if "description" in result else []
        result["description"] = "\n".join([*words, json.dumps(hints, ensure_ascii=False)])
    return result


def is_enforceable(schema: Mapping[str, Any]) -> bool:
    """Whether nothing is lost but hints: anything at all, and objects with members of any name, can't be enforced."""
    others = schema.get("additionalProperties", not schema.get("properties"))
    if not schema or (schema.get("type") == "object" and others is not False):
        return False
    return all(is_enforceable(inner) for inner in _schemas_in(schema))


def _is_kept(name: str, value: object) -> bool:
    if name == "format":
        return value in _FORMATS
    return name in _KEPT and (name != "minItems" or value in (0, 1))


def _inner(schema: object) -> Any:
    return enforceable(cast(dict[str, Any], schema)) if isinstance(schema, dict) else schema


def _schemas_in(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[object] = []
    for name in ("properties", "$defs", "definitions"):
        found += schema.get(name, {}).values()
    for name in ("anyOf", "oneOf", "allOf"):
        found += schema.get(name, [])
    found.append(schema.get("items"))
    return [cast(dict[str, Any], one) for one in found if isinstance(one, dict)]
