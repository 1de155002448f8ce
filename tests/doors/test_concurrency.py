"""One client, many callers."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from supercompat import SQLAlchemyStorageAdapter, async_supercompat, supercompat
from supercompat.testing import Gate, ScriptedModel, ScriptedServer, text
from tests.contract.conversations import DEADLINE, conversation, texts
from tests.doors.asking import talk_with

CALLERS = 16


@pytest.mark.parametrize("kind", [OpenAI, openai.AsyncOpenAI])
def test_threads(provider: ScriptedServer, tmp_path: Path, kind: Any) -> None:
    """All of them ask at once from the first request on, with runs that are under way at the same time."""
    storage = SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'assistants.db'}")
    inner = kind(base_url=provider.base_url, api_key="test-key", max_retries=0)
    together = threading.Barrier(CALLERS)
    gate = Gate()
    provider.reply(*[text("Hel", gate, "lo")] * CALLERS)

    with supercompat(client=inner, storage=storage) as client:

        def ask(_: int) -> tuple[str, list[list[str]]]:
            together.wait(DEADLINE)
            talk = conversation(client)
            run = talk.start()
            # All runs are held at the gate until the last is.
            if together.wait(DEADLINE) == 0:
                assert gate.reached.wait(DEADLINE)
                gate.open()
            return talk.poll(run.id).status, [texts(answer) for answer in talk.answers()]

        with ThreadPoolExecutor(CALLERS) as threads:
            assert list(threads.map(ask, range(CALLERS))) == [("completed", [["Hello"]])] * CALLERS
    if kind is OpenAI:
        inner.close()


@pytest.mark.parametrize("kind", [OpenAI, openai.AsyncOpenAI])
async def test_tasks(provider: ScriptedServer, tmp_path: Path, kind: Any) -> None:
    storage = SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'assistants.db'}")
    inner = kind(base_url=provider.base_url, api_key="test-key", max_retries=0)
    gate = Gate()
    provider.reply(*[text("Hel", gate, "lo")] * CALLERS)

    async with async_supercompat(client=inner, storage=storage) as client:
        started: list[str] = []

        async def ask() -> tuple[str, list[tuple[str, list[str]]]]:
            talk = await talk_with(client)
            started.append((await talk.start()).id)
            if len(started) == CALLERS:
                gate.open()
            return (await talk.rested()).status, await talk.answers()

        answers = await asyncio.gather(*(ask() for _ in range(CALLERS)))
        assert answers == [("completed", [("completed", ["Hello"])])] * CALLERS
    if kind is OpenAI:
        inner.close()
    else:
        await inner.close()


def test_a_synchronous_client_inside_of_a_loop() -> None:
    """As in a notebook, or in a view that is `async def`."""

    async def main(client: OpenAI) -> str:
        return conversation(client).run().status

    with supercompat(client=ScriptedModel()) as client:
        assert asyncio.run(main(client)) == "completed"


def test_one_provider_client_in_both_doors(provider: ScriptedServer) -> None:
    """Each drives it on a loop of its own."""

    async def main() -> None:
        async with AsyncExitStack() as stack:
            inner = openai.AsyncOpenAI(base_url=provider.base_url, api_key="test-key")
            await stack.enter_async_context(inner)
            asynchronous = await stack.enter_async_context(async_supercompat(client=inner))
            client = stack.enter_context(supercompat(client=inner))
            for _ in range(2):
                talk = await asyncio.to_thread(conversation, client)
                assert (await asyncio.to_thread(talk.run)).status == "completed"
                asked = await talk_with(asynchronous)
                await asked.start()
                assert (await asked.rested()).status == "completed"

    asyncio.run(main())
