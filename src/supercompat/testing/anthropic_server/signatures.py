"""Signatures of thinking, as the fake makes and recognises them: without a memory of what it said."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

_KEY = b"scripted"


def sign(thinking: str, request: Mapping[str, Any]) -> str:
    """The signature of what is thought in answer to a request."""
    messages = request["messages"]
    if messages[-1]["role"] == "assistant":
        messages = messages[:-1]
    parts = [_mac(thinking), request["model"], _mac([thinking, _prefix(request, messages)])]
    return base64.b64encode(json.dumps(parts).encode()).decode()


def verdict(
    block: Mapping[str, Any], request: Mapping[str, Any], index: int
) -> Literal["fine", "changed", "moved"]:
    """Whether a block of message `index` is as it was said, and where it was said."""
    try:
        made, model, bound = json.loads(base64.b64decode(block["signature"], validate=True))
    except (ValueError, TypeError):
        return "changed"
    if made != _mac(block["thinking"]):
        return "changed"
    prefix = _prefix(request, request["messages"][:index])
    # Another model's thinking is ignored, not refused.
    is_here = bound == _mac([block["thinking"], prefix]) or model != request["model"]
    return "fine" if is_here else "moved"


def _prefix(request: Mapping[str, Any], messages: Sequence[object]) -> list[object]:
    return [request.get("system"), request.get("tools"), messages]


def _mac(value: object) -> str:
    text = json.dumps(value, sort_keys=True).encode()
    return hmac.new(_KEY, text, hashlib.sha256).hexdigest()[:16]
