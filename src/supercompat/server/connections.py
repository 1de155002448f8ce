"""Connections of uvicorn's, which can be broken off: by a limit of time that it lacks, and when the server stops."""

import asyncio
from typing import ClassVar
from weakref import WeakSet

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """A connection whose requests have to begin with a whole head within the seconds for which an idle one is kept
    (`timeout_keep_alive`): one that sends a byte now and then would else be there for ever."""

    alive: ClassVar[WeakSet["Connection"]] = WeakSet()

    _until: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.alive.add(self)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._await_nothing()

    def _await_head(self) -> None:
        if self.cycle and not self.cycle.response_complete:
            self._await_nothing()
        elif self._until is None:
            self._until = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _await_nothing(self) -> None:
        if self._until is not None:
            self._until.cancel()
            self._until = None


def break_off_all() -> None:
    """Close all connections of this process at once, whatever was not sent yet."""
    for connection in list(Connection.alive):
        connection.transport.abort()
