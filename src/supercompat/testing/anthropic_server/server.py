"""Anthropic's API, and Vertex AI's way to it, played from a script."""

import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from supercompat.testing.anthropic_server import bodies
from supercompat.testing.anthropic_server.rules import VERSIONS, blocks_of, check, refused
from supercompat.testing.replies import Failure, Reply
from supercompat.testing.scripted import (
    Answer,
    LoopbackServer,
    Received,
    Refused,
    Stream,
    json_object,
    word_by_word,
)
from supercompat.testing.scripted.server import Answered

_VERTEX = re.compile(
    r"(/v1)?/projects/[^/]+/locations/[^/]+/publishers/anthropic/models/([^/]+):(stream)?[rR]awPredict"
)
_VERTEX_VERSIONS = {"vertex-2023-10-16": VERSIONS[0], VERSIONS[1]: VERSIONS[1]}


def echo(request: Received) -> Reply:
    """Says what the last user message says, word by word."""
    said = [block["text"] for block in blocks_of(request.body["messages"][-1]) if block["type"] == "text"]
    return word_by_word(" ".join(said))


class AnthropicServer(LoopbackServer):
    """A server on a loopback socket that speaks Anthropic's Messages API, and refuses what Anthropic refuses.

    Point the real SDK at it: `anthropic.Anthropic(base_url=server.url, api_key="test")`. Served are `/v1/messages`
    and `/v1/models`, in both versions of the API, and messages under the paths of Vertex AI.

        with AnthropicServer() as server:
            server.reply(reasoning("Hm.") + text("Hel", "lo"), error(529), tool_calls(call("add", '{"a":1}')))
            ...
            assert server.requests[0].body["model"] == "claude-opus-5"

    Replies are those of `ScriptedServer`, and are taken like its. `reasoning` is thinking, which the server signs:
    it comes back unchanged, or is refused; `refusal` is the explanation of a refusal; `finish` may also be a stop
    reason of Anthropic's, such as `pause_turn`. What a model takes depends on its name, as at Anthropic.

    Args:
        default: what is answered when no reply is left; by default the last user message (`echo`).
        models: the models that exist, any other is a 404. By default any does, and none is listed.
        port: the port to listen on; 0, the default, takes a free one.

    Attributes:
        url: such as `http://127.0.0.1:54321`.
        requests: what was received so far, in order of arrival, refused requests too.
    """

    def __init__(self, *, default: Answer = echo, models: Sequence[str] | None = None, port: int = 0) -> None:
        self._models = models
        super().__init__(default=default, port=port)

    def wire(self, received: Received) -> "_Wire":
        return _Wire()

    def answer(self, received: Received, body: bytes) -> Answered:
        path = urllib.parse.unquote(received.path.partition("?")[0])
        if on_vertex := _VERTEX.fullmatch(path):
            _check_key(received)
            return self._on_vertex(received, body, on_vertex[2])
        _check_key(received)
        version = received.headers.get("anthropic-version", "")
        if version not in VERSIONS:
            raise refused(
                "anthropic-version: header is required" if not version else "anthropic-version: unknown"
            )
        match received.method, path.removeprefix("/v1/").split("/"):
            case "POST", ["messages"]:
                return self._message(received, _parsed(body), version)
            case "GET", ["models"]:
                listed = [bodies.model_body(name) for name in self._models or ()]
                return {"data": listed, "has_more": False, "first_id": None, "last_id": None}
            case "GET", ["models", name]:
                return bodies.model_body(self._known(name))
            case _:
                raise Refused(Failure(404, "Not Found", "not_found_error"))

    def _message(self, received: Received, body: dict[str, Any], version: str) -> Reply | Failure:
        received.body = body
        check(body, version)
        self._known(body["model"])
        return self.take(received)

    def _on_vertex(self, received: Received, body: bytes, model: str) -> Reply | Failure:
        """The model is in the path, and the version in the body."""
        parsed = _parsed(body)
        version = _VERTEX_VERSIONS.get(parsed.pop("anthropic_version", ""))
        if version is None:
            raise refused("anthropic_version: Field required")
        if "model" in parsed:
            raise refused("model: Extra inputs are not permitted")
        return self._message(received, {**parsed, "model": model}, version)

    def _known(self, model: str) -> str:
        if self._models is not None and model not in self._models:
            raise Refused(Failure(404, f"model: {model}", "not_found_error"))
        return model


def _check_key(received: Received) -> None:
    scheme, _, key = received.headers.get("authorization", "").partition(" ")
    if not received.headers.get("x-api-key") and (scheme.lower() != "bearer" or not key.strip()):
        raise Refused(Failure(401, "Authentication is required", "authentication_error"))


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        return json_object(body)
    except (TypeError, ValueError):
        raise refused("The request body is not valid JSON: expected an object") from None


class _Wire:
    def headers(self) -> Mapping[str, str]:
        return {"request-id": bodies.new_id("req")}

    def is_streamed(self, received: Received) -> bool:
        return bool(received.body.get("stream"))

    def stream(self, reply: Reply, received: Received) -> Stream:
        return bodies.stream(reply, received.body)

    def body(self, reply: Reply, received: Received) -> dict[str, Any]:
        return bodies.message_body(reply, received.body)

    def error(self, failure: Failure) -> dict[str, Any]:
        return bodies.error_body(failure)
