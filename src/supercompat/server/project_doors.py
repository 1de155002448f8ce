"""A door for each project, opened by its keys."""

import asyncio
from collections.abc import Mapping, Sequence

from supercompat.runtime import Composition, Projects, Runtime
from supercompat.server.authentication import Authenticator
from supercompat.storage_adapters.protocol import StorageAdapter
from supercompat.transport.async_door import AsyncDoor


class ProjectDoors:
    """The doors of all projects of one storage. While it has no keys there is one, for whoever can reach the server.

    Args:
        host: what the server listens on.
    """

    def __init__(self, composition: Composition, *, host: str) -> None:
        self._composition = composition
        self._host = host
        self._doors: dict[str, AsyncDoor] = {}

    async def start(self) -> None:
        """Take over the runs that nobody carries out, of all projects.

        Raises:
            ConfigurationError: without keys the server may not listen there.
            StorageError
        """
        self._projects = Projects(self._composition)
        try:
            self._authenticator = Authenticator(self._projects.store)
            await self._authenticator.guard(self._host)
            await self._projects.start()
        except BaseException:
            await self._projects.close(drain=0)
            raise

    async def door(self, headers: Mapping[str, str]) -> AsyncDoor:
        """The door of the project whose key the request carries.

        Raises:
            RequestError: it carries none, or a wrong one (E1, E2).
            StorageError
        """
        principal = await self._authenticator.principal(headers)
        door = self._doors.get(principal.project)
        if door is None:
            door = AsyncDoor(_Start(self._projects, principal.project), drain=self._composition.options.drain)
            self._doors[principal.project] = door
        return door

    async def close(self) -> None:
        await asyncio.gather(*(door.close() for door in self._doors.values()))
        await self._projects.close(self._composition.options.drain)


class _Start:
    """What a door does at its first use. The runs that nobody owns are taken over for all projects at once."""

    def __init__(self, projects: Projects, project: str) -> None:
        self._projects = projects
        self._project = project

    async def __call__(self, *, own_pool: bool, orphans_of: Sequence[str] = ()) -> Runtime:
        return await self._projects.runtime(self._project)


async def check_host(storage: StorageAdapter, host: str) -> None:
    """Make sure that a server with this storage may listen on `host`.

    Raises:
        ConfigurationError: others could reach it there, and there are no keys.
        StorageError
    """
    store = storage.open()
    try:
        await Authenticator(store).guard(host)
    finally:
        await store.aclose()
