"""From the body and the query of a request to typed ones, or to the API's words about what is wrong (section 4)."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, from_json

from supercompat.errors import RequestError

M = TypeVar("M", bound=BaseModel)

MALFORMED_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
    "library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have "
    "trouble figuring out how to fix this, please contact us through our help center at help.openai.com.)"
)


class Frame(NamedTuple):
    code: str | None
    sentence: str


#: What the API says about each kind of error.
FRAMES: Mapping[str, Frame] = {
    "missing": Frame(
        "missing_required_parameter",
        "Missing required parameter: '{path}'.",
    ),
    "extra_forbidden": Frame(
        "unknown_parameter",
        "Unknown parameter: '{path}'.",
    ),
    "invalid_type": Frame(
        "invalid_type",
        "Invalid type for '{path}': expected {expected}, but got {got} instead.",
    ),
    "invalid_body": Frame(
        "invalid_type",
        "Invalid type: expected {expected}, but got {got} instead.",
    ),
    "literal_error": Frame(
        "invalid_value",
        "Invalid value: '{value}'. Supported values are: {supported}.",
    ),
    "string_too_long": Frame(
        "string_above_max_length",
        "Invalid '{path}': string too long. "
        "Expected a string with maximum length {max_length}, but got a string with length {length} instead.",
    ),
    "string_too_short": Frame(
        "empty_string",
        "Invalid '{path}': empty string. "
        "Expected a string with minimum length {min_length}, but got an empty string instead.",
    ),
    "string_pattern_mismatch": Frame(
        "invalid_value",
        "Invalid '{path}': string does not match pattern. "
        "Expected a string that matches the pattern '{pattern}'.",
    ),
    "key_too_long": Frame(
        "property_name_above_max_length",
        "Invalid property name in '{parent}': '{short}' is too long. "
        "Expected a string with maximum length {max_length}, but got a string with length {length} instead.",
    ),
    "object_too_long": Frame(
        "object_above_max_properties",
        "Invalid '{path}': too many properties. "
        "Expected an object with at most {max_length} properties, "
        "but got an object with {length} properties instead.",
    ),
    "too_long": Frame(
        "array_above_max_length",
        "Invalid '{path}': array too long. "
        "Expected an array with maximum length {max_length}, but got an array with length {length} instead.",
    ),
    "too_short": Frame(
        "empty_array",
        "Invalid '{path}': empty array. "
        "Expected an array with minimum length {min_length}, but got an empty array instead.",
    ),
    "less_than_equal": Frame(
        "{number}_above_max_value",
        "Invalid '{path}': {number} above maximum value. "
        "Expected a value <= {bound}, but got {value} instead.",
    ),
    "greater_than_equal": Frame(
        "{number}_below_min_value",
        "Invalid '{path}': {number} below minimum value. "
        "Expected a value >= {bound}, but got {value} instead.",
    ),
    "invalid_url": Frame(
        "invalid_value",
        "Invalid '{path}'. Expected a valid URL, but got a value with an invalid format.",
    ),
    "unknown_image": Frame(
        None,
        "Invalid '{path}'. Expected url to end in a supported format: {endings}.",
    ),
    "number_out_of_range": Frame(
        "invalid_value",
        "Invalid '{path}': it holds a number that is out of range.",
    ),
    "empty_content": Frame(
        None,
        "Message content must be non-empty.",
    ),
    "unsupported_value": Frame(
        "unsupported_value",
        "Unsupported value: '{what}' (not served yet).",
    ),
    "duplicate": Frame(
        "duplicate_parameter",
        "Duplicate parameter: '{path}'. "
        "You provided multiple values for this parameter, whereas only one is allowed. "
        "If you are trying to provide a list of values, use the array syntax instead e.g. '{path}[]=<value>'.",
    ),
}
OTHERWISE = Frame("invalid_value", "Invalid '{path}'.")

#: All arrays in bodies hold objects, but for those that are not served yet.
EXPECTED_TYPES: Mapping[str, str] = {
    "string_type": "a string",
    "bool_type": "a boolean",
    "int_type": "an integer",
    "float_type": "a decimal",
    "list_type": "an array of objects",
    "dict_type": "an object",
    "model_type": "an object",
}


def parse_json(body: bytes) -> object:
    """The value that a body holds; an empty body is `{}` (C-043).

    Raises:
        RequestError: it is not JSON, not UTF-8, holds half a surrogate pair, or is nested deeper than 200 (E43).
    """
    if not body:
        return {}
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        raise RequestError(MALFORMED_JSON) from None


def validate(model: type[M], body: object) -> M:
    """The body as `model`.

    Raises:
        RequestError: what is wrong with the first missing field, else with the first wrong one in the order of
            the body (C-010 to C-015).
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise _request_error(error, body) from None


def parse_query(model: type[M], pairs: Iterable[tuple[str, str]]) -> M:
    """The decoded pairs of a query string as `model`.

    Lists are taken as `include[]=`, `include=` and `include[0]=`. Keys that `model` does not know are ignored.

    Raises:
        RequestError: a key that takes one value is repeated (E23b), or a value is wrong (E20 to E23c).
    """
    fields = model.model_fields
    given: defaultdict[str, list[str]] = defaultdict(list)
    for key, text in pairs:
        given[_query_name(key, fields)].append(text)
    # In the order of the fields, because errors are answered in it.
    return validate(
        model, {name: _query_value(name, fields[name], given[name]) for name in fields if name in given}
    )


