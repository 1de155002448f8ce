"""A caller that leaves its stream ends its reading, not the run."""

import asyncio
import gc
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from supercompat import Options, SQLAlchemyStorageAdapter, async_supercompat, supercompat
from supercompat.testing import Gate, ScriptedModel, ScriptedServer, text
from tests.contract.conversations import DEADLINE, conversation, heard, heard_until, names, texts
from tests.doors.asking import talk_with
from tests.doors.leftovers import other_tasks

DELTA = "thread.message.delta"


def break_off(stream: Any) -> str:
    for event in stream:
        if event.event == DELTA:
            break
    else:
        return "the end"
    return DELTA


def close(stream: Any) -> str:
    said = heard_until(iter(stream), DELTA)
    stream.close()
    return said[-1].name


def leave_the_block(stream: Any) -> str:
    with stream:
        return heard_until(iter(stream), DELTA)[-1].name


def leave_unread(stream: Any) -> str:
    stream.close()
    return DELTA


@pytest.mark.core
@pytest.mark.parametrize("leave", [break_off, close, leave_the_block, leave_unread])
def test_the_run_goes_on(client: OpenAI, provider: ScriptedServer, leave: Callable[[Any], str]) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    talk = conversation(client)
    assert leave(talk.stream()) == DELTA
    # The stream was dropped with the frame that held it.
    gc.collect()
    assert gate.reached.wait(DEADLINE)
    gate.open()
    (run,) = client.beta.threads.runs.list(talk.thread_id).data
    assert talk.poll(run.id).status == "completed"
    (answer,) = talk.answers()
    assert texts(answer) == ["Hello"]
    assert not provider.requests[0].closed.is_set()


def test_another_thread_closes_the_stream(provider: ScriptedServer) -> None:
    """It ends for who reads it."""
    provider.reply(text("Hel").then_hang())
    with supercompat(client=openai.OpenAI(base_url=provider.base_url, api_key="k")) as client:
        talk = conversation(client)
        stream = talk.stream()
        events = iter(stream)
        run_id = heard_until(events, "thread.run.created")[-1].data["id"]
        heard_until(events, DELTA)
        stream.response.close()
        assert not list(events)
        talk.cancel(run_id)
        assert talk.poll(run_id).status == "cancelled"


async def test_another_task_closes_the_stream() -> None:
    model = ScriptedModel(text("Hel").then_hang())
    async with async_supercompat(client=model, options=Options(drain=0)) as client:
        talk = await talk_with(client)
        stream = await talk.stream()
        heard_some = asyncio.Event()

        async def read() -> list[str]:
            said: list[str] = []
            async for event in stream:
                said.append(event.event)
                if event.event == DELTA:
                    heard_some.set()
            return said

        reading = asyncio.create_task(read())
        await heard_some.wait()
        # The reader is waiting again.
        await asyncio.sleep(0)
        await stream.close()
        assert (await asyncio.wait_for(reading, DEADLINE))[-1] == DELTA
        assert (await talk.run()).status == "in_progress"


async def test_a_reading_task_is_cancelled() -> None:
    gate = Gate()
    heard_some = asyncio.Event()
    async with async_supercompat(client=ScriptedModel(text("Hel", gate, "lo"))) as client:
        talk = await talk_with(client)

        async def read() -> None:
            async for event in await talk.stream():
                if event.event == DELTA:
                    heard_some.set()

        reading = asyncio.create_task(read())
        await heard_some.wait()
        await cancelled(reading)
        gate.open()
        assert (await talk.rested()).status == "completed"


async def test_a_request_is_cancelled(tmp_path: Path) -> None:
    """What it asked for is done."""
    file = tmp_path / "assistants.db"
    storage = SQLAlchemyStorageAdapter(f"sqlite:///{file}")
    async with async_supercompat(client=ScriptedModel(), storage=storage) as client:
        assert not (await client.beta.assistants.list()).data
        # While another program writes, the request waits.
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            before = other_tasks()
            creating = asyncio.create_task(client.beta.assistants.create(model="gpt-4o-mini"))
            # The call, and the work that it asks for.
            while len(other_tasks() - before) < 2:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
            await cancelled(creating)
        assert len((await client.beta.assistants.list()).data) == 1


async def cancelled(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_one_of_two_streams(client: OpenAI, provider: ScriptedServer) -> None:
    """Leaving one run's stream leaves those of others alone."""
    gates = [Gate(), Gate()]
    provider.reply(*(text("Hel", gate, "lo") for gate in gates))
    left, kept = conversation(client).stream(), conversation(client).stream()
    heard_until(iter(left), DELTA)
    events = iter(kept)
    heard_until(events, DELTA)
    left.close()
    gates[1].open()
    assert names(heard(events))[-1] == "thread.run.completed"
    gates[0].open()
