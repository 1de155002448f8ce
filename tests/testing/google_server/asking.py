"""The server that plays Gemini, asked without the SDK, which would put right what is to be refused."""

import http.client
import json
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from supercompat.testing import GoogleServer

PLAIN = "gemini-2.5-flash"
SIGNS = "gemini-3.1-pro-preview"
KEY = {"x-goog-api-key": "test"}


def path(model: str = PLAIN, method: str = "generateContent", version: str = "v1beta") -> str:
    return f"/{version}/models/{model}:{method}{'?alt=sse' if method.startswith('stream') else ''}"


def ask(
    server: GoogleServer, body: Any = None, *, to: str = path(), method: str = "POST", headers: Any = KEY
) -> tuple[int, bytes]:
    """Status and body of one answer; a `body` of bytes goes as it is."""
    data = body if isinstance(body, bytes) else json.dumps(body)
    with closing(http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)) as connection:
        connection.request(method, to, data, headers)
        response = connection.getresponse()
        return response.status, response.read()


def user(*parts: str | dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def model(*parts: str | dict[str, Any]) -> dict[str, Any]:
    return {**user(*parts), "role": "model"}


def call(name: str = "f", **more: Any) -> dict[str, Any]:
    signature = more.pop("signature", None)
    part: dict[str, Any] = {"functionCall": {"name": name, "args": {}, **more}}
    return part if signature is None else {**part, "thoughtSignature": signature}


def response(name: str = "f", **more: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": {"result": "1"}, **more}}


def question(**more: Any) -> dict[str, Any]:
    """A request's body that keeps all rules, with `more` in it."""
    return {"contents": [user("Hi")], **more}


def history(*contents: dict[str, Any]) -> dict[str, Any]:
    return {"contents": [user("Hi"), *contents]}


def events(raw: bytes) -> list[Any]:
    """The JSON of a stream's events."""
    return [json.loads(one.removeprefix(b"data: ")) for one in raw.split(b"\r\n\r\n") if one]
