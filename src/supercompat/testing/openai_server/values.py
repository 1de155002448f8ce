"""What requests for chat completions and for responses have in common: values and their rules."""

from collections.abc import Mapping
from typing import Any, Final, cast

from supercompat.testing.openai_server.fields import Field, refused

NAME: Final = "[a-zA-Z0-9_-]+"
"""What names of functions and of schemas look like."""

_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}


def check_sampling(request: Field) -> None:
    """Temperature and its like are within their ranges."""
    for name, (low, high) in _RANGES.items():
        if value := request.get(name, nullable=True):
            value.number(low, high)


def check_stream(request: Field, *options: str) -> None:
    """`stream` is a boolean, and `stream_options` has none but these, and only with it."""
    stream = request.get("stream", nullable=True)
    streamed = bool(stream and stream.boolean())
    given = request.get("stream_options", nullable=True)
    if given is None:
        return
    if not streamed:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise refused(message, "stream_options")
    given.only(options)
    for name in given.object():
        given[name].boolean()


def check_image_url(url: Field) -> None:
    """The URL of an image, or the image itself."""
    given = url.string(minimum=1)
    if not given.startswith(("https://", "http://", "data:image/")):
        why = "expected an http(s) URL or a base64-encoded 'data:image/…' URL."
        raise url.invalid(why, "invalid_image_url")
    if given.startswith("data:") and ";base64," not in given:
        raise url.invalid("expected 'data:image/…;base64,' and the data.", "invalid_base64")


def check_parameters(parameters: Field, name: str, *, is_strict: bool) -> None:
    """The schema of a function's parameters."""
    schema = parameters.object()
    why = None
    if schema.get("type") != "object":
        why = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'."
    elif "properties" not in schema:
        why = "In context=(), object schema missing properties."
    elif is_strict:
        why = strictness(schema)
    if why:
        message = f"Invalid schema for function '{name}': {why}"
        raise refused(message, parameters.path, "invalid_function_parameters")


def check_named_schema(wanted: Field) -> None:
    """The name, description, schema and strictness of a format for answers."""
    name = wanted["name"].string(minimum=1, maximum=64, pattern=NAME)
    strict = wanted.get("strict", nullable=True)
    is_strict = strict is not None and strict.boolean()
    if description := wanted.get("description", nullable=True):
        description.string()
    if schema := wanted.get("schema"):
        why = strictness(schema.object())
        if why and is_strict:
            message = f"Invalid schema for response_format '{name}': {why}"
            raise refused(message, schema.path, "invalid_json_schema")


def strictness(schema: Mapping[str, Any], context: tuple[str, ...] = ()) -> str | None:
    """What keeps a schema from being strict, if anything."""
    properties = cast(Mapping[str, Any], schema.get("properties") or {})
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            return f"In context={context}, 'additionalProperties' is required to be supplied and to be false."
        missing = [name for name in properties if name not in (schema.get("required") or ())]
        if missing:
            return (
                f"In context={context}, 'required' is required to be supplied and to be an array including "
                f"every key in properties. Missing '{missing[0]}'."
            )
    for path, inner in _inner_schemas(schema):
        if why := strictness(inner, (*context, *path)):
            return why
    return None


def _inner_schemas(schema: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Mapping[str, Any]]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    for group in ("properties", "$defs"):
        members = cast(Mapping[str, Any], schema.get(group) or {})
        found += [((group, name), inner) for name, inner in members.items()]
    alternatives = cast(list[Any], schema.get("anyOf") or [])
    found += [(("anyOf", str(index)), inner) for index, inner in enumerate(alternatives)]
    found.append((("items",), schema.get("items")))
    return [(path, inner) for path, inner in found if isinstance(inner, Mapping)]


def check_metadata(metadata: Field) -> None:
    """At most 16 pairs of short strings."""
    if len(pairs := metadata.object()) > 16:
        why = f"Expected an object with at most 16 properties, but got {len(pairs)}."
        raise metadata.invalid(f"too many properties. {why}", "object_above_max_properties")
    for name in pairs:
        Field(name, metadata, name).string(maximum=64)
        metadata[name].string(maximum=512)
