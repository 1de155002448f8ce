"""Cancelling races with everything else that a run does: it ends exactly once, and everybody is told the same."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, BadRequestError, OpenAI

from supercompat import OpenAIClientAdapter, Options, async_supercompat
from supercompat.testing import Gate, Reply, ScriptedServer, call, text, tool_calls
from tests.contract.conftest import MakeClient
from tests.contract.conversations import (
    CLOCK,
    DEADLINE,
    Conversation,
    Event,
    Json,
    conversation,
    heard,
    heard_until,
    names,
)
from tests.contract.storages import HeldStorage

#: The last event of a stream for each status in which it may leave the run.
ENDS = {"thread.run.cancelled": "cancelled", "thread.run.completed": "completed"}
ENDS_WITH_CALLS = {"thread.run.cancelled": "cancelled", "thread.run.requires_action": "requires_action"}


class Outcome(NamedTuple):
    """What a race leaves: its stream, what the cancellation was answered (None if it was refused), the objects."""

    events: list[Event]
    reply: str | None
    run: Json
    messages: list[Json]
    steps: list[Json]


def check(outcome: Outcome, ends: dict[str, str]) -> None:
    """One end, the same for the stream, the cancellation and whoever reads afterwards; nothing is left open."""
    told = [event.name for event in outcome.events]
    (end,) = [name for name in told if name in ends]
    assert told[-1] == end
    status: str = outcome.run["status"]
    if end == "thread.run.requires_action" and outcome.reply == "cancelled":
        # The stream had ended with the calls before the cancellation came.
        assert status == "cancelled"
        return
    assert status == ends[end]
    assert outcome.run == outcome.events[-1].data
    cancelled = status == "cancelled"
    assert (outcome.reply is not None) == cancelled
    assert told.count("thread.run.cancelling") == (outcome.reply == "cancelling")
    assert (bool(outcome.run["cancelled_at"]), bool(outcome.run["completed_at"])) == (
        cancelled,
        status == "completed",
    )
    open_steps = [step for step in outcome.steps if step["status"] == "in_progress"]
    assert len(open_steps) == (status == "requires_action")
    for message in outcome.messages:
        assert message["status"] in ("completed", "incomplete")
        added = "".join(said(event.data) for event in outcome.events if event.name == "thread.message.delta")
        assert "".join(part["text"]["value"] for part in message["content"]) == added


def said(data: Json) -> str:
    return "".join(part["text"]["value"] for part in data["delta"]["content"])


# Every place at which the cancellation can come, one after the other


def cancelled_at(asked: Conversation, storage: HeldStorage, place: int) -> Outcome | None:
    """The run whose transaction `place`, counted from its creation, was held while it was cancelled; None if it
    has fewer."""
    held = storage.hold(after=place + 1)
    events = iter(asked.stream())
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(heard, events)
        while not held.reached.wait(0.01):
            if reading.done() and not held.reached.is_set():
                held.open()
                return None
        (run,) = asked.client.beta.threads.runs.list(asked.thread_id).data
        reply = cancelled(asked, run.id)
        held.open()
        said = reading.result(DEADLINE)
    return left(asked, said, reply)


def cancelled(asked: Conversation, run_id: str) -> str | None:
    try:
        return asked.cancel(run_id).status
    except BadRequestError:
        return None


def left(asked: Conversation, events: list[Event], reply: str | None) -> Outcome:
    run = asked.poll(events[-1].data["id"])
    messages: list[Any] = [message.to_dict() for message in asked.answers()]
    steps: list[Any] = [step.to_dict() for step in asked.steps(run.id)]
    return Outcome(events, reply, run.to_dict(), messages, steps)


@pytest.mark.conforms("C-105", "C-109", "C-118")
@pytest.mark.parametrize("calls", [False, True], ids=["text", "calls"])
def test_at_each_transaction(make_client: MakeClient, provider: ScriptedServer, calls: bool) -> None:
    """The cancellation comes while a transaction of the run waits: the first to the last."""
    statuses: list[str] = []
    for place in range(20):
        storage = HeldStorage()
        answer = text("Hel", "lo")
        provider.reply(answer + tool_calls(call("get_time", id="call_1")) if calls else answer)
        client = make_client(storage=storage, options=Options(drain=0, lease=600))
        outcome = cancelled_at(conversation(client, tools=[CLOCK]), storage, place)
        if outcome is None:
            break
        check(outcome, ENDS_WITH_CALLS if calls else ENDS)
        statuses.append(outcome.run["status"])
    assert statuses[:3] == ["cancelled"] * 3


@pytest.mark.conforms("C-105", "C-109")
def test_at_each_piece(client: OpenAI, provider: ScriptedServer) -> None:
    """The provider has said so much and no more; its side of the connection is closed each time."""
    pieces = ["Hel", "lo", ", you", "!"]
    for place in range(len(pieces) + 1):
        gate = Gate()
        provider.reply(text(*pieces[:place], gate, *pieces[place:]))
        asked = conversation(client)
        events = iter(asked.stream())
        said = heard_until(events, "thread.run.in_progress")
        for _ in range(place):
            said += heard_until(events, "thread.message.delta")
        assert gate.reached.wait(DEADLINE)
        reply = cancelled(asked, said[0].data["id"])
        outcome = left(asked, [*said, *heard(events)], reply)
        check(outcome, ENDS)
        assert outcome.run["status"] == "cancelled"
        assert len(outcome.messages) == (place > 0)
        assert provider.requests[-1].closed.wait(DEADLINE)


@pytest.mark.conforms("C-108", "C-109")
def test_by_many_at_once(client: OpenAI, provider: ScriptedServer) -> None:
    """One of them is told that the run is being cancelled, the others that it can't be again."""
    gate = Gate()
    provider.reply(text("Hel", gate))
    asked = conversation(client)
    events = iter(asked.stream())
    run_id = heard_until(events, "thread.message.delta")[0].data["id"]
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(cancelled, [asked] * 4, [run_id] * 4))
    assert sorted(map(str, replies)) == ["None", "None", "None", "cancelling"]
    assert names(heard(events))[-1] == "thread.run.cancelled"


