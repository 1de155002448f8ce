"""Every combination of door, kind of provider client and storage that the contract is tested on.

A test asks for `client`. It runs on the first combination; with the marker `core`, on all of them, but of those with
PostgreSQL only where door and provider client are of one kind. Two more have the other run adapter. The rest of the
product is marked as slow, so that `make test-all` has it and `make test` has not. With `--against URL` it runs once, on
that server; tests that need settings of ours are skipped then.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, cast

import openai
import pytest
from anyio.from_thread import start_blocking_portal
from openai import OpenAI

from supercompat import (
    CompletionsRunAdapter,
    MemoryStorageAdapter,
    OpenAIClientAdapter,
    Options,
    PrismaStorageAdapter,
    ResponsesRunAdapter,
    ServerOptions,
    SQLAlchemyStorageAdapter,
    asgi_app,
    async_supercompat,
    supercompat,
)
from supercompat.run_adapters.base import RunAdapter
from supercompat.storage_adapters.protocol import StorageAdapter
from supercompat.testing import ScriptedServer
from tests.contract.blocking import Blocking
from tests.contract.chat_words import ChatWords
from tests.contract.exceptions import exception
from tests.contract.judge import Judge
from tests.contract.over_http import Network, network


@dataclass(frozen=True)
class Setup:
    """One combination.

    Args:
        door: whether the client is synchronous or asynchronous.
        over: whether it is answered in its own process, or over HTTP.
    """

    door: str
    provider: str
    storage: str
    over: str = "process"
    run_adapter: str = "completions"

    @property
    def is_core(self) -> bool:
        """Whether tests of the core run on it in `make test` too."""
        if self.storage.startswith("prisma-"):
            return self == OF_PRISMA[0]
        return self.storage != "postgresql" or (
            self.door == self.provider and self.run_adapter == "completions"
        )

    def __str__(self) -> str:
        over = "http-" if self.over == "http" else ""
        beside = "" if self.run_adapter == "completions" else f"-{self.run_adapter}"
        return f"{over}{self.door}-{self.provider}-{self.storage}{beside}"


#: A server that somebody else started.
ELSEWHERE = Setup("http", "any", "any")

#: What a client of the SDK takes, and so any server's.
SDK_SETTINGS = {"timeout", "max_retries"}

#: Prisma's tables, in each flavour.
OF_PRISMA = [
    Setup("async", "async", "prisma-uuid"),
    Setup("sync", "sync", "prisma-uuid"),
    Setup("sync", "async", "prisma-text"),
    Setup("async", "sync", "prisma-named"),
    Setup("async", "async", "prisma-first"),
]

#: Tests of what Prisma's tables can't keep, and why. `tests/prisma/test_limits.py` has what holds there instead.
BARE_IDS = "ids in Prisma's tables have no prefix"
NOT_WITH_PRISMA = {
    "test_only_a_model": BARE_IDS,
    "test_string_content_is_one_text_part": BARE_IDS,
    "test_create_without_anything": BARE_IDS,
    "test_bodies_are_indented_json": BARE_IDS,
    "test_id_with_a_wrong_prefix": BARE_IDS,
    "test_cursors_that_are_refused": BARE_IDS,
}

SETUPS = [
    *(
        Setup(*each)
        for each in product(("sync", "async"), ("sync", "async"), ("sqlite", "memory", "postgresql"))
    ),
    Setup("sync", "async", "sqlite", "http"),
    Setup("async", "sync", "postgresql", "http"),
    *OF_PRISMA,
    Setup("sync", "sync", "sqlite", run_adapter="responses"),
    Setup("async", "async", "postgresql", run_adapter="responses"),
]

#: Tests that say nothing over HTTP, and why. `tests/server/test_streams.py` has those that stand for them there.
NOT_OVER_HTTP = {
    "test_a_slow_reader_holds_up_nobody": "the sockets' buffers take the whole of its stream",
    "test_a_slow_reader_of_a_long_call": "likewise",
}

#: What the server is told instead of the client.
SETTINGS = ("client", "storage", "run_adapter", "models", "options")

RUN_ADAPTERS: dict[str, Callable[[], RunAdapter]] = {
    "completions": CompletionsRunAdapter,
    "responses": ResponsesRunAdapter,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    spread(metafunc, SETUPS)


def spread(metafunc: pytest.Metafunc, setups: Sequence[Setup]) -> None:
    """Let a test run on those of the setups that it fits; the product of them all is slow."""
    if "setup" not in metafunc.fixturenames:
        return
    if metafunc.config.getoption("--against"):
        metafunc.parametrize("setup", [pytest.param(ELSEWHERE, id="http")])
        return
    setups = [each for each in setups if _fits(each, metafunc.function.__name__)]
    is_core = metafunc.definition.get_closest_marker("core") is not None
    quick = [each for each in setups if each.is_core] if is_core else setups[:1]
    params = [
        pytest.param(setup, id=str(setup), marks=[] if setup in quick else [pytest.mark.slow])
        for setup in setups
    ]
    metafunc.parametrize("setup", params)


def _fits(setup: Setup, test: str) -> bool:
    """Whether the test says something on this setup."""
    return not (
        (setup.over == "http" and test in NOT_OVER_HTTP) or (setup in OF_PRISMA and test in NOT_WITH_PRISMA)
    )


@pytest.fixture
def provider(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> Iterator[ScriptedServer]:
    """The provider of the model: a server whose answers the test scripts."""
    port = int(str(pytestconfig.getoption("--provider-port"))) if pytestconfig.getoption("--against") else 0
    uses_responses = (
        "setup" in request.fixturenames and request.getfixturevalue("setup").run_adapter == "responses"
    )
    if uses_responses and (why := exception(request.node.name)):
        pytest.skip(why)
    with ScriptedServer(port=port) as server:
        yield cast(ScriptedServer, ChatWords(server)) if uses_responses else server


MakeClient = Callable[..., OpenAI]


@pytest.fixture(scope="session")
def http() -> Iterator[Network]:
    """What the clients over HTTP are answered by."""
    with network() as served:
        yield served


@pytest.fixture
def make_client(
    setup: Setup, provider: ScriptedServer, request: pytest.FixtureRequest
) -> Iterator[MakeClient]:
    """Makes clients that share one storage; options go to `supercompat()`. All are closed in the end.

    Whatever they are answered has to be as OpenAI's own document describes it.
    """
    judge = Judge()
    with ExitStack() as stack:
        if setup == ELSEWHERE:
            yield partial(_client_of, str(request.config.getoption("--against")), judge, stack)
        elif setup.over == "http":
            storage = storage_of(setup.storage, request)
            yield _maker_over_http(setup, provider, storage, judge, stack, request.getfixturevalue("http"))
        else:
            yield _maker(setup, provider, storage_of(setup.storage, request), judge, stack)
    assert not judge.problems


def _client_of(url: str, judge: Judge, stack: ExitStack, **given: Any) -> OpenAI:
    if not SDK_SETTINGS.issuperset(given):
        pytest.skip("needs settings that another server does not take")
    client = stack.enter_context(openai.OpenAI(base_url=url, api_key="test-key", **given))
    judge.watch(client)
    return client


def storage_of(name: str, request: pytest.FixtureRequest) -> StorageAdapter:
    """A new storage of this kind."""
    if name == "memory":
        return MemoryStorageAdapter()
    if name.startswith("prisma-"):
        return PrismaStorageAdapter(request.getfixturevalue("make_prisma_url")(name.removeprefix("prisma-")))
    if name == "postgresql":
        return SQLAlchemyStorageAdapter(request.getfixturevalue("postgres_url"))
    return SQLAlchemyStorageAdapter(f"sqlite:///{request.getfixturevalue('tmp_path') / 'assistants.db'}")


def _maker(
    setup: Setup, provider: ScriptedServer, storage: StorageAdapter, judge: Judge, stack: ExitStack
) -> MakeClient:
    portal = stack.enter_context(start_blocking_portal("asyncio"))

    def make(**given: Any) -> OpenAI:
        kind = openai.OpenAI if setup.provider == "sync" else openai.AsyncOpenAI
        inner = kind(base_url=provider.base_url, api_key="test-key", max_retries=0)
        settings: dict[str, Any] = {
            "client": OpenAIClientAdapter(inner),
            "storage": storage,
            "run_adapter": RUN_ADAPTERS[setup.run_adapter](),
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

    return make


def _maker_over_http(
    setup: Setup,
    provider: ScriptedServer,
    storage: StorageAdapter,
    judge: Judge,
    stack: ExitStack,
    http: Network,
) -> MakeClient:
    """Each client has a server of its own, which stops when it is closed, as in process it has a runtime."""

    def make(**given: Any) -> OpenAI:
        kind = openai.OpenAI if setup.provider == "sync" else openai.AsyncOpenAI
        inner: Any = kind(base_url=provider.base_url, api_key="test-key", max_retries=0)
        stack.callback(*(inner.close,) if setup.provider == "sync" else (http.portal.call, inner.close))
        settings: dict[str, Any] = {
            "client": OpenAIClientAdapter(inner),
            "storage": storage,
            "options": Options(drain=0),
            **{name: given.pop(name) for name in SETTINGS if name in given},
        }
        app = asgi_app(**settings, server=ServerOptions(requests_per_minute=0, access_log=False))
        server = ExitStack()
        stack.push(server)
        url = server.enter_context(http.served(app))
        if setup.door == "sync":
            client: Any = openai.OpenAI(base_url=url, api_key="test-key", **given)
            judge.watch(client)
        else:
            asynchronous = openai.AsyncOpenAI(base_url=url, api_key="test-key", **given)
            judge.watch(asynchronous)
            client = Blocking(asynchronous, http.portal)
        stack.callback(client.close)
        client.close = server.close
        return client

    return make


@pytest.fixture
def client(make_client: MakeClient) -> OpenAI:
    """A client of the API under test."""
    return make_client()
