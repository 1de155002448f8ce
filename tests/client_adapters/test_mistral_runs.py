"""Runs on Mistral: what is its alone, beside test_dialect_runs.py."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anyio.from_thread import start_blocking_portal
from mistralai.client import Mistral
from openai import OpenAI

from supercompat import (
    MistralClientAdapter,
    Options,
    SQLAlchemyStorageAdapter,
    async_supercompat,
    supercompat,
)
from supercompat.testing import (
    Failure,
    MistralServer,
    Reply,
    call,
    reasoning,
    text,
    tool_calls,
)
from tests.client_adapters.mistral_clients import KEY
from tests.contract.blocking import Blocking
from tests.contract.conversations import (
    CLOCK,
    call_ids,
    conversation,
    texts,
)

MakeClient = Callable[..., OpenAI]


@pytest.fixture
def provider() -> Iterator[MistralServer]:
    with MistralServer() as server:
        yield server


#: The door, and the HTTP client that the user gave to the SDK.
SETUPS = [
    "sync-neither",
    "async-async_client",
    pytest.param("sync-client", marks=pytest.mark.slow),
    pytest.param("async-neither", marks=pytest.mark.slow),
    pytest.param("async-client", marks=pytest.mark.slow),
]


@pytest.fixture(params=SETUPS)
def make_client(
    request: pytest.FixtureRequest, provider: MistralServer, tmp_path: Path
) -> Iterator[MakeClient]:
    """Makes clients over one file. What they are given replaces their settings."""
    door, _, given = request.param.partition("-")
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))

        def make(**settings: Any) -> OpenAI:
            http: dict[str, Any] = {}
            if given == "client":
                http["client"] = stack.enter_context(httpx2.Client())
            elif given == "async_client":
                http["async_client"] = httpx2.AsyncClient()
                stack.callback(portal.call, http["async_client"].aclose)
            inner = Mistral(server_url=provider.url, api_key=KEY, **http)
            storage = SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'assistants.db'}")
            settings = {
                "client": MistralClientAdapter(inner),
                "storage": storage,
                "options": Options(drain=0),
                **settings,
            }
            client: Any = supercompat(**settings) if door == "sync" else None
            client = client or Blocking(async_supercompat(**settings), portal)
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> OpenAI:
    return make_client()


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (text("Hel").then_malformed(), "server_error", "The provider's answer can't be read"),
        (text("Hel", finish="error"), "server_error", "The provider ended the answer with an error"),
        (text("Hel", finish=None), "server_error", "The provider's answer ended before"),
    ],
)
def test_failures(
    client: OpenAI, provider: MistralServer, answer: Reply | Failure, code: str, message: str
) -> None:
    provider.reply(answer)
    asked = conversation(client)
    run = asked.run()
    assert run.status == "failed"
    assert run.last_error
    assert run.last_error.code == code
    assert run.last_error.message.startswith(message)
    assert asked.run().status == "completed"


def test_what_mistral_refuses_fails_the_run_in_its_own_words(client: OpenAI, provider: MistralServer) -> None:
    run = conversation(client, temperature=2).run()
    assert run.last_error
    assert run.last_error.code == "invalid_prompt"
    assert "Input should be less than or equal to 1.5" in run.last_error.message


@pytest.mark.parametrize("finish", ["length", "model_length"])
def test_an_answer_that_was_cut_off(client: OpenAI, provider: MistralServer, finish: str) -> None:
    provider.reply(text("Hel", finish=finish))
    run = conversation(client).run(max_completion_tokens=256)
    assert run.status == "incomplete"
    assert run.incomplete_details
    assert run.incomplete_details.reason == "max_completion_tokens"
    assert provider.requests[0].body["max_tokens"] == 256


def test_thinking_goes_back_in_another_client(make_client: MakeClient, provider: MistralServer) -> None:
    """It is never shown, and the server knows it by its signature."""
    provider.reply(
        reasoning("Hm, ", "a clock.") + text("Let me look.") + tool_calls(call("get_time")),
        reasoning("Easy.") + text("Noon."),
        text("You are welcome."),
    )
    first = make_client()
    asked = conversation(first, tools=[CLOCK])
    run = asked.run(reasoning_effort="high")
    (call_id,) = call_ids(run)
    first.close()

    second = make_client()
    second.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=asked.thread_id, tool_outputs=[{"tool_call_id": call_id, "output": "12:00"}]
    )
    assert provider.requests[0].body["reasoning_effort"] == "high"
    _, thought, answer = provider.requests[1].body["messages"]
    assert [part["type"] for part in thought["content"]] == ["thinking", "text"]
    assert thought["content"][0]["thinking"] == [{"type": "text", "text": "Hm, a clock."}]
    assert thought["content"][0]["signature"]
    assert thought["content"][1]["text"] == "Let me look."
    assert thought["tool_calls"][0]["id"] == answer["tool_call_id"] == call_id
    second.close()

    third = make_client()
    third.beta.threads.messages.create(asked.thread_id, role="user", content="Thanks")
    run = third.beta.threads.runs.create_and_poll(thread_id=asked.thread_id, assistant_id=asked.assistant_id)
    assert run.status == "completed"
    before = provider.requests[2].body["messages"][3]
    assert before["content"][0]["thinking"] == [{"type": "text", "text": "Easy."}]
    shown = [part for message in third.beta.threads.messages.list(asked.thread_id) for part in texts(message)]
    assert not any("clock" in part or "Easy" in part for part in shown)
