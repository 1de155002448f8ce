"""The caller's read timeout ends its waiting, not the work."""

import sqlite3
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from supercompat import SQLAlchemyStorageAdapter, async_supercompat, supercompat
from supercompat.testing import Gate, ScriptedModel, ScriptedServer, hang, text
from tests.contract.conversations import DEADLINE, conversation, heard, heard_until, names, texts

DELTA = "thread.message.delta"

QUESTION: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}

#: What a stream ends with that waited too long: up to openai 2 the HTTP library's own error.
TIMED_OUT: Any = (openai.APITimeoutError, httpx.ReadTimeout)


@pytest.mark.core
def test_a_stream(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    # Without retries: on a slow machine the creation itself may take too long for the caller.
    talk = conversation(client.with_options(max_retries=0))
    with pytest.raises(TIMED_OUT):
        list(talk.stream(timeout=0.5))
    assert gate.reached.wait(DEADLINE)
    (run,) = client.beta.threads.runs.list(talk.thread_id).data
    assert run.status == "in_progress"
    gate.open()
    assert talk.poll(run.id).status == "completed"
    assert [texts(answer) for answer in talk.answers()] == [["Hello"]]
    assert not provider.requests[0].closed.is_set()


@pytest.mark.core
def test_an_answer(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hello").after(gate := Gate()), text("Hello"))
    # What is asked for while the client still starts is not begun.
    client.beta.threads.create()
    with pytest.raises(openai.APITimeoutError):
        client.with_options(max_retries=0).chat.completions.create(**QUESTION, timeout=0.2)
    assert gate.reached.wait(DEADLINE)
    create: Any = client.chat.completions.create
    answer = create(**QUESTION)
    assert answer.choices[0].message.content == "Hello"


@pytest.mark.core
def test_the_wait_of_a_poll_fits_into_it(client: OpenAI, provider: ScriptedServer) -> None:
    """A poll that would outlast its own read timeout asks again instead of failing."""
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    talk = conversation(client)
    run = talk.start()
    runs = client.with_options(max_retries=0).beta.threads.runs
    asked: list[float] = []

    def retrieve() -> str:
        asked.append(time.monotonic())
        headers = {"X-Stainless-Poll-Helper": "true"}
        return runs.retrieve(run.id, thread_id=talk.thread_id, extra_headers=headers, timeout=1.0).status

    assert {retrieve() for _ in range(2)} <= {"queued", "in_progress"}
    assert min(later - earlier for earlier, later in pairwise(asked)) >= 0.4
    gate.open()
    assert runs.poll(run.id, thread_id=talk.thread_id, timeout=1.0).status == "completed"


def test_what_comes_in_time_is_not_held_against_it(client: OpenAI, provider: ScriptedServer) -> None:
    """The timeout is for each wait, not for all of the stream."""
    provider.reply(text(*["word "] * 8).paced(first=0.1, interval=0.2))
    events = heard(conversation(client).stream(timeout=1.0))
    assert names(events)[-1] == "thread.run.completed"


def test_what_came_while_the_caller_was_busy_is_there(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hel", gate := Gate(), "lo"), hang())
    talk = conversation(client)
    events = iter(talk.stream(timeout=1.0))
    run_id = heard_until(events, "thread.run.created")[-1].data["id"]
    assert gate.reached.wait(DEADLINE)
    with pytest.raises(openai.APITimeoutError):
        client.with_options(max_retries=0).chat.completions.create(**QUESTION, timeout=1.1)
    gate.open()
    assert talk.poll(run_id).status == "completed"
    assert names(heard(events))[-1] == "thread.run.completed"


async def test_a_start_that_takes_long(tmp_path: Path) -> None:
    """Another program holds the database: the caller waits for it no longer than it wants to."""
    file = tmp_path / "assistants.db"
    storage = SQLAlchemyStorageAdapter(f"sqlite:///{file}?timeout=1")
    settings: Any = {"client": ScriptedModel(), "storage": storage, "timeout": 0.2, "max_retries": 0}
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with supercompat(**settings) as client, pytest.raises(openai.APITimeoutError):
            client.beta.assistants.list()
        async with async_supercompat(**settings) as asynchronous:
            with pytest.raises(openai.APITimeoutError):
                await asynchronous.beta.assistants.list()
            other.execute("ROLLBACK")
            assert not (await asynchronous.beta.assistants.list(timeout=DEADLINE)).data
