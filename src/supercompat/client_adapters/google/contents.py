"""The conversation as Gemini's `contents`: turns of user and model in alternation, each a list of parts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from supercompat.client_adapters.fetch import Image
from supercompat.client_adapters.google.family import checks_signatures
from supercompat.model.request import (
    AssistantTurn,
    ImagePart,
    ModelRequest,
    Part,
    ToolCall,
    ToolTurn,
    UserTurn,
)

#: The key of what the adapter keeps with an answer, and gets back with it.
STATE = "google"

#: Google's own word for a call that none of its models made, or whose signature is lost.
UNSIGNED = "skip_thought_signature_validator"

#: What the user is made to say where a conversation begins or ends with the model: neither is taken.
BEGINNING = "(The conversation begins here.)"
ENDING = "Continue."

Parts = list[dict[str, Any]]


def contents_of(request: ModelRequest, images: Mapping[str, Image]) -> list[dict[str, Any]]:
    """The turns, with those of one role that follow each other joined, from a user's to a user's.

    Args:
        images: those of the request, by their URLs.
    """
    contents: list[dict[str, Any]] = []
    for role, parts in _turns(request, images):
        if not parts:
            continue
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    if not contents or contents[0]["role"] == "model":
        contents.insert(0, _user(BEGINNING))
    if contents[-1]["role"] == "model":
        contents.append(_user(ENDING))
    return contents


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": text}]}


def _turns(request: ModelRequest, images: Mapping[str, Image]) -> Iterator[tuple[str, Parts]]:
    ids: dict[str, str | None] = {}
    for turn in request.turns:
        match turn:
            case UserTurn(content):
                yield "user", [part for each in content if (part := _part(each, images))]
            case AssistantTurn():
                parts = _own_words(turn, request.model)
                if parts is None:
                    parts = _rebuilt(turn, signed=checks_signatures(request.model))
                ids = _ids(turn.tool_calls, parts)
                yield "model", parts
            case ToolTurn():
                yield "user", [_response(turn, ids.get(turn.call_id, turn.call_id))]


def _part(part: Part, images: Mapping[str, Image]) -> dict[str, Any] | None:
    if isinstance(part, ImagePart):
        image = images[part.url]
        return {"inline_data": {"mime_type": image.media_type, "data": image.data}}
    return {"text": part.text} if part.text else None


def _own_words(turn: AssistantTurn, model: str) -> Parts | None:
    """The parts as this very model said them; None if it was another, or said something else."""
    state: object = (turn.provider_state or {}).get(STATE)
    if not isinstance(state, dict):
        return None
    kept = cast(dict[str, Any], state)
    parts: Parts = [part for part in kept.get("parts") or () if isinstance(part, dict)]
    names = [call.get("name") for call in _calls(parts)]
    is_this = (_text(parts), names) == (turn.text, [call.name for call in turn.tool_calls])
    return parts if is_this and kept.get("model") == model else None


def _text(parts: Parts) -> str:
    return "".join(part["text"] for part in parts if part.get("text") and not part.get("thought"))


def _calls(parts: Parts) -> Sequence[dict[str, Any]]:
    return [call for part in parts if (call := part.get("functionCall") or part.get("function_call"))]


def _rebuilt(turn: AssistantTurn, *, signed: bool) -> Parts:
    """From what everybody can read of an answer. The first of its calls stands for the signature of all."""
    parts: Parts = [{"text": turn.text}] if turn.text else []
    for index, call in enumerate(turn.tool_calls):
        part: dict[str, Any] = {
            "function_call": {"id": call.id, "name": call.name, "args": _arguments(call.arguments)}
        }
        if signed and index == 0:
            part["thought_signature"] = UNSIGNED
        parts.append(part)
    return parts


def _arguments(text: str) -> dict[str, Any]:
    """Gemini knows nothing but an object; another model may have said anything."""
    try:
        arguments: object = json.loads(text or "{}")
    except ValueError:
        return {"arguments": text}
    return cast(dict[str, Any], arguments) if isinstance(arguments, dict) else {"arguments": arguments}


def _ids(calls: Sequence[ToolCall], parts: Parts) -> dict[str, str | None]:
    """From our id of a call to the one that Gemini knows it by, if it knows it by any."""
    return {call.id: said.get("id") for call, said in zip(calls, _calls(parts), strict=True)}


def _response(turn: ToolTurn, call_id: str | None) -> dict[str, Any]:
    response: dict[str, Any] = {"name": turn.name, "response": {"result": turn.output}}
    if call_id is not None:
        response["id"] = call_id
    return {"function_response": response}
