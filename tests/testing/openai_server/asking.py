"""The scripted server asked through the SDK, and without it where a test looks at the bytes."""

import http.client
import json
import socket
from contextlib import closing
from typing import Any, Self
from urllib.parse import urlsplit

import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from supercompat.testing.openai_server import ScriptedServer

OPENAI_PATH = "/v1/chat/completions"
GROQ_PATH = "/openai/v1/chat/completions"
KEY = {"Authorization": "Bearer test"}

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi there"}]


def stream(client: openai.OpenAI, **more: Any) -> list[ChatCompletionChunk]:
    """The chunks of a streamed answer."""
    return list(client.chat.completions.create(model="m", messages=HELLO, stream=True, **more))


def streamed_text(client: openai.OpenAI) -> str:
    """The text that a streamed answer adds up to."""
    return "".join(c.choices[0].delta.content or "" for c in stream(client) if c.choices)


def question(**more: Any) -> dict[str, Any]:
    """A request's body that keeps all rules, with `more` in it."""
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], **more}


def connect(server: ScriptedServer) -> http.client.HTTPConnection:
    """A kept-alive connection, to be closed."""
    return http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)


def ask(
    server: ScriptedServer,
    body: Any = None,
    *,
    method: str = "POST",
    path: str = OPENAI_PATH,
    headers: dict[str, str] = KEY,
) -> tuple[int, dict[str, Any]]:
    """Status and JSON of one answer; a `body` of bytes goes as it is."""
    data = body if isinstance(body, bytes) else json.dumps(body)
    with closing(connect(server)) as connection:
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def chunks(raw: bytes) -> list[bytes]:
    """The pieces of a chunked body as they were framed, up to the one that ends it or the last whole one."""
    _, _, rest = raw.partition(b"\r\n\r\n")
    found: list[bytes] = []
    while b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            break
        found.append(rest[:length])
        rest = rest[length + 2 :]
    return found


def events(raw: bytes) -> list[Any]:
    """The JSON of a stream's events, without the `[DONE]`."""
    data = [chunk.removeprefix(b"data: ") for chunk in chunks(raw)]
    return [json.loads(one) for one in data if one != b"[DONE]\n\n"]


class RawStream:
    """A streamed request on a bare socket."""

    def __init__(self, server: ScriptedServer, path: str = OPENAI_PATH, **more: Any) -> None:
        body = json.dumps(question(stream=True, **more)).encode()
        head = f"POST {path} HTTP/1.1\r\nAuthorization: Bearer test\r\nContent-Length: {len(body)}\r\n\r\n"
        address = urlsplit(server.url)
        self.socket = socket.create_connection((address.hostname, address.port or 0), timeout=10)
        self.socket.sendall(head.encode() + body)
        self.received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()

    def read_until(self, mark: bytes) -> bytes:
        """What came so far, up to `mark` at least."""
        while mark not in self.received:
            data = self.socket.recv(65536)
            assert data, f"closed before {mark!r}: {self.received!r}"
            self.received += data
        return self.received

    def read_all(self) -> bytes:
        """Everything, to the end of the body or of the connection."""
        while not self.received.endswith(b"\r\n0\r\n\r\n") and (data := self.socket.recv(65536)):
            self.received += data
        return self.received

    def nothing_more_came(self) -> bool:
        """Whether no byte lies unread; loopback delivers at once."""
        self.socket.setblocking(False)
        try:
            self.received += self.socket.recv(65536)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(10)
        return False
