"""A JSON value together with its place in the body, and what is said to a wrong one: in pydantic's words, with 422."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from supercompat.testing.replies import Failure
from supercompat.testing.scripted import Refused

Place: TypeAlias = tuple[str | int, ...]


def invalid(kind: str, place: Place, message: str, value: Any = None, **context: Any) -> Refused:
    """To be raised: `{"object": "error", "message": {"detail": [{"type", "loc", "msg", "input"}]}, …}`."""
    detail: dict[str, Any] = {"type": kind, "loc": list(place), "msg": message, "input": value}
    if context:
        detail["ctx"] = context
    body = {
        "object": "error",
        "message": {"detail": [detail]},
        "type": "invalid_request_error",
        "param": None,
        "code": None,
        "raw_status_code": 422,
    }
    return Refused(Failure(422, message, headers={"content-type": "application/json"}, raw=json.dumps(body)))


@dataclass(frozen=True, slots=True)
class Value:
    """One value of the body. Every method but `get` raises `Refused` if the value is not what it says."""

    value: Any
    place: Place = ("body",)

    def wrong(self, kind: str, message: str, **context: Any) -> Refused:
        """To be raised."""
        return invalid(kind, self.place, message, self.value, **context)

    def under(self, name: str) -> "Value":
        """The same value, at a place that tells which kind of it was meant."""
        return Value(self.value, (*self.place, name))

    def object(self) -> Mapping[str, Any]:
        if not isinstance(self.value, dict):
            raise self.wrong("model_attributes_type", "Input should be a valid dictionary")
        return cast(dict[str, Any], self.value)

    def __getitem__(self, name: str) -> "Value":
        """The member of an object, which must be there."""
        members = self.object()
        if name not in members:
            raise invalid("missing", (*self.place, name), "Field required", self.value)
        return Value(members[name], (*self.place, name))

    def get(self, name: str) -> "Value | None":
        """The member, or None where it is absent or null."""
        members = self.object()
        return None if members.get(name) is None else self[name]

    def only(self, names: Collection[str]) -> None:
        """No members but these."""
        for name, value in self.object().items():
            if name not in names:
                place = (*self.place, name)
                raise invalid("extra_forbidden", place, "Extra inputs are not permitted", value)

    def items(self, minimum: int = 0) -> "list[Value]":
        if not isinstance(self.value, list):
            raise self.wrong("list_type", "Input should be a valid list")
        members = cast(list[Any], self.value)
        if len(members) < minimum:
            why = f"List should have at least {minimum} item after validation, not {len(members)}"
            raise self.wrong("too_short", why, min_length=minimum)
        return [Value(member, (*self.place, index)) for index, member in enumerate(members)]

    def string(self) -> str:
        if not isinstance(self.value, str):
            raise self.wrong("string_type", "Input should be a valid string")
        return self.value

    def boolean(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wrong("bool_type", "Input should be a valid boolean")
        return self.value

    def integer(self, low: int = 0) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise self.wrong("int_type", "Input should be a valid integer")
        self._at_least(low)
        return self.value

    def number(self, low: float, high: float, *, above: bool = False) -> float:
        """From `low`, or from just above it, to `high`."""
        if not isinstance(self.value, int | float) or isinstance(self.value, bool):
            raise self.wrong("float_type", "Input should be a valid number")
        if above and self.value == low:
            raise self.wrong("greater_than", f"Input should be greater than {low:g}", gt=low)
        self._at_least(low)
        if self.value > high:
            raise self.wrong("less_than_equal", f"Input should be less than or equal to {high:g}", le=high)
        return self.value

    def _at_least(self, low: float) -> None:
        if self.value < low:
            why = f"Input should be greater than or equal to {low:g}"
            raise self.wrong("greater_than_equal", why, ge=low)

    def one_of(self, *names: str) -> str:
        """One of some strings."""
        if self.value not in names:
            expected = ", ".join(f"'{name}'" for name in names[:-1])
            expected = f"{expected} or '{names[-1]}'" if expected else f"'{names[-1]}'"
            raise self.wrong("literal_error", f"Input should be {expected}", expected=expected)
        return self.value
