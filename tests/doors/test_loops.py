"""Event loops end, and hand their runs over. The asynchronous door works on whatever loop it is called on."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import openai
import pytest

from supercompat import MemoryStorageAdapter, Options, SQLAlchemyStorageAdapter, async_supercompat
from supercompat.testing import Gate, ScriptedModel, ScriptedServer, call, text, tool_calls
from tests.contract.conversations import DEADLINE, WEATHER
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
    async for event in await talk.stream():
        if event.event == DELTA:
            return


async def leave_just_created(talk: Talk, gate: Gate) -> None:
    """A run that may not even have begun."""
    gate.open()
    await talk.start()


async def leave_half_stored(talk: Talk, gate: Gate) -> None:
    """A run that has begun its answer. No stream of it was opened."""
    run = await talk.start()
    steps = talk.client.beta.threads.runs.steps
    async with asyncio.timeout(DEADLINE):
        while not (await steps.list(run.id, thread_id=talk.thread_id)).data:
            pass


Leave: TypeAlias = Callable[[Talk, Gate], Any]


async def leave(client: openai.AsyncOpenAI, provider: ScriptedServer, how: Leave) -> Talk:
    """A conversation, left in mid run."""
    gate = Gate()
    if how in (leave_half_said, leave_half_stored):
        provider.reply(text("Hel", gate, "lo"))
    elif how is leave_unsaid:
        provider.reply(text("Hello").after(gate))
    talk = await talk_with(client)
    await how(talk, gate)
    return talk


@pytest.mark.parametrize("anew", [False, True], ids=["same client", "new client"])
@pytest.mark.parametrize("how", [leave_unsaid, leave_just_created])
def test_a_run_that_has_said_nothing_is_carried_out_by_the_next_loop(
    provider: ScriptedServer, inner: Any, durable: MakeClient, how: Leave, anew: bool
) -> None:
    client = durable()
    talk = asyncio.run(leave(client, provider, how))
    if how is leave_unsaid:
        assert provider.requests[0].closed.wait(DEADLINE)
    client = durable() if anew else client

    async def main() -> None:
        again = Talk(client, talk.assistant_id, talk.thread_id)
        assert (await again.rested()).status == "completed"
        assert await again.answers() == [("completed", ["Hi"])]
        await client.close()
        await its_loop_ends(inner)

    asyncio.run(main())


@pytest.mark.parametrize("anew", [False, True], ids=["same client", "new client"])
def test_a_run_that_was_half_said_fails_in_the_next_loop(
    provider: ScriptedServer, durable: MakeClient, anew: bool
) -> None:
    client = durable()
    talk = asyncio.run(leave(client, provider, leave_half_said))
    assert provider.requests[0].closed.wait(DEADLINE)
    client = durable() if anew else client

    async def main() -> None:
        again = Talk(client, talk.assistant_id, talk.thread_id)
        await has_failed_half_said(again, ["Hel"])
        await client.close()

    asyncio.run(main())
    assert len(provider.requests) == 1


async def has_failed_half_said(talk: Talk, said: Sequence[str]) -> None:
    run = await talk.run()
    assert run.status == "failed"
    assert run.last_error
    assert run.last_error.code == "server_error"
    assert "ended before the answer was complete" in run.last_error.message
    assert await talk.answers() == [("incomplete", said)]
    (step,) = (await talk.client.beta.threads.runs.steps.list(run.id, thread_id=talk.thread_id)).data
    assert step.status == "failed"


@pytest.mark.parametrize("how", [leave_unsaid, leave_half_said, leave_just_created])
def test_a_run_in_memory_is_cancelled(provider: ScriptedServer, inner: Any, how: Leave) -> None:
    client = async_supercompat(client=inner, options=OPTIONS)
    talk = asyncio.run(leave(client, provider, how))

    async def main() -> None:
        assert (await talk.run()).status == "cancelled"
        said = [("incomplete", ["Hel"])] if how is leave_half_said else []
        assert await talk.answers() == said
        await client.close()

    asyncio.run(main())


def test_a_run_that_waits_for_outputs_is_no_ones(
    provider: ScriptedServer, inner: Any, durable: MakeClient
) -> None:
    """Nothing of it is in memory: any loop may go on with it."""
    client = durable()
    provider.reply(tool_calls(call("get_weather", "{}")), text("Sunny"))

    async def ask() -> tuple[Talk, str]:
        talk = await talk_with(client)
        await talk.start(tools=[WEATHER])
        run = await talk.rested()
        assert run.required_action
        await its_loop_ends(inner)
        return talk, run.required_action.submit_tool_outputs.tool_calls[0].id

    async def answer(talk: Talk, call_id: str) -> None:
        runs = client.beta.threads.runs
        run = await runs.submit_tool_outputs_and_poll(
            run_id=(await talk.run()).id,
            thread_id=talk.thread_id,
            tool_outputs=[{"tool_call_id": call_id, "output": "18 °C"}],
        )
        assert run.status == "completed"

    talk, call_id = asyncio.run(ask())
    asyncio.run(answer(talk, call_id))
    asyncio.run(client.close())


async def its_loop_ends(inner: Any) -> None:
    """Close an asynchronous provider client where it belongs. Later loops have connections of their own."""
    if isinstance(inner, openai.AsyncOpenAI):
        await inner.close()


# An asynchronous provider client's sockets would be lost with such a loop, which Python rightly complains about.
@pytest.mark.parametrize("inner", ["sync"], indirect=True)
@pytest.mark.parametrize("storage", ["sqlite", "memory"])
def test_a_loop_that_is_closed_as_it_is(
    provider: ScriptedServer, inner: Any, storage: str, durable: MakeClient
) -> None:
    """Its tasks are neither cancelled nor waited for. The next loop knows whose runs nobody carries out any more,
    although their lease goes on."""
    client = durable() if storage == "sqlite" else async_supercompat(client=inner, options=OPTIONS)
    loop = asyncio.new_event_loop()
    unsaid = loop.run_until_complete(leave(client, provider, leave_unsaid))
    half_said = loop.run_until_complete(leave(client, provider, leave_half_stored))
    loop.close()

    async def main() -> None:
        again = Talk(client, unsaid.assistant_id, unsaid.thread_id)
        assert (await again.rested()).status == "completed"
        assert await again.answers() == [("completed", ["Hi"])]
        again = Talk(client, half_said.assistant_id, half_said.thread_id)
        # What was said since the last checkpoint, of which there is one a second, is lost.
        await has_failed_half_said(again, [])
        await client.close()

    asyncio.run(main())


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["sqlite", "memory"])
def test_a_loop_that_ends_at_any_moment(tmp_path: Path, storage: str) -> None:
    """Also while the last words are being stored: run, step and message always agree."""
    url = f"sqlite:///{tmp_path / 'assistants.db'}"
    kept = MemoryStorageAdapter() if storage == "memory" else SQLAlchemyStorageAdapter(url)

    def anew() -> openai.AsyncOpenAI:
        model = ScriptedModel(default=text("Hel", "lo"))
        return async_supercompat(client=model, storage=kept, options=OPTIONS)

    async def leave_after(turns: int) -> Talk:
        talk = await talk_with(anew())
        creating = asyncio.create_task(talk.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        del creating
        return talk

    async def ending(talk: Talk) -> tuple[Any, ...]:
        async with anew() as client:
            if not (await client.beta.threads.runs.list(talk.thread_id)).data:
                return ("not created",)
            again = Talk(client, talk.assistant_id, talk.thread_id)
            run = await again.rested()
            steps = await client.beta.threads.runs.steps.list(run.id, thread_id=talk.thread_id)
            said = await again.answers()
            return run.status, [step.status for step in steps.data], [status for status, _ in said]

    endings = [asyncio.run(ending(asyncio.run(leave_after(turns)))) for turns in range(0, 800, 8)]
    broken_off = "cancelled" if storage == "memory" else "failed"
    expected = [
        ("not created",),
        ("completed", ["completed"], ["completed"]),
        (broken_off, [broken_off], ["incomplete"]),
    ]
    if storage == "memory":
        expected.append(("cancelled", [], []))
    assert [each for each in endings if each not in expected] == []


def test_a_loop_that_pauses(provider: ScriptedServer, inner: Any, durable: MakeClient) -> None:
    """Between two calls of `run_until_complete` nothing goes on, and nothing is lost."""
    client = durable()
    provider.reply(text("Hello"))
    loop = asyncio.new_event_loop()
    talk = loop.run_until_complete(leave(client, provider, leave_just_created))
    assert loop.run_until_complete(talk.rested()).status == "completed"
    loop.run_until_complete(client.close())
    loop.run_until_complete(its_loop_ends(inner))
    loop.close()


def test_two_loops_at_once(provider: ScriptedServer, inner: Any, durable: MakeClient) -> None:
    """The one that is closed on closes the other too."""
    client = durable()
    gate, both, closed = Gate(), threading.Barrier(2), threading.Event()
    provider.reply(*[text("Hel", gate, "lo")] * 2)

    async def main(*, closes: bool) -> str:
        talk = await talk_with(client)
        await talk.start()
        await asyncio.to_thread(both.wait, DEADLINE)
        gate.open()
        status = (await talk.rested()).status
        await asyncio.to_thread(both.wait, DEADLINE)
        if closes:
            await client.close()
            closed.set()
        await happened(closed)
        await its_loop_ends(inner)
        return status

    with ThreadPoolExecutor() as threads:
        mains = [main(closes=True), main(closes=False)]
        assert list(threads.map(asyncio.run, mains)) == ["completed", "completed"]


def test_one_loop_after_the_other(inner: Any, durable: MakeClient) -> None:
    client = durable()

    async def main() -> str:
        talk = await talk_with(client)
        await talk.start()
        status = (await talk.rested()).status
        await its_loop_ends(inner)
        return status

    assert {asyncio.run(main()) for _ in range(5)} == {"completed"}
    asyncio.run(client.close())
