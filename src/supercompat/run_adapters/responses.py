"""The run adapter for providers with the Responses API."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from supercompat.client_adapters.base import (
    ClientAdapter,
    Connection,
    Responses,
    ResponsesClientAdapter,
    ResponsesConnection,
)
from supercompat.engine.driver import Driver
from supercompat.errors import ConfigurationError
from supercompat.model.events import ModelEvent
from supercompat.model.request import ModelRequest


class ResponsesRunAdapter:
    """Carries out each pass of a run as one streamed response, whose hosted tools run at the provider.

    The thread stays ours: the first pass of a run sends what it needs of it.

    Args:
        store: whether the provider keeps its answers for the time of a run: then a round of tools sends the outputs
            alone, and goes on by `previous_response_id`. Otherwise all is sent again, with the provider's own items
            and its encrypted reasoning. By default what the provider does anyway: OpenAI and Azure keep answers.
        background: whether the provider goes on with an answer when this process dies. Whoever takes the run over
            picks the answer up again. The provider has to keep it for that.

    Raises:
        ConfigurationError: `background` without `store`.
    """

    def __init__(self, *, store: bool | None = None, background: bool = False) -> None:
        if background and store is False:
            raise ConfigurationError(
                "ResponsesRunAdapter(background=True) needs the provider to keep its answers: store=False forbids it."
            )
        self._store = True if background else store
        self._background = background

    def check(self, adapters: Mapping[str, ClientAdapter]) -> None:
        """Refuse providers without the Responses API.

        Raises:
            ConfigurationError
        """
        for pattern, adapter in adapters.items():
            name = type(adapter).__name__
            if not isinstance(adapter, ResponsesClientAdapter):
                raise ConfigurationError(
                    f"{name}, for the models '{pattern}', has no Responses API: use CompletionsRunAdapter() with it, "
                    'of a server the setting run_adapter = "completions".'
                )
            if self._store and not adapter.responses.can_store:
                option = "background" if self._background else "store"
                raise ConfigurationError(
                    f"The provider of {name}, for the models '{pattern}', keeps no answers: {option} can't be on."
                )

    def driver(self, connection: Connection) -> Driver:
        assert isinstance(connection, ResponsesConnection), "the adapters were not checked"
        return _ResponsesDriver(
            connection, connection.responses, store=self._store, background=self._background
        )


class _ResponsesDriver:
    def __init__(
        self, connection: Connection, responses: Responses, *, store: bool | None, background: bool
    ) -> None:
        self._connection = connection
        self._responses = responses
        self._store = store
        self._background = background

    def context_window(self, model: str) -> int:
        return self._connection.context_window(model)

    def hosted_tools(self, model: str | None) -> frozenset[str]:
        return self._responses.hosted_tools(model)

    def drive(self, request: ModelRequest) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        return self._responses.answer(request, store=self._store, background=self._background)

    def can_resume(self, model: str, handle: Mapping[str, Any]) -> bool:
        return self._responses.can_resume(model, handle)

    def resume(
        self, request: ModelRequest, handle: Mapping[str, Any]
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        return self._responses.answer(request, store=True, background=True, handle=handle)

    async def cancel(self, model: str, handle: Mapping[str, Any]) -> None:
        await self._responses.cancel(model, handle)