def _query_name(key: str, fields: Mapping[str, FieldInfo]) -> str:
    name = re.sub(r"\[[0-9]*\]$", "", key)
    return name if name in fields and _is_list(fields[name]) else key


def _query_value(name: str, field: FieldInfo, texts: list[str]) -> object:
    if _is_list(field):
        return texts
    if len(texts) > 1:
        raise _refused("duplicate", {"path": name})
    # Python reads at most 4300 digits.
    is_integer = field.annotation is int and re.fullmatch("-?[0-9]{1,4000}", texts[0])
    return int(texts[0]) if is_integer else texts[0]


def _is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is list


def _request_error(error: ValidationError, body: object) -> RequestError:
    places = Places(body)
    problem = min(
        error.errors(include_url=False),
        key=lambda problem: (problem["type"] != "missing", places.of(problem["loc"])),
    )
    return _refused(_frame(problem), _facts(problem))


def refusal_at(path: str, value: object, frame: str, **facts: Any) -> RequestError:
    """The refusal of what stands at `path`, in the words of a frame that may mention `facts`."""
    length = {"length": len(cast(Sequence[object], value))} if isinstance(value, str | list | dict) else {}
    return _refused(frame, {"path": path, "value": value, **length, **facts})


def _refused(frame: str, facts: Mapping[str, Any]) -> RequestError:
    code, sentence = FRAMES.get(frame, OTHERWISE)
    return RequestError(sentence.format(**facts), param=facts["path"], code=code and code.format(**facts))


class Places:
    """Where in a body things stand, as tuples that sort in the order of the body."""

    def __init__(self, body: object) -> None:
        self._body = body
        self._ranks: dict[int, dict[str | int, int]] = {}

    def of(self, loc: Iterable[str | int]) -> tuple[int, ...]:
        """The place of what `loc` leads to. What is missing comes before all that stands beside it."""
        place: list[int] = []
        here: Any = self._body
        for step in loc:
            if not isinstance(here, dict | list):
                break
            container = cast(dict[str | int, Any] | list[Any], here)
            rank = self._rank(container).get(step, -1)
            place.append(rank)
            if rank < 0:
                break
            here = container[cast(Any, step)]
        return tuple(place)

    def _rank(self, container: dict[str | int, Any] | list[Any]) -> dict[str | int, int]:
        if id(container) not in self._ranks:
            steps = container if isinstance(container, dict) else range(len(container))
            self._ranks[id(container)] = {step: rank for rank, step in enumerate(steps)}
        return self._ranks[id(container)]


def _frame(problem: ErrorDetails) -> str:
    kind, value = problem["type"], problem["input"]
    if (
        kind in EXPECTED_TYPES
        or kind == "union_type"
        or (kind == "literal_error" and not isinstance(value, str))
    ):
        return "invalid_type" if problem["loc"] else "invalid_body"
    if kind == "too_long" and isinstance(value, dict):
        return "object_too_long"
    if _is_key(problem):
        return "key_too_long"
    return kind


def _facts(problem: ErrorDetails) -> dict[str, Any]:
    """What the sentences may mention."""
    value, context = problem["input"], problem.get("ctx", {})
    loc = problem["loc"][:-1] if _is_key(problem) else problem["loc"]
    facts: dict[str, Any] = {
        **context,
        "path": _path(loc) if loc else None,
        "value": value,
        "got": _type_words(value),
        "expected": context.get("expected", EXPECTED_TYPES.get(problem["type"])),
    }
    if problem["type"] == "literal_error":
        choices = re.findall("'[^']*'", context["expected"])
        facts |= {"supported": _series(choices, "and"), "expected": f"one of {_series(choices, 'or')}"}
    if isinstance(value, str | list | dict):
        facts["length"] = len(cast(Sequence[object], value))
    if _is_key(problem):
        facts |= {"parent": _path(loc[:-1]), "short": f"{value[:3]}...{value[-3:]}"}
    bound = context.get("le", context.get("ge"))
    if bound is not None:
        facts |= {"bound": int(bound), "number": "decimal" if isinstance(bound, float) else "integer"}
    return facts


def _is_key(problem: ErrorDetails) -> bool:
    """Whether a key of an object is meant, not the value behind it: pydantic then adds `[key]` to its place."""
    return problem["type"] == "string_too_long" and problem["loc"][-2:] == (problem["input"], "[key]")


def _path(loc: Iterable[str | int]) -> str:
    """`tools[0].function.name`"""
    path = ""
    for step in loc:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else step
    return path


def _type_words(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def _series(words: Sequence[str], conjunction: str) -> str:
    """`'a'`, `'a' and 'b'`, `'a', 'b', and 'c'` (E15)."""
    if len(words) < 3:
        return f" {conjunction} ".join(words)
    return f"{', '.join(words[:-1])}, {conjunction} {words[-1]}"
