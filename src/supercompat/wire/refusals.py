"""How the types of requests refuse what a type can't say, and tell unions apart."""

from collections.abc import Callable
from typing import Any, LiteralString, TypeAlias, cast

from pydantic import PlainValidator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from supercompat.wire.objects import JsonObject

Validate: TypeAlias = Callable[[Any], Any]


def refusal(kind: LiteralString, value: object, *place: str | int, **facts: Any) -> ValidationError:
    """An error at a place below the value that is being validated.

    Args:
        kind: what is wrong: one of pydantic's error types, or `union_type`, `empty_content`, `invalid_url`,
            `number_out_of_range`, `unsupported_value`.
        value: what was found there.
        place: keys and indexes from the validated value down to it.
        facts: what the sentence about it needs to know.
    """
    error = PydanticCustomError(kind, kind, facts)
    return ValidationError.from_exception_data(
        "request", [InitErrorDetails(type=error, loc=place, input=value)]
    )


def by_type(**kinds: Validate) -> Validate:
    """A validator that lets the key `type` of an object choose which of `kinds` validates it."""
    supported = quoted(*kinds)

    def choose(value: Any) -> Any:
        if not isinstance(value, dict):
            raise refusal("dict_type", value)
        given = cast(JsonObject, value)
        if "type" not in given:
            raise refusal("missing", given, "type")
        kind = given["type"]
        if not isinstance(kind, str) or kind not in kinds:
            raise refusal("literal_error", kind, "type", expected=supported)
        return kinds[kind](given)

    return choose


def word_or_object(choose: Validate, *words: str) -> Validate:
    """A validator for one of `words`, or an object that `choose` admits. It comes out as it came (C-033)."""

    def check(value: Any) -> Any:
        if not isinstance(value, str | dict):
            raise refusal("union_type", value, expected="one of a string or object")
        if isinstance(value, dict):
            choose(value)
        elif value not in words:
            raise refusal("literal_error", value, expected=quoted(*words))
        return cast(str | JsonObject, value)

    return check


def quoted(*words: str) -> str:
    return ", ".join(f"'{word}'" for word in words)


def unserved_type(value: JsonObject) -> Any:
    """Refuse an object for its `type`: the hosted API knew it, we don't serve it yet."""
    raise refusal("unsupported_value", value["type"], "type", what=value["type"])


def unserved(what: str) -> PlainValidator:
    """Marks a list that we don't serve yet: an empty one, or null, asks for nothing."""

    def check(value: Any) -> list[Any]:
        if value not in (None, []):
            raise refusal("unsupported_value", value, what=what)
        return []

    return PlainValidator(check)
