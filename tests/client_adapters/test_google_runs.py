"""Runs that Gemini answers: what is its alone, beside test_dialect_runs.py."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from openai import BadRequestError, OpenAI

from supercompat import (
    GoogleClientAdapter,
    MemoryStorageAdapter,
    Options,
    SQLAlchemyStorageAdapter,
    async_supercompat,
    supercompat,
)
from supercompat.client_adapters.base import Connection
from supercompat.client_adapters.fetch import ImageFetcher
from supercompat.testing import (
    GoogleServer,
    Usage,
    call,
    error,
    reasoning,
    refusal,
    text,
    tool_calls,
)
from tests.client_adapters.on_google import LOOPBACK, SIGNS, client_of
from tests.contract.blocking import Blocking
from tests.contract.conversations import (
    CLOCK,
    Conversation,
    call_ids,
    conversation,
    heard,
    names,
    texts,
)
from tests.contract.judge import Judge

MakeClient = Callable[..., OpenAI]
PNG = b"\x89PNG\r\n\x1a\n."
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
    "additionalProperties": False,
}


@pytest.fixture
def google() -> Iterator[GoogleServer]:
    with GoogleServer(models=[SIGNS, "gemini-2.5-flash"]) as server:
        yield server


@dataclass
class Local:
    """The adapter, with images from this machine: there are no others in a test."""

    adapter: GoogleClientAdapter
    fetches: bool

    def connect(
        self, *, own_pool: bool, threads: Any = None, images: ImageFetcher | None = None
    ) -> Connection:
        return self.adapter.connect(
            own_pool=own_pool, threads=threads, images=LOOPBACK if self.fetches else images
        )


@pytest.fixture(params=["sync", "async"])
def make_client(request: pytest.FixtureRequest, google: GoogleServer) -> Iterator[MakeClient]:
    """Makes clients of one door. Whatever they are answered has to be as OpenAI's own document describes it."""
    judge = Judge()
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))

        def make(*, fetches: bool = True, **given: Any) -> OpenAI:
            inner = client_of(google.url)
            stack.callback(inner.close)
            settings: dict[str, Any] = {
                "client": Local(GoogleClientAdapter(inner), fetches),
                "storage": MemoryStorageAdapter(),
                "options": Options(drain=0),
                **given,
            }
            if request.param == "sync":
                client: Any = supercompat(**settings)
                judge.watch(client)
            else:
                asynchronous = async_supercompat(**settings)
                judge.watch(asynchronous)
                client = Blocking(asynchronous, portal)
                stack.callback(portal.call, inner.aio.aclose)
            stack.callback(client.close)
            return client

        yield make
    assert not judge.problems


@pytest.fixture
def client(make_client: MakeClient) -> OpenAI:
    return make_client()


def talk(client: OpenAI, question: Any = "Hi", model: str = SIGNS, **assistant: Any) -> Conversation:
    return conversation(client, question, model=model, **assistant)


def said(server: GoogleServer, index: int = -1) -> list[dict[str, Any]]:
    return server.requests[index].body["contents"]


def test_text(client: OpenAI, google: GoogleServer):
    google.reply((reasoning("Hm.") + text("Hel", "lo")).with_usage(Usage(11, 7, 3, 2)), text("Again."))
    asked = talk(client, instructions="Be brief.", temperature=0.5)
    events = heard(asked.stream())
    assert names(events)[-1] == "thread.run.completed"
    (answer,) = asked.answers()
    assert texts(answer) == ["Hello"]
    body = google.requests[0].body
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["generationConfig"] == {"temperature": 0.5}
    asked.ask("And now?")
    run = asked.run()
    assert run.status == "completed"
    assert run.usage is not None
    assert run.usage.total_tokens == 18
    # The signature behind the text goes back too.
    assert [content["role"] for content in said(google)] == ["user", "model", "user"]
    assert "thoughtSignature" in said(google)[1]["parts"][-1]


def test_one_call_at_a_time(client: OpenAI, google: GoogleServer):
    google.reply(tool_calls(call("get_time"), call("get_time")))
    asked = talk(client, "When?", tools=[CLOCK])
    run = asked.run(parallel_tool_calls=False)
    (only,) = call_ids(run)
    assert asked.submit_and_poll(run.id, {only: "noon"}).status == "completed"


