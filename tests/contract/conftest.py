"""Every combination of door, kind of provider client and storage that the contract is tested on.

A test asks for `client`. It runs on the first combination; with the marker `core`, on all of them. The rest of the
product is marked as slow, so that `make test-all` has it and `make test` has not.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import openai
import pytest
from anyio.from_thread import start_blocking_portal
from openai import OpenAI

from supercompat import (
    MemoryStorageAdapter,
    OpenAIClientAdapter,
    Options,
    SQLAlchemyStorageAdapter,
    async_supercompat,
    supercompat,
)
from supercompat.testing import ScriptedServer
from tests.contract.blocking import Blocking
from tests.contract.judge import Judge


@dataclass(frozen=True)
class Setup:
    """One combination."""

    door: str
    provider: str
    storage: str

    def __str__(self) -> str:
        return f"{self.door}-{self.provider}-{self.storage}"


SETUPS = [Setup(*each) for each in product(("sync", "async"), ("sync", "async"), ("sqlite", "memory"))]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "setup" not in metafunc.fixturenames:
        return
    core = metafunc.definition.get_closest_marker("core") is not None
    params = [
        pytest.param(setup, id=str(setup), marks=[] if core or setup == SETUPS[0] else [pytest.mark.slow])
        for setup in SETUPS
    ]
    metafunc.parametrize("setup", params)


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    """The provider of the model: a server whose answers the test scripts."""
    with ScriptedServer() as server:
        yield server


MakeClient = Callable[..., OpenAI]


@pytest.fixture
def make_client(setup: Setup, provider: ScriptedServer, tmp_path: Path) -> Iterator[MakeClient]:
    """Makes clients that share one storage; options go to `supercompat()`. All are closed in the end.

    Whatever they are answered has to be as OpenAI's own document describes it.
    """
    judge = Judge()
    url = f"sqlite:///{tmp_path / 'assistants.db'}"
    storage = MemoryStorageAdapter() if setup.storage == "memory" else SQLAlchemyStorageAdapter(url)
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))

        def make(**given: Any) -> OpenAI:
            kind = openai.OpenAI if setup.provider == "sync" else openai.AsyncOpenAI
            inner = kind(base_url=provider.base_url, api_key="test-key", max_retries=0)
            settings: dict[str, Any] = {
                "client": OpenAIClientAdapter(inner),
                "storage": storage,
                "options": Options(drain=0),
                **given,
            }
            if setup.door == "sync":
                client: Any = supercompat(**settings)
                judge.watch(client)
            else:
                asynchronous = async_supercompat(**settings)
                judge.watch(asynchronous)
                client = Blocking(asynchronous, portal)
            if setup.provider == "sync":
                stack.callback(inner.close)
            else:
                stack.callback(portal.call, inner.close)
            stack.callback(client.close)
            return client

        yield make
    assert not judge.problems


@pytest.fixture
def client(make_client: MakeClient) -> OpenAI:
    """A client of the API under test."""
    return make_client()
