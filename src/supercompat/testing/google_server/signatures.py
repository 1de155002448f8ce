"""Thought signatures that say themselves whether they are genuine: of this server, this model and this very part."""

import base64
import binascii
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

#: Stands for the signature of a call that no model of Google's made.
UNSIGNED = "skip_thought_signature_validator"

_NONCE = 9


def generation(model: str) -> tuple[int, int]:
    """Such as `(2, 5)`; `(0, 0)` for what is no Gemini model. A name without a number means the newest."""
    found = re.search(r"gemini-(?:(\d+)(?:\.(\d+))?)?", model)
    if found is None:
        return (0, 0)
    return (int(found[1]), int(found[2] or 0)) if found[1] else (99, 0)


def signs(model: str) -> bool:
    """Whether a model signs its thoughts, and wants to see the signatures again."""
    return generation(model) >= (3, 0)


def sign(model: str, part: Mapping[str, Any]) -> str:
    """The signature of a part."""
    nonce = secrets.token_bytes(_NONCE)
    return base64.b64encode(nonce + _digest(nonce, model, part)).decode()


def is_genuine(signature: str, model: str, part: Mapping[str, Any]) -> bool:
    """Whether `sign` made the signature for this part, or it is the word that stands for one."""
    if signature == UNSIGNED:
        return True
    try:
        # Either alphabet of base64 is read on the way in.
        raw = base64.b64decode(signature.translate(str.maketrans("-_", "+/")), validate=True)
    except binascii.Error:
        return False
    return raw[_NONCE:] == _digest(raw[:_NONCE], model, part)


def _digest(nonce: bytes, model: str, part: Mapping[str, Any]) -> bytes:
    call: Mapping[str, Any] = part.get("functionCall") or {}
    said = [model, call.get("name"), call.get("args"), part.get("text")]
    return hashlib.sha256(nonce + json.dumps(said, sort_keys=True).encode()).digest()
