"""The contract, as the official SDK in Node sees it over HTTP: the tests are the `.mjs` files of this folder."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from supercompat import OpenAIClientAdapter, Options, ServerOptions, SQLAlchemyStorageAdapter, asgi_app
from supercompat.testing import (
    Failure,
    Gate,
    Received,
    Reply,
    ScriptedServer,
    call,
    error,
    refusal,
    text,
    tool_calls,
)
from tests.node.packages import HERE, node, packages
from tests.server.serving import served


class Model:
    """Does what the conversation's last message says."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}

    def __call__(self, asked: Received) -> Reply | Failure:
        last: dict[str, Any] = asked.body["messages"][-1]
        if last["role"] == "tool":
            told = [each["content"] for each in asked.body["messages"] if each["role"] == "tool"]
            return text("Told: ", ", ".join(told))
        if isinstance(last["content"], list):
            pictures = json.dumps(last["content"]).count('"type": "image_url"')
            return text("I see ", f"{pictures} picture.")
        what, _, rest = last["content"].partition(" ")
        return self._do(what, rest)

    def _do(self, what: str, rest: str) -> Reply | Failure:
        match what:
            case "call":
                return tool_calls(*(call(name, '{"zone": ', '"here"}') for name in rest.split()))
            case "refuse":
                return refusal("I can't.")
            case "stop":
                return text("Hel", "lo", finish="length")
            case "fail":
                return error(429)
            case "begin":
                return text("Hel", Gate())
            case "pause":
                return text("Once", self._gate(rest), " upon", " a time.")
            case "release":
                self._gate(rest).open()
                return text("Done.")
            case _:
                return text(*rest.split("|"))

    def _gate(self, name: str) -> Gate:
        return self._gates.setdefault(name, Gate())


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The server under test."""
    with (
        ScriptedServer(default=Model()) as provider,
        openai.OpenAI(base_url=provider.base_url, api_key="test-key", max_retries=0) as answering,
    ):
        app = asgi_app(
            client=OpenAIClientAdapter(answering),
            storage=SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'served.db'}"),
            options=Options(drain=0),
            server=ServerOptions(keep_alive=1),
        )
        with served(app) as root:
            yield root


@pytest.mark.conforms("C-147", "C-157")
@pytest.mark.timeout(180)
@pytest.mark.parametrize("package", ["openai", pytest.param("openai-7", marks=pytest.mark.slow)])
def test_the_contract_in_node(url: str, package: str) -> None:
    found = node()
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "NODE_PACKAGES": str(packages() / "package.json"),
        "OPENAI_PACKAGE": package,
        "SERVER_URL": url,
    }
    files = sorted(str(file) for file in HERE.glob("*.test.mjs"))
    tested = subprocess.run(
        [found, "--test", "--test-reporter=tap", "--no-warnings", *files],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "\n# fail 0\n" in tested.stdout
    assert "\n# skipped 0\n" in tested.stdout


def test_a_suite_that_is_left_out_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With `CI` it is no longer left out, but fails."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="in Node was left out: Node was not found"):
        node()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="in Node was left out: Node was not found"):
        node()


def test_the_lock_names_no_address() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text())
    assert all(
        "integrity" in each and "resolved" not in each for name, each in lock["packages"].items() if name
    )
