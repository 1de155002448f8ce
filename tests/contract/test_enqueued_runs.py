"""Runs that stand in line: the active-run policy `enqueue`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types.beta.threads import Run

from supercompat import MemoryStorageAdapter, Options, supercompat
from supercompat.testing import FakeClock, Gate, Reply, ScriptedModel, ScriptedServer, call, text, tool_calls
from supercompat.testing.scripted import Received
from tests.contract.conftest import MakeClient, storage_of
from tests.contract.conversations import (
    DEADLINE,
    WEATHER,
    Conversation,
    conversation,
    heard,
    heard_until,
    names,
    texts,
)

#: Longer than anything here takes, in seconds.
LONG = 60.0

ENQUEUE: dict[str, Any] = {"extra_headers": {"supercompat-active-run": "enqueue"}}
CREATED = ["thread.run.created", "thread.run.queued"]
STRAIGHT = [
    "thread.run.in_progress",
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.delta*",
    "thread.message.completed",
    "thread.run.step.completed",
    "thread.run.completed",
]


@pytest.fixture(autouse=True)
def ours(pytestconfig: pytest.Config) -> None:
    """No other server knows of this."""
    if pytestconfig.getoption("--against"):
        pytest.skip("an extension")


def under_way(client: OpenAI, provider: ScriptedServer, *later: str) -> tuple[Conversation, Run, Gate]:
    """A run in the middle of its answer, "Hello"; `later` is what the model says next."""
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"), *map(text, later))
    asked = conversation(client, tools=[WEATHER])
    run = asked.start()
    assert gate.reached.wait(DEADLINE)
    return asked, run, gate


def through(client: OpenAI, asked: Conversation) -> Conversation:
    """The same conversation, held through another client."""
    return Conversation(client, asked.assistant_id, asked.thread_id)


def user(words: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": words}]


def said(asked: Conversation) -> list[str]:
    return [texts(message)[0] for message in asked.messages()]


def listed(asked: Conversation) -> list[str]:
    return [run.id for run in asked.client.beta.threads.runs.list(asked.thread_id, order="asc", limit=100)]


@pytest.mark.core
def test_runs_follow_each_other(make_client: MakeClient, provider: ScriptedServer) -> None:
    """Created at once, shown as queued. What one brings with it comes behind what was said before it."""
    client = make_client(options=Options(drain=0, active_run="enqueue"))
    asked, first, gate = under_way(client, provider, "Fine", "Bye")
    runs = [asked.start(additional_messages=user(words)) for words in ("How are you?", "Good.")]
    assert [run.status for run in runs] == ["queued"] * 2
    assert [asked.retrieve(run.id) for run in runs] == runs
    assert listed(asked) == [first.id, *(run.id for run in runs)]
    assert len([message for message in asked.messages() if message.role == "user"]) == 1
    gate.open()
    done = [asked.poll(run.id) for run in (first, *runs)]
    assert [run.status for run in done] == ["completed"] * 3
    assert said(asked) == ["Hi", "Hello", "How are you?", "Fine", "Good.", "Bye"]
    assert [len(request.body["messages"]) for request in provider.requests] == [1, 3, 5]
    assert [run.created_at for run in done[1:]] == [run.created_at for run in runs]


@pytest.mark.core
def test_its_stream_goes_on_when_its_turn_comes(client: OpenAI, provider: ScriptedServer) -> None:
    asked, _, gate = under_way(client, provider, "Fine")
    events = iter(asked.stream(**ENQUEUE))
    begun = heard_until(events, "thread.run.queued")
    gate.open()
    rest = heard(events)
    assert names(begun) == CREATED
    assert names(rest) == STRAIGHT
    assert rest[-1].data == asked.retrieve(begun[0].data["id"]).to_dict()


def test_an_idle_thread_takes_the_run_at_once(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hello"))
    asked = conversation(client)
    assert names(heard(asked.stream(additional_messages=user("You?"), **ENQUEUE))) == [*CREATED, *STRAIGHT]
    assert said(asked) == ["Hi", "You?", "Hello"]


def test_a_run_of_another_client_is_followed(make_client: MakeClient, provider: ScriptedServer) -> None:
    """And followed by another's: each is carried out where it was created, and so is its stream."""
    here, there = make_client(), make_client()
    asked, _, gate = under_way(here, provider, "Second", "Third")
    second = iter(through(there, asked).stream(**ENQUEUE))
    third = iter(asked.stream(**ENQUEUE))
    for events in (second, third):
        heard_until(events, "thread.run.queued")
    gate.open()
    assert names(heard(second)) == names(heard(third)) == STRAIGHT
    assert said(asked) == ["Hi", "Hello", "Second", "Third"]


