"""The runtimes of all projects, opened by their keys."""

from collections.abc import Collection, Mapping

from supercompat.api.exchange import Response
from supercompat.runtime import Composition, Projects
from supercompat.server.authentication import DEFAULT, Authenticator
from supercompat.server.doors import PROBE, Entrance
from supercompat.storage_adapters.protocol import StorageAdapter


class ProjectDoors:
    """The doors of all projects of one storage. While it has no keys there is one, for whoever can reach the server.

    Args:
        host: what the server listens on.
        origins: of web pages that may use the server while it has no keys.
    """

    def __init__(self, composition: Composition, *, host: str, origins: Collection[str] = ()) -> None:
        self._composition = composition
        self._host = host
        self._origins = origins

    async def start(self) -> None:
        """Take over the runs that nobody carries out, of all projects.

        Raises:
            ConfigurationError: without keys the server may not listen there.
            StorageError
        """
        self._projects = Projects(self._composition)
        try:
            self._authenticator = Authenticator(self._projects.store, origins=self._origins)
            await self._authenticator.guard(self._host)
            await self._projects.start()
        except BaseException:
            await self._projects.close(drain=0)
            raise

    async def entrance(self, headers: Mapping[str, str]) -> Entrance:
        """The runtime of the project whose key the request carries.

        Raises:
            RequestError: it carries none, or a wrong one (E1, E2).
            StorageError
        """
        principal = await self._authenticator.principal(headers)
        return Entrance(await self._projects.runtime(principal.project), principal.key_id or "")

    async def probe(self) -> Response:
        runtime = await self._projects.runtime(DEFAULT)
        return await runtime.handle(PROBE)

    async def close(self) -> None:
        await self._projects.close(self._composition.options.drain)


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
