"""Requests as Azure's clients send them, as OpenAI's: `/openai/…` in place of `/v1/…`. `api-version` means nothing."""

import json
import re
from typing import Any, Final
from urllib.parse import unquote

_PATH: Final = re.compile(r"/openai(?:/deployments/(?P<deployment>[^/]+))?(?P<rest>/(?!v1/).+)")


def as_openai(path: str, body: bytes) -> tuple[str, bytes]:
    """The path below `/v1`, and a body that names the model which the path names as a deployment.

    Args:
        path: percent-encoded.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        return path, body
    deployment = found["deployment"]
    return f"/v1{found['rest']}", body if deployment is None else _asking(unquote(deployment), body)


def _asking(model: str, body: bytes) -> bytes:
    try:
        asked: Any = json.loads(body)
    except (ValueError, RecursionError):
        # What is wrong with it is said where bodies are read.
        return body
    return json.dumps({**asked, "model": model}).encode() if isinstance(asked, dict) else body
