"""Members of JSON that a provider sent: of the wanted type, or empty. Providers' types can't be relied on."""

import json
import math
from typing import Any, cast


def an_object(value: object) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def a_list(value: object) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []


def a_text(value: object) -> str:
    """Half of a surrogate pair, which JSON can say and no other text can hold, becomes U+FFFD."""
    if not isinstance(value, str):
        return ""
    if value.isascii():
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def a_piece(value: object) -> str:
    """A piece of a text, which may begin or end within a surrogate pair."""
    return value if isinstance(value, str) else ""


def a_number(value: object) -> int | None:
    """A whole number, also where it came as `0.0`."""
    if isinstance(value, int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    return None


def text_of(value: object) -> str:
    """The value as JSON text."""
    return json.dumps(value, ensure_ascii=False)
