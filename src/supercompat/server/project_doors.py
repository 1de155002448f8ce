"""The runtimes of all projects, opened by their keys."""

import logging
from collections.abc import Collection, Mapping

from supercompat.errors import StorageError
from supercompat.runtime import Composition, Projects
from supercompat.server.authentication import Authenticator
from supercompat.server.doors import Entrance

logger = logging.getLogger(__name__)


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
        self._opened: tuple[Projects, Authenticator] | None = None

    async def entrance(self, headers: Mapping[str, str]) -> Entrance:
        """The runtime of the project whose key the request carries.

        Raises:
            RequestError: it carries none, or a wrong one (E1, E2).
            StorageError
        """
        projects, authenticator = self._all()
        principal = await authenticator.principal(headers)
        return Entrance(await projects.runtime(principal.project), principal.key_id or "")

    async def probe(self) -> bool:
        projects, _ = self._all()
        try:
            # Not behind the requests that wait for a connection: who is busy is there.
            await projects.store.transact(lambda tx: tx.keys.exist(), urgent=True)
        except StorageError as error:
            logger.warning("Not ready: %s", error)
            return False
        return True

    def open(self) -> None:
        self._opened = None

    async def close(self) -> None:
        if self._opened is not None:
            projects, _ = self._opened
            await projects.close(self._composition.options.drain)

    def _all(self) -> tuple[Projects, Authenticator]:
        if self._opened is None:
            projects = Projects(self._composition)
            projects.start()
            authenticator = Authenticator(projects.store, host=self._host, origins=self._origins)
            self._opened = projects, authenticator
        return self._opened
