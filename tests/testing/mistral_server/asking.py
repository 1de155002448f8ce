"""The server that plays Mistral, asked without its SDK, which would not send everything."""

import json
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from supercompat.testing import MistralServer

PATH = "/v1/chat/completions"
KEY = {"Authorization": "Bearer test"}


def question(**more: Any) -> dict[str, Any]:
    """A request's body that keeps all rules, with `more` in it."""
    return {"model": "mistral-small-latest", "messages": [{"role": "user", "content": "Hi"}], **more}


def asked(
    server: MistralServer,
    body: Any = None,
    *,
    method: str = "POST",
    path: str = PATH,
    headers: dict[str, str] = KEY,
) -> tuple[int, bytes]:
    """Status and body of one answer; a `body` of bytes goes as it is."""
    data = body if isinstance(body, bytes) else json.dumps(body)
    with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=10)) as connection:
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        return response.status, response.read()


def answer(server: MistralServer, body: Any = None, **how: Any) -> tuple[int, Any]:
    """The same, its body read as JSON."""
    status, data = asked(server, body, **how)
    return status, json.loads(data)


def chunks(server: MistralServer, **more: Any) -> list[dict[str, Any]]:
    """The chunks of a streamed answer that ended as it should."""
    status, data = asked(server, question(stream=True, **more))
    assert status == 200
    *events, end, nothing = data.split(b"\n\n")
    assert (end, nothing) == (b"data: [DONE]", b"")
    return [json.loads(event.removeprefix(b"data: ")) for event in events]
