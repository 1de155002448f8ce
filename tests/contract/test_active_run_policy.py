"""What becomes of a new run while its thread has an active one: `reject`, `wait`, `cancel_previous`."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import pytest
from openai import BadRequestError, InternalServerError, NotFoundError, OpenAI
from openai.types.beta.threads import Run

from supercompat import (
    MemoryStorageAdapter,
    Options,
    async_supercompat,
    supercompat,
)
from supercompat.testing import Gate, ScriptedModel, ScriptedServer, call, text, tool_calls
from tests.contract.conftest import MakeClient, Setup, storage_of
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
from tests.contract.storages import TellingStorage
from tests.doors.asking import talk_with

#: Longer than anything here takes, in seconds.
LONG = 30.0


@pytest.fixture(autouse=True)
def ours(pytestconfig: pytest.Config) -> None:
    """No other server knows of this."""
    if pytestconfig.getoption("--against"):
        pytest.skip("an extension")


@pytest.fixture
def storage(setup: Setup, request: pytest.FixtureRequest) -> TellingStorage:
    """Told: each creation that found an active run."""
    return TellingStorage(storage_of(setup.storage, request))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """For requests that wait."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


def asks(policy: str) -> dict[str, Any]:
    """The settings of a single request."""
    return {"extra_headers": {"supercompat-active-run": policy}}


def under_way(client: OpenAI, provider: ScriptedServer, gate: Gate) -> tuple[Conversation, Run]:
    """A run in the middle of its answer."""
    provider.reply(text("Hel", gate, "lo"))
    asked = conversation(client)
    run = asked.start()
    assert gate.reached.wait(DEADLINE)
    return asked, run


def through(client: OpenAI, asked: Conversation) -> Conversation:
    """The same conversation, held through another client."""
    return Conversation(client, asked.assistant_id, asked.thread_id)


def is_told(storage: TellingStorage) -> bool:
    return storage.refused.acquire(timeout=DEADLINE)


# Reject


@pytest.mark.conforms("C-117")
def test_reject_is_the_default_and_can_be_asked_for(
    make_client: MakeClient, provider: ScriptedServer
) -> None:
    gate = Gate()
    asked, run = under_way(make_client(), provider, gate)
    patient = through(make_client(options=Options(drain=0, active_run="wait")), asked)
    for attempt in (asked.start, lambda: patient.start(**asks("reject"))):
        with pytest.raises(BadRequestError, match=f"already has an active run {run.id}"):
            attempt()
    gate.open()
    assert asked.poll(run.id).status == "completed"


# Wait


@pytest.mark.core
def test_waits_for_the_end(
    make_client: MakeClient, provider: ScriptedServer, storage: TellingStorage, pool: ThreadPoolExecutor
) -> None:
    """What the run brings with it comes behind the answer that was waited for."""
    client = make_client(storage=storage, options=Options(drain=0, active_run="wait", active_run_wait=LONG))
    gate = Gate()
    asked, first = under_way(client, provider, gate)
    provider.reply(text("Fine"))
    more = [{"role": "user", "content": "How are you?"}]
    creation = pool.submit(asked.start, additional_messages=more)
    assert is_told(storage)
    assert not creation.done()
    assert [texts(message) for message in asked.messages() if message.role == "user"] == [["Hi"]]
    gate.open()
    second = asked.poll(creation.result(DEADLINE).id)
    assert (asked.retrieve(first.id).status, second.status) == ("completed", "completed")
    said = [texts(message)[0] for message in asked.messages()]
    assert said == ["Hi", "Hello", "How are you?", "Fine"]


def test_a_request_of_its_own_may_wait(
    make_client: MakeClient, provider: ScriptedServer, storage: TellingStorage, pool: ThreadPoolExecutor
) -> None:
    """Streamed: its events begin when it is created."""
    gate = Gate()
    asked, first = under_way(make_client(storage=storage), provider, gate)
    provider.reply(text("Fine"))
    stream = pool.submit(lambda: heard(asked.stream(**asks("wait; seconds=30"))))
    assert is_told(storage)
    gate.open()
    events = names(stream.result(DEADLINE))
    assert (events[0], events[-1]) == ("thread.run.created", "thread.run.completed")
    assert asked.retrieve(first.id).status == "completed"


def test_a_run_of_another_client_is_waited_for(
    make_client: MakeClient, provider: ScriptedServer, storage: TellingStorage, pool: ThreadPoolExecutor
) -> None:
    gate = Gate()
    asked, first = under_way(make_client(storage=storage), provider, gate)
    provider.reply(text("Fine"))
    other = through(make_client(storage=storage), asked)
    creation = pool.submit(other.start, **asks("wait"))
    assert is_told(storage)
    gate.open()
    run = creation.result(DEADLINE)
    assert other.retrieve(first.id).status == "completed"
    assert other.poll(run.id).status == "completed"


