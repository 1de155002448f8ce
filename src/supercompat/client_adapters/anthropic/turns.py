"""The turns of a conversation as messages, and what may stand in them. Pure."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, TypeAlias, cast
from urllib.parse import unquote_to_bytes

from supercompat.client_adapters.openai_wire.json_values import a_list, an_object
from supercompat.errors import ProviderError
from supercompat.model.request import (
    AssistantTurn,
    ImagePart,
    ModelRequest,
    Part,
    ToolCall,
    ToolTurn,
    Turn,
    UserTurn,
)

Block: TypeAlias = dict[str, Any]

#: A conversation begins and ends with the user: a word of ours stands where theirs is missing.
_BEGIN = "(The conversation begins with the assistant.)"
_CONTINUE = "Continue."


def messages_of(request: ModelRequest, *, head: str) -> list[dict[str, Any]]:
    """The messages of a request.

    Args:
        head: the digest of what is sent before them.

    Raises:
        ProviderError: an image is no URL that can be sent.
    """
    messages = _Messages(head)
    for turn in request.turns:
        if isinstance(turn, AssistantTurn):
            words = _replayed(turn, request.model, messages.prefix()) or _said(turn)
            messages.add("assistant", words)
        else:
            messages.add("user", _blocks(turn))
    return messages.finish()


def digest_of(before: str, value: object) -> str:
    """A text that stands for `value` behind whatever `before` stands for."""
    return hashlib.sha256(f"{before}{json.dumps(value, sort_keys=True)}".encode()).hexdigest()


class _Messages:
    """Messages in the making: neighbours of one role are one message."""

    def __init__(self, head: str) -> None:
        self._digest = head
        self._done: list[dict[str, Any]] = []
        self._role = ""
        self._blocks: list[Block] = []

    def add(self, role: str, blocks: Sequence[Block]) -> None:
        if blocks and role != self._role:
            self._end_message()
            self._role = role
        if blocks and role == "assistant" and not self._done:
            self._put(_user_word(_BEGIN))
        self._blocks += blocks

    def prefix(self) -> str:
        """The digest of everything so far, to which an answer is bound. Empty within an answer."""
        return digest_of(self._digest, self._message()) if self._role == "user" else ""

    def finish(self) -> list[dict[str, Any]]:
        self._end_message()
        if self._role != "user":
            self._put(_user_word(_CONTINUE if self._done else _BEGIN))
        return self._done

    def _end_message(self) -> None:
        if self._blocks:
            self._put(self._message())
            self._blocks = []

    def _put(self, message: dict[str, Any]) -> None:
        self._digest = digest_of(self._digest, message)
        self._done.append(message)

    def _message(self) -> dict[str, Any]:
        # The outputs of calls have to come first.
        is_user = self._role == "user"
        blocks = sorted(self._blocks, key=lambda block: is_user and block["type"] != "tool_result")
        return {"role": self._role, "content": blocks}


def _user_word(word: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": word}]}


def _replayed(turn: AssistantTurn, model: str, prefix: str) -> list[Block]:
    """The provider's own words, if it is known to take them back: the same model said them, in answer to the same
    conversation, and they say what the turn says."""
    state = an_object(an_object(turn.provider_state).get("anthropic"))
    blocks = [an_object(block) for block in a_list(state.get("content"))]
    calls = [block.get("id") for block in blocks if block.get("type") == "tool_use"]
    words = "".join(block.get("text", "") for block in blocks if block.get("type") == "text")
    is_same = (
        state.get("model") == model
        and state.get("prefix") == prefix
        and calls == [call.id for call in turn.tool_calls]
        and words == turn.text
    )
    return blocks if is_same else []


def _said(turn: AssistantTurn) -> list[Block]:
    return [*_text(turn.text), *map(_call, turn.tool_calls)]


def _blocks(turn: Turn) -> list[Block]:
    match turn:
        case UserTurn(parts):
            return [block for part in parts for block in _part(part)]
        case ToolTurn():
            output = {"content": turn.output} if turn.output.strip() else {}
            return [{"type": "tool_result", "tool_use_id": _tool_id(turn.call_id), **output}]
        case AssistantTurn():
            return _said(turn)


def _text(text: str) -> list[Block]:
    """Blank text is refused."""
    return [{"type": "text", "text": text}] if text.strip() else []


def _part(part: Part) -> list[Block]:
    if isinstance(part, ImagePart):
        return [{"type": "image", "source": _source(part.url)}]
    return _text(part.text)


def _source(url: str) -> dict[str, str]:
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    head, comma, data = url[5:].partition(",")
    kind, *parameters = head.split(";")
    if not comma or not kind.startswith("image/"):
        raise _bad_image("A data URL of an image has to look like 'data:image/png;base64,…'.")
    if "base64" not in parameters:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise _bad_image("The data URL of an image holds no base64.") from None
    return {"type": "base64", "media_type": "image/jpeg" if kind == "image/jpg" else kind, "data": data}


def _bad_image(why: str) -> ProviderError:
    body: dict[str, object] = {
        "type": "invalid_request_error",
        "param": "image_url",
        "code": "invalid_image_url",
    }
    return ProviderError(why, code="invalid_prompt", status=400, body=body)


def _call(call: ToolCall) -> Block:
    return {"type": "tool_use", "id": _tool_id(call.id), "name": call.name, "input": _input(call.arguments)}


def _input(arguments: str) -> dict[str, Any]:
    """What is no object, as arguments that another model left unfinished, is kept in one."""
    try:
        parsed: object = json.loads(arguments or "{}")
    except ValueError:
        parsed = arguments
    return cast(dict[str, Any], parsed) if isinstance(parsed, dict) else {"arguments": parsed}


def _tool_id(id: str) -> str:
    """An id as other providers give it may have characters that are refused here."""
    if re.fullmatch(r"[a-zA-Z0-9_-]+", id):
        return id
    return f"toolu_{hashlib.sha256(id.encode()).hexdigest()[:24]}"
