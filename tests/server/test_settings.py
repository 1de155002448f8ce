"""Where settings come from, which of them wins, and what is refused."""

import re
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import openai
import pytest

from supercompat import Options, ServerOptions
from supercompat.errors import ConfigurationError
from supercompat.server.cli import main
from supercompat.server.providers import KINDS, Providers, ProviderSettings
from supercompat.server.settings import SETTINGS, Serving, load
from tests.server.settings_table import table, written


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_later_wins(folder: Path) -> None:
    (folder / "supercompat.toml").write_text("port = 1\nworkers = 2\nlease = 3\n[models]\nold = 'new'\n")
    variables = {"SUPERCOMPAT_WORKERS": "4", "SUPERCOMPAT_LEASE": "5", "SUPERCOMPAT_DRAIN": ""}
    settled = load({"lease": "6"}, variables)
    assert (settled.serving.port, settled.serving.workers, settled.options.lease) == (1, 4, 6.0)
    assert settled.options.drain == Options().drain
    assert settled.serving.models == {"old": "new"}


def test_a_file_that_is_named(folder: Path) -> None:
    (folder / "supercompat.toml").write_text("port = 1")
    (folder / "other.toml").write_text("port = 2")
    (folder / "third.toml").write_text("port = 3")
    variables = {"SUPERCOMPAT_CONFIG": "other.toml"}
    assert load({}, variables).serving.port == 2
    assert load({}, variables, folder / "third.toml").serving.port == 3
    with pytest.raises(ConfigurationError, match=r"There is no file none\.toml\."):
        load({}, {"SUPERCOMPAT_CONFIG": "none.toml"})


def test_values_of_variables() -> None:
    settled = load(
        {},
        {
            "SUPERCOMPAT_MODELS": "gpt-4o=llama-3, best = claude",
            "SUPERCOMPAT_CORS_ORIGINS": "https://a.b, https://c.d",
            "SUPERCOMPAT_STRICT": "true",
            "SUPERCOMPAT_ON_CRASH": "restart",
            "SUPERCOMPAT_REQUEST_TIMEOUT": "2.5",
        },
    )
    assert settled.serving.models == {"gpt-4o": "llama-3", "best": "claude"}
    assert settled.server.cors_origins == ["https://a.b", "https://c.d"]
    assert (settled.options.strict, settled.options.on_crash) == (True, "restart")
    assert settled.server.request_timeout == 2.5


def test_a_server_fetches_no_images_unless_it_is_told_to() -> None:
    assert not load({}, {}).options.fetch_images
    assert load({"fetch_images": True}, {}).options.fetch_images


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"SUPERCOMPAT_PROT": "1"},
            "the environment: SUPERCOMPAT_PROT is no setting. Is SUPERCOMPAT_PORT meant?",
        ),
        ({"SUPERCOMPAT_PORT": "many"}, "SUPERCOMPAT_PORT: Input should be a valid integer"),
        ({"SUPERCOMPAT_PORT": "70000"}, "port must be between 0 and 65535"),
        ({"SUPERCOMPAT_WORKERS": "0"}, "workers must be at least 1"),
        ({"SUPERCOMPAT_LEASE": "0"}, "lease"),
        ({"SUPERCOMPAT_DRAIN": "inf"}, "drain"),
        ({"SUPERCOMPAT_ON_CRASH": "cry"}, "SUPERCOMPAT_ON_CRASH: Input should be 'fail' or 'restart'"),
        ({"SUPERCOMPAT_MODELS": "gpt-4o"}, "SUPERCOMPAT_MODELS: it takes pairs, as in NAME=VALUE"),
        ({"SUPERCOMPAT_OPENAI_API_KEY": "sk-secret"}, "SUPERCOMPAT_OPENAI_API_KEY is not read here"),
    ],
)
def test_variables_that_make_no_sense(variables: Mapping[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)) as refused:
        load({}, variables)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("prot = 1", "supercompat.toml: prot is no setting. Is port meant?"),
        ("port = 'many'", "supercompat.toml: port: Input should be a valid integer"),
        ("port = ", "supercompat.toml is not TOML: "),
        ("models = 1", "supercompat.toml: models: Input should be a valid dictionary"),
        (
            "groq_api_key = 'gsk-secret'",
            "supercompat.toml: groq_api_key is not read here. API keys come from",
        ),
        ("providers = 1", "supercompat.toml: providers takes tables"),
        ("[providers.a]\nkind = 'b'", "supercompat.toml: providers.a.kind: Input should be 'openai', "),
        ("[providers.a]\nkind = 'groq'\napi_key = 'gsk-secret'", "providers.a: api_key is not read here"),
        ("[providers.a]\nkind = 'groq'\nbase = 'b'", "providers.a: base is no setting. Is base_url meant?"),
        (
            "[providers.a]\nkind = 'groq'\nx = 'b'",
            "providers.a: x is no setting. Known are: kind, base_url, ",
        ),
    ],
)
def test_files_that_make_no_sense(folder: Path, content: str, said: str) -> None:
    (folder / "supercompat.toml").write_text(content)
    with pytest.raises(ConfigurationError, match=re.escape(said)) as refused:
        load({}, {})
    assert "secret" not in str(refused.value)


