"""What `supercompat()` is given, and what it makes of mistakes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from supercompat import (
    MemoryStorageAdapter,
    Options,
    ServerOptions,
    SQLAlchemyStorageAdapter,
    async_supercompat,
    supercompat,
)
from supercompat.errors import ConfigurationError, SupercompatError, UnknownClientError
from supercompat.testing import ScriptedModel, ScriptedServer
from tests.contract.conversations import conversation
from tests.doors.asking import talk_with
from tests.doors.leftovers import ours

MAKERS: tuple[Callable[..., Any], ...] = (supercompat, async_supercompat)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("client", [object(), None, "groq", openai.OpenAI, {"*": object()}])
def test_a_client_that_no_adapter_fits(make: Callable[..., Any], client: object) -> None:
    with pytest.raises(UnknownClientError) as caught:
        make(client=client)
    assert isinstance(caught.value, ConfigurationError)
    if client is not openai.OpenAI:
        assert "groq.Groq" in str(caught.value)
        assert "openai.OpenAI" in str(caught.value)
        assert "client adapter" in str(caught.value)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"http_client": object()}, "http_client"),
        ({"storage": "sqlite:///assistants.db"}, "storage= takes a storage adapter .* not a str"),
        ({"storage": MemoryStorageAdapter}, "not the class MemoryStorageAdapter"),
        ({"run_adapter": "completions"}, "run_adapter= takes"),
        ({"models": ["gpt-4o"]}, "models= takes a mapping"),
        ({"models": {"gpt-4o": None}}, "models= has None where the name of a model belongs"),
        ({"options": {"drain": 1}}, "options= takes Options"),
        ({"drain": 1}, r"options=Options\(drain=…\)"),
    ],
)
def test_other_arguments(make: Callable[..., Any], given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make(client=ScriptedModel(), **given)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("mapping", "said"), [({}, "empty mapping"), ({3: ScriptedModel()}, "client= has 3 where the name")]
)
def test_a_mapping_that_leads_nowhere(make: Callable[..., Any], mapping: dict[Any, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make(client=mapping)


@pytest.mark.parametrize("make", MAKERS)
def test_an_unknown_argument_is_the_sdks_to_refuse(make: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="retries"):
        make(client=ScriptedModel(), retries=3)


@pytest.mark.parametrize(
    "given",
    [
        {"drain": -1},
        {"lease": 0},
        {"run_expires_after": 0},
        {"provider_threads": 0},
        {"on_crash": "again"},
        {"active_run": "queue"},
        {"active_run_wait": -1},
        {"active_run_wait": float("nan")},
        {"drain": None},
        {"lease": True},
        {"max_concurrent_runs": 1.5},
        {"run_expires_after": "600"},
        {"strict": "no"},
    ],
)
def test_options_out_of_range(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(ConfigurationError, match=name):
        Options(**given)


@pytest.mark.parametrize(
    "given", [{"max_body": "16 MB"}, {"keep_alive": 0}, {"cors_origins": "https://a.example"}]
)
def test_options_of_the_server_out_of_range(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(ConfigurationError, match=rf"ServerOptions\({name}=…\)"):
        ServerOptions(**given)


@pytest.mark.parametrize("url", ["oracle://localhost/db", "mysql://localhost/db", "assistants.db", ""])
def test_a_database_that_is_not_served(url: str) -> None:
    with pytest.raises(ConfigurationError):
        SQLAlchemyStorageAdapter(url)


def attempt(client: openai.OpenAI) -> str:
    """The words of the error that a request ends with, the first time: nothing is tried again."""
    with pytest.raises(openai.InternalServerError) as caught:
        client.beta.assistants.create(model="gpt-4o-mini")
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.request.headers["x-stainless-retry-count"] == "0"
    return caught.value.message


def test_a_database_that_can_not_be_opened(tmp_path: Path) -> None:
    """Nothing is opened before it is needed, and everything is fine once it can be."""
    folder = tmp_path / "data"
    storage = SQLAlchemyStorageAdapter(f"sqlite:///{folder / 'assistants.db'}")
    with supercompat(client=ScriptedModel(), storage=storage) as client:
        assert not ours()
        for _ in range(2):
            assert f"the folder {folder} does not exist" in attempt(client)
        folder.mkdir()
        assert client.beta.assistants.create(model="gpt-4o-mini").model == "gpt-4o-mini"


async def test_in_the_other_door_too(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    storage = SQLAlchemyStorageAdapter(f"sqlite:///{folder / 'assistants.db'}")
    async with async_supercompat(client=ScriptedModel(), storage=storage) as client:
        for _ in range(2):
            with pytest.raises(openai.InternalServerError, match="does not exist"):
                await client.beta.assistants.create(model="gpt-4o-mini")
        folder.mkdir()
        assert (await (await talk_with(client)).start()).status == "queued"


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "assistants.db"
    file.write_text("These are no tables. " * 100)
    with supercompat(client=ScriptedModel(), storage=SQLAlchemyStorageAdapter(f"sqlite:///{file}")) as client:
        assert str(file) in attempt(client)
        file.unlink()
        assert client.beta.assistants.create(model="gpt-4o-mini").model == "gpt-4o-mini"


class BrokenStorage:
    """An adapter of the user's own, with a defect."""

    def open(self, *, project: str = "default", own_pool: bool = False) -> Any:
        raise KeyError(project)


def test_a_storage_with_a_defect(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is raised from below the SDK: not even that."""
    with supercompat(client=ScriptedModel(), storage=BrokenStorage()) as client:
        assert "had an error" in attempt(client)
    assert "KeyError" in caplog.text


def test_proxies_do_not_matter(provider: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests to us go nowhere, whatever the environment says."""
    inner = openai.OpenAI(base_url=provider.base_url, api_key="test-key")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with inner, supercompat(client=inner, max_retries=0) as client:
        assert conversation(client).run().status == "completed"


def test_what_is_served_nowhere_goes_nowhere(provider: ScriptedServer) -> None:
    inner = openai.OpenAI(base_url=provider.base_url, api_key="test-key")
    refused = pytest.raises(
        openai.NotFoundError, match="Served here: assistants, chat, files, models, threads"
    )
    with inner, supercompat(client=inner) as client, refused:
        client.embeddings.create(model="m", input="Hi")
    assert not provider.requests


@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1:1/v1", "https://api.openai.com/v1/", "https://gateway.invalid/openai/v1", "http://x"],
)
def test_a_base_url_of_the_users(base_url: str) -> None:
    """It is shown, and nothing more: code that reads it goes on working."""
    with supercompat(client=ScriptedModel(), base_url=base_url) as client:
        assert str(client.base_url).startswith(base_url.rstrip("/"))
        assert conversation(client).run().status == "completed"


def test_what_the_sdk_is_told() -> None:
    settings: Any = {
        "api_key": "sk-1",
        "timeout": 7,
        "max_retries": 1,
        "default_headers": {"x-team": "blue"},
        "organization": "org-1",
    }
    with supercompat(client=ScriptedModel(), **settings) as client:
        assert (client.api_key, client.timeout, client.max_retries) == ("sk-1", 7, 1)
        assert client.organization == "org-1"
        copy = client.with_options(timeout=3, base_url="http://elsewhere.invalid/v1")
        assert conversation(copy).run().status == "completed"


def test_no_key_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    with supercompat(client=ScriptedModel()) as client:
        assert isinstance(client, openai.OpenAI)
        assert conversation(client).run().status == "completed"


def test_every_error_of_ours_has_one_root() -> None:
    from supercompat import errors

    found = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert len(found) > 5
    assert all(issubclass(each, SupercompatError) for each in found)