@pytest.mark.parametrize("limit", [asks("wait; seconds=0.2"), asks("wait; seconds=0"), {"timeout": 3}])
def test_not_longer_than_its_time(
    make_client: MakeClient, provider: ScriptedServer, limit: dict[str, Any]
) -> None:
    """The API's own answer, within the request's timeout; nothing is stored."""
    options = Options(drain=0, active_run="wait", active_run_wait=LONG)
    gate = Gate()
    asked, run = under_way(make_client(options=options, max_retries=0), provider, gate)
    with pytest.raises(BadRequestError, match=f"already has an active run {run.id}"):
        asked.start(additional_messages=[{"role": "user", "content": "More"}], **limit)
    gate.open()
    asked.poll(run.id)
    assert [texts(message) for message in asked.messages()] == [["Hi"], ["Hello"]]
    assert len(asked.client.beta.threads.runs.list(asked.thread_id).data) == 1


@pytest.mark.core
def test_two_that_wait_have_their_turns(
    make_client: MakeClient, provider: ScriptedServer, storage: TellingStorage, pool: ThreadPoolExecutor
) -> None:
    """In two clients: when the first run ends, one of them is created, and the other waits for that one."""
    gates = [Gate(), Gate()]
    asked, _ = under_way(make_client(storage=storage), provider, gates[0])
    provider.reply(text("Second").after(gates[1]), text("Third"))
    others = [through(make_client(storage=storage), asked) for _ in range(2)]
    creations = [pool.submit(other.start, **asks("wait")) for other in others]
    assert is_told(storage)
    assert is_told(storage)
    gates[0].open()
    done, left = wait(creations, DEADLINE, FIRST_COMPLETED)
    assert (len(done), len(left)) == (1, 1)
    assert is_told(storage)
    assert gates[1].reached.wait(DEADLINE)
    assert not any(each.done() for each in left)
    gates[1].open()
    for creation in creations:
        assert asked.poll(creation.result(DEADLINE).id).status == "completed"
    assert [texts(message) for message in asked.answers()] == [["Hello"], ["Second"], ["Third"]]


async def test_they_are_served_as_they_came() -> None:
    storage, gate, model = TellingStorage(MemoryStorageAdapter()), Gate(), ScriptedModel(default=text("Fine"))
    model.reply(text("Hel", gate, "lo"))
    async with async_supercompat(client=model, storage=storage, options=Options(active_run="wait")) as client:
        talk = await talk_with(client)
        first = await talk.start()
        waiting = [asyncio.create_task(talk.start())]
        assert await asyncio.to_thread(is_told, storage)
        waiting += [asyncio.create_task(talk.start()) for _ in range(5)]
        gate.open()
        created = [first, *await asyncio.gather(*waiting)]
        runs = await client.beta.threads.runs.list(talk.thread_id, order="asc")
        assert [run.id for run in runs.data] == [run.id for run in created]
    # Those behind the first of them have not even tried.
    assert len(list(iter(lambda: storage.refused.acquire(blocking=False), False))) <= 5


def test_waits_for_a_run_that_waits_for_outputs(
    make_client: MakeClient, provider: ScriptedServer, storage: TellingStorage, pool: ThreadPoolExecutor
) -> None:
    provider.reply(tool_calls(call("get_weather", id="call_1")), text("Sunny"), text("Fine"))
    asked = conversation(make_client(storage=storage), tools=[WEATHER])
    first = asked.run()
    assert first.status == "requires_action"
    creation = pool.submit(asked.start, **asks("wait"))
    assert is_told(storage)
    asked.submit(first.id, {"call_1": "12 °C"})
    second = asked.poll(creation.result(DEADLINE).id)
    assert (asked.retrieve(first.id).status, second.status) == ("completed", "completed")
    assert [texts(message) for message in asked.answers()] == [["Sunny"], ["Fine"]]


def test_the_thread_is_deleted_meanwhile(
    make_client: MakeClient, provider: ScriptedServer, storage: TellingStorage, pool: ThreadPoolExecutor
) -> None:
    asked, _ = under_way(make_client(storage=storage), provider, Gate())
    creation = pool.submit(asked.start, **asks("wait"))
    assert is_told(storage)
    asked.client.beta.threads.delete(asked.thread_id)
    with pytest.raises(NotFoundError, match="thread"):
        creation.result(DEADLINE)


