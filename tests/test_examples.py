"""The examples, and the README's quick start as it is printed, against a scripted provider."""

import re
import runpy
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import indent
from typing import Any, cast

import pytest
from fastapi import FastAPI
from openai import OpenAI

from supercompat import SQLAlchemyStorageAdapter, asgi_app
from supercompat.testing import (
    AnthropicServer,
    MistralServer,
    Received,
    Reply,
    ScriptedModel,
    ScriptedServer,
    call,
    code_interpreter,
    computer_call,
    file_citation,
    file_search,
    image_generation,
    mcp_call,
    mcp_tools,
    reasoning,
    text,
    tool_calls,
    url_citation,
    web_search,
)
from tests.prisma.node import node
from tests.server.processes import Served
from tests.server.serving import served

ROOT = Path(__file__).parents[1]


@pytest.fixture
def groq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A server with Groq's wire that Groq's SDK finds by its own environment variables."""
    monkeypatch.chdir(tmp_path)
    with ScriptedServer() as server:
        monkeypatch.setenv("GROQ_BASE_URL", server.url)
        monkeypatch.setenv("GROQ_API_KEY", "test-key")
        yield server


@pytest.fixture
def gpt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A server with OpenAI's wire that its SDK finds by its own environment variables."""
    monkeypatch.chdir(tmp_path)
    with ScriptedServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "test-key")
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


# Those of the Responses API


