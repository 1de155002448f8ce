"""What the Responses API keeps: responses by id, and the conversation that leads to each."""

from dataclasses import dataclass
from typing import Any

from supercompat.testing.openai_server.fields import refused


@dataclass(eq=False, slots=True)
class Kept:
    """One stored response.

    Attributes:
        response: the response object.
        input: the items that its request brought, each with an id.
        previous: the response that it goes on from, if any.
    """

    response: dict[str, Any]
    input: list[dict[str, Any]]
    previous: "Kept | None" = None


class Shelf:
    """All stored responses of one server. Used on its thread only."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}

    def keep(self, kept: Kept) -> None:
        """From now on it is found."""
        self._kept[kept.response["id"]] = kept

    def find(self, response_id: str) -> Kept:
        """The response of a path; a 404 if there is none."""
        if (kept := self._kept.get(response_id)) is None:
            raise refused(f"Response with id '{response_id}' not found.", status=404)
        return kept

    def previous(self, response_id: str) -> Kept:
        """The response that a request goes on from; a 400 if there is none."""
        if (kept := self._kept.get(response_id)) is None:
            why = f"Previous response with id '{response_id}' not found."
            raise refused(why, "previous_response_id", "previous_response_not_found")
        return kept

    def remove(self, response_id: str) -> None:
        """Deletes it; what goes on from it stays."""
        del self._kept[self.find(response_id).response["id"]]

    def conversation(self, kept: Kept | None) -> list[dict[str, Any]]:
        """The items up to and with this response, oldest first; what was deleted is missing, and all before it."""
        items: list[dict[str, Any]] = []
        while kept is not None and kept.response["id"] in self._kept:
            items[:0] = [*kept.input, *kept.response["output"]]
            kept = kept.previous
        return items
