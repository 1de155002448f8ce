"""Mistral's API, played from a script."""

import urllib.parse
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from supercompat.testing.mistral_server import bodies
from supercompat.testing.mistral_server.rules import check
from supercompat.testing.mistral_server.values import invalid
from supercompat.testing.openai_server import echo
from supercompat.testing.replies import Failure, Reply
from supercompat.testing.scripted import Answer, LoopbackServer, Received, Refused, Stream, json_object
from supercompat.testing.scripted.server import Answered


class MistralServer(LoopbackServer):
    """A server on a loopback socket that speaks Mistral's chat completions, and refuses what Mistral refuses.

    Point the real SDK at it: `mistralai.client.Mistral(server_url=server.url, api_key="test")`, or its siblings for
    Azure and Google Cloud. Served are chat completions, `models` and `models/{id}`.

        with MistralServer() as server:
            server.reply(text("Hel", "lo"), error(429), tool_calls(call("add", '{"a":1}')))
            ...
            assert server.requests[0].body["model"] == "mistral-small-latest"

    Replies are taken first in, first out, each by one request that keeps the API's rules; one that breaks them is
    answered with the API's 400 or 422 and takes none. Calls are sent whole. `reasoning` is sent as thinking with a
    signature, which has to come back as it was. The server listens from its construction until `close`, on a
    thread of its own.

    Args:
        default: what is answered when no reply is left; by default the last user message (`echo`).
        models: the models that exist, any other is a 400. By default any does, and none is listed.
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
        _check_key(received)
        path = received.path.partition("?")[0]
        if received.method == "POST" and _is_chat(path):
            return self._chat(received, body)
        match received.method, path.split("/")[1:]:
            case "GET", ["v1", "models"]:
                return {"object": "list", "data": [bodies.model_body(name) for name in self._models or ()]}
            case "GET", ["v1", "models", name]:
                return bodies.model_body(self._known(urllib.parse.unquote(name)))
            case _:
                raise Refused(_plain(404, "no Route matched with those values"))

    def _chat(self, received: Received, body: bytes) -> Reply | Failure:
        try:
            received.body = json_object(body)
        except TypeError:
            raise invalid("model_attributes_type", ("body",), "Input should be a valid dictionary") from None
        except ValueError:
            raise invalid("json_invalid", ("body", 0), "JSON decode error") from None
        check(received.body)
        self._known(received.body["model"])
        return self.take(received)

    def _known(self, model: str) -> str:
        if self._models is not None and model not in self._models:
            raise Refused(Failure(400, f"Invalid model: {model}", type="invalid_model", code="1500"))
        return model


def _is_chat(path: str) -> bool:
    """Also where the SDK's clients for Azure and Google Cloud look for it."""
    if path.startswith("/v1/projects/") and "/publishers/mistralai/models/" in path:
        return path.endswith((":rawPredict", ":streamRawPredict"))
    return path in ("/v1/chat/completions", "/models/chat/completions")


def _check_key(received: Received) -> None:
    scheme, _, key = received.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Refused(_plain(401, "Unauthorized"))


def _plain(status: int, message: str) -> Failure:
    """An answer of the gateway before the API, in a shape of its own."""
    body = bodies.encode({"message": message, "request_id": uuid.uuid4().hex}).decode()
    return Failure(status, message, headers={"content-type": "application/json"}, raw=body)


class _Wire:
    def headers(self) -> Mapping[str, str]:
        return {"mistral-correlation-id": str(uuid.uuid4())}

    def is_streamed(self, received: Received) -> bool:
        return bool(received.body.get("stream"))

    def stream(self, reply: Reply, received: Received) -> Stream:
        return bodies.stream(reply, received.body)

    def body(self, reply: Reply, received: Received) -> dict[str, Any]:
        return bodies.completion_body(reply, received.body)

    def error(self, failure: Failure) -> dict[str, Any]:
        return bodies.error_body(failure) | {"raw_status_code": failure.status}
