"""What the Responses API keeps: responses by id, and the conversation that leads to each."""

from dataclasses import dataclass
from typing import Any

from supercompat.testing.openai_server.fields import refused
from supercompat.testing.openai_server.responses.background import Production
from supercompat.testing.openai_server.responses.output import Output


@dataclass(eq=False, slots=True)
class Kept:
    """One stored response.

    Attributes:
        output: the response, and what its requests did not include.
        input: the items that its request brought, each with an id.
        previous: the response that it goes on from, if any.
        production: what plays it, in the background.
    """

    output: Output
    input: list[dict[str, Any]]
    previous: "Kept | None" = None
    production: Production | None = None

    @property
    def response(self) -> dict[str, Any]:
        return self.output.response


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request brings, once it is known to be taken.

    Attributes:
        items: of its input, each with an id.
        previous: the response that it goes on from, if any.
        is_stored: whether its response is to be.
    """

    items: list[dict[str, Any]]
    previous: Kept | None
    is_stored: bool


class Shelf:
    """All stored responses of one server. Used on its thread only."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}
        self._thoughts: dict[str, str] = {}

    def keep(self, output: Output, asked: Asked, production: Production | None = None) -> None:
        """From now on it is found, unless the request says otherwise."""
        self.note_thoughts(output)
        if asked.is_stored:
            kept = Kept(output, asked.items, asked.previous, production)
            self._kept[output.response["id"]] = kept

    def note_thoughts(self, output: Output) -> None:
        """Remembers which item each of its thoughts led to."""
        # Also of what is not stored: the API finds it in the encrypted content.
        thought = ""
        for item in output.response["output"]:
            if item["type"] == "reasoning":
                thought = item["id"]
            elif thought:
                self._thoughts[item["id"]] = thought
                thought = ""

    def thought_before(self, item_id: str | None) -> str | None:
        """The reasoning that led to the item with this id, if any."""
        return self._thoughts.get(item_id or "")

    def item(self, item_id: str) -> dict[str, Any] | None:
        """The item with this id, of any stored response."""
        everything = (
            item for kept in self._kept.values() for item in (*kept.input, *kept.response["output"])
        )
        return next((item for item in everything if item["id"] == item_id), None)

    def find(self, response_id: str) -> Kept:
        """The response of a path; a 404 if there is none."""
        if (kept := self._kept.get(response_id)) is None:
            raise refused(f"Response with id '{response_id}' not found.", status=404)
        return kept

    def previous(self, response_id: str | None) -> Kept | None:
        """The response that a request goes on from, if any; a 400 if there is no such response."""
        if response_id is None:
            return None
        if (kept := self._kept.get(response_id)) is None:
            why = f"Previous response with id '{response_id}' not found."
            raise refused(why, "previous_response_id", "previous_response_not_found")
        return kept

    def remove(self, response_id: str) -> None:
        """Deletes it; what goes on from it stays."""
        kept = self.find(response_id)
        if kept.production and kept.production.is_under_way:
            raise refused("Cannot delete an in-flight response.")
        del self._kept[response_id]

    def clear(self) -> None:
        """Deletes all responses."""
        self._kept.clear()

    def conversation(self, kept: Kept | None) -> list[dict[str, Any]]:
        """The items up to and with this response, oldest first; what was deleted is missing, and all before it."""
        items: list[dict[str, Any]] = []
        while kept is not None and kept.response["id"] in self._kept:
            items[:0] = [*kept.input, *kept.response["output"]]
            kept = kept.previous
        return items

    def input_of(self, response_id: str) -> list[dict[str, Any]]:
        """All that a response answers, oldest first."""
        kept = self.find(response_id)
        return [*self.conversation(kept.previous), *kept.input]