@pytest.mark.parametrize("model", [SIGNS, "gemini-2.5-flash"])
def test_structured_output(client: OpenAI, google: GoogleServer, model: str):
    google.reply(text('{"sum": 3}'), text('{"sum": 3}'))
    wanted = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA, "strict": True}}
    asked = talk(client, "1 + 2?", model=model, response_format=wanted)
    assert asked.run().status == "completed"
    assert json.loads(texts(asked.answers()[0])[0]) == {"sum": 3}
    config = google.requests[0].body["generationConfig"]
    assert config == {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
    # Beside tools, the older model has to be asked in words.
    assert asked.run(tools=[CLOCK]).status == "completed"


def test_images(client: OpenAI, google: GoogleServer):
    class Pictures(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "image/png")
            self.send_header("content-length", str(len(PNG)))
            self.end_headers()
            self.wfile.write(PNG)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is logged."""

    with HTTPServer(("127.0.0.1", 0), Pictures) as pictures:
        thread = Thread(target=pictures.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{pictures.server_address[1]}/a.png"
        content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
        assert talk(client, content).run().status == "completed"
        thread.join()
    question, image = said(google)[0]["parts"]
    assert question == {"text": "What?"}
    assert image["inlineData"]["mimeType"] == "image/png"


@pytest.mark.parametrize(
    ("options", "why"),
    [(Options(drain=0, fetch_images=False), "fetches no images"), (Options(drain=0), "not on the public")],
)
def test_images_that_are_not_fetched(
    make_client: MakeClient, google: GoogleServer, options: Options, why: str
):
    client = make_client(fetches=False, options=options)
    image = {"type": "image_url", "image_url": {"url": "http://127.0.0.1/a.png"}}
    run = talk(client, [image]).run()
    assert run.last_error is not None
    assert (run.status, run.last_error.code) == ("failed", "invalid_prompt")
    assert why in run.last_error.message
    assert not google.requests


@pytest.mark.parametrize(
    ("reply", "code", "message"),
    [
        (error(400, "Wrong key.", code="API_KEY_INVALID"), "server_error", "Wrong key."),
        (refusal("Not this."), "invalid_prompt", "The prompt was blocked (SAFETY): Not this."),
        (text("a", finish="MALFORMED_FUNCTION_CALL"), "server_error", "The model ended its answer"),
    ],
)
def test_failures(client: OpenAI, google: GoogleServer, reply: Any, code: str, message: str):
    google.reply(reply)
    run = talk(client).run()
    assert run.last_error is not None
    assert (run.status, run.last_error.code) == ("failed", code)
    assert run.last_error.message.startswith(message)


def test_an_unknown_model(client: OpenAI):
    run = talk(client, model="gemini-0").run()
    assert run.last_error is not None
    assert (run.last_error.code, "is not found" in run.last_error.message) == ("server_error", True)


def test_another_client_goes_on_where_the_first_left(
    make_client: MakeClient, google: GoogleServer, tmp_path: Path
):
    """With what Gemini said, unchanged: it would refuse the call without its signature."""
    url = f"sqlite:///{tmp_path / 'assistants.db'}"
    google.reply(text("Let me see.") + tool_calls(call("get_time"), call("get_time")), text("Noon."))
    first = make_client(storage=SQLAlchemyStorageAdapter(url))
    asked = talk(first, "When?", tools=[CLOCK])
    run = asked.run()
    first.close()
    second = make_client(storage=SQLAlchemyStorageAdapter(url))
    going_on = Conversation(second, asked.assistant_id, asked.thread_id)
    assert going_on.submit_and_poll(run.id, dict.fromkeys(call_ids(run), "noon")).status == "completed"
    kept = said(google)[1]["parts"]
    assert [part.get("text") or part["functionCall"]["name"] for part in kept] == [
        "Let me see.",
        "get_time",
        "get_time",
    ]
    assert ["thoughtSignature" in part for part in kept] == [False, True, False]
    # A run on another model can't read them, and is told so.
    going_on.ask("And now?")
    assert going_on.run(model="gemini-2.5-flash").status == "completed"
    assert not any("thoughtSignature" in part for content in said(google) for part in content["parts"])


def test_chat_and_models(client: OpenAI, google: GoogleServer):
    google.reply(text("Hello"))
    answer = client.chat.completions.create(model=SIGNS, messages=[{"role": "user", "content": "Hi"}])
    assert answer.choices[0].message.content == "Hello"
    assert [model.id for model in client.models.list()] == [SIGNS, "gemini-2.5-flash"]
    with pytest.raises(BadRequestError, match="'n' is not supported"):
        client.chat.completions.create(model=SIGNS, n=2, messages=[{"role": "user", "content": "Hi"}])
