"""The examples, and the README's quick start as it is printed, against a scripted provider."""

import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from supercompat.testing import (
    AnthropicServer,
    MistralServer,
    Received,
    Reply,
    ScriptedServer,
    call,
    reasoning,
    text,
    tool_calls,
)
from tests.prisma.node import node

ROOT = Path(__file__).parents[1]


@pytest.fixture
def groq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A server with Groq's wire that Groq's SDK finds by its own environment variables."""
    monkeypatch.chdir(tmp_path)
    with ScriptedServer() as server:
        monkeypatch.setenv("GROQ_BASE_URL", server.url)
        monkeypatch.setenv("GROQ_API_KEY", "test-key")
        yield server


def run(example: str) -> None:
    runpy.run_path(str(ROOT / "examples" / f"{example}.py"), run_name="__main__")


def test_the_quick_start_of_the_readme(
    groq: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (ROOT / "README.md").read_text()
    quick_start = re.search(r"^## Quick start$.*?^```python\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    assert quick_start
    program = tmp_path / "quick_start.py"
    program.write_text(quick_start[1])
    groq.reply(text("The Moomins ", "and the Great Flood."))
    runpy.run_path(str(program), run_name="__main__")
    assert capsys.readouterr().out == "The Moomins and the Great Flood."
    (asked,) = groq.requests
    assert asked.body["model"] == "llama-3.3-70b-versatile"
    assert asked.body["messages"][-1]["content"] == "What should I read on a rainy day?"
    assert (tmp_path / "assistants.db").exists()


def test_quickstart(groq: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    groq.reply(text("A thriller."), text("Poems."))
    run("quickstart")
    assert capsys.readouterr().out.splitlines() == [
        "user: What should I read on a rainy day?",
        "assistant: A thriller.",
        "user: And when the sun comes out?",
        "assistant: Poems.",
    ]
    assert [len(asked.body["messages"]) for asked in groq.requests] == [2, 4]


def test_async_stream(groq: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    def guide(asked: Received) -> Reply:
        city = asked.body["messages"][-1]["content"].removeprefix("I am in ")
        return text("Old ", city)

    groq.reply(guide, guide, guide)
    run("async_stream")
    said = capsys.readouterr().out.splitlines()
    assert said[-3:] == ["Lisbon: Old Lisbon.", "Oslo: Old Oslo.", "Kyoto: Old Kyoto."]
    assert sorted(said[:-3]) == sorted(
        f"({city}) {piece}" for city in ("Lisbon", "Oslo", "Kyoto") for piece in ("Old ", f"{city}.")
    )


def test_function_tool(groq: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    cities = (call("get_weather", f'{{"city": "{city}"}}') for city in ("Lisbon", "Oslo"))
    groq.reply(tool_calls(*cities), text("Neither."))
    run("function_tool")
    assert capsys.readouterr().out.splitlines() == [
        'get_weather({"city": "Lisbon"})',
        'get_weather({"city": "Oslo"})',
        "The run is completed.",
        "Neither.",
    ]
    assert [message["role"] for message in groq.requests[1].body["messages"]] == [
        "user",
        "assistant",
        "tool",
        "tool",
    ]


def test_three_providers(
    groq: ScriptedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each server enforces its provider's rules on what the others said: calls, their ids, signed thinking."""

    def looks_up(city: str) -> Reply:
        return tool_calls(call("get_weather", f'{{"city": "{city}"}}'))

    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    monkeypatch.setenv("MISTRAL_API_KEY", "test-key")
    with AnthropicServer() as anthropic, MistralServer() as mistral:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", anthropic.url)
        monkeypatch.setenv("MISTRAL_SERVER_URL", mistral.url)
        groq.reply(reasoning("Lisbon.") + looks_up("Lisbon"), text("21 degrees."))
        anthropic.reply(reasoning("Oslo.") + looks_up("Oslo"), reasoning("Brr.") + text("4 degrees."))
        mistral.reply(reasoning("Kyoto.") + looks_up("Kyoto"), text("17. Lisbon is the warmest."))
        run("three_providers")
        asked = [*groq.requests, *anthropic.requests, *mistral.requests]
    assert capsys.readouterr().out.splitlines() == [
        'llama-3.3-70b-versatile calls get_weather({"city": "Lisbon"})',
        "llama-3.3-70b-versatile, completed: 21 degrees.",
        'claude-sonnet-5 calls get_weather({"city": "Oslo"})',
        "claude-sonnet-5, completed: 4 degrees.",
        'mistral-medium-latest calls get_weather({"city": "Kyoto"})',
        "mistral-medium-latest, completed: 17. Lisbon is the warmest.",
    ]
    assert [request.status for request in asked] == [200] * 6
    # Three rounds of question, call, output and answer, of which the last is still to be given; and of the thinking
    # only the provider's own.
    thinking = [part["thinking"] for part in parts(anthropic.requests[1]) if part["type"] == "thinking"]
    assert thinking == ["Oslo."]
    roles = [message["role"] for message in mistral.requests[1].body["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant"] * 2 + ["user", "assistant", "tool"]
    thinking = [part["thinking"] for part in parts(mistral.requests[1]) if part["type"] == "thinking"]
    assert thinking == [[{"type": "text", "text": "Kyoto."}]]


def parts(asked: Received) -> list[dict[str, Any]]:
    """The parts of all messages that have parts."""
    contents: list[Any] = [message.get("content") for message in asked.body["messages"]]
    return [part for content in contents if isinstance(content, list) for part in cast(list[Any], content)]


def test_prisma_tables(
    groq: ScriptedServer,
    make_prisma_url: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = make_prisma_url("uuid")
    monkeypatch.setenv("DATABASE_URL", f"{url}?schema=public")
    groq.reply(text("The Los Angeles Dodgers."))
    run("prisma_tables")
    assert capsys.readouterr().out.splitlines() == [
        "The run is completed.",
        "user: Who won the world series in 2020?",
        "assistant: The Los Angeles Dodgers.",
    ]
    assert [message["role"] for message in groq.requests[0].body["messages"]] == ["system", "user"]
    with node(url) as application:
        [thread] = application.rows('SELECT id::text, "assistantId"::text, metadata FROM "Thread"')
        assert application.prompt(thread["id"])[1] == ("assistant", "The Los Angeles Dodgers.")
        assert thread["metadata"] == {"assistantId": thread["assistantId"]}


def test_own_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_own=(ROOT / "examples" / "own_tests.py").read_text())
    pytester.runpytest_inprocess().assert_outcomes(passed=3, warnings=None)


# Those that need no key


def test_cancel(capsys: pytest.CaptureFixture[str]) -> None:
    run("cancel")
    assert capsys.readouterr().out.splitlines()[-9:] == [
        "thread.message.delta",
        "thread.message.delta",
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
        "The run is cancelled.",
        "The message is incomplete: Once upon a time",
        "The provider's connection is closed: True",
    ]


def test_dropped_line(capsys: pytest.CaptureFixture[str]) -> None:
    run("dropped_line")
    first, *others = capsys.readouterr().out.splitlines()
    assert first.startswith("The run is failed: server_error, ")
    assert others == [
        "Its step is failed.",
        "The next run is completed.",
        "user, completed: What is the answer?",
        "assistant, incomplete: The answer is",
        "assistant, completed: 42.",
    ]


def test_two_runs(capsys: pytest.CaptureFixture[str]) -> None:
    run("two_runs")
    second, message, *others = capsys.readouterr().out.splitlines()
    assert "already has an active run run_" in second
    assert "Can't add messages to thread_" in message
    assert others == ["The run is completed.", "Runs: 1", "Messages: 2"]


def test_missing_output(capsys: pytest.CaptureFixture[str]) -> None:
    run("missing_output")
    before, one, other, *after = capsys.readouterr().out.splitlines()
    assert [before, *after] == [
        "The run is requires_action.",
        "The run is requires_action.",
        "The run is completed.",
    ]
    assert "['call_lisbon', 'call_oslo'], got ['call_lisbon']" in one
    assert "['call_lisbon', 'call_oslo'], got ['call_lisbon', 'call_paris']" in other


def test_image(capsys: pytest.CaptureFixture[str]) -> None:
    run("image")
    said = capsys.readouterr().out.splitlines()
    assert said[1] == '{"type": "text", "text": "What is this?"}'
    assert said[2].startswith('{"type": "image_url", "image_url": {"url": "data:image/png;base64,')
    assert [said[0], *said[3:]] == ["The run is completed.", "A red dot."]


def test_each_example_is_tested() -> None:
    names = {path.stem for path in (ROOT / "examples").glob("*.py")}
    without_key = {"cancel", "dropped_line", "two_runs", "missing_output", "image"}
    assert (
        names
        == {"quickstart", "async_stream", "function_tool", "three_providers", "prisma_tables", "own_tests"}
        | without_key
    )
