"""OpenAI's own OpenAPI document as a judge of what we answer.

`differences.toml` lists where the hosted API differed from it, and we with the API. Beside what the document says,
an answer may hold nothing that it does not know.
"""

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

Schema: TypeAlias = dict[str, Any]

HERE = Path(__file__).parent
NAME = "urn:openai"


def problems_of_answer(method: str, path: str, status: int, body: object) -> list[str]:
    """What the document says against an answer. Of operations that it does not describe it says nothing.

    Args:
        path: below `/v1`.
    """
    if status >= 400:
        return _problems("#/components/schemas/ErrorResponse", body)
    pointer = _success(method.lower(), path)
    return _problems(pointer, body) if pointer else []


def problems_of_event(name: str, data: object) -> list[str]:
    """What the document says against an event of a run's stream; `data` is decoded JSON, or text."""
    pointer = _events().get(name)
    return [f"no event is named {name}"] if pointer is None else _problems(pointer, data)


def _problems(pointer: str, value: object) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in _validator(pointer).iter_errors(value)]


@cache
def _validator(pointer: str) -> Any:
    registry: Registry[Any] = Registry[Any]().with_resource(NAME, DRAFT202012.create_resource(document()))
    return Draft202012Validator({"$ref": f"{NAME}{pointer}"}, registry=registry)


@cache
def _success(method: str, path: str) -> str | None:
    """Where the document describes a success of this operation."""
    paths: Schema = document()["paths"]
    # What is spelt out goes before what is a parameter.
    for template in sorted(paths, key=lambda template: template.count("{")):
        pattern = re.sub(r"\{[^}]*\}", "[^/]+", template)
        if re.fullmatch(pattern, path) and method in paths[template]:
            escaped = template.replace("/", "~1")
            return f"#/paths/{escaped}/{method}/responses/200/content/application~1json/schema"
    return None


@cache
def _events() -> dict[str, str]:
    """Where the document describes the data of each event, by the event's name."""
    found: dict[str, str] = {}
    schemas: Schema = document()["components"]["schemas"]
    for reference in schemas["AssistantStreamEvent"]["oneOf"]:
        pointer: str = reference["$ref"]
        schema: Schema = schemas[pointer.rpartition("/")[2]]
        for place, variant in _variants(schema, pointer):
            [name] = variant["properties"]["event"]["enum"]
            found[name] = f"{place}/properties/data"
    return found


def _variants(schema: Schema, pointer: str) -> Iterator[tuple[str, Schema]]:
    if "oneOf" not in schema:
        yield pointer, schema
        return
    for index, variant in enumerate(schema["oneOf"]):
        yield f"{pointer}/oneOf/{index}", variant


@cache
def document() -> Schema:
    """The document, with the differences, and closed against what it does not know."""
    text = (HERE / "openai-assistants.openapi.yaml").read_bytes()
    whole: Schema = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for difference in differences():
        _apply(difference, whole["components"]["schemas"])
    _close(whole)
    return whole


def differences() -> list[dict[str, Any]]:
    return tomllib.loads((HERE / "differences.toml").read_text(encoding="utf-8"))["difference"]


def _apply(difference: dict[str, Any], schemas: Schema) -> None:
    here = schemas[difference["schema"]]
    for step in difference.get("at", ()):
        here = here[step]
    for name in difference.get("optional", ()):
        here["required"].remove(name)
    _merge(here, difference.get("merge", {}))


def _merge(target: Schema, patch: Schema) -> None:
    for name, value in patch.items():
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge(target[name], cast(Schema, value))
        else:
            target[name] = value


def _close(schema: object) -> None:
    if isinstance(schema, list):
        for member in cast(list[object], schema):
            _close(member)
    if not isinstance(schema, dict):
        return
    members = cast(Schema, schema)
    for member in members.values():
        _close(member)
    if isinstance(members.get("properties"), dict) and members.get("type", "object") == "object":
        members.setdefault("additionalProperties", False)
    # A word of OpenAPI 3.0, which 3.1 dropped: the document still uses it.
    if members.get("nullable") is True and isinstance(members.get("type"), str):
        members["type"] = [members["type"], "null"]