def test_responses(
    groq: ScriptedServer,
    make_prisma_url: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{make_prisma_url('uuid')}?schema=public")
    groq.reply(text("The Dodgers."))
    run("responses")
    assert capsys.readouterr().out.splitlines() == ["user", "The Dodgers."]
    assert [asked.path for asked in groq.requests] == ["/openai/v1/responses"]


def test_file_search(
    gpt: ScriptedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VECTOR_STORE_ID", "vs_1")
    found: dict[str, Any] = {
        "file_id": "file-1",
        "filename": "plan.txt",
        "score": 0.5,
        "text": "5",
        "attributes": {},
    }
    gpt.reply(file_search("budget", results=[found]) + text("It is 5", file_citation("file-1", "plan.txt")))
    run("file_search")
    assert capsys.readouterr().out.splitlines() == [
        "found plan.txt, score 0.5",
        "It is 5【4:0†plan.txt】",
        "【4:0†plan.txt】 is file-1",
    ]
    assert gpt.requests[0].body["tools"] == [{"type": "file_search", "vector_store_ids": ["vs_1"]}]


def test_code_interpreter(gpt: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = code_interpreter("plot(", "x**2)", images=["data:image/png;base64,AAAA"])
    gpt.reply(code + text("Here it is."))
    run("code_interpreter")
    assert capsys.readouterr().out.splitlines() == ["plot(x**2)", "plot.png", "Here it is."]
    assert (tmp_path / "plot.png").read_bytes() == b"\0\0\0"


def test_web_search(gpt: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    said = text("Tove Jansson", url_citation("https://moomin.example", "Moomins"), ".")
    gpt.reply(web_search("moomins") + said)
    run("web_search")
    call, answer, cited = capsys.readouterr().out.splitlines()
    assert call.startswith('web_search({"type": "search", "query": "moomins"')
    assert [answer, cited] == ["Tove Jansson.", "'Tove Jansson': https://moomin.example"]


def test_mcp(gpt: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    listed = mcp_tools("wiki", "search")
    gpt.reply(listed + mcp_call("wiki", "search", '{"q": "moomins"}', output="Trolls.") + text("Trolls."))
    run("mcp")
    assert capsys.readouterr().out.splitlines() == [
        'mcp:wiki.search({"q": "moomins"}): Trolls.',
        "Trolls.",
    ]


def test_image_generation(gpt: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gpt.reply(image_generation("AAAA", revised_prompt="A cat.") + text("A cat."))
    run("image_generation")
    assert capsys.readouterr().out.splitlines() == ["cat.png", "A cat."]
    assert (tmp_path / "cat.png").read_bytes() == b"\0\0\0"


def test_computer_use(gpt: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    check = {"id": "cu_sc_1", "code": "malicious_instructions", "message": "Look at it."}
    click = {"type": "click", "button": "left", "x": 7, "y": 9}
    gpt.reply(computer_call(click, safety_checks=[check]), text("Pressed."))
    run("computer_use")
    assert capsys.readouterr().out.splitlines() == ["click at 7, 9", "The run is completed.", "Pressed."]
    assert gpt.requests[1].body["input"][-1]["acknowledged_safety_checks"] == [check]


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


# Those that need a server


def test_resumed_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'served.db'}")
    model = ScriptedModel(text("Once", " upon", " a", " time."))
    with served(asgi_app(client=model, storage=storage)) as url:
        monkeypatch.setattr("sys.argv", ["resumed_stream.py", url])
        run("resumed_stream")
    assert capsys.readouterr().out.splitlines() == ["Once upon a time.", "The run is completed."]


def test_each_example_is_tested() -> None:
    names = {path.stem for path in (ROOT / "examples").glob("*.py")}
    without_key = {"cancel", "dropped_line", "two_runs", "missing_output", "image"}
    hosted = {"file_search", "code_interpreter", "web_search", "mcp", "image_generation", "computer_use"}
    with_a_server = {"resumed_stream", "mounted"}
    others = {"quickstart", "async_stream", "function_tool", "three_providers", "own_tests", "responses"}
    assert names == others | hosted | without_key | with_a_server | {"prisma_tables"}


@pytest.mark.parametrize("framework", ["starlette", "fastapi"])
def test_the_api_in_an_application_of_ones_own(groq: ScriptedServer, framework: str) -> None:
    example = runpy.run_path(str(ROOT / "examples" / "mounted.py"))
    app: Any = example["app"]
    if framework == "fastapi":
        app = FastAPI()
        app.mount("/ai", example["assistants"])
    groq.reply(text("Hel", "lo"))
    with served(app) as root, OpenAI(base_url=f"{root}/ai/v1", api_key="none") as client:
        assistant = client.beta.assistants.create(model="llama-3.3-70b-versatile")
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
        with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
            assert "".join(stream.text_deltas) == "Hello"


#: What stands in the page on testing for the code of an application: one run, its calls answered.
APPLICATION = """
assistant = client.beta.assistants.create(model="llama-3.3-70b-versatile", tools=TOOLS)
thread = client.beta.threads.create(messages=[{"role": "user", "content": "How is the weather?"}])
run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
while run.status == "requires_action":
    calls = run.required_action.submit_tool_outputs.tool_calls
    outputs = [{"tool_call_id": call.id, "output": "18"} for call in calls]
    run = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=thread.id, tool_outputs=outputs
    )
assert run.status == "completed", run
client.close()
"""


@pytest.mark.parametrize(("block", "place"), [(0, "# … the code under test, with this client …"), (1, "...")])
def test_the_page_on_testing_as_it_is_printed(block: int, place: str) -> None:
    page = (ROOT / "docs" / "testing.md").read_text()
    program = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[block]
    found = re.search(rf"^( *){re.escape(place)}$", program, re.MULTILINE)
    assert found
    printed = program.replace(found[0], indent(APPLICATION, found[1]), 1)
    exec(printed, {"TOOLS": [{"type": "function", "function": {"name": "get_weather"}}]})


@pytest.mark.parametrize("page", ["README.md", "docs/server.md"])
def test_the_api_over_http_as_it_is_printed(page: str, groq: ScriptedServer, tmp_path: Path) -> None:
    block = re.search(
        r"^```console\nURL=http://127\.0\.0\.1:8000(.*?)^```$",
        (ROOT / page).read_text(),
        re.DOTALL | re.MULTILINE,
    )
    assert block
    groq.reply(text("Oslo", "."))
    with Served(tmp_path, "--provider", "groq", GROQ_BASE_URL=groq.url, GROQ_API_KEY="test-key") as server:
        program = f"URL={server.root}{block[1]}"
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert '"value":"Oslo"' in done.stdout
    assert done.stdout.endswith("event: done\ndata: [DONE]\n\n")