def test_the_client_is_closed_meanwhile(
    make_client: MakeClient, provider: ScriptedServer, storage: TellingStorage, pool: ThreadPoolExecutor
) -> None:
    client = make_client(storage=storage, max_retries=0)
    asked, _ = under_way(client, provider, Gate())
    creation = pool.submit(asked.start, **asks("wait"))
    assert is_told(storage)
    client.close()
    with pytest.raises(InternalServerError, match=r"closed|stopping"):
        creation.result(DEADLINE)


# Whoever leaves


async def test_who_is_cancelled_waits_no_more() -> None:
    """Those who wait are served as they came: the third would come behind the second, if that one still waited."""
    storage, gate, model = TellingStorage(MemoryStorageAdapter()), Gate(), ScriptedModel()
    model.reply(text("Hel", gate, "lo"), text("Third"))
    async with async_supercompat(client=model, storage=storage, options=Options(active_run="wait")) as client:
        talk = await talk_with(client)
        first = await talk.start()
        second = asyncio.create_task(talk.start())
        assert await asyncio.to_thread(is_told, storage)
        second.cancel()
        with suppress(asyncio.CancelledError):
            await second
        gate.open()
        third = await talk.start()
        runs = await client.beta.threads.runs.list(talk.thread_id, order="asc")
        assert [run.id for run in runs.data] == [first.id, third.id]


class Interrupt(BaseException):
    """As Ctrl-C."""


def test_who_is_interrupted_waits_no_more() -> None:
    def interrupt(_: int, __: FrameType | None) -> None:
        raise Interrupt

    storage, gate, model = TellingStorage(MemoryStorageAdapter()), Gate(), ScriptedModel()
    model.reply(text("Hel", gate, "lo"), text("Third"))
    before = signal.signal(signal.SIGUSR1, interrupt)
    here = threading.get_ident()
    try:
        with (
            supercompat(client=model, storage=storage, options=Options(active_run="wait")) as client,
            ThreadPoolExecutor(1) as pool,
        ):
            asked = conversation(client)
            first = asked.start()
            sent = pool.submit(lambda: is_told(storage) and signal.pthread_kill(here, signal.SIGUSR1))
            with pytest.raises(Interrupt):
                asked.start()
            sent.result(DEADLINE)
            gate.open()
            third = asked.start()
            runs = client.beta.threads.runs.list(asked.thread_id, order="asc")
            assert [run.id for run in runs.data] == [first.id, third.id]
    finally:
        signal.signal(signal.SIGUSR1, before)


# Cancel


@pytest.mark.core
@pytest.mark.parametrize("elsewhere", [False, True], ids=["its own", "another client's"])
def test_cancels_a_run_in_mid_answer(
    make_client: MakeClient, provider: ScriptedServer, elsewhere: bool
) -> None:
    client = make_client(options=Options(drain=0, active_run="cancel_previous"))
    provider.reply(text("Hel", Gate(), "lo"), text("Fine"))
    asked = conversation(make_client() if elsewhere else client)
    events = iter(asked.stream())
    first_id = heard_until(events, "thread.message.delta")[0].data["id"]
    asked = through(client, asked)
    second = asked.start(additional_messages=[{"role": "user", "content": "Stop. Better?"}])
    assert names(heard(events))[-1] == "thread.run.cancelled"
    assert asked.retrieve(first_id).status == "cancelled"
    assert provider.requests[0].closed.wait(DEADLINE)
    assert asked.poll(second.id).status == "completed"
    said = [texts(message)[0] for message in asked.messages()]
    assert said == ["Hi", "Hel", "Stop. Better?", "Fine"]


