"""What both in-process doors need: how a runtime is started, and what may go wrong on the way to it."""

import os
from collections.abc import Sequence
from typing import Protocol

from supercompat.api.application import Application
from supercompat.errors import ForkedError


class DoorTimeoutError(TimeoutError):
    """The caller's own read timeout has passed. The work that was asked for goes on."""


class StartedRuntime(Protocol):
    @property
    def application(self) -> Application: ...

    @property
    def owner(self) -> str: ...

    async def close(self, drain: float) -> None: ...

    def abandon(self) -> None: ...


class Start(Protocol):
    """Starts a runtime on the running event loop."""

    async def __call__(self, *, own_pool: bool, orphans_of: Sequence[str] = ()) -> StartedRuntime: ...


class ProcessGuard:
    """Remembers the process in which a runtime was started: its threads and sockets don't survive a fork."""

    def __init__(self) -> None:
        self._pid: int | None = None

    def enter(self) -> None:
        """Note the process at first use.

        Raises:
            ForkedError: it is another one now.
        """
        if self._pid is None:
            self._pid = os.getpid()
        if self.forked:
            raise ForkedError(
                "This client was used before the process forked. Make a new client in the child process."
            )

    @property
    def forked(self) -> bool:
        return self._pid is not None and self._pid != os.getpid()