def test_a_password_is_not_in_the_repr() -> None:
    assert "secret" not in repr(load({"database_url": "postgresql://a:secret@b/c"}, {}))


# Who answers


def test_every_provider_by_its_usual_variable() -> None:
    for name, kind in KINDS.items():
        variables = {kind.keys[0]: "sk-a-key", **dict.fromkeys(kind.needs.values(), "https://a.example.com")}
        routes = Providers({}, variables).routes({}, None)
        assert type(routes["*"]).__name__.lower().startswith(name)


def test_several_providers_by_model(folder: Path) -> None:
    (folder / "key").write_text("sk-from-a-file")
    tables = {
        "near": ProviderSettings(
            kind="openai", base_url="http://127.0.0.1:1/v1", adapter={"context_window": 1000}
        )
    }
    variables = {"GROQ_API_KEY_FILE": str(folder / "key")}
    routes = Providers(tables, variables).routes({"llama-*": "groq", "*": "near"}, None)
    assert [type(each).__name__ for each in routes.values()] == ["GroqClientAdapter", "OpenAIClientAdapter"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            {"kind": "openai", "adapter": {"colour": 1}},
            "providers.a.adapter: .*unexpected keyword argument 'colour'",
        ),
        ({"kind": "openai", "api_key_env": "MINE"}, "The provider 'a' has no API key: MINE is not set"),
        ({"kind": "groq", "api_key_file": "none"}, "providers.a.api_key_file: none can't be read"),
        ({"kind": "azure", "base_url": "https://a.b"}, "The provider 'a' also needs OPENAI_API_VERSION"),
    ],
)
def test_providers_that_can_not_be_asked(table: Mapping[str, object], said: str) -> None:
    tables = {"a": ProviderSettings.model_validate(table)}
    with pytest.raises(ConfigurationError, match=said):
        Providers(tables, {"OPENAI_API_KEY": "a"}).routes({}, None)


def test_a_provider_without_its_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "groq", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'supercompat\[groq\]'"):
        Providers({}, {"GROQ_API_KEY": "a"}).routes({}, None)


async def test_the_clients_are_closed() -> None:
    providers = Providers({}, {"OPENAI_API_KEY": "a"})
    adapter = providers.routes({}, None)["*"]
    (client,) = (value for value in vars(adapter).values() if isinstance(value, openai.AsyncOpenAI))
    await providers.aclose()
    assert client.is_closed()


# All of them


def test_every_field_is_a_setting() -> None:
    names = [field.name for owner in (Serving, ServerOptions, Options) for field in fields(owner)]
    names.remove("clock")
    assert [setting.name for setting in SETTINGS] == names
    assert all(setting.help for setting in SETTINGS)


def test_help_lists_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    said = capsys.readouterr().out
    for setting in SETTINGS:
        assert f"[{setting.variable}]" in said.replace("\n", "")
        assert f"{setting.flag} " in said or f"{setting.flag}," in said


def test_the_docs_list_all_of_them() -> None:
    assert written() == table(), "python -m tests.server.settings_table writes it anew"
