"""One process that serves: what uvicorn calls in each of them."""

import asyncio
import logging
import multiprocessing
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from starlette.applications import Starlette

from supercompat.server.asgi import Stop, application
from supercompat.server.connections import break_off_all
from supercompat.server.doors import Doors
from supercompat.server.project_doors import ProjectDoors
from supercompat.server.providers import Providers
from supercompat.server.settings import Configuration, run_adapter_of, storage_of
from supercompat.transport.sdk import compose

#: Seconds for the end of streams to be read, after the end of the runs.
LAST_WORDS = 2.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """Makes the application of a process. It is sent to the processes that are started, without any key in it."""

    configuration: Configuration

    def __call__(self) -> Starlette:
        configuration = self.configuration
        serving = configuration.serving
        providers = Providers(configuration.providers)
        composition = compose(
            providers.routes(serving.routes, serving.provider),
            storage_of(configuration),
            run_adapter_of(configuration),
            serving.models,
            configuration.options,
        )
        doors = ProjectDoors(composition, host=serving.host, origins=configuration.server.cors_origins)

        @asynccontextmanager
        async def around(stop: Stop) -> AsyncIterator[None]:
            await _begin(doors)
            _stop_by_signal(stop)
            _stop_with_parent()
            yield
            await providers.aclose()

        return application(doors, configuration.server, around=around)


async def _begin(doors: Doors) -> None:
    """Take over the runs that nobody carries out, before anybody asks for anything."""
    if not await doors.probe():
        logger.warning("The database can't be used yet; see /readyz")


def _stop_by_signal(stop: Stop) -> None:
    """Wait for running runs from the moment of the signal on, beside uvicorn, which waits for connections: until
    everybody has read all that there is, or takes nothing more. A second Ctrl-C hands the runs over at once; a second
    SIGTERM does not, since service managers send it to a worker beside the process that started it."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    previous: dict[int, Any] = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    seen: list[int] = []

    def begin() -> None:
        stop().add_done_callback(lambda _: loop.call_later(LAST_WORDS, break_off_all))

    def handle(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if seen.count(signal.SIGINT) == 2 and number == signal.SIGINT:
            loop.call_soon_threadsafe(lambda: stop().cancel())
            return
        loop.call_soon_threadsafe(begin)
        previous[number](number, frame)

    for number in previous:
        signal.signal(number, handle)
    # A terminal that was closed. Whoever ignores that, as nohup does, goes on.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda number, frame: signal.raise_signal(signal.SIGTERM))


def _stop_with_parent() -> None:
    """End, as by a signal, when the process that started this one is gone: it would keep the port for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop = asyncio.get_running_loop()

    def watch() -> None:
        parent.join()
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(signal.raise_signal, signal.SIGTERM)

    threading.Thread(target=watch, name="supercompat parent", daemon=True).start()
