"""The run adapter for every provider that answers chat completions."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from supercompat.client_adapters.base import ClientAdapter, Connection
from supercompat.engine.driver import Driver
from supercompat.errors import ProviderError
from supercompat.model.events import ModelEvent
from supercompat.model.request import ModelRequest


class CompletionsRunAdapter:
    """Carries out each pass of a run as one streamed chat completion."""

    def check(self, adapters: Mapping[str, ClientAdapter]) -> None:
        """Every client adapter will do."""

    def driver(self, connection: Connection) -> Driver:
        return _CompletionsDriver(connection)


class _CompletionsDriver:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def context_window(self, model: str) -> int:
        return self._connection.context_window(model)

    def drive(self, request: ModelRequest) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        if request.hosted_tools:
            kinds = ", ".join(tool.kind for tool in request.hosted_tools)
            raise ProviderError(
                f'Hosted tools ({kinds}) need ResponsesRunAdapter(), of a server run_adapter = "responses".',
                code="invalid_prompt",
            )
        return self._connection.stream(request)

    def hosted_tools(self, model: str | None) -> frozenset[str]:
        return frozenset()

    def can_resume(self, model: str, handle: Mapping[str, Any]) -> bool:
        return False

    def resume(
        self, request: ModelRequest, handle: Mapping[str, Any]
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        raise AssertionError("chat completions are never picked up again")

    async def cancel(self, model: str, handle: Mapping[str, Any]) -> None:
        """Nothing goes on without us."""
