"""Processes with one client each, which do what another process asks for: see `tests.processes.workers`.

They are forks of one process that has imported everything and used nothing, which saves a second each. A worker
connects to its asker and says its number. The settings come as the first line, then one call of the client a line;
results go back as they come. A line is a pickled value in base64. When no more can come, the client is closed.
"""

import asyncio
import base64
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import reduce
from importlib import import_module
from operator import attrgetter
from typing import Any, Literal, TextIO, TypeVar, cast

import openai
from openai.pagination import SyncCursorPage, SyncPage

from supercompat import (
    OpenAIClientAdapter,
    Options,
    PrismaStorageAdapter,
    ResponsesRunAdapter,
    SQLAlchemyStorageAdapter,
    supercompat,
)
from supercompat.storage_adapters.protocol import PageQuery, StorageAdapter, Store, Transaction

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What the client is made of.

    Args:
        provider: base URL of the model's server.
        database: URL of the database.
        options: those of `Options`.
        hold_at: once a run is stored with this status, no further transaction of this process begins.
        in_transaction: instead the whole process stands still, before that transaction is committed.
        background: the provider goes on with an answer when the process dies.
    """

    provider: str
    database: str
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    hold_at: Literal["queued", "cancelling"] | None = None
    in_transaction: bool = False
    background: bool = False


def storage_at(database: str) -> StorageAdapter:
    """The storage of a URL; one with a schema is as Prisma has it."""
    return PrismaStorageAdapter(database) if "schema=" in database else SQLAlchemyStorageAdapter(database)


@dataclass(frozen=True)
class Call:
    """One call of the client: `path` leads from it to the method."""

    number: int
    path: tuple[str, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What became of a call: a value, or words about what was raised and its HTTP status."""

    number: int
    value: Any = None
    problem: str | None = None
    status: int | None = None


#: Said in place of a result: when the process holds, when it is about to close its client, and when it has done so.
HELD = "held"
CLOSING = "closing"
CLOSED = "closed"


def encoded(value: object) -> str:
    return base64.b64encode(pickle.dumps(value)).decode()


def decoded(line: str) -> Any:
    return pickle.loads(base64.b64decode(line))


class Holding:
    """A storage that holds at a status: see `Settings`."""

    def __init__(self, storage: StorageAdapter, settings: Settings, tell: Callable[[], None]) -> None:
        self._storage = storage
        self.status = settings.hold_at
        self.in_transaction = settings.in_transaction
        self.tell = tell
        self.holds = False

    def open(self, **settings: Any) -> Store:
        store: Any = _HoldingStore(self._storage.open(**settings), self)
        return store


class _HoldingStore:
    def __init__(self, store: Store, holding: Holding) -> None:
        self._store = store
        self._holding = holding

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def transact(self, work: Callable[[Transaction], T], *, urgent: bool = False) -> T:
        def watched(tx: Transaction) -> tuple[T, bool]:
            done = work(tx)
            runs = tx.runs.page(PageQuery(limit=None)).rows
            is_there = any(row.object.status == self._holding.status for row in runs)
            if is_there and self._holding.in_transaction:
                self._holding.tell()
                threading.Event().wait()
            return done, is_there

        if self._holding.holds:
            await asyncio.Event().wait()
        done, is_there = await self._store.transact(watched, urgent=urgent)
        if is_there:
            self._holding.holds = True
            self._holding.tell()
            await asyncio.Event().wait()
        return done


class Worker:
    """Carries out calls, each in a thread of its own."""

    def __init__(self, settings: Settings, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self.provider = openai.OpenAI(base_url=settings.provider, api_key="test-key", max_retries=0)
        storage: StorageAdapter = storage_at(settings.database)
        if settings.hold_at:
            storage = Holding(storage, settings, lambda: self.say(HELD))
        given: dict[str, Any] = {"drain": 0, **settings.options}
        self.client = supercompat(
            client=OpenAIClientAdapter(self.provider),
            storage=storage,
            run_adapter=ResponsesRunAdapter(background=True) if settings.background else None,
            options=Options(**given),
            timeout=600,
        )

    def begin(self, call: Call) -> None:
        threading.Thread(target=lambda: self.say(self._carry_out(call)), daemon=True).start()

    def _carry_out(self, call: Call) -> Result:
        try:
            method: Any = reduce(getattr, call.path, self.client)
            return Result(call.number, _portable(method(*call.args, **call.kwargs)))
        except openai.APIStatusError as error:
            return Result(call.number, problem=str(error), status=error.status_code)
        except Exception as error:
            return Result(call.number, problem=repr(error))

    def say(self, value: object) -> None:
        with self._lock:
            self._out.write(encoded(value) + "\n")
            self._out.flush()


def _portable(value: Any) -> Any:
    """Pages and streams as lists: they hold the client."""
    is_many = isinstance(value, openai.Stream | SyncPage | SyncCursorPage)
    return list(cast(Iterable[Any], value)) if is_many else value


def work(port: int) -> None:
    """Do what whoever listens there asks for."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        asked, out = connection.makefile("r"), connection.makefile("w")
        out.write(f"{os.getpid()}\n")
        out.flush()
        if not (settings := asked.readline()):
            return
        worker = Worker(decoded(settings), out)
        for line in asked:
            worker.begin(decoded(line))
        worker.say(CLOSING)
        worker.client.close()
        worker.provider.close()
        worker.say(CLOSED)


#: What a worker would import when it is first used.
LATE = (
    "anyio._backends._asyncio",
    "anyio.streams.tls",
    "openai.resources.beta",
    "supercompat.storage_adapters.sql.postgresql",
    "supercompat.storage_adapters.sql.postgresql_runs",
    "supercompat.storage_adapters.sql.sqlite",
)


def main() -> None:
    """Fork a worker for each line of standard input: the port on which it is waited for. In the end all are killed."""
    _import()
    workers: set[int] = set()
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            work(int(line))
            return
        workers.add(pid)
        workers -= _ended(workers)
    for pid in workers - _ended(workers):
        os.kill(pid, signal.SIGKILL)


def _import() -> None:
    for module in LATE:
        import_module(module)
    with openai.OpenAI(api_key="test-key") as client:
        # The SDK imports each resource when it is looked at.
        for path in (
            "chat.completions",
            "beta.assistants",
            "beta.threads.messages",
            "beta.threads.runs.steps",
        ):
            attrgetter(path)(client)


def _ended(workers: set[int]) -> set[int]:
    return {pid for pid in workers if os.waitpid(pid, os.WNOHANG)[0]}
