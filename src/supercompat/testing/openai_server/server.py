"""OpenAI's API, and Groq's under its own path, played from a script."""

import re
import urllib.parse
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from supercompat.testing.openai_server import bodies
from supercompat.testing.openai_server.dialects import GROQ, OPENAI, Dialect
from supercompat.testing.openai_server.fields import refused
from supercompat.testing.openai_server.responses.resource import Responses
from supercompat.testing.openai_server.rules import check
from supercompat.testing.replies import Failure, Reply
from supercompat.testing.scripted import (
    Answer,
    LoopbackServer,
    Received,
    Stream,
    Wire,
    json_object,
    word_by_word,
)
from supercompat.testing.scripted.server import Answered

_AZURE = re.compile("/openai/(?!v1/)(?:deployments/[^/]+/)?")


def echo(request: Received) -> Reply:
    """Says what the last user message says, word by word."""
    messages: Any = request.body.get("messages") or request.context
    said: Any = next((m["content"] for m in reversed(messages) if m.get("role") == "user"), "")
    if isinstance(said, list):
        parts = cast(list[dict[str, Any]], said)
        said = " ".join(part["text"] for part in parts if part["type"] in ("text", "input_text"))
    return word_by_word(said)


class ScriptedServer(LoopbackServer):
    """A server on a loopback socket that speaks OpenAI's API, and refuses what OpenAI refuses.

    Point a real SDK at it: `openai.OpenAI(base_url=server.base_url, api_key="test")`, or
    `groq.Groq(base_url=server.url, api_key="test")`, which finds Groq's wire and rules under its own path;
    `openai.AzureOpenAI(azure_endpoint=server.url, …)` finds its paths too.
    Served are `chat/completions`, `responses` with all that is below it, `models` and `models/{id}`.

        with ScriptedServer() as server:
            server.reply(text("Hel", "lo"), error(429), tool_calls(call("add", '{"a":1}')))
            ...
            assert server.requests[0].body["model"] == "gpt-4o-mini"

    Replies are taken first in, first out, each by one request that keeps the API's rules; one that breaks
    them is answered with the API's 400 and takes none. Whether a reply is streamed follows the request's
    own `stream`. That a reply fits a forced tool or a JSON schema is up to the script. The server
    listens from its construction until `close`, on a thread of its own.

    Args:
        default: what is answered when no reply is left; by default the last user message (`echo`).
        models: the models that exist, any other is a 404. By default any does, and none is listed.
        port: the port to listen on; 0, the default, takes a free one.

    Attributes:
        url: such as `http://127.0.0.1:54321`.
        base_url: the same with `/v1`.
        requests: what was received so far, in order of arrival, refused requests too.
    """

    def __init__(self, *, default: Answer = echo, models: Sequence[str] | None = None, port: int = 0) -> None:
        self._models = models
        self._responses = Responses(self)
        super().__init__(default=default, port=port)
        self.base_url = f"{self.url}/v1"

    def forget(self) -> None:
        """Delete all responses that are kept, as the API does after 30 days."""
        self._loop.call_soon_threadsafe(self._responses.forget)

    def wire(self, received: Received) -> Wire:
        dialect = _dialect(received)
        if _resource(received, dialect)[0] == "responses":
            return self._responses.wire(received, dialect)
        return _Wire(dialect)

    def answer(self, received: Received, body: bytes) -> Answered:
        _check_key(received)
        dialect = _dialect(received)
        answer = None
        match received.method, _resource(received, dialect):
            case "POST", ["chat", "completions"]:
                answer = self._chat(received, body, dialect)
            case "GET", ["models"]:
                answer = {"object": "list", "data": [bodies.model_body(name) for name in self._models or ()]}
            case "GET", ["models", *name]:
                answer = bodies.model_body(self.known(urllib.parse.unquote("/".join(name))))
            case "POST" | "GET" | "DELETE", ["responses", *below]:
                received.body = {} if below else _parsed(body)
                answer = self._responses.answer(received, below, dialect)
            case _:
                pass
        if answer is None:
            why = f"Invalid URL ({received.method} {received.path.partition('?')[0]})"
            raise refused(why, code="unknown_url", status=404)
        return answer

    def hosts_tools(self, received: Received) -> bool:
        return _resource(received, _dialect(received))[0] == "responses"

    def _chat(self, received: Received, body: bytes, dialect: Dialect) -> Reply | Failure:
        received.body = _parsed(body)
        check(received.body, dialect)
        self.known(received.body["model"])
        return self.take(received)

    def known(self, model: str) -> str:
        """The model's name; a 404 if there is no such model."""
        if self._models is not None and model not in self._models:
            why = f"The model `{model}` does not exist or you do not have access to it."
            raise refused(why, code="model_not_found", status=404)
        return model


def _check_key(received: Received) -> None:
    if _AZURE.match(received.path) and received.headers.get("api-key"):
        return
    scheme, _, key = received.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        why = "You didn't provide an API key: expected an Authorization header with 'Bearer' and the key."
        raise refused(why, code="invalid_api_key", status=401)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        return json_object(body)
    except TypeError:
        raise refused("The JSON body of your request must be an object.") from None
    except ValueError:
        raise refused("We could not parse the JSON body of your request.") from None


def _dialect(received: Received) -> Dialect:
    return GROQ if received.path.startswith("/openai/v1/") else OPENAI


def _resource(received: Received, dialect: Dialect) -> list[str]:
    """The path below the dialect's prefix, in its parts; of another path one empty part.

    Azure has another prefix, where chat completions name the deployment of the model.
    """
    path = received.path.partition("?")[0]
    if (azure := _AZURE.match(path)) and dialect is OPENAI:
        return path[azure.end() :].split("/")
    return path.removeprefix(dialect.prefix + "/").split("/") if path.startswith(dialect.prefix) else [""]


@dataclass(frozen=True, slots=True)
class _Wire:
    dialect: Dialect

    def headers(self) -> Mapping[str, str]:
        return {"x-request-id": f"req_{uuid.uuid4().hex}"}

    def is_streamed(self, received: Received) -> bool:
        return bool(received.body.get("stream"))

    def stream(self, reply: Reply, received: Received) -> Stream:
        return bodies.stream(reply, received.body, self.dialect)

    def body(self, reply: Reply, received: Received) -> dict[str, Any]:
        return bodies.completion_body(reply, received.body, self.dialect)

    def error(self, failure: Failure) -> dict[str, Any]:
        return bodies.error_body(failure, self.dialect)
