"""Models: those of the provider, by whatever name they are asked for."""

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from supercompat import OpenAIClientAdapter
from supercompat.testing import ScriptedServer
from tests.contract.conftest import MakeClient
from tests.contract.wire import Refusal, get, refused

NAMES = ["gpt-4o", "org/model:free", "llama-3"]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A provider with some models."""
    with ScriptedServer(models=NAMES) as server:
        yield server


@pytest.fixture
def adapter(server: ScriptedServer) -> Iterator[OpenAIClientAdapter]:
    with OpenAI(base_url=server.base_url, api_key="test", max_retries=0) as inner:
        yield OpenAIClientAdapter(inner)


@pytest.mark.conforms("C-175")
def test_models(make_client: MakeClient, adapter: OpenAIClientAdapter) -> None:
    client = make_client(client=adapter)
    listed = get(client, "/models")
    assert listed.keys() == {"object", "data"}
    assert all(model.keys() == {"id", "object", "created", "owned_by"} for model in listed["data"])
    assert [model.id for model in client.models.list()] == NAMES
    for name in NAMES:
        model = client.models.retrieve(name)
        assert (model.id, model.object, model.owned_by) == (name, "model", "scripted")
    # Older SDKs don't encode the slash.
    assert get(client, "/models/org/model:free")["id"] == "org/model:free"
    assert refused(lambda: client.models.retrieve("ft:123")) == Refusal(
        404, "The model 'ft:123' does not exist", "model", "model_not_found"
    )


@pytest.mark.conforms("C-175")
def test_aliases_are_models(make_client: MakeClient, adapter: OpenAIClientAdapter) -> None:
    client = make_client(
        client=adapter, models={"best": "llama-3", "gpt-4o": "org/model:free", "none": "gone"}
    )
    assert [model.id for model in client.models.list()] == ["org/model:free", "llama-3", "best", "gpt-4o"]
    model = client.models.retrieve("best")
    assert (model.id, model.object, model.owned_by) == ("best", "model", "scripted")
    assert refused(lambda: client.models.retrieve("none")).status == 404


def test_models_are_listed_where_they_are_routed_to(
    make_client: MakeClient, adapter: OpenAIClientAdapter
) -> None:
    with (
        ScriptedServer(models=["claude-1", "gpt-4o"]) as other,
        OpenAI(base_url=other.base_url, api_key="test") as inner,
    ):
        client = make_client(client={"claude-*": inner, "gpt-*": adapter})
        assert [model.id for model in client.models.list()] == ["claude-1", "gpt-4o"]
        assert refused(lambda: client.models.retrieve("llama-3")).status == 404


def test_a_provider_that_is_gone(make_client: MakeClient) -> None:
    with ScriptedServer() as server:
        url = server.base_url
    with OpenAI(base_url=url, api_key="test", max_retries=0) as inner:
        client = make_client(client=OpenAIClientAdapter(inner))
        with pytest.raises(openai.InternalServerError) as caught:
            assert client.models.list().data
        assert caught.value.status_code == 502