def test_cancels_a_run_that_waits_for_outputs(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(tool_calls(call("get_weather", id="call_1")), text("Fine"))
    asked = conversation(client, tools=[WEATHER])
    first = asked.run()
    assert first.status == "requires_action"
    second = asked.start(**asks("cancel_previous"))
    assert asked.retrieve(first.id).status == "cancelled"
    assert asked.poll(second.id).status == "completed"


def test_the_cancelled_runs_stream_says_so(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hel", Gate(), "lo"), text("Fine"))
    asked = conversation(client)
    events = iter(asked.stream())
    heard_until(events, "thread.message.delta")
    second = asked.start(**asks("cancel_previous"))
    assert names(heard(events))[-1] == "thread.run.cancelled"
    assert asked.poll(second.id).status == "completed"


def test_what_can_not_be_created_cancels_nothing(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    asked, run = under_way(client, provider, gate)
    with pytest.raises(NotFoundError, match="No assistant found"):
        Conversation(client, "asst_none", asked.thread_id).start(**asks("cancel_previous"))
    gate.open()
    assert asked.poll(run.id).status == "completed"


def test_several_that_cancel_each_other(
    make_client: MakeClient, provider: ScriptedServer, pool: ThreadPoolExecutor
) -> None:
    """All are created; the last one stays."""
    clients = [make_client(options=Options(drain=0, active_run="cancel_previous")) for _ in range(2)]
    asked, first = under_way(clients[0], provider, Gate())
    provider.reply(*[text("Hel", Gate()) for _ in range(4)])
    creations = [pool.submit(through(client, asked).start) for client in clients * 2]
    created = {creation.result(LONG).id for creation in creations}
    runs = asked.client.beta.threads.runs.list(asked.thread_id, order="asc").data
    assert {run.id for run in runs} == created | {first.id}
    assert [run.status for run in runs[:-1]] == ["cancelled"] * 4
    asked.cancel(runs[-1].id)


# The header


@pytest.mark.parametrize(
    "value",
    [
        "",
        "enqueue; seconds=2",
        "reject; seconds=2",
        "Wait",
        "wait; seconds=",
        "wait; seconds=-1",
        "wait; seconds=nan",
        "wait; minutes=1",
        "wait, reject",
    ],
)
def test_a_value_that_is_not_supported(client: OpenAI, value: str) -> None:
    asked = conversation(client)
    threads: Any = client.beta.threads
    wholly: Any = partial(threads.create_and_run, assistant_id=asked.assistant_id)
    for attempt in (asked.start, wholly):
        with pytest.raises(BadRequestError, match="Supported values are") as caught:
            attempt(**asks(value))
        assert isinstance(caught.value.body, dict)
        assert (caught.value.param, caught.value.code) == ("supercompat-active-run", "invalid_value")
    assert not client.beta.threads.runs.list(asked.thread_id).data


@pytest.mark.parametrize(
    "value", ["reject", "wait", "wait;seconds=2", "enqueue", "cancel_previous ; seconds = 0.5"]
)
def test_a_value_that_is_supported(client: OpenAI, provider: ScriptedServer, value: str) -> None:
    provider.reply(text("Hello"), text("Hello"))
    asked = conversation(client)
    assert asked.poll(asked.start(**asks(value)).id).status == "completed"
    threads: Any = client.beta.threads
    hi = {"messages": [{"role": "user", "content": "Hi"}]}
    run: Run = threads.create_and_run(assistant_id=asked.assistant_id, thread=hi, **asks(value))
    assert Conversation(client, asked.assistant_id, run.thread_id).poll(run.id).status == "completed"


# Many at once


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def crowd(request: pytest.FixtureRequest) -> Iterator[tuple[list[OpenAI], ScriptedModel]]:
    """Two clients on one storage, and their model."""
    storage = storage_of(request.param, request)
    model = ScriptedModel(default=text("Hello"))
    with (
        supercompat(client=model, storage=storage) as one,
        supercompat(client=model, storage=storage) as other,
    ):
        yield [one, other], model


def outcome(creation: "Future[Run]") -> Run | None:
    try:
        return creation.result(LONG)
    except BadRequestError:
        return None


@pytest.mark.slow
@pytest.mark.conforms("C-117")
def test_of_many_one_wins(crowd: tuple[list[OpenAI], ScriptedModel]) -> None:
    clients, model = crowd
    with ThreadPoolExecutor(12) as pool:
        for _ in range(10):
            gate = Gate()
            model.reply(text("Hello").after(gate))
            asked = conversation(clients[0])
            attempts = [pool.submit(through(client, asked).start) for client in clients * 6]
            (winner,) = filter(None, map(outcome, attempts))
            gate.open()
            assert asked.poll(winner.id).status == "completed"


@pytest.mark.slow
def test_many_come_one_after_another(crowd: tuple[list[OpenAI], ScriptedModel]) -> None:
    """Each has the answers of all those before it in its prompt, so that no two were under way together."""
    clients, model = crowd
    asked = conversation(clients[0])
    with ThreadPoolExecutor(12) as pool:
        creations = [
            pool.submit(through(client, asked).start, **asks("wait; seconds=60")) for client in clients * 6
        ]
        runs = [creation.result(2 * LONG) for creation in creations]
    assert [asked.poll(run.id).status for run in runs] == ["completed"] * 12
    assert [len(request.turns) for request in model.requests] == list(range(1, 13))
    assert len(asked.answers()) == 12