def test_it_keeps_what_its_assistant_was(client: OpenAI, provider: ScriptedServer) -> None:
    """A snapshot is taken when a run is created. Nothing of it is needed later, not even the assistant."""
    asked, _, gate = under_way(client, provider, "Fine")
    run = asked.start(instructions="Be kind.", **ENQUEUE)
    client.beta.assistants.update(asked.assistant_id, instructions="Be rude.")
    client.beta.assistants.delete(asked.assistant_id)
    gate.open()
    assert asked.poll(run.id).status == "completed"
    assert provider.requests[-1].body["messages"][0]["content"] == "Be kind."


# What is in front


@pytest.mark.core
def test_a_run_that_waits_for_outputs_keeps_the_line_waiting(
    client: OpenAI, provider: ScriptedServer
) -> None:
    provider.reply(tool_calls(call("get_weather", id="call_1")), text("Sunny"), text("Fine"))
    asked = conversation(client, tools=[WEATHER])
    first = asked.run()
    second = asked.start(**ENQUEUE)
    assert asked.retrieve(first.id).status == "requires_action"
    assert asked.retrieve(second.id).status == "queued"
    assert asked.submit_and_poll(first.id, {"call_1": "18 °C"}).status == "completed"
    assert asked.poll(second.id).status == "completed"
    assert said(asked) == ["Hi", "Sunny", "Fine"]


@pytest.mark.parametrize("waits", [False, True], ids=["in mid answer", "for outputs"])
def test_cancelling_what_is_in_front(client: OpenAI, provider: ScriptedServer, waits: bool) -> None:
    if waits:
        provider.reply(tool_calls(call("get_weather", id="call_1")), text("Fine"))
        asked = conversation(client, tools=[WEATHER])
        first = asked.run()
    else:
        asked, first, _ = under_way(client, provider, "Fine")
    second = asked.start(**ENQUEUE)
    asked.cancel(first.id)
    assert asked.poll(second.id).status == "completed"
    assert asked.retrieve(first.id).status == "cancelled"


def test_a_failure_in_front(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate).then_drop(), text("Fine"))
    asked = conversation(client)
    first = asked.start()
    assert gate.reached.wait(DEADLINE)
    second = asked.start(**ENQUEUE)
    gate.open()
    assert asked.poll(second.id).status == "completed"
    assert asked.retrieve(first.id).status == "failed"


@pytest.mark.core
def test_an_expiry_in_front(make_client: MakeClient, provider: ScriptedServer) -> None:
    """Nobody has to ask for it."""
    clock = FakeClock()
    provider.reply(tool_calls(call("get_weather", id="call_1")), text("Fine"))
    asked = conversation(make_client(options=Options(drain=0, lease=1, clock=clock)), tools=[WEATHER])
    first = asked.run()
    clock.advance(300)
    second = asked.start(**ENQUEUE)
    clock.advance(300)
    assert asked.poll(second.id).status == "completed"
    assert asked.retrieve(first.id).status == "expired"


def test_what_has_ended_can_be_changed(client: OpenAI, provider: ScriptedServer) -> None:
    """Also while others come after it."""
    asked, first, gate = under_way(client, provider)
    provider.reply(text("Sec", second_gate := Gate(), "ond"), text("Third"))
    runs = [asked.start(**ENQUEUE) for _ in range(2)]
    gate.open()
    assert second_gate.reached.wait(DEADLINE)
    changed = client.beta.threads.runs.update(first.id, thread_id=asked.thread_id, metadata={"a": "b"})
    assert (changed.status, changed.metadata) == ("completed", {"a": "b"})
    assert [asked.retrieve(run.id).status for run in runs] == ["in_progress", "queued"]
    second_gate.open()
    assert [asked.poll(run.id).status for run in runs] == ["completed"] * 2


# While it stands in line


