"""Several processes on one database: SQLite's file, and PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, Literal

import openai
import pytest
from openai import OpenAI

from supercompat import OpenAIClientAdapter, Options, ResponsesRunAdapter, supercompat
from supercompat.testing import ScriptedServer
from tests.processes.worker import Settings, storage_at
from tests.processes.workers import PATIENCE, Nursery, Worker

#: Seconds for which a process that died still counts as alive, in most of these tests.
LEASE = 1.5

Endings = list[tuple[str, float, str]]
ENDINGS = pytest.StashKey[Endings]()


def until(condition: Callable[[], object]) -> None:
    """Returns when the condition holds.

    Raises:
        AssertionError: it does not for a long time.
    """
    deadline, never = monotonic() + PATIENCE, Event()
    while not condition():
        assert monotonic() < deadline, "What was waited for did not happen"
        never.wait(0.02)


class Scene:
    """A provider, a database, and the processes that use them.

    Attributes:
        options: those of `Options` that every process gets unless it is told others.
    """

    def __init__(self, provider: ScriptedServer, database: str, nursery: Nursery, stack: ExitStack) -> None:
        self.provider = provider
        self._database = database
        self._nursery = nursery
        self._stack = stack
        self.options: dict[str, Any] = {"lease": LEASE, "drain": 0}

    def worker(
        self,
        *,
        hold_at: Literal["queued", "cancelling"] | None = None,
        in_transaction: bool = False,
        background: bool = False,
        **options: Any,
    ) -> Worker:
        """Another process with a client; options are those of `Options`, the rest as for `Settings`."""
        given = {**self.options, **options}
        settings = Settings(
            self.provider.base_url, self._database, given, hold_at, in_transaction, background
        )
        worker = self._nursery.take(settings)
        self._stack.callback(worker.close)
        return worker

    def client(self, *, background: bool = False, **options: Any) -> OpenAI:
        """A client of this process, in use."""
        inner = openai.OpenAI(base_url=self.provider.base_url, api_key="test-key", max_retries=0)
        self._stack.callback(inner.close)
        client = supercompat(
            client=OpenAIClientAdapter(inner),
            storage=storage_at(self._database),
            run_adapter=ResponsesRunAdapter(background=True) if background else None,
            options=Options(**{**self.options, **options}),
        )
        self._stack.callback(client.close)
        client.beta.assistants.list()
        return client


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    if request.param == "prisma":
        return f"{request.getfixturevalue('make_prisma_url')('uuid')}?schema=public"
    return f"sqlite:///{tmp_path / 'assistants.db'}"


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def scene(provider: ScriptedServer, database: str, nursery: Nursery) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(provider, database, nursery, stack)


@pytest.fixture(scope="session")
def endings(pytestconfig: pytest.Config) -> Endings:
    """What was killed, how many seconds later it had ended, and as what: told at the end of the session."""
    return pytestconfig.stash.setdefault(ENDINGS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if endings := config.stash.get(ENDINGS, None):
        terminalreporter.section("killed processes")
        for what, seconds, how in endings:
            terminalreporter.write_line(f"{what:<70} {seconds:5.2f} s  {how}")
