"""The composition root: puts the layers together and starts them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from supercompat.api.application import Application
from supercompat.api.routes import Services
from supercompat.client_adapters.base import Connection
from supercompat.client_adapters.router import ModelRouter
from supercompat.engine.clock import Clock, SystemClock
from supercompat.engine.supervisor import Supervisor
from supercompat.options import Options
from supercompat.run_adapters.base import RunAdapter
from supercompat.services.assistants import Assistants
from supercompat.services.chat import Chat
from supercompat.services.core import Core
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
    clock: Clock = field(default_factory=SystemClock)


class Runtime:
    """A composition at work on one event loop. Made by `start`."""

    def __init__(
        self, application: Application, supervisor: Supervisor, store: Store, connection: Connection
    ) -> None:
        self.application = application
        self._supervisor = supervisor
        self._store = store
        self._connection = connection

    @property
    def owner(self) -> str:
        """The id under which this runtime owns runs."""
        return self._supervisor.owner

    async def close(self, drain: float) -> None:
        """Wait `drain` seconds for running runs, hand over the rest, close all that was opened."""
        await self._supervisor.close(drain)
        await self._connection.aclose()
        self._store.close()

    def abandon(self) -> None:
        """Let go of the store of a runtime whose event loop is gone."""
        self._store.close()


async def start(composition: Composition, *, own_pool: bool, orphans_of: Sequence[str] = ()) -> Runtime:
    """Start on the running event loop, and take over the runs that nobody owns.

    Args:
        own_pool: as for `ClientAdapter.connect`.
        orphans_of: owners that are known to be gone.

    Raises:
        StorageError
    """
    connection = composition.client.connect(own_pool=own_pool)
    store = composition.storage.open()
    supervisor = Supervisor(
        store=store,
        driver=composition.run_adapter.driver(connection),
        clock=composition.clock,
        options=composition.options,
    )
    core = Core(store, supervisor, composition.clock, composition.options, composition.client.serves)
    application = Application(_services(core, connection))
    runtime = Runtime(application, supervisor, store, connection)
    try:
        await supervisor.take_over(orphans_of)
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
        chat=Chat(connection),
    )
