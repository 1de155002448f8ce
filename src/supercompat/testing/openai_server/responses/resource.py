"""The endpoints below `/responses`."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

from supercompat.testing.openai_server.dialects import Dialect
from supercompat.testing.openai_server.fields import refused
from supercompat.testing.openai_server.responses.background import Production
from supercompat.testing.openai_server.responses.conversation_rules import check_conversation, check_pairs
from supercompat.testing.openai_server.responses.input import input_items
from supercompat.testing.openai_server.responses.kept import Asked, Shelf
from supercompat.testing.openai_server.responses.output import Output
from supercompat.testing.openai_server.responses.rules import check
from supercompat.testing.openai_server.responses.wire import ResponsesWire
from supercompat.testing.replies import Failure, Reply
from supercompat.testing.scripted import Received, Replay
from supercompat.testing.scripted.server import Answered


class Server(Protocol):
    """What the endpoints need of the server around them."""

    def take(self, received: Received) -> Reply | Failure:
        """The next of the script's replies."""
        ...

    def known(self, model: str) -> str:
        """The model's name, if there is such a model."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work that goes on without a connection."""
        ...


class Responses:
    """Answers everything below `/responses`. Used on the server's thread only."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._shelf = Shelf()
        self._asked: dict[Received, Asked] = {}

    def wire(self, received: Received, dialect: Dialect) -> ResponsesWire:
        """The wire of one answer."""
        return ResponsesWire(dialect, self._shelf, received, self._asked)

    def forget(self) -> None:
        """Deletes all that is kept."""
        self._shelf.clear()

    def answer(self, received: Received, path: list[str], dialect: Dialect) -> Answered | None:
        """The answer to a request, whose `path` is what comes behind `responses`; None if nothing is there."""
        if path and not dialect.keeps_responses:
            return None
        query = parse_qs(received.path.partition("?")[2])
        match received.method, [unquote(each) for each in path]:
            case "POST", []:
                return self._create(received, dialect)
            case "GET", [response_id]:
                return self._retrieve(response_id, query)
            case "POST", [response_id, "cancel"]:
                return self._cancel(response_id)
            case "DELETE", [response_id]:
                self._shelf.remove(response_id)
                return {"id": response_id, "object": "response", "deleted": True}
            case "GET", [response_id, "input_items"]:
                return page(self._shelf.input_of(response_id), query)
            case _:
                return None

    def _create(self, received: Received, dialect: Dialect) -> Answered:
        request = received.body
        check(request, dialect)
        self._server.known(request["model"])
        asked = self._asked[received] = self._accept(request, dialect)
        received.context = [*self._shelf.conversation(asked.previous), *asked.items]
        reply = self._server.take(received)
        if not request.get("background") or isinstance(reply, Failure) or reply.ending == "unanswered":
            return reply
        output = Output(reply, request)
        production = Production(
            reply,
            output,
            is_streamed=bool(request.get("stream")),
            ended=lambda: self._shelf.note_thoughts(output),
        )
        self._shelf.keep(output, asked, production)
        production.start(self._server.spawn(production.play()))
        if production.is_streamed:
            return Replay(production.broadcast, sizes=reply.sizes, breaks=reply.ending == "dropped")
        return output.response

    def _accept(self, request: dict[str, Any], dialect: Dialect) -> Asked:
        given = input_items(request)
        if not dialect.keeps_responses:
            check_pairs(given)
            return Asked(given, None, is_stored=False)
        previous = self._shelf.previous(request.get("previous_response_id"))
        if previous and previous.response["status"] in ("queued", "in_progress"):
            why = f"Previous response with id '{previous.response['id']}' is still in progress."
            raise refused(why, "previous_response_id")
        items = check_conversation(self._shelf.conversation(previous), given, self._shelf)
        return Asked(items, previous, is_stored=request.get("store") is not False)

    def _retrieve(self, response_id: str, query: dict[str, list[str]]) -> Answered:
        kept = self._shelf.find(response_id)
        if query.get("stream", ["false"])[-1] != "true":
            return kept.output.shown([*query.get("include", ()), *query.get("include[]", ())])
        if kept.production is None or not kept.production.is_streamed:
            missing = "stream" if kept.production else "background"
            why = f"This response cannot be streamed because it was not created with {missing}=true."
            raise refused(why, "stream")
        return Replay(kept.production.broadcast, number(query, "starting_after", -1) + 1)

    def _cancel(self, response_id: str) -> dict[str, Any]:
        kept = self._shelf.find(response_id)
        status = kept.response["status"]
        if kept.production is None:
            raise refused("Cannot cancel a synchronous response.")
        if kept.production.is_under_way:
            kept.production.cancel()
        elif status != "cancelled":
            article = "an" if status == "incomplete" else "a"
            raise refused(f"Cannot cancel {article} {status} response.")
        return kept.response


def page(items: list[dict[str, Any]], query: dict[str, list[str]]) -> dict[str, Any]:
    """One page of a list, the newest first unless the query asks for the oldest."""
    order = query.get("order", ["desc"])[-1]
    limit = number(query, "limit", 20)
    if order not in ("asc", "desc") or not 1 <= limit <= 100:
        raise refused("Expected an order of 'asc' or 'desc', and a limit of 1 to 100.", "order")
    data = items if order == "asc" else items[::-1]
    if after := query.get("after"):
        ids = [item["id"] for item in data]
        if after[-1] not in ids:
            raise refused(f"Item with id '{after[-1]}' not found.", "after", status=404)
        data = data[ids.index(after[-1]) + 1 :]
    shown = data[:limit]
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {}
    return {"object": "list", "data": shown, **ends, "has_more": len(data) > limit}


def number(query: dict[str, list[str]], name: str, default: int) -> int:
    """A whole number of the query."""
    given = query.get(name, [str(default)])[-1]
    if not given.lstrip("-").isdigit():
        why = f"Invalid type for '{name}': expected an integer, but got a string instead."
        raise refused(why, name, "invalid_type")
    return int(given)
