"""The run adapter for every provider that answers chat completions."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from supercompat.client_adapters.base import Connection
from supercompat.engine.driver import Driver
from supercompat.model.events import ModelEvent
from supercompat.model.request import ModelRequest


class CompletionsRunAdapter:
    """Carries out each pass of a run as one streamed chat completion."""

    def driver(self, connection: Connection) -> Driver:
        return _CompletionsDriver(connection)


class _CompletionsDriver:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def context_window(self, model: str) -> int:
        return self._connection.context_window(model)

    def drive(self, request: ModelRequest) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        return self._connection.stream(request)
