"""Several providers behind one client."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from supercompat.client_adapters.base import ClientAdapter, Connection
from supercompat.client_adapters.fetch import ImageFetcher
from supercompat.client_adapters.openai import OpenAIClientAdapter
from supercompat.client_adapters.router import ModelRouter
from supercompat.client_adapters.threads import ProviderThreads
from supercompat.errors import ProviderError
from supercompat.model.events import TextDelta
from supercompat.testing.openai_server import ScriptedServer, text
from tests.client_adapters.asking import PARAMS, ask, heard
from tests.client_adapters.conftest import KEY


class Counting(OpenAIClientAdapter):
    """Counts connections."""

    connected = 0

    def connect(
        self, *, own_pool: bool, threads: ProviderThreads | None = None, images: ImageFetcher | None = None
    ) -> Any:
        self.connected += 1
        return super().connect(own_pool=own_pool, threads=threads)


_made: list[openai.OpenAI] = []


def adapter(server: ScriptedServer) -> Counting:
    client = openai.OpenAI(base_url=server.base_url, api_key=KEY)
    _made.append(client)
    return Counting(client)


@pytest.fixture(autouse=True)
def close_clients() -> Iterator[None]:
    yield
    while _made:
        _made.pop().close()


@pytest.fixture
def other() -> Any:
    with ScriptedServer(models=["claude-one", "gpt-one"]) as server:
        yield server


def connected(router: ModelRouter) -> Connection:
    return router.connect(own_pool=False)


async def test_the_first_match_in_the_order_given(server: ScriptedServer, other: ScriptedServer):
    router = ModelRouter({"claude-*": adapter(other), "*": adapter(server)})
    connection = connected(router)
    await heard(connection, ask())
    async with connection.chat({**PARAMS, "model": "claude-one"}):
        pass
    assert [request.body["model"] for request in server.requests] == ["m"]
    assert [request.body["model"] for request in other.requests] == ["claude-one"]
    await connection.aclose()


def test_order_not_precision_decides(server: ScriptedServer):
    first, second = adapter(server), adapter(server)
    assert ModelRouter({"*": first, "exact": second}).adapter("exact") is first
    assert ModelRouter({"exact": first, "*": second}).adapter("exact") is first
    assert ModelRouter({"EXACT": first, "*": second}).adapter("exact") is second


@pytest.mark.parametrize(
    ("model", "serves"),
    [("llama-3", True), ("gpt-4o", True), ("gpt-4", False), ("LLAMA-3", False), ("", False)],
)
def test_serves(server: ScriptedServer, model: str, serves: bool):
    router = ModelRouter({"llama-*": adapter(server)}, {"gpt-4o": "llama-3", "gpt-4": "other"})
    assert router.serves(model) is serves
    assert server.requests == []


async def test_an_alias_is_applied_once_before_routing(server: ScriptedServer):
    router = ModelRouter({"b": adapter(server)}, {"m": "b", "b": "c"})
    connection = connected(router)
    await heard(connection, ask())
    async with connection.chat(PARAMS):
        pass
    assert [request.body["model"] for request in server.requests] == ["b", "b"]
    assert not router.serves("b")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_shows_the_name_that_was_asked_for(server: ScriptedServer, stream: bool):
    connection = connected(ModelRouter({"*": adapter(server)}, {"gpt-4o": "llama-3"}))
    async with connection.chat({**PARAMS, "model": "gpt-4o", "stream": stream}) as answer:
        shown = [chunk async for chunk in answer.chunks] if answer.chunks else [answer.body or {}]
    assert server.requests[0].body["model"] == "llama-3"
    assert {one["model"] for one in shown} == {"gpt-4o"}


async def test_a_model_that_nobody_serves(server: ScriptedServer):
    connection = connected(ModelRouter({"llama-*": adapter(server)}))
    for asking in (connection.stream(ask()), connection.chat(PARAMS)):
        with pytest.raises(ProviderError, match="The model 'm' does not exist") as caught:
            async with asking:
                pass
        assert caught.value.status == 404
        assert caught.value.body is not None
        assert caught.value.body["code"] == "model_not_found"
    assert server.requests == []


async def test_an_adapter_is_connected_once(server: ScriptedServer):
    one = adapter(server)
    connection = connected(ModelRouter({"a": one, "b": one, "*": one}))
    assert one.connected == 1
    server.reply(text("Hello"))
    assert (await heard(connection))[0] == TextDelta("Hello")


async def test_each_model_is_listed_where_it_is_routed_to(server: ScriptedServer, other: ScriptedServer):
    claude: ClientAdapter = adapter(other)
    with ScriptedServer(models=["claude-two", "llama-3"]) as third:
        connection = connected(ModelRouter({"claude-*": claude, "*": adapter(third)}))
        models = await connection.models()
    assert [model["id"] for model in models] == ["claude-one", "llama-3"]
