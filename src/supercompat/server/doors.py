"""Which door of the application a request goes through: the seam between the network and projects."""

from collections.abc import Mapping
from functools import partial
from typing import Protocol

from supercompat.runtime import Composition, start
from supercompat.transport.async_door import AsyncDoor


class Doors(Protocol):
    """Finds the door for a request, and so the runtime that answers it. Used on one event loop."""

    async def start(self) -> None:
        """What has to be done before the first request. A mounted application is not told of that moment.

        Raises:
            SupercompatError: the server can't start.
        """
        ...

    async def door(self, headers: Mapping[str, str]) -> AsyncDoor:
        """The door of the project that a request belongs to.

        Args:
            headers: the request's; names in lower case.

        Raises:
            RequestError: there is none; the error is the answer.
            StorageError: it can't be found out.
        """
        ...

    async def close(self) -> None:
        """Wait for running runs, hand over the rest, let go of everything. Idempotent."""
        ...


class OneDoor:
    """One project, for whoever can reach the server: no key is asked for."""

    def __init__(self, composition: Composition) -> None:
        self._door = AsyncDoor(partial(start, composition), drain=composition.options.drain)

    async def start(self) -> None:
        """Nothing: the door starts with its first request."""

    async def door(self, headers: Mapping[str, str]) -> AsyncDoor:
        return self._door

    async def close(self) -> None:
        await self._door.close()
