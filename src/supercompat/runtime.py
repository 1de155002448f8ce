"""The composition root: puts the layers together and starts them."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from supercompat.api.application import Application
from supercompat.api.exchange import Request, Response
from supercompat.api.routes import Services
from supercompat.client_adapters.base import Connection
from supercompat.client_adapters.router import ModelRouter
from supercompat.engine.job import WRITE_TIMEOUT
from supercompat.engine.supervisor import Supervisor, settled
from supercompat.options import Options
from supercompat.run_adapters.base import RunAdapter
from supercompat.services.assistants import Assistants
from supercompat.services.chat import Chat
from supercompat.services.context import Contexts
from supercompat.services.core import Core
from supercompat.services.events import Events
from supercompat.services.messages import Messages
from supercompat.services.runs import Runs
from supercompat.services.steps import Steps
from supercompat.services.threads import Threads
from supercompat.storage_adapters.protocol import StorageAdapter, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """What the user chose."""

    client: ModelRouter
    storage: StorageAdapter
    run_adapter: RunAdapter
    options: Options = field(default_factory=Options)


class Runtime:
    """A composition at work on one event loop. Made by `start`."""

    def __init__(
        self, application: Application, supervisor: Supervisor, store: Store, connection: Connection
    ) -> None:
        self._application = application
        self._supervisor = supervisor
        self._store = store
        self._connection = connection
        self._requests: set[asyncio.Task[Any]] = set()
        self._drain = 0.0
        self._end_of_loop = self._until_the_loop_ends()

    @property
    def owner(self) -> str:
        """The id under which this runtime owns runs."""
        return self._supervisor.owner

    async def start(self, orphans_of: Sequence[str]) -> None:
        """Take over the runs that nobody owns.

        Raises:
            StorageError
        """
        await anext(self._end_of_loop)
        await self._supervisor.start(orphans_of)

    async def handle(self, request: Request) -> Response:
        """Answer a request. To be run as a task of its own, which `close` ends if it takes too long."""
        task = asyncio.current_task()
        assert task is not None
        self._requests.add(task)
        try:
            return await self._application.handle(request)
        finally:
            self._requests.discard(task)

    async def close(self, drain: float) -> None:
        """Wait `drain` seconds for running runs and requests, hand over the rest, close all that was opened.

        Idempotent.
        """
        self._drain = drain
        await self._end_of_loop.aclose()

    def abandon(self) -> None:
        """Let go of the store of a runtime whose event loop is gone."""
        self._store.abandon()

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        """What closing does, in the order of the last lines.

        A loop that ends closes the asynchronous generators that were begun on it. This one was, and so is told
        without a task that would be pending for ever.
        """
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._store.aclose)
            stack.push_async_callback(self._connection.aclose)
            stack.push_async_callback(self._supervisor.close)
            stack.push_async_callback(self._end_requests)
            try:
                yield
            finally:
                await settled([*self._requests, *self._supervisor.tasks()], self._drain)

    async def _end_requests(self) -> None:
        requests = list(self._requests)
        for request in requests:
            request.cancel()
        await settled(requests, WRITE_TIMEOUT)


async def start(composition: Composition, *, own_pool: bool, orphans_of: Sequence[str] = ()) -> Runtime:
    """Start on the running event loop, and take over the runs that nobody owns.

    Args:
        own_pool: as for `ClientAdapter.connect`.
        orphans_of: owners that are known to be gone.

    Raises:
        StorageError
    """
    store = composition.storage.open(own_pool=own_pool)
    connection = composition.client.connect(own_pool=own_pool)
    supervisor = Supervisor(
        store=store,
        driver=composition.run_adapter.driver(connection),
        options=composition.options,
    )
    core = Core(store, supervisor, composition.options, composition.client.serves)
    application = Application(_services(core, connection), strict=composition.options.strict)
    runtime = Runtime(application, supervisor, store, connection)
    try:
        await runtime.start(orphans_of)
    except BaseException:
        await runtime.close(drain=0)
        raise
    return runtime


def _services(core: Core, connection: Connection) -> Services:
    return Services(
        assistants=Assistants(core),
        threads=Threads(core),
        messages=Messages(core),
        runs=Runs(core),
        steps=Steps(core),
        contexts=Contexts(core),
        events=Events(core),
        chat=Chat(connection),
    )
