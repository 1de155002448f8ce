"""Whose a request is, and which runtime answers it: the seam between the network and projects."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from supercompat.api.exchange import Request
from supercompat.runtime import Composition, start
from supercompat.transport.async_door import AsyncDoor
from supercompat.transport.core import Answers

#: What tells that requests can be answered: it needs the database, and no provider.
_PROBE = Request("GET", "/v1/assistants", query=[("limit", "1")], headers={"openai-beta": "assistants=v2"})


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where a request goes.

    Args:
        runtime: of the project that the request belongs to.
        caller: whose requests are counted together, never a key itself: the id of the API key, say.
    """

    runtime: Answers
    caller: str = ""


class Doors(Protocol):
    """Tells where each request goes. Used on one event loop."""

    async def entrance(self, headers: Mapping[str, str]) -> Entrance:
        """Where a request goes.

        Args:
            headers: the request's; names in lower case.

        Raises:
            RequestError: nowhere; the error is the answer.
            StorageError
        """
        ...

    async def probe(self) -> bool:
        """Whether the database can be used. Starts what has to be started."""
        ...

    def open(self) -> None:
        """Answer, again if `close` was called."""
        ...

    async def close(self) -> None:
        """Wait for running runs, hand over the rest, let go of everything. Idempotent."""
        ...


class OneDoor:
    """One project, for whoever can reach the server: no key is asked for."""

    def __init__(self, composition: Composition) -> None:
        self._door = AsyncDoor(partial(start, composition), drain=composition.options.drain)

    async def entrance(self, headers: Mapping[str, str]) -> Entrance:
        return Entrance(self._door)

    async def probe(self) -> bool:
        response = await self._door.handle(_PROBE)
        return response.status == 200

    def open(self) -> None:
        self._door.reopen()

    async def close(self) -> None:
        await self._door.close()
