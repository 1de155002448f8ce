"""What both in-process doors need: how a runtime is started, and what may go wrong on the way to it."""

import logging
import os
from collections.abc import Sequence
from typing import Protocol

from supercompat.api.application import refusal, unavailable
from supercompat.api.exchange import Request, Response
from supercompat.errors import (
    ClosedError,
    ForkedError,
    RequestError,
    StorageError,
    SupercompatError,
    internal_error,
)
from supercompat.wire.events import AssistantEvent

logger = logging.getLogger(__name__)


class DoorTimeoutError(TimeoutError):
    """The caller's own read timeout has passed. The work that was asked for goes on."""


class Answers(Protocol):
    """Whatever answers requests: a runtime, or a door in front of one."""

    async def handle(self, request: Request) -> Response: ...


class StartedRuntime(Answers, Protocol):
    @property
    def owner(self) -> str: ...

    async def close(self, drain: float) -> None: ...

    def abandon(self) -> None: ...


class Start(Protocol):
    """Starts a runtime on the running event loop."""

    async def __call__(self, *, own_pool: bool, orphans_of: Sequence[str] = ()) -> StartedRuntime: ...


class ProcessGuard:
    """Remembers the process in which a runtime was started: its threads and sockets don't survive a fork.

    To be asked before any lock is taken: in the child, a thread that is gone may hold it.
    """

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


def failure(error: Exception) -> Response:
    """The answer to a request that did not get as far as the application."""
    if isinstance(error, StorageError):
        logger.error("The database could not be used for a request", exc_info=error)
    if isinstance(error, SupercompatError):
        return unavailable(error)
    logger.error("A request could not be carried out", exc_info=error)
    return refusal(internal_error())


def closed() -> ClosedError:
    return ClosedError("The client was closed.")


def broken_off() -> bytes:
    """The last frame of a stream whose client was closed while it was read."""
    body = RequestError(str(closed()), status=500, type="server_error").body()
    return AssistantEvent("error", body).encode()
