"""A JSON value together with its place in the body, so that a refusal names it as the API does."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, cast

from supercompat.testing.replies import Failure
from supercompat.testing.scripted import Refused


def refused(message: str, param: str | None = None, code: str | None = None, status: int = 400) -> Refused:
    """To be raised: an `invalid_request_error`."""
    return Refused(Failure(status, message, param=param, code=code))


def _name_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


@dataclass(slots=True)
class Field:
    """One value of the body. Every method but `get` raises `Refused` if the value is not what it says."""

    value: Any
    parent: "Field | None" = None
    key: str | int = ""

    @property
    def path(self) -> str:
        """Where the value stands, such as `messages[0].content`."""
        # Put together only for a refusal: long histories are checked value by value.
        before = self.parent.path if self.parent else ""
        if isinstance(self.key, int):
            return f"{before}[{self.key}]"
        return f"{before}.{self.key}" if before else self.key

    def __getitem__(self, key: str) -> "Field":
        """The member `key` of an object, which must be there."""
        members = self.object()
        if key not in members:
            path = Field(None, self, key).path
            raise refused(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")
        return Field(members[key], self, key)

    def get(self, key: str, *, nullable: bool = False) -> "Field | None":
        """The member `key`, or None where it is absent, or null and allowed to be."""
        members = self.object()
        if key not in members or (nullable and members[key] is None):
            return None
        return self[key]

    def wrong_type(self, expected: str) -> Refused:
        """To be raised: the value is not of the expected type."""
        message = (
            f"Invalid type for '{self.path}': expected {expected}, but got {_name_of(self.value)} instead."
        )
        return refused(message, self.path, "invalid_type")

    def invalid(self, why: str, code: str = "invalid_value") -> Refused:
        """To be raised: the type is right, the value is not."""
        return refused(f"Invalid '{self.path}': {why}", self.path, code)

    def object(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            raise self.wrong_type("an object")
        return cast(dict[str, Any], self.value)

    def items(self, *, minimum: int = 0, maximum: int | None = None) -> "list[Field]":
        """The members of an array of `minimum` to `maximum` members."""
        if not isinstance(self.value, list):
            raise self.wrong_type("an array")
        members = cast(list[Any], self.value)
        if len(members) < minimum:
            why = f"Expected an array with minimum length {minimum}, but got an empty array instead."
            raise self.invalid(f"empty array. {why}", "empty_array")
        if maximum is not None and len(members) > maximum:
            why = f"array too long. Expected an array with maximum length {maximum}, but got {len(members)}."
            raise self.invalid(why, "array_above_max_length")
        return [Field(member, self, index) for index, member in enumerate(members)]

    def string(self, *, minimum: int = 0, maximum: int | None = None, pattern: str | None = None) -> str:
        if not isinstance(self.value, str):
            raise self.wrong_type("a string")
        length = len(self.value)
        if length < minimum:
            raise self.invalid(f"empty string. Expected at least {minimum} characters.", "empty_string")
        if maximum is not None and length > maximum:
            why = (
                f"Expected a string with maximum length {maximum}, but got one with length {length} instead."
            )
            raise self.invalid(f"string too long. {why}", "string_above_max_length")
        if pattern is not None and not re.fullmatch(pattern, self.value):
            why = f"Expected a string that matches the pattern '^{pattern}$'."
            raise self.invalid(f"string does not match pattern. {why}")
        return self.value

    def boolean(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wrong_type("a boolean")
        return self.value

    def integer(self, low: int | None = None, high: int | None = None) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise self.wrong_type("an integer")
        self._within(self.value, low, high, "integer")
        return self.value

    def number(self, low: float, high: float) -> float:
        if not isinstance(self.value, int | float) or isinstance(self.value, bool):
            raise self.wrong_type("a decimal")
        self._within(self.value, low, high, "decimal")
        return self.value

    def _within(self, value: float, low: float | None, high: float | None, kind: str) -> None:
        if low is not None and value < low:
            why = f"{kind} below minimum value. Expected a value >= {low}, but got {value} instead."
            raise self.invalid(why, f"{kind}_below_min_value")
        if high is not None and value > high:
            why = f"{kind} above maximum value. Expected a value <= {high}, but got {value} instead."
            raise self.invalid(why, f"{kind}_above_max_value")

    def one_of(self, *values: str) -> str:
        """One of some strings."""
        if self.string() not in values:
            names = [f"'{value}'" for value in values]
            supported = ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
            message = f"Invalid value: '{self.value}'. Supported values are: {supported}."
            raise refused(message, self.path, "invalid_value")
        return cast(str, self.value)

    def only(self, known: Collection[str]) -> None:
        """No member of an object but those known."""
        for key in self.object():
            if key not in known:
                path = Field(None, self, key).path
                raise refused(f"Unknown parameter: '{path}'.", path, "unknown_parameter")
