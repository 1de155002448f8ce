"""Event loops end, and hand their runs over. The asynchronous door works on whatever loop it is called on."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from supercompat import MemoryStorageAdapter, Options, SQLAlchemyStorageAdapter, async_supercompat
from supercompat.testing import Gate, Reply, ScriptedModel, ScriptedServer, text
from tests.contract.conversations import DEADLINE
from tests.doors.asking import Talk, talk_with

DELTA = "thread.message.delta"
OPTIONS = Options(drain=0, lease=600)

MakeClient = Callable[[], openai.AsyncOpenAI]


@pytest.fixture(params=["sync", "async"])
def inner(request: pytest.FixtureRequest, provider: ScriptedServer) -> Iterator[Any]:
    """The user's own client of the provider."""
    kind = openai.OpenAI if request.param == "sync" else openai.AsyncOpenAI
    client = kind(base_url=provider.base_url, api_key="test-key", max_retries=0)
    yield client
    if isinstance(client, openai.OpenAI):
        client.close()


@pytest.fixture
def durable(inner: Any, tmp_path: Path) -> MakeClient:
    """Makes clients on one SQLite file, with a lease that no test outlives: it is released, or the run is lost."""
    url = f"sqlite:///{tmp_path / 'assistants.db'}"
    return lambda: async_supercompat(client=inner, storage=SQLAlchemyStorageAdapter(url), options=OPTIONS)


async def happened(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, DEADLINE)


async def leave_unsaid(talk: Talk, gate: Gate) -> None:
    """A run that waits for the provider's first word."""
    await talk.start()
    await happened(gate.reached)


async def leave_half_said(talk: Talk, gate: Gate) -> None:
    """A run of which something was heard. Its stream is left open."""
    stream = await talk.stream()
    async for event in stream:
        if event.event == DELTA:
            return


async def leave_just_created(talk: Talk, gate: Gate) -> None:
    await talk.start()


def until_left(
    provider: ScriptedServer,
    client: openai.AsyncOpenAI,
    leave: Callable[[Talk, Gate], Any],
    reply: Callable[[Gate], Reply],
) -> Talk:
    """A loop that ends in mid run."""
    gate = Gate()
    provider.reply(reply(gate))

    async def main() -> Talk:
        talk = await talk_with(client)
        await leave(talk, gate)
        return talk

    return asyncio.run(main())


def unsaid(gate: Gate) -> Reply:
    return text("Hello").after(gate)


def half_said(gate: Gate) -> Reply:
    return text("Hel", gate, "lo")


@pytest.mark.parametrize("anew", [False, True], ids=["same client", "new client"])
@pytest.mark.parametrize("leave", [leave_unsaid, leave_just_created])
def test_a_run_that_has_said_nothing_is_carried_out_by_the_next_loop(
    provider: ScriptedServer, durable: MakeClient, leave: Callable[[Talk, Gate], Any], anew: bool
) -> None:
    client = durable()
    talk = until_left(provider, client, leave, unsaid)
    for received in provider.requests:
        assert received.closed.wait(DEADLINE)
    provider.reply(*[text("Once more")] * 2)
    client = durable() if anew else client

    async def main() -> None:
        again = Talk(client, talk.assistant_id, talk.thread_id)
        assert (await again.rested()).status == "completed"
        ((status, (answer,)),) = await again.answers()
        assert (status, answer in ("Once more", "Hello")) == ("completed", True)
        await client.close()

    asyncio.run(main())


@pytest.mark.parametrize("anew", [False, True], ids=["same client", "new client"])
def test_a_run_that_was_half_said_fails_in_the_next_loop(
    provider: ScriptedServer, durable: MakeClient, anew: bool
) -> None:
    client = durable()
    talk = until_left(provider, client, leave_half_said, half_said)
    assert provider.requests[0].closed.wait(DEADLINE)
    client = durable() if anew else client

    async def main() -> None:
        again = Talk(client, talk.assistant_id, talk.thread_id)
        run = await again.run()
        assert run.status == "failed"
        assert run.last_error
        assert run.last_error.code == "server_error"
        assert "ended before the answer was complete" in run.last_error.message
        assert await again.answers() == [("incomplete", ["Hel"])]
        (step,) = (await client.beta.threads.runs.steps.list(run.id, thread_id=talk.thread_id)).data
        assert step.status == "failed"
        assert len(provider.requests) == 1
        await client.close()

    asyncio.run(main())


@pytest.mark.parametrize("leave", [leave_unsaid, leave_half_said, leave_just_created])
def test_a_run_in_memory_is_cancelled(
    provider: ScriptedServer, inner: Any, leave: Callable[[Talk, Gate], Any]
) -> None:
    client = async_supercompat(client=inner, options=OPTIONS)
    talk = until_left(provider, client, leave, half_said if leave is leave_half_said else unsaid)

    async def main() -> None:
        assert (await talk.run()).status == "cancelled"
        said = leave is leave_half_said
        assert await talk.answers() == ([("incomplete", ["Hel"])] if said else [])
        await client.close()

    asyncio.run(main())


def test_a_run_that_waits_for_tool_outputs_just_waits(provider: ScriptedServer, durable: MakeClient) -> None:
    """Nothing of it is in memory."""


@contextmanager
def loop_that_is_not_told() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that is closed as it is: its tasks are neither cancelled nor waited for."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_two_loops_at_once(provider: ScriptedServer, durable: MakeClient) -> None:
    client = durable()
    gates = [Gate(), Gate()]
    provider.reply(*(text("Hel", gate, "lo") for gate in gates))
    both = threading.Barrier(2)

    async def main(gate: Gate) -> str:
        talk = await talk_with(client)
        await talk.start()
        await asyncio.to_thread(both.wait, DEADLINE)
        gate.open()
        return (await talk.rested()).status

    with ThreadPoolExecutor() as threads:
        assert list(threads.map(asyncio.run, map(main, gates))) == ["completed", "completed"]
    asyncio.run(client.close())


def test_one_loop_after_the_other(provider: ScriptedServer, durable: MakeClient) -> None:
    client = durable()

    async def main() -> str:
        talk = await talk_with(client)
        await talk.start()
        return (await talk.rested()).status

    assert {asyncio.run(main()) for _ in range(5)} == {"completed"}
    asyncio.run(client.close())
