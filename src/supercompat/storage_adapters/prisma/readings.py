"""What Node wrote, as the API shows it. Node checks little of what it stores; what can't be shown is left out here."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeAlias, cast

logger = logging.getLogger(__name__)

Json: TypeAlias = Any

_is_told: ContextVar[bool] = ContextVar("is_told", default=True)

#: Where calls stand in a message's metadata, for Node.
CALLS: Final = "toolCalls"

_ERRORS: Final = ("server_error", "rate_limit_exceeded", "invalid_prompt")

#: The counts of tokens that are objects of counts.
_DETAILS: Final = {"prompt_token_details", "completion_tokens_details"}


@contextmanager
def untold() -> Iterator[None]:
    """What is left out in here is kept elsewhere: it is not logged."""
    before = _is_told.set(False)
    try:
        yield
    finally:
        _is_told.reset(before)


def _tell(lost: str, which: object) -> None:
    if _is_told.get():
        logger.warning("%s %r.", lost, which)


def content(stored: Json) -> list[Json]:
    """The parts of a message."""
    if isinstance(stored, str):
        return [_text(stored)]
    return [part for each in _objects(stored) if (part := _part(each)) is not None]


def _part(stored: Mapping[str, Any]) -> Json | None:
    match stored:
        case {"type": "text", "text": str(value)}:
            return _text(value)
        case {"type": "text", "text": {"value": str(value), **rest}}:
            return _text(value, _objects(rest.get("annotations")))
        case {"type": "image_url", "image_url": {"url": str(url), **rest}}:
            detail = rest.get("detail")
            return {
                "type": "image_url",
                "image_url": {"url": url, "detail": detail if _is_text(detail) else "auto"},
            }
        case {"type": "refusal", "refusal": str(text)}:
            return {"type": "refusal", "refusal": text}
        case _:
            _tell("A message has a part that can't be shown, of the type", stored.get("type"))
            return None


def _text(value: str, annotations: list[Json] | None = None) -> Json:
    return {"type": "text", "text": {"value": value, "annotations": annotations or []}}


def metadata(stored: Json) -> dict[str, str]:
    """Texts by text. The list of calls that Node keeps here is no metadata."""
    found = _object(stored)
    return {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in found.items()
        if value is not None and not (key == CALLS and isinstance(value, list))
    }


def calls_in_metadata(stored: Json) -> dict[str, Any]:
    """What of a metadata is not."""
    return {key: value for key, value in _object(stored).items() if key == CALLS and isinstance(value, list)}


def details(stored: Json) -> Json:
    """What a step did."""
    match stored:
        case {"type": "message_creation", "message_creation": {"message_id": str(id)}}:
            return {"type": "message_creation", "message_creation": {"message_id": id}}
        case _:
            calls = _object(stored).get("tool_calls")
            found = [call for each in _objects(calls) if (call := _call(each)) is not None]
            return {"type": "tool_calls", "tool_calls": found}


def _call(stored: Mapping[str, Any]) -> Json | None:
    function = _object(stored.get("function"))
    if not stored.get("id") or not function.get("name"):
        _tell("A step has a call that can't be shown, of the type", stored.get("type"))
        return None
    arguments, output = function.get("arguments"), function.get("output")
    return {
        "id": str(stored["id"]),
        "type": "function",
        "function": {
            "name": str(function["name"]),
            "arguments": "" if arguments is None else _as_text(arguments),
            "output": None if output is None else _as_text(output),
        },
    }


def required_action(stored: Json) -> Json | None:
    """The calls that a run waits for."""
    waiting = _object(_object(stored).get("submit_tool_outputs")).get("tool_calls")
    calls = [call for each in _objects(waiting) if (call := _call(each)) is not None]
    if not calls:
        return None
    for call in calls:
        del call["function"]["output"]
    return {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": calls}}


def last_error(stored: Json) -> Json | None:
    found = _object(stored)
    if not found:
        return None
    code = found.get("code")
    return {
        "code": code if code in _ERRORS else "server_error",
        "message": _as_text(found.get("message") or ""),
    }


def incomplete_details(stored: Json) -> Json | None:
    """Why a message is not whole."""
    reason = _object(stored).get("reason")
    return {"reason": reason} if _is_text(reason) else None


def usage(stored: Json) -> Json | None:
    """The counts that are numbers, and the objects of such."""
    kept: Json = {}
    for name, value in _object(stored).items():
        if name in _DETAILS:
            kept[name] = usage(value)
        elif isinstance(value, int) and not isinstance(value, bool):
            kept[name] = value
        elif value is not None and not isinstance(value, dict):
            _tell("A count of tokens is no whole number:", name)
    return {name: value for name, value in kept.items() if value is not None} or None


def tools(stored: Json) -> list[Json]:
    """The functions; other tools are not served."""
    found: list[Json] = []
    for each in _objects(stored):
        if each.get("type") == "function" and each.get("function"):
            found.append(_without_null(each))
        else:
            _tell("A run has a tool that is not served, of the type", each.get("type"))
    return found


def _without_null(tool: Json) -> Json:
    """A function whose parameters are NULL is one that has none."""
    function = _object(tool["function"])
    if function.get("parameters", {}) is not None:
        return tool
    return {**tool, "function": {name: function[name] for name in function if name != "parameters"}}


def truncation(stored: Json) -> Json:
    found = _object(stored)
    last = found.get("last_messages")
    if found.get("type") == "last_messages" and isinstance(last, int):
        return {"type": "last_messages", "last_messages": last}
    return {"type": "auto", "last_messages": None}


def response_format(stored: Json) -> Json:
    found = _object(stored)
    return found if found.get("type") else "auto"


def attachments(stored: Json) -> list[Json]:
    return _objects(stored)


def _is_text(value: Json) -> bool:
    return isinstance(value, str) and value != ""


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _object(stored: Json) -> dict[str, Any]:
    return cast(dict[str, Any], stored) if isinstance(stored, dict) else {}


def _objects(stored: Json) -> list[Json]:
    return (
        [each for each in cast(list[Any], stored) if isinstance(each, dict)]
        if isinstance(stored, list)
        else []
    )
