"""A provider whose answers a test scripts, and the API in front of it over HTTP."""

import logging
import queue
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import openai
import pytest

from supercompat import OpenAIClientAdapter, Options, ServerOptions, SQLAlchemyStorageAdapter, asgi_app
from supercompat.testing import ScriptedServer
from tests.contract.conversations import DEADLINE
from tests.server.serving import served

Serve: TypeAlias = Callable[..., str]
Connect: TypeAlias = Callable[..., openai.OpenAI]


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def make_app(provider: ScriptedServer, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Makes ASGI applications on one SQLite file; settings are those of `ServerOptions`, or `options`."""
    with openai.OpenAI(base_url=provider.base_url, api_key="test-key", max_retries=0) as answering:

        def make(options: Options | None = None, **settings: Any) -> Any:
            return asgi_app(
                client=OpenAIClientAdapter(answering),
                storage=SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'served.db'}"),
                options=options or Options(drain=0),
                server=ServerOptions(**settings),
            )

        yield make


@pytest.fixture
def serve(make_app: Callable[..., Any]) -> Iterator[Serve]:
    """Serves such an application, and tells the root URL."""
    with ExitStack() as stack:
        yield lambda *args, **settings: stack.enter_context(served(make_app(*args, **settings)))


@pytest.fixture
def url(serve: Serve) -> str:
    return serve()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients of a server, given its root URL."""
    with ExitStack() as stack:

        def make(root: str, **given: Any) -> openai.OpenAI:
            settings: dict[str, Any] = {"base_url": f"{root}/v1", "api_key": "any", "max_retries": 0, **given}
            return stack.enter_context(openai.OpenAI(**settings))

        yield make


@pytest.fixture
def client(url: str, connect: Connect) -> openai.OpenAI:
    return connect(url)


class Lines(logging.Handler):
    """The lines of the access log. One is written after its answer was sent: who has the answer has to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: queue.Queue[str] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.put(record.getMessage())

    def next(self, beginning: str = "") -> str:
        """The next one that begins so; those before it are left out."""
        while not (line := self._lines.get(timeout=DEADLINE)).startswith(beginning):
            pass
        return line


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Lines]:
    caplog.set_level(logging.DEBUG, logger="supercompat")
    handler, logger = Lines(), logging.getLogger("supercompat.access")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
