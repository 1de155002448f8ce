"""What the engine asks of a run adapter."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from supercompat.model.events import ModelEvent
from supercompat.model.request import ModelRequest


class Driver(Protocol):
    """Carries out one pass of a run: asks the model, and says what it answers."""

    def context_window(self, model: str) -> int:
        """How many tokens the model that runs ask for by this name takes, prompt and answer together."""
        ...

    def hosted_tools(self, model: str | None) -> frozenset[str]:
        """The tools, by their `type`, that are carried out for the model that runs ask for by this name; for None,
        for any model."""
        ...

    def can_resume(self, model: str, handle: Mapping[str, Any]) -> bool:
        """Whether what goes on under this handle, of a `BackgroundStarted`, can be picked up. Asks nobody."""
        ...

    def resume(
        self, request: ModelRequest, handle: Mapping[str, Any]
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        """As `drive`, for an answer that goes on: all its events from the first. The request has no turns."""
        ...

    async def cancel(self, model: str, handle: Mapping[str, Any]) -> None:
        """End what goes on under this handle.

        Raises:
            ProviderError
        """
        ...

    def drive(self, request: ModelRequest) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        """Open the pass. Leaving the context ends it at once and closes the provider's stream.

        Raises:
            ProviderError: on entry or while iterating.
        """
        ...