# Any interleaving


class JitteryStorage(HeldStorage):
    """Memory storage whose transactions each wait for some turns of the event loop."""

    def __init__(self, turns: Iterator[int]) -> None:
        super().__init__()
        self._turns = turns

    async def pass_through(self) -> None:
        for _ in range(next(self._turns)):
            await asyncio.sleep(0)


class Race(NamedTuple):
    """The cancellation comes when so many events were heard and some turns of the loop have passed; how many turns
    each transaction waits; how many bytes the provider sends at once."""

    heard: int
    after: int
    turns: list[int]
    sizes: list[int]


RACES = st.builds(
    Race,
    st.integers(0, 12),
    st.integers(0, 12),
    st.lists(st.integers(0, 8), min_size=1, max_size=6),
    st.lists(st.integers(20, 900), max_size=3),
)


async def raced(provider: ScriptedServer, race: Race, answer: Reply) -> Outcome:
    provider.reply(answer.cut(*race.sizes))
    storage = JitteryStorage(cycle(race.turns))
    async with (
        AsyncOpenAI(base_url=provider.base_url, api_key="test-key", max_retries=0) as inner,
        async_supercompat(
            client=OpenAIClientAdapter(inner), storage=storage, options=Options(drain=0)
        ) as client,
    ):
        threads = client.beta.threads
        assistant = await client.beta.assistants.create(model="m", instructions="Talk.", tools=[CLOCK])
        thread = await threads.create()
        events: list[Event] = []
        is_time = asyncio.Event()

        async def listen() -> None:
            stream = await threads.runs.create(thread.id, assistant_id=assistant.id, stream=True)
            async for event in stream:
                events.append(Event(event.event, event.data.to_dict()))
                if len(events) > race.heard:
                    is_time.set()
            is_time.set()

        listening = asyncio.create_task(listen())
        await is_time.wait()
        for _ in range(race.after):
            await asyncio.sleep(0)
        reply: str | None = None
        run_id = events[0].data["id"]
        try:
            reply = (await threads.runs.cancel(run_id, thread_id=thread.id)).status
        except BadRequestError:
            assert events
        await asyncio.wait_for(listening, DEADLINE)
        run = await threads.runs.poll(run_id, thread_id=thread.id)
        steps = await threads.runs.steps.list(run_id, thread_id=thread.id)
        messages = await threads.messages.list(thread.id)
        outcome = Outcome(
            events,
            reply,
            run.to_dict(),
            [message.to_dict() for message in messages.data],  # type: ignore[misc]
            [step.to_dict() for step in steps.data],  # type: ignore[misc]
        )
        if run.status == "requires_action":
            await threads.runs.cancel(run_id, thread_id=thread.id)
        await threads.messages.create(thread.id, role="user", content="Again")
        # A run that was cancelled before it asked has left its answer to the next one.
        calls_again = provider.pending and answer.finish == "tool_calls"
        again = await threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, tools=[])
        assert again.status == ("requires_action" if calls_again else "completed")
        return outcome


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def check_race(server: ScriptedServer, race: Race, calls: bool) -> None:
    answer = text("Hel", "lo", ", you", "!")
    if calls:
        answer += tool_calls(call("get_time", '{"zone"', ":1}"))
    outcome = asyncio.run(raced(server, race, answer))
    check(outcome, ENDS_WITH_CALLS if calls else ENDS)


@pytest.mark.conforms("C-109", "C-118")
@settings(max_examples=25, deadline=None)
@given(race=RACES, calls=st.booleans())
def test_any_race(server: ScriptedServer, race: Race, calls: bool) -> None:
    check_race(server, race, calls)


@pytest.mark.slow
@pytest.mark.timeout(180)
@settings(max_examples=250, deadline=None)
@given(race=RACES, calls=st.booleans())
def test_many_races(server: ScriptedServer, race: Race, calls: bool) -> None:
    check_race(server, race, calls)
