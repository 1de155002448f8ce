"""What the engine asks of a run adapter."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from supercompat.model.events import ModelEvent
from supercompat.model.request import ModelRequest


class Driver(Protocol):
    """Carries out one pass of a run: asks the model, and says what it answers."""

    def drive(self, request: ModelRequest) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        """Open the pass. Leaving the context ends it at once and closes the provider's stream.

        Raises:
            ProviderError: on entry or while iterating.
        """
        ...
