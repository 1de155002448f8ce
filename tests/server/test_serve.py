"""`supercompat serve` as processes: how it starts, what it refuses, how it stops."""

import os
import re
import select
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import openai
import pytest

from supercompat.server.cli import main
from supercompat.testing import Gate, ScriptedServer, text
from tests.contract.conversations import DEADLINE, conversation, heard_until, texts
from tests.server.bare import Bare
from tests.server.conftest import Connect
from tests.server.processes import Served, environment


@pytest.fixture
def keys(provider: ScriptedServer) -> Mapping[str, str]:
    """The usual variables of one provider."""
    return {"OPENAI_API_KEY": "sk-of-the-provider", "OPENAI_BASE_URL": provider.base_url}


def test_one_providers_variables_are_enough(
    tmp_path: Path, keys: Mapping[str, str], provider: ScriptedServer, connect: Connect
) -> None:
    provider.reply(text("Hello"))
    with Served(tmp_path, **keys) as server:
        asked = conversation(connect(server.root))
        assert asked.run().status == "completed"
        assert server.stop() == 0
    assert (tmp_path / "supercompat.db").exists()
    assert provider.requests[-1].headers["authorization"] == "Bearer sk-of-the-provider"
    assert "sk-of-the-provider" not in server.log


@pytest.mark.slow
def test_a_key_from_a_file_and_a_provider_from_the_configuration(
    tmp_path: Path, provider: ScriptedServer, connect: Connect
) -> None:
    (tmp_path / "key").write_text("sk-from-a-file\n")
    (tmp_path / "supercompat.toml").write_text(
        "[models]\n"
        '"gpt-4o-mini" = "llama-3"\n'
        "[providers.near]\n"
        'kind = "openai"\n'
        f'base_url = "{provider.base_url}"\n'
        'api_key_file = "key"\n'
    )
    provider.reply(text("Hello"))
    with Served(tmp_path) as server:
        assert conversation(connect(server.root)).run().model == "gpt-4o-mini"
    asked = provider.requests[-1]
    assert (asked.body["model"], asked.headers["authorization"]) == ("llama-3", "Bearer sk-from-a-file")


# What is refused


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment that says nothing of providers."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name not in environment()]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "variables", "said"),
    [
        ([], {}, "Who answers? Set the API key of a provider, one of OPENAI_API_KEY, "),
        ([], {"GROQ_API_KEY": "a", "ANTHROPIC_API_KEY": "b"}, "GROQ_API_KEY and ANTHROPIC_API_KEY are set."),
        (["--workers", "2"], {"OPENAI_API_KEY": "a"}, "2 worker processes need PostgreSQL"),
        (["--host", "0.0.0.0"], {"OPENAI_API_KEY": "a"}, "Without API keys"),
        (["--database", "sqlite:////no/such/folder/a.db"], {"OPENAI_API_KEY": "a"}, "/no/such/folder/a.db"),
        (["--provider", "nobody"], {}, "There is no provider 'nobody'. Known are: openai, azure, "),
        (["--provider", "mistral"], {}, "The provider 'mistral' has no API key: MISTRAL_API_KEY is not set."),
        (
            ["--provider", "azure"],
            {"AZURE_OPENAI_API_KEY": "a"},
            "AZURE_OPENAI_ENDPOINT and OPENAI_API_VERSION",
        ),
        ([], {"GROQ_API_KEY_FILE": "/no/such/key"}, "GROQ_API_KEY_FILE: /no/such/key can't be read"),
    ],
)
def test_what_it_refuses(
    alone: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    variables: Mapping[str, str],
    said: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["serve", *flags]) == 1
    told = capsys.readouterr().err
    assert told.startswith("supercompat: ")
    assert said in told
    assert told.count("\n") == 1


def test_a_database_without_tables(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], empty_postgres_url: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a")
    assert main(["serve", "--database", empty_postgres_url]) == 1
    assert "supercompat db upgrade" in capsys.readouterr().err


def test_a_port_that_is_taken(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"supercompat: Can't listen on 127.0.0.1:{port}: Address already in use")


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_a_missing_package(
    package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["serve"]) == 1
    assert "pip install 'supercompat[server]'" in capsys.readouterr().err


# How it stops


def test_a_running_run_is_waited_for(
    tmp_path: Path, keys: Mapping[str, str], provider: ScriptedServer, connect: Connect
) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    with Served(tmp_path, **keys) as server:
        client = connect(server.root)
        asked = conversation(client)
        events = iter(asked.stream())
        heard_until(events, "thread.message.delta")
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        refusal = refusal_by(client)
        if isinstance(refusal, openai.APIStatusError):
            assert (refusal.status_code, refusal.response.headers["x-should-retry"]) == (503, "true")
        gate.open()
        assert heard_until(events, "thread.run.completed")
        stopping.join()
    assert "Finished server process" in server.log


def refusal_by(client: openai.OpenAI) -> openai.APIError:
    """What a server says, or what comes of its silence, once it has begun to stop."""
    while True:
        try:
            client.beta.assistants.list()
        except openai.APIError as error:
            return error


