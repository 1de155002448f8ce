"""What looks like several processes on one database: clients on event loops of their own, which can stand still."""

import threading
from collections.abc import Callable
from typing import Any

from anyio.from_thread import start_blocking_portal
from openai import OpenAI

from supercompat import Options, async_supercompat
from supercompat.storage_adapters.protocol import StorageAdapter
from supercompat.testing import ScriptedModel
from tests.contract.blocking import Blocking
from tests.contract.conversations import DEADLINE


class Process:
    """A client that can be made to stand still, as a process that is paused, or, for all others, killed.

    Attributes:
        client: must not be used while it stands still.
    """

    def __init__(self, storage: StorageAdapter, model: ScriptedModel, options: Options) -> None:
        self._context = start_blocking_portal("asyncio")
        self._portal = self._context.__enter__()
        self._woken = threading.Event()
        asynchronous = async_supercompat(client=model, storage=storage, options=options)
        blocking: Any = Blocking(asynchronous, self._portal)
        self.client: OpenAI = blocking
        # A client starts with its first request.
        assert self.client.beta.assistants.list().data is not None

    def freeze(self) -> None:
        """Nothing goes on any more."""
        stands = threading.Event()
        self._woken.clear()

        def stand_still() -> None:
            stands.set()
            self._woken.wait()

        self._portal.start_task_soon(stand_still)
        assert stands.wait(DEADLINE)

    def wake(self) -> None:
        """All goes on as if no time had passed."""
        self._woken.set()

    def close(self) -> None:
        self.wake()
        self.client.close()
        self._context.__exit__(None, None, None)


MakeProcess = Callable[..., Process]
