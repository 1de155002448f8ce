"""What the engine asks of a run adapter."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from supercompat.model.events import ModelEvent
from supercompat.model.request import ModelRequest


class Driver(Protocol):
    """Carries out one pass of a run: asks the model, and says what it answers."""

    def context_window(self, model: str) -> int:
        """How many tokens the model that runs ask for by this name takes, prompt and answer together."""
        ...

    def drive(self, request: ModelRequest) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        """Open the pass. Leaving the context ends it at once and closes the provider's stream.

        Raises:
            ProviderError: on entry or while iterating.
        """
        ...