def test_a_run_that_takes_too_long_is_handed_over(
    tmp_path: Path, keys: Mapping[str, str], provider: ScriptedServer, connect: Connect
) -> None:
    provider.reply(text("Hel", Gate(), "lo"), text("Hello"))
    flags = ("--drain", "0", "--on-crash", "restart")
    with Served(tmp_path, *flags, **keys) as server:
        asked = conversation(connect(server.root))
        events = iter(asked.stream())
        heard_until(events, "thread.message.delta")
        run_id = asked.client.beta.threads.runs.list(asked.thread_id).data[0].id
        assert server.stop() == 0
        with pytest.raises(openai.APIError, match="takes the run over"):
            list(events)
    with Served(tmp_path, *flags, **keys) as again:
        client = connect(again.root)
        run = client.beta.threads.runs.poll(run_id, thread_id=asked.thread_id)
        assert run.status == "completed"
        [answer, *_] = client.beta.threads.messages.list(asked.thread_id).data
    assert texts(answer) == ["Hello"]


@pytest.mark.slow
def test_who_takes_nothing_more_is_not_waited_for(
    tmp_path: Path, keys: Mapping[str, str], provider: ScriptedServer, connect: Connect
) -> None:
    """A stream that is not read, and a request that never comes as a whole."""
    provider.reply(text(*["x" * 8000] * 1200))
    with Served(tmp_path, "--drain", "60", **keys) as server:
        client = connect(server.root)
        asked = conversation(client)
        with Bare(server.root, room=4096) as stalled, Bare(server.root) as half:
            body = {"assistant_id": asked.assistant_id, "stream": True}
            stalled.ask("POST", f"/v1/threads/{asked.thread_id}/runs", body)
            assert stalled.head()[0] == 200
            half.socket.sendall(b"POST /v1/threads HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{")
            run = client.beta.threads.runs.list(asked.thread_id).data[0]
            assert asked.poll(run.id).status == "completed"
            assert server.stop() == 0
    assert "Traceback" not in server.log
    assert "ERROR" not in server.log


@pytest.mark.slow
def test_an_interrupt_ends_it_too(tmp_path: Path, keys: Mapping[str, str], connect: Connect) -> None:
    with Served(tmp_path, **keys) as server:
        connect(server.root).beta.assistants.list()
        assert server.stop(signal.SIGINT) == 130
    assert "Traceback" not in server.log


@pytest.mark.slow
def test_a_second_interrupt_hands_over_at_once(
    tmp_path: Path, keys: Mapping[str, str], provider: ScriptedServer, connect: Connect
) -> None:
    provider.reply(text("Hel", Gate(), "lo"))
    with Served(tmp_path, "--drain", "60", **keys) as server:
        client = connect(server.root)
        events = iter(conversation(client).stream())
        heard_until(events, "thread.message.delta")
        os.kill(server.pid, signal.SIGINT)
        refusal_by(client)
        assert server.stop(signal.SIGINT) == 130
        with pytest.raises(openai.APIError, match="takes the run over"):
            list(events)
    assert "Traceback" not in server.log


@pytest.mark.slow
def test_a_terminal_that_is_closed_ends_it_too(
    tmp_path: Path, keys: Mapping[str, str], connect: Connect
) -> None:
    with Served(tmp_path, **keys) as server:
        connect(server.root).beta.assistants.list()
        assert server.stop(signal.SIGHUP) == 0
    assert "Finished server process" in server.log


@pytest.mark.slow
def test_several_processes_on_one_database(
    tmp_path: Path, keys: Mapping[str, str], provider: ScriptedServer, connect: Connect, postgres_url: str
) -> None:
    """Whichever of them has a request: what one has begun, the others show."""
    provider.reply(*(text(f"Answer {number}") for number in range(8)))
    with Served(tmp_path, "--workers", "3", "--database", postgres_url, **keys) as server:
        # Each new connection may be somebody else's.
        headers = {"connection": "close"}
        asked = conversation(connect(server.root, default_headers=headers))
        for number in range(8):
            assert asked.run().status == "completed"
            said = [texts(each) for each in asked.client.beta.threads.messages.list(asked.thread_id)]
            assert len(said) == number + 2
        assert server.stop() == 0
    finished = re.findall(r"Finished server process \[(\d+)\]", server.log)
    assert len(set(finished)) == 3
    assert "Traceback" not in server.log


@pytest.mark.slow
def test_a_process_that_is_killed_is_replaced(
    tmp_path: Path, keys: Mapping[str, str], provider: ScriptedServer, connect: Connect, postgres_url: str
) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"), text("Hello"))
    flags = ("--workers", "2", "--lease", "2", "--on-crash", "restart", "--database", postgres_url)
    with Served(tmp_path, *flags, **keys) as server:
        client = connect(server.root, default_headers={"connection": "close"}, max_retries=5)
        asked = conversation(client)
        run = asked.start()
        assert gate.reached.wait(DEADLINE)
        for pid in re.findall(r"Started server process \[(\d+)\]", server.log):
            os.kill(int(pid), signal.SIGKILL)
        assert asked.poll(run.id).status == "completed"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_processes_end_with_the_one_that_started_them(
    tmp_path: Path, keys: Mapping[str, str], connect: Connect, postgres_url: str
) -> None:
    """Whoever starts the server again finds its port free."""
    with Served(tmp_path, "--workers", "2", "--database", postgres_url, **keys) as server:
        connect(server.root, max_retries=5).beta.assistants.list()
        server.stop(signal.SIGKILL)
        for pid in re.findall(r"Started server process \[(\d+)\]", server.log):
            assert is_over(int(pid))
    assert "Traceback" not in server.log


def is_over(pid: int) -> bool:
    """Whether a process, not of ours, has ended, or does so soon."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ended, _, _ = select.select([watched], [], [], DEADLINE)
    os.close(watched)
    return bool(ended)
