"""A database as Prisma made it, a Node application on it, and clients of ours."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from supercompat import (
    OpenAIClientAdapter,
    Options,
    PrismaStorageAdapter,
    SQLAlchemyStorageAdapter,
    supercompat,
)
from supercompat.server.cli import main
from supercompat.testing import ScriptedServer
from tests.prisma.databases import FLAVOURS
from tests.prisma.importing import Ended, Import, OpenCopy
from tests.prisma.node import Node, node

MakeClient = Callable[..., OpenAI]


@pytest.fixture(params=[FLAVOURS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in FLAVOURS[1:])])
def flavour(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(flavour: str, make_prisma_url: Callable[[str], str]) -> str:
    return make_prisma_url(flavour)


@pytest.fixture
def app(url: str) -> Iterator[Node]:
    with node(url) as application:
        yield application


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def make_client(url: str, provider: ScriptedServer) -> Iterator[MakeClient]:
    """Makes clients; `storage` says more of the adapter, the rest is for `Options`."""
    with ExitStack() as stack:

        def make(storage: dict[str, Any] | None = None, **options: Any) -> OpenAI:
            inner = openai.OpenAI(base_url=provider.base_url, api_key="test-key", max_retries=0)
            stack.callback(inner.close)
            client = supercompat(
                client=OpenAIClientAdapter(inner),
                storage=PrismaStorageAdapter(url, **(storage or {})),
                options=Options(drain=0, **options),
            )
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> OpenAI:
    return make_client()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of the database to copy to."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/copy.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def bring(url: str, target: str, capsys: pytest.CaptureFixture[str]) -> Import:
    """Carries the command out."""

    def carried_out(*flags: str, source: str = url) -> Ended:
        code = main(["import", "--from-prisma", source, "--database", target, *flags])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return carried_out


@pytest.fixture
def open_copy(target: str, provider: ScriptedServer) -> Iterator[OpenCopy]:
    """Makes clients on the copy."""
    with ExitStack() as stack:

        def make(**storage: Any) -> OpenAI:
            inner = openai.OpenAI(base_url=provider.base_url, api_key="test-key", max_retries=0)
            stack.callback(inner.close)
            adapter = SQLAlchemyStorageAdapter(storage.pop("url", target), **storage)
            client = supercompat(client=OpenAIClientAdapter(inner), storage=adapter, options=Options(drain=0))
            stack.callback(client.close)
            return client

        yield make
