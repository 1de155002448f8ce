"""Google's Gemini API, played from a script."""

import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from supercompat.testing.google_server import bodies
from supercompat.testing.google_server.rules import check
from supercompat.testing.google_server.shape import read, refused
from supercompat.testing.replies import Failure, Reply
from supercompat.testing.scripted import Answer, LoopbackServer, Received, Stream, json_object, word_by_word
from supercompat.testing.scripted.server import Answered

_PATH = re.compile(r"/v1(?:beta)?/(?P<resource>models(?:/(?P<model>[^/:]+))?)(?::(?P<method>\w+))?")
_METHODS = ("generateContent", "streamGenerateContent")


def echo(request: Received) -> Reply:
    """Says what the user said last, word by word."""
    texts: list[list[str]] = [
        [part["text"] for part in content["parts"] if "text" in part]
        for content in request.body["contents"]
        if content["role"] == "user"
    ]
    return word_by_word(" ".join(next((said for said in reversed(texts) if said), [""])))


class GoogleServer(LoopbackServer):
    """A server on a loopback socket that speaks Gemini's API, and refuses what Gemini refuses.

    Point the real SDK at it: `genai.Client(api_key="test", http_options={"base_url": server.url})`. Served are
    `models/{model}:generateContent` and `:streamGenerateContent?alt=sse`, `models` and `models/{model}`, each as
    `v1` and as `v1beta`. Some rules depend on the model's name: from `gemini-3` on it signs its thoughts, and wants
    the signatures back.

        with GoogleServer() as server:
            server.reply(text("Hel", "lo"), error(429), tool_calls(call("add", '{"a":1}')))
            ...
            assert server.requests[0].body["contents"][0]["role"] == "user"

    Replies are those of `ScriptedServer`, in Gemini's terms: calls come whole, a refusal is a prompt that was
    blocked, reasoning is a thought, and a finish reason in capitals goes out as it is. So does an error's `code`, as
    in `error(400, code="API_KEY_INVALID")`. A request that breaks a rule takes no reply.

    Args:
        default: what is answered when no reply is left; by default what the user said last.
        models: the models that exist, any other is a 404. By default any does, and none is listed.
        port: the port to listen on; 0, the default, takes a free one.

    Attributes:
        url: such as `http://127.0.0.1:54321`.
        requests: what was received so far, in order of arrival, refused requests too. Names in a `body` are in camel
            case, however they were sent: both ways mean the same.
    """

    def __init__(self, *, default: Answer = echo, models: Sequence[str] | None = None, port: int = 0) -> None:
        self._models = models
        super().__init__(default=default, port=port)

    def wire(self, received: Received) -> "_Wire":
        return _Wire()

    def answer(self, received: Received, body: bytes) -> Answered:
        _check_key(received)
        path, _, query = received.path.partition("?")
        found = _PATH.fullmatch(path)
        match received.method, found and found["model"], found and found["method"]:
            case "POST", str(model), str(method) if method in _METHODS:
                return self._generate(received, urllib.parse.unquote(model), body, method, query)
            case "GET", str(model), None:
                return bodies.model_body(self._known(urllib.parse.unquote(model)))
            case "GET", None, None if found:
                return {"models": [bodies.model_body(name) for name in self._models or ()]}
            case _:
                raise refused(f"Requested entity was not found: {received.method} {path}", status=404)

    def _generate(
        self, received: Received, model: str, body: bytes, method: str, query: str
    ) -> Reply | Failure:
        if method == "streamGenerateContent" and "alt=sse" not in query.split("&"):
            raise refused("Streams are served as server-sent events here: add ?alt=sse.")
        received.body = _parsed(body)
        received.body = read(received.body)
        self._known(model)
        check(received.body, model)
        return self.take(received)

    def _known(self, model: str) -> str:
        if self._models is not None and model not in self._models:
            why = f"models/{model} is not found for API version v1, or is not supported for generateContent."
            raise refused(f"{why} Call ListModels to see the list of available models.", status=404)
        return model


def _check_key(received: Received) -> None:
    if not received.headers.get("x-goog-api-key", "").strip():
        why = "Method doesn't allow unregistered callers (callers without established identity)."
        raise refused(f"{why} Please use API Key or other form of API consumer identity.", status=403)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        return json_object(body)
    except (TypeError, ValueError):
        raise refused("Invalid JSON payload received. Unexpected token.") from None


class _Wire:
    def headers(self) -> Mapping[str, str]:
        return {}

    def is_streamed(self, received: Received) -> bool:
        return ":streamGenerateContent" in received.path

    def stream(self, reply: Reply, received: Received) -> Stream:
        return bodies.stream(reply, _model(received))

    def body(self, reply: Reply, received: Received) -> dict[str, Any]:
        return bodies.answer_body(reply, _model(received))

    def error(self, failure: Failure) -> dict[str, Any]:
        return bodies.error_body(failure)


def _model(received: Received) -> str:
    found = _PATH.match(received.path)
    return urllib.parse.unquote(found["model"] or "") if found else ""
