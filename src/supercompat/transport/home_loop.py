"""An event loop on a daemon thread of ours, for callers that have none."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from supercompat.errors import ClosedError

T = TypeVar("T")


class HomeLoop:
    """Starts with its construction, ends with `stop`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="supercompat-loop", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine there; the result can be waited for here.

        Raises:
            ClosedError: the loop has ended, or is about to.
        """
        # What is submitted before the loop is told to stop still becomes a task, and so is ended with the others.
        with self._lock:
            if not self._stopping:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise ClosedError("The client was closed.")

    def call(self, *args: Any) -> None:
        """Call a function there, soon: `call(function, *arguments)`. Nothing happens once the loop has ended."""
        try:
            self._loop.call_soon_threadsafe(*args)
        except RuntimeError:
            return

    def stop(self) -> None:
        """End the loop: what still runs there is cancelled, the thread ends. Waits for it."""
        with self._lock:
            self._stopping = True
        self.call(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            # Named, never the thread's current loop: an SDK's finalizer that runs in this thread may unset that.
            self._loop.run_until_complete(_cancel_all())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