def test_the_thread_is_locked(client: OpenAI, provider: ScriptedServer) -> None:
    """By the active run: the next message names it, and the next run too."""
    asked, first, gate = under_way(client, provider, "Fine")
    second = asked.start(**ENQUEUE)
    with pytest.raises(BadRequestError, match=f"while a run {first.id} is active"):
        asked.ask("And now?")
    with pytest.raises(BadRequestError, match=f"already has an active run {first.id}"):
        asked.start()
    with pytest.raises(BadRequestError, match="Cannot update run with status 'queued'"):
        client.beta.threads.runs.update(second.id, thread_id=asked.thread_id, metadata={"a": "b"})
    with pytest.raises(BadRequestError, match='"queued" do not accept tool outputs'):
        asked.submit(second.id, {"call_1": "18 °C"})
    gate.open()
    assert asked.poll(second.id).status == "completed"


@pytest.mark.core
@pytest.mark.parametrize("elsewhere", [False, True], ids=["its own", "another client's"])
def test_cancelling_it(make_client: MakeClient, provider: ScriptedServer, elsewhere: bool) -> None:
    """Over at once. It leaves nothing in the thread, and the next one takes its place."""
    client = make_client()
    asked, first, gate = under_way(client, provider, "Third")
    events = iter(asked.stream(additional_messages=user("Second?"), **ENQUEUE))
    run_id = heard_until(events, "thread.run.queued")[0].data["id"]
    third = asked.start(**ENQUEUE)
    cancelled = (through(make_client(), asked) if elsewhere else asked).cancel(run_id)
    assert (cancelled.status, cancelled.started_at) == ("cancelled", None)
    assert cancelled.cancelled_at is not None
    assert names(heard(events)) == ["thread.run.cancelled"]
    assert asked.retrieve(first.id).status == "in_progress"
    gate.open()
    assert asked.poll(third.id).status == "completed"
    assert said(asked) == ["Hi", "Hello", "Third"]
    assert asked.retrieve(run_id) == cancelled
    with pytest.raises(BadRequestError, match="Cannot cancel run with status 'cancelled'"):
        asked.cancel(run_id)


@pytest.mark.parametrize("reads", ["retrieve", "list"])
def test_it_expires_by_its_creation(make_client: MakeClient, provider: ScriptedServer, reads: str) -> None:
    clock = FakeClock()
    client = make_client(options=Options(drain=0, clock=clock, run_expires_after=1200))
    hasty = make_client(options=Options(drain=0, clock=clock))
    asked, first, gate = under_way(client, provider, "Third")
    second = through(hasty, asked).start(**ENQUEUE)
    third = asked.start(**ENQUEUE)
    assert second.expires_at == second.created_at + 600
    clock.advance(600)
    if reads == "retrieve":
        assert asked.retrieve(second.id).status == "expired"
    else:
        runs = client.beta.threads.runs.list(asked.thread_id, order="asc").data
        assert [run.status for run in runs] == ["in_progress", "expired", "queued"]
    gate.open()
    assert asked.poll(third.id).status == "completed"
    assert asked.retrieve(first.id).status == "completed"
    assert said(asked) == ["Hi", "Hello", "Third"]


def test_it_expires_unasked(make_client: MakeClient, provider: ScriptedServer) -> None:
    client = make_client()
    asked, first, gate = under_way(client, provider)
    hasty = make_client(options=Options(drain=0, run_expires_after=1))
    events = heard(through(hasty, asked).stream(**ENQUEUE))
    assert names(events) == [*CREATED, "thread.run.expired"]
    gate.open()
    assert asked.poll(first.id).status == "completed"


def test_deleting_the_thread(make_client: MakeClient, provider: ScriptedServer) -> None:
    client = make_client()
    asked, _, _ = under_way(client, provider)
    here = iter(asked.stream(**ENQUEUE))
    there = iter(through(make_client(), asked).stream(**ENQUEUE))
    run_id, _ = (heard_until(events, "thread.run.queued")[0].data["id"] for events in (here, there))
    client.beta.threads.delete(asked.thread_id)
    assert heard(here) == heard(there) == []
    with pytest.raises(NotFoundError):
        asked.retrieve(run_id)
    assert len(provider.requests) == 1


