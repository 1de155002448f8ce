"""`supercompat serve` with runs through the Responses API."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from supercompat.errors import ConfigurationError
from supercompat.server.cli import main
from supercompat.server.settings import load, run_adapter_of
from supercompat.testing import Gate, ScriptedServer, text
from tests.contract.conversations import conversation, texts
from tests.processes.conftest import until
from tests.server.conftest import Connect
from tests.server.processes import Served


@pytest.fixture
def keys(provider: ScriptedServer) -> Mapping[str, str]:
    return {"OPENAI_API_KEY": "sk-of-the-provider", "OPENAI_BASE_URL": provider.base_url}


def asked_for(provider: ScriptedServer) -> list[tuple[str, str]]:
    return [(each.method, re.sub("resp_.*", "ID", each.path)) for each in provider.requests]


def test_runs_go_through_the_responses_api(
    tmp_path: Path, keys: Mapping[str, str], provider: ScriptedServer, connect: Connect
) -> None:
    (tmp_path / "supercompat.toml").write_text('run_adapter = "responses"\n')
    provider.reply(text("Hello"))
    with Served(tmp_path, **keys) as server:
        assert conversation(connect(server.root)).run().status == "completed"
    assert asked_for(provider) == [("POST", "/v1/responses")]
    assert not provider.requests[0].body.get("background")


def test_an_answer_in_the_background_outlives_the_server(
    tmp_path: Path, keys: Mapping[str, str], provider: ScriptedServer, connect: Connect
) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    settings = {**keys, "SUPERCOMPAT_RUN_ADAPTER": "responses", "SUPERCOMPAT_BACKGROUND": "yes"}
    with Served(tmp_path, "--drain", "0", **settings) as server:
        asked = conversation(connect(server.root))
        run = asked.start()
        until(lambda: [texts(message) for message in asked.answers()] == [["Hel"]])
        assert server.stop() == 0
    gate.open()
    with Served(tmp_path, **settings) as again:
        client = connect(again.root)
        assert client.beta.threads.runs.poll(run.id, thread_id=asked.thread_id).status == "completed"
        [answer, *_] = client.beta.threads.messages.list(asked.thread_id).data
    assert texts(answer) == ["Hello"]
    assert asked_for(provider) == [("POST", "/v1/responses"), ("GET", "/v1/responses/ID")]
    assert provider.requests[0].body["background"] is True


def test_background_is_for_the_responses_api() -> None:
    with pytest.raises(ConfigurationError, match='background needs run_adapter = "responses"'):
        run_adapter_of(load({"background": True}, {}))


@pytest.mark.parametrize(
    ("provider", "flags", "said"),
    [
        ("anthropic", [], "has no Responses API"),
        ("groq", ["--background"], "keeps no answers"),
    ],
)
def test_a_provider_that_can_not(
    provider: str,
    flags: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"{provider.upper()}_API_KEY", "sk-a-key")
    assert main(["serve", "--provider", provider, "--run-adapter", "responses", *flags]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())
