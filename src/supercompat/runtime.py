"""The composition root: puts the layers together and starts them."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import anyio

from supercompat.api.application import Application, unavailable
from supercompat.api.exchange import Request, Response
from supercompat.api.routes import Services
from supercompat.client_adapters.base import Connection
from supercompat.client_adapters.router import ModelRouter
from supercompat.engine.job import WRITE_TIMEOUT
from supercompat.engine.presence import Presence
from supercompat.engine.supervisor import LOOK, Supervisor, presence_for, settled
from supercompat.engine.timer import Timer
from supercompat.errors import ClosedError
from supercompat.options import Options
from supercompat.run_adapters.base import RunAdapter
from supercompat.services.assistants import Assistants
from supercompat.services.chat import Chat
from supercompat.services.context import Contexts
from supercompat.services.core import Core
from supercompat.services.events import Events
from supercompat.services.images import Images
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
    """A composition at work on one event loop, for one project. Made by `start`, or by `Projects`.

    Args:
        connection: closed with this; None if it is somebody else's.
    """

    def __init__(
        self, application: Application, supervisor: Supervisor, store: Store, connection: Connection | None
    ) -> None:
        self._application = application
        self._supervisor = supervisor
        self._store = store
        self._connection = connection
        self._requests: dict[asyncio.Task[Any], anyio.CancelScope] = {}
        self._has_ended_requests = False
        self._drain = 0.0
        self._closing: asyncio.Task[None] | None = None
        self._is_loop_ending = False
        self._end_of_loop = self._until_the_loop_ends()

    @property
    def owner(self) -> str:
        """The id under which this runtime owns runs."""
        return self._supervisor.owner

    async def begin(self) -> None:
        """Be ready for requests, and for the end of the loop. Nothing is looked for, nobody is asked."""
        await anext(self._end_of_loop)

    async def start(self, orphans_of: Sequence[str]) -> None:
        """Begin, and take over the runs that nobody owns, now and again and again.

        Raises:
            StorageError
        """
        await self.begin()
        await self._supervisor.start(orphans_of)

    async def take_over(self) -> None:
        """Take over the runs that nobody owns, once.

        Raises:
            StorageError
        """
        await self._supervisor.take_over()

    async def handle(self, request: Request) -> Response:
        """Answer a request, in a task of its own. `close` breaks it off if it takes too long, and those that come after
        that, as when their door was closed at this moment: a run that they began then would be left behind.
        """
        task = asyncio.current_task()
        assert task is not None
        # Not by a cancellation of the task: what is in a shielded scope comes to its end.
        with anyio.CancelScope() as scope:
            self._requests[task] = scope
            try:
                if not self._has_ended_requests:
                    return await self._application.handle(request)
            finally:
                del self._requests[task]
        return unavailable(ClosedError("The client was closed."))

    async def close(self, drain: float) -> None:
        """Wait `drain` seconds for running runs and requests, hand over the rest, close all that was opened.

        Idempotent. Who is cancelled meanwhile cuts the drain short, not what follows it.
        """
        self._drain = drain
        await self._closed()
        if not self._is_loop_ending:
            await self._end_of_loop.aclose()

    def abandon(self) -> None:
        """Let go of the store of a runtime whose event loop is gone."""
        self._store.abandon()

    async def _until_the_loop_ends(self) -> AsyncGenerator[None, None]:
        """A loop that ends closes the asynchronous generators that were begun on it. This one was, and so is told
        without a task that would be pending for ever."""
        try:
            yield
        finally:
            self._is_loop_ending = True
            await self._closed()

    async def _closed(self) -> None:
        # A client can be forgotten while its loop ends: who comes second waits for what the first one began.
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        if not self._closing.done():
            await self._closing

    async def _close(self) -> None:
        """What closing does, in the order of the last lines."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._store.aclose)
            if self._connection is not None:
                stack.push_async_callback(self._connection.aclose)
            stack.push_async_callback(self._supervisor.close)
            stack.push_async_callback(self._end_requests)
            await settled([*self._requests, *self._supervisor.tasks()], self._drain)

    async def _end_requests(self) -> None:
        self._has_ended_requests = True
        requests = dict(self._requests)
        for scope in requests.values():
            scope.cancel()
        await settled([*requests], WRITE_TIMEOUT)


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
    application, supervisor = _compose(composition, store, connection)
    runtime = Runtime(application, supervisor, store, connection)
    try:
        await runtime.start(orphans_of)
    except BaseException:
        await runtime.close(drain=0)
        raise
    return runtime


class Projects:
    """A composition at work for many projects, on one event loop: a runtime for each that is asked for, or has runs
    to be taken over. They share the connections of the storage, and that to the provider.

    A project that nobody asks for costs nothing: one look finds the runs that nobody carries out, of all projects.
    """

    def __init__(self, composition: Composition) -> None:
        lease = composition.options.lease
        self._composition = composition
        self._runtimes: dict[str, Runtime] = {}
        self._presence = presence_for(lease)
        self._store = composition.storage.open()
        self._connection = composition.client.connect(own_pool=False)
        self._reaper = Timer("supercompat reaper", lease * LOOK, self._take_over)
        self._is_closing = False

    @property
    def store(self) -> Store:
        """For what belongs to no project. Closed with this."""
        return self._store

    def start(self) -> None:
        """Take over the runs that nobody owns, of all projects, from now on. A database that is away is waited for."""
        if self._store.durable:
            self._reaper.start()
            self._reaper.hurry()

    async def runtime(self, project: str) -> Runtime:
        """The runtime that answers for a project.

        Raises:
            ClosedError
        """
        runtime = self._runtimes.get(project)
        if runtime is None:
            if self._is_closing:
                raise ClosedError("The server was closed.")
            store = self._composition.storage.open(project=project)
            application, supervisor = _compose(self._composition, store, self._connection, self._presence)
            runtime = self._runtimes[project] = Runtime(application, supervisor, store, connection=None)
            await runtime.begin()
        return runtime

    async def close(self, drain: float) -> None:
        """Wait `drain` seconds for running runs and requests, hand over the rest, close all that was opened."""
        if self._is_closing:
            return
        self._is_closing = True
        self._reaper.stop()
        if self._reaper.task is not None:
            await settled([self._reaper.task], WRITE_TIMEOUT)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._store.aclose)
            stack.push_async_callback(self._connection.aclose)
            await asyncio.gather(*(runtime.close(drain) for runtime in self._runtimes.values()))

    async def _take_over(self) -> None:
        now = self._composition.options.clock.now()
        projects = await self._store.transact(lambda tx: tx.runs.left_behind(now), urgent=True)
        self._presence.seen()
        failures: list[Exception] = []
        for project in projects:
            if self._is_closing:
                break
            try:
                await (await self.runtime(project)).take_over()
            except Exception as error:
                # What is wrong may be this project's alone.
                failures.append(error)
        if failures:
            raise failures[0]


def _compose(
    composition: Composition, store: Store, connection: Connection, presence: Presence | None = None
) -> tuple[Application, Supervisor]:
    supervisor = Supervisor(
        store=store,
        driver=composition.run_adapter.driver(connection),
        options=composition.options,
        presence=presence,
    )
    core = Core(store, supervisor, composition.options, composition.client.serves)
    return Application(_services(core, connection), strict=composition.options.strict), supervisor


def _services(core: Core, connection: Connection) -> Services:
    return Services(
        assistants=Assistants(core),
        threads=Threads(core),
        messages=Messages(core),
        runs=Runs(core),
        steps=Steps(core),
        contexts=Contexts(core),
        events=Events(core),
        images=Images(core),
        chat=Chat(connection),
    )