def test_cancel_previous_goes_through_the_line(client: OpenAI, provider: ScriptedServer) -> None:
    asked, first, _ = under_way(client, provider)
    second = asked.start(**ENQUEUE)

    def answer(request: Received) -> Reply:
        """The second one may not have asked before it is cancelled."""
        return text("Last") if "Hurry." in str(request.body) else text("Sec", Gate(), "ond")

    provider.reply(answer, answer)
    last = asked.start(instructions="Hurry.", extra_headers={"supercompat-active-run": "cancel_previous"})
    assert asked.poll(last.id).status == "completed"
    assert [asked.retrieve(run.id).status for run in (first, second)] == ["cancelled"] * 2


def test_closing_cancels_what_is_in_memory() -> None:
    model, storage = ScriptedModel(), MemoryStorageAdapter()
    model.reply(text("Hel", gate := Gate(), "lo"))
    with supercompat(client=model, storage=storage, options=Options(drain=0)) as client:
        asked = conversation(client)
        runs = [asked.start(), *(asked.start(**ENQUEUE) for _ in range(3))]
        assert gate.reached.wait(DEADLINE)
    with supercompat(client=model, storage=storage) as client:
        left = through(client, asked)
        assert [left.retrieve(run.id).status for run in runs] == ["cancelled"] * 4


def test_closing_waits_for_the_line() -> None:
    model, storage = ScriptedModel(default=text("Hello")), MemoryStorageAdapter()
    with supercompat(client=model, storage=storage, options=Options(active_run="enqueue")) as client:
        asked = conversation(client)
        runs = [asked.start() for _ in range(5)]
    with supercompat(client=model, storage=storage) as client:
        assert {through(client, asked).retrieve(run.id).status for run in runs} == {"completed"}


# Many at once


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def crowd(request: pytest.FixtureRequest) -> Iterator[tuple[list[OpenAI], ScriptedModel]]:
    """Two clients on one storage, and their model."""
    storage = storage_of(request.param, request)
    model = ScriptedModel(default=text("Hello"))
    options = Options(active_run="enqueue")
    with (
        supercompat(client=model, storage=storage, options=options) as one,
        supercompat(client=model, storage=storage, options=options) as other,
    ):
        yield [one, other], model


@pytest.mark.slow
def test_many_at_once(crowd: tuple[list[OpenAI], ScriptedModel]) -> None:
    """None is lost. Each has the words of all those before it in its prompt, so that no two were under way together,
    and they come in the order in which they were created."""
    clients, model = crowd
    asked, count = conversation(clients[0]), 200
    with ThreadPoolExecutor(24) as pool:
        creations = [
            pool.submit(through(clients[n % 16 == 0], asked).start, additional_messages=user(str(n)))
            for n in range(count)
        ]
        created = {creation.result(LONG).id: n for n, creation in enumerate(creations)}
    order = listed(asked)
    assert sorted(order) == sorted(created)
    assert {asked.poll(run_id).status for run_id in order} == {"completed"}
    messages = asked.messages()
    assert [message.run_id for message in messages if message.run_id] == order
    questions = [texts(message)[0] for message in messages[1:] if message.role == "user"]
    assert questions == [str(created[run_id]) for run_id in order]
    assert [len(request.turns) for request in model.requests] == list(range(2, 2 * count + 1, 2))


@pytest.mark.slow
def test_many_are_cancelled_while_others_come(crowd: tuple[list[OpenAI], ScriptedModel]) -> None:
    """Whoever falls out of the line does not stop it."""
    clients, model = crowd
    asked = conversation(clients[0])

    def come(n: int) -> Run:
        here = through(clients[n % 16 == 0], asked)
        run = here.start()
        if n % 3 == 0:
            try:
                return through(clients[n % 2], asked).cancel(run.id)
            except BadRequestError:
                pass
        return run

    with ThreadPoolExecutor(24) as pool:
        runs = list(pool.map(come, range(90)))
    ended = [asked.poll(run.id) for run in runs]
    assert {run.status for run in ended} <= {"completed", "cancelled"}
    assert all(run.status == "completed" for n, run in enumerate(ended) if n % 3)
    assert len(asked.answers()) >= 60
    turns = [len(request.turns) for request in model.requests]
    assert turns == sorted(turns)
