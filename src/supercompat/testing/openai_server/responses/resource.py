"""The endpoints below `/responses`."""

from typing import Any, Protocol
from urllib.parse import unquote

from supercompat.testing.openai_server.dialects import Dialect
from supercompat.testing.openai_server.fields import Field, refused
from supercompat.testing.openai_server.responses.kept import Shelf
from supercompat.testing.openai_server.responses.wire import ResponsesWire
from supercompat.testing.replies import Failure, Reply
from supercompat.testing.scripted import Received
from supercompat.testing.scripted.server import Answered


class Server(Protocol):
    """What the endpoints need of the server around them."""

    def take(self, received: Received) -> Reply | Failure:
        """The next of the script's replies."""
        ...

    def known(self, model: str) -> str:
        """The model's name, if there is such a model."""
        ...


class Responses:
    """Answers everything below `/responses`. Used on the server's thread only."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._shelf = Shelf()

    def wire(self, received: Received, dialect: Dialect) -> ResponsesWire:
        """The wire of one answer."""
        return ResponsesWire(dialect, self._shelf, received)

    def answer(self, received: Received, path: list[str], dialect: Dialect) -> Answered | None:
        """The answer to a request, whose `path` is what comes behind `responses`; None if nothing is there."""
        match received.method, [unquote(each) for each in path]:
            case "POST", []:
                return self._create(received, dialect)
            case "GET", [response_id]:
                return self._shelf.find(response_id).response
            case "DELETE", [response_id]:
                self._shelf.remove(response_id)
                return {"id": response_id, "object": "response", "deleted": True}
            case "GET", [response_id, "input_items"]:
                return _listed(self._shelf.find(response_id).input)
            case _:
                return None

    def _create(self, received: Received, dialect: Dialect) -> Answered:
        request = Field(received.body)
        self._server.known(request["model"].string(minimum=1))
        if previous := request.get("previous_response_id", nullable=True):
            self._shelf.previous(previous.string())
        elif "input" not in received.body:
            raise refused("Missing required parameter: 'input'.", "input", "missing_required_parameter")
        return self._server.take(received)


def _listed(items: list[dict[str, Any]]) -> dict[str, Any]:
    data = items[::-1]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return {"object": "list", "data": data, **ends, "has_more": False}
