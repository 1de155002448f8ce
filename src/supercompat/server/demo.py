"""`supercompat demo`: a conversation with a real model through the Assistants API, and proof that it is kept."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import openai
from openai import OpenAI
from openai.types.beta import AssistantToolChoiceOptionParam, FunctionToolParam

from supercompat import OpenAIClientAdapter, Options, SQLAlchemyStorageAdapter, supercompat
from supercompat.errors import SupercompatError
from supercompat.server.conversation import Conversation, require
from supercompat.server.local_model import LocalModel, local_model
from supercompat.server.model_file import model_file
from supercompat.server.read_back import Line
from supercompat.server.screen import Screen

INSTRUCTIONS = "You are a helpful assistant. Answer every question in one short sentence."
FORECASTS = {
    "Copenhagen": {"city": "Copenhagen", "forecast": "rain", "temperature": "6 °C"},
    "Helsinki": {"city": "Helsinki", "forecast": "heavy snow", "temperature": "-7 °C"},
    "Oslo": {"city": "Oslo", "forecast": "light snow", "temperature": "-3 °C"},
    "Stockholm": {"city": "Stockholm", "forecast": "fog", "temperature": "1 °C"},
}
GET_FORECAST: FunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_forecast",
        "description": "Tells tomorrow's weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": list(FORECASTS)}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
FORCE_FORECAST: AssistantToolChoiceOptionParam = {"type": "function", "function": {"name": "get_forecast"}}
READ_BACK_SECONDS = 120

NEXT = """
What next
  In your program   the quick start in README.md; with a provider, one line changes:
                    client=GroqClientAdapter(Groq())
  This thread       supercompat demo --database {database} --read-back {thread_id}
  The tests         make test   (in a clone of the repository)
"""


def run_demo(database: Path | None) -> int:
    """Hold the conversation, and check on the way that its structure is right. What the model says is not judged.

    Args:
        database: the SQLite file that keeps it; by default a new one in a temporary directory, which stays.

    Returns:
        0: everything held.

    Raises:
        SupercompatError: the model could not be had or started, or something did not hold; one sentence says what.
    """
    screen = Screen()
    database = database or Path(tempfile.mkdtemp(prefix="supercompat-demo-")) / "demo.db"
    file = model_file(screen.plain)
    with ExitStack() as stack:
        started = time.monotonic()
        with screen.waiting("Loading the model"):
            model = stack.enter_context(local_model(file))
        ready = time.monotonic() - started
        screen.line(
            "model", f"{model.name} at {model.base_url}, process {model.pid}, ready after {ready:.1f} s"
        )
        screen.line("database", str(database))
        client = stack.enter_context(_client(model, database))
        try:
            thread_id = _converse(client, model, database, screen)
        except openai.OpenAIError as error:
            raise SupercompatError(f"The demo failed: {type(error).__name__}: {error}") from error
    screen.plain(NEXT.format(database=database, thread_id=thread_id))
    return 0


def _client(model: LocalModel, database: Path) -> OpenAI:
    provider = OpenAI(base_url=model.base_url, api_key="local")
    return supercompat(
        # llama.cpp ignores tool_choice, but keeps to a JSON schema: the adapter turns the one into the other.
        client=OpenAIClientAdapter(provider, forced_tool_choice="json_schema"),
        storage=SQLAlchemyStorageAdapter(f"sqlite:///{database}"),
        # Whoever presses Ctrl-C is not made to wait for the answer.
        options=Options(drain=0),
    )


def _converse(client: OpenAI, model: LocalModel, database: Path, screen: Screen) -> str:
    assistant = client.beta.assistants.create(
        model=model.name, instructions=INSTRUCTIONS, tools=[GET_FORECAST], temperature=0
    )
    thread = client.beta.threads.create()
    screen.line("assistant", assistant.id)
    screen.line("thread", thread.id)
    talk = Conversation(client, assistant.id, thread.id, {"get_forecast": get_forecast}, screen)

    first = talk.ask("A streamed answer", "What is the capital of Norway?")
    called = talk.ask("A function call", "What will the weather be there tomorrow?", FORCE_FORECAST)
    require(
        called.called == ["get_forecast"], f"the forced function was not called once, but {called.called}"
    )
    memory = talk.ask("A run that remembers", "What was my first question?")
    require(memory.prompt_tokens > first.prompt_tokens, "the last run was not given the messages before it")
    _read_back(database, thread.id, talk.seen, screen)

    screen.headline("Summary")
    screen.summary([first, called, memory])
    return thread.id


def get_forecast(city: str) -> Mapping[str, str]:
    """The function that the assistant may call: tomorrow's weather, from a table."""
    return FORECASTS[city]


def _read_back(database: Path, thread_id: str, seen: Sequence[Line], screen: Screen) -> None:
    screen.headline("The same thread, read by a second process")
    command = [
        sys.executable,
        "-m",
        "supercompat",
        "demo",
        "--database",
        str(database),
        "--read-back",
        thread_id,
    ]
    try:
        with screen.waiting("Starting it"):
            done = subprocess.run(  # noqa: S603 - nothing in it comes from outside
                command, capture_output=True, text=True, check=True, timeout=READ_BACK_SECONDS
            )
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", None) or error
        raise SupercompatError(
            f"The demo failed: the second process did not read the thread: {said}"
        ) from error
    read: list[Line] = [json.loads(line) for line in done.stdout.splitlines()]
    for line in read:
        screen.line(line["role"], line["text"])
    require(read == seen, f"it read other messages than this process saw: {read}, not {seen}")
    screen.line("equal", f"its {len(read)} messages are those that this process saw, ids included")
