"""A model request as the body of Mistral's chat completion: OpenAI's, with rules of its own. Pure."""

import hashlib
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any, cast

from supercompat.client_adapters.openai_wire import request_body
from supercompat.model.request import (
    AssistantTurn,
    JsonSchemaFormat,
    ModelRequest,
    ResponseFormat,
    TextPart,
    ToolTurn,
    Turn,
    UserTurn,
)

#: What is said where Mistral wants somebody to speak who said nothing.
ASSISTANT_FILLER = "OK."
USER_FILLER = "Continue."

_CALL_ID = re.compile("[A-Za-z0-9]{9}")
_DIGITS = string.digits + string.ascii_letters


def mistral_body(request: ModelRequest) -> dict[str, Any]:
    """The JSON body that asks Mistral what `request` asks, as a stream. What was not asked for is not in it."""
    turns = tuple(_ordered(request))
    fitting = replace(
        request,
        turns=turns,
        response_format=_response_format(request.response_format),
        # "top_p must be 1 when using greedy sampling": with that, it would change nothing anyway.
        top_p=None if request.temperature == 0 else request.top_p,
    )
    body = request_body(fitting, max_tokens_field="max_tokens", usage_option=False)
    if body.get("tool_choice") == "required":
        body["tool_choice"] = "any"
    for turn, message in zip(reversed(turns), reversed(body["messages"]), strict=False):
        if isinstance(turn, ToolTurn):
            message["name"] = turn.name
        elif content := _own_content(turn, request.model):
            message["content"] = content
    return body


def mistral_call_id(call_id: str) -> str:
    """The id as Mistral takes it, nine letters and digits: itself, or a hash of it."""
    if _CALL_ID.fullmatch(call_id):
        return call_id
    digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).digest()
    number = int.from_bytes(digest[:8], "big")
    return "".join(_DIGITS[number // len(_DIGITS) ** place % len(_DIGITS)] for place in range(9))


def _ordered(request: ModelRequest) -> Iterator[Turn]:
    """The turns with ids, and in an order, that Mistral takes: no user right after a tool, a user or a tool last."""
    last: Turn | None = None
    for turn in chain.from_iterable(_split(turn, request.model) for turn in request.turns):
        if isinstance(turn, UserTurn) and isinstance(last, ToolTurn):
            yield AssistantTurn(ASSISTANT_FILLER)
        yield turn
        last = turn
    if last is None or isinstance(last, AssistantTurn):
        yield UserTurn((TextPart(USER_FILLER),))


def _split(turn: Turn, model: str) -> Iterator[Turn]:
    """Text and calls of one answer are two messages, since not every model of Mistral's takes both in one. What one
    thought is sent back as it was said, by a model that takes it."""
    if isinstance(turn, UserTurn):
        yield turn
    elif isinstance(turn, ToolTurn):
        yield replace(turn, call_id=mistral_call_id(turn.call_id))
    elif turn.tool_calls:
        calls = tuple(replace(call, id=mistral_call_id(call.id)) for call in turn.tool_calls)
        if turn.text and _own_content(turn, model) is None:
            yield AssistantTurn(turn.text)
            yield AssistantTurn(tool_calls=calls)
        else:
            yield replace(turn, tool_calls=calls)
    elif turn.text:
        yield turn


def _own_content(turn: Turn, model: str) -> list[dict[str, Any]] | None:
    """What this model said itself, word for word; nobody else's words fit."""
    if not isinstance(turn, AssistantTurn) or not turn.provider_state:
        return None
    own = turn.provider_state.get("mistral")
    if not isinstance(own, Mapping):
        return None
    state = cast(Mapping[str, Any], own)
    return state["content"] if state.get("model") == model else None


def _response_format(wanted: ResponseFormat | None) -> ResponseFormat | None:
    """A schema is required; one that was not given admits any object."""
    if isinstance(wanted, JsonSchemaFormat) and wanted.schema is None:
        return replace(wanted, schema={"type": "object"})
    return wanted


def chat_knobs(params: Mapping[str, Any]) -> dict[str, Any]:
    """What Mistral takes of a chat request's body beside what a model request can say, by its own names."""
    names = {
        "frequency_penalty": "frequency_penalty",
        "presence_penalty": "presence_penalty",
        "prompt_cache_key": "prompt_cache_key",
        "seed": "random_seed",
    }
    return {names[name]: value for name, value in params.items() if name in names and value is not None}
