"""Closing drains, hands over and lets go, whoever closes and however often."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import Any

import openai
import pytest
from anyio.from_thread import start_blocking_portal
from openai import OpenAI

from supercompat import (
    MemoryStorageAdapter,
    OpenAIClientAdapter,
    Options,
    SQLAlchemyStorageAdapter,
    async_supercompat,
    supercompat,
)
from supercompat.testing import Gate, ScriptedModel, ScriptedServer, hang, text
from tests.contract.blocking import Blocking
from tests.contract.conftest import MakeClient, Setup
from tests.contract.conversations import DEADLINE, Conversation, conversation, heard, heard_until, texts
from tests.contract.storages import HeldStorage
from tests.doors.asking import talk_with
from tests.doors.leftovers import no_threads, other_tasks, ours

DELTA = "thread.message.delta"

#: A lease that no test outlives: it is released, or the run is lost.
PATIENT = Options(drain=60, lease=600)
HASTY = Options(drain=0, lease=600)


def seen_by(client: OpenAI, talk: Conversation) -> Conversation:
    """The same conversation, through another client."""
    return Conversation(client, talk.assistant_id, talk.thread_id)


@pytest.mark.core
def test_it_waits_for_running_runs(make_client: MakeClient, provider: ScriptedServer) -> None:
    client = make_client(options=PATIENT)
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    talk = conversation(client)
    run = talk.start()
    assert gate.reached.wait(DEADLINE)
    with ThreadPoolExecutor() as threads:
        closed = threads.submit(client.close)
        while not client.is_closed():
            pass
        assert not closed.done()
        gate.open()
        closed.result(DEADLINE)
    after = seen_by(make_client(), talk)
    assert after.retrieve(run.id).status == "completed"
    assert [texts(answer) for answer in after.answers()] == [["Hello"]]


@pytest.mark.core
def test_then_it_hands_them_over(make_client: MakeClient, provider: ScriptedServer, setup: Setup) -> None:
    """To the next client of the same database; what is in memory is cancelled."""
    client = make_client(options=HASTY)
    provider.reply(text("Hel").then_hang(), text("Hello").after(gate := Gate()))
    half_said, unsaid = conversation(client), conversation(client)
    heard_until(iter(half_said.stream()), DELTA)
    unsaid_id = unsaid.start().id
    assert gate.reached.wait(DEADLINE)
    client.close()
    for received in provider.requests:
        assert received.closed.wait(DEADLINE)
    after = seen_by(make_client(), half_said)
    (answer,) = after.answers()
    assert (answer.status, texts(answer)) == ("incomplete", ["Hel"])
    (run,) = after.client.beta.threads.runs.list(half_said.thread_id).data
    is_durable = setup.storage != "memory"
    assert run.status == ("failed" if is_durable else "cancelled")
    assert seen_by(after.client, unsaid).poll(unsaid_id).status == (
        "completed" if is_durable else "cancelled"
    )


@pytest.mark.parametrize("is_durable", [False, True])
def test_a_run_that_is_about_to_begin(tmp_path: Path, is_durable: bool) -> None:
    """It is stored, and its creator not yet told: it is handed over, or cancelled, like those that have begun."""
    url = f"sqlite:///{tmp_path / 'assistants.db'}"
    storage = HeldStorage(SQLAlchemyStorageAdapter(url) if is_durable else None, tells_late=True)
    given: Any = {"storage": storage, "options": HASTY}
    client = supercompat(client=ScriptedModel(default=text("Never").after(Gate())), **given)
    other = supercompat(client=ScriptedModel(), **given)
    talk = conversation(client)
    told = storage.hold(after=0)
    with ThreadPoolExecutor() as threads:
        creation = threads.submit(talk.start)
        assert told.reached.wait(DEADLINE)
        closed = threads.submit(client.close)
        while not client.is_closed():
            pass
        # Without a drain, requests are broken off now.
        assert not wait([creation], 0.1).done
        told.open()
        closed.result(DEADLINE)
        run = creation.result(DEADLINE)
    if is_durable:
        other.close()
        other = supercompat(client=ScriptedModel(text("Hello")), **given)
    assert seen_by(other, talk).poll(run.id).status == ("completed" if is_durable else "cancelled")
    other.close()


@pytest.mark.core
def test_a_reader_learns_of_it(make_client: MakeClient, provider: ScriptedServer, setup: Setup) -> None:
    client = make_client(options=HASTY)
    provider.reply(text("Hel").then_hang())
    events = iter(conversation(client).stream())
    heard_until(events, DELTA)
    client.close()
    if setup.storage == "memory":
        assert heard(events)[-1].name == "thread.run.cancelled"
    else:
        with pytest.raises(openai.APIError, match="The client was closed before the run had ended"):
            list(events)


def test_a_reader_that_is_far_behind_learns_of_it() -> None:
    """Not all that was said has reached it, so that a quiet end would be a lie."""
    client = supercompat(client=ScriptedModel(text(*["word "] * 1000)))
    talk = conversation(client)
    stream = talk.stream()
    run_id = heard_until(iter(stream), "thread.run.created")[-1].data["id"]
    assert talk.poll(run_id).status == "completed"
    client.close()
    with pytest.raises(openai.APIError, match="closed"):
        list(stream)


def test_a_request_that_waits_ends(provider: ScriptedServer) -> None:
    provider.reply(text("Hello").after(gate := Gate()))
    inner = OpenAI(base_url=provider.base_url, api_key="test-key", max_retries=0)
    client = supercompat(client=inner, options=HASTY)
    with closing(inner), ThreadPoolExecutor() as threads:
        question: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
        asking = threads.submit(client.chat.completions.create, **question)
        assert gate.reached.wait(DEADLINE)
        client.close()
        with pytest.raises(openai.InternalServerError, match="The client was closed"):
            asking.result(DEADLINE)
    assert provider.requests[0].closed.wait(DEADLINE)


async def test_a_request_that_waits_ends_in_the_other_door_too(provider: ScriptedServer) -> None:
    provider.reply(text("Hello").after(gate := Gate()))
    async with openai.AsyncOpenAI(base_url=provider.base_url, api_key="test-key", max_retries=0) as inner:
        client = async_supercompat(client=inner, options=HASTY)
        question: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
        create: Any = client.chat.completions.create
        asking: asyncio.Task[Any] = asyncio.create_task(create(**question))
        assert await asyncio.to_thread(gate.reached.wait, DEADLINE)
        await client.close()
        with pytest.raises(openai.InternalServerError, match="The client was closed"):
            await asyncio.wait_for(asking, DEADLINE)
        assert await asyncio.to_thread(provider.requests[0].closed.wait, DEADLINE)


@pytest.mark.core
def test_right_after_a_run_was_created(make_client: MakeClient, provider: ScriptedServer) -> None:
    """Its call to the provider has only begun. It is ended too."""
    provider.reply(*[hang()] * 5)
    for _ in range(5):
        client = make_client(options=HASTY)
        conversation(client).start()
        client.close()
        no_threads()


@pytest.mark.parametrize("kind", [openai.OpenAI, openai.AsyncOpenAI])
async def test_the_users_own_client_stays_open(provider: ScriptedServer, kind: Any) -> None:
    inner = kind(base_url=provider.base_url, api_key="test-key", max_retries=0)
    question: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
    with supercompat(client=inner) as client:
        await asyncio.to_thread(client.chat.completions.create, **question)
    async with async_supercompat(client=inner) as asynchronous:
        await asynchronous.chat.completions.create(**question)
    assert not inner.is_closed()
    if kind is openai.OpenAI:
        assert inner.chat.completions.create(**question).choices[0].message.content == "Hi"
        inner.close()
    else:
        assert (await inner.chat.completions.create(**question)).choices[0].message.content == "Hi"
        await inner.close()


@pytest.mark.parametrize("door", ["sync", "async"])
def test_the_users_own_client_is_closed_first(
    provider: ScriptedServer, door: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A run fails for it, as for any other failure of the provider."""
    inner = openai.OpenAI(base_url=provider.base_url, api_key="test-key", max_retries=0)
    with start_blocking_portal("asyncio") as portal, closing(inner):
        if door == "sync":
            client: Any = supercompat(client=OpenAIClientAdapter(inner))
        else:
            client = Blocking(async_supercompat(client=OpenAIClientAdapter(inner)), portal)
        with closing(client):
            talk = conversation(client)
            inner.close()
            run = talk.poll(talk.start().id)
    assert run.status == "failed"
    assert run.last_error is not None
    assert "has been closed" in run.last_error.message
    assert not caplog.records


def test_it_is_idempotent_in_any_thread() -> None:
    client = supercompat(client=ScriptedModel())
    client.beta.assistants.list()
    with ThreadPoolExecutor() as threads:
        for closed in [threads.submit(client.close) for _ in range(8)]:
            closed.result(DEADLINE)
    client.close()


async def test_it_is_idempotent_in_any_task() -> None:
    client = async_supercompat(client=ScriptedModel())
    await client.beta.assistants.list()
    await asyncio.gather(*(client.close() for _ in range(8)))
    await client.close()


def test_a_client_that_was_never_asked_has_nothing_to_close() -> None:
    client = supercompat(client=ScriptedModel())
    assert not ours()
    client.close()
    asyncio.run(async_supercompat(client=ScriptedModel()).close())


def test_requests_after_it_are_refused() -> None:
    client = supercompat(client=ScriptedModel(), max_retries=0)
    client.beta.assistants.list()
    client.close()
    with pytest.raises((RuntimeError, openai.APIConnectionError)) as caught:
        client.beta.assistants.list()
    assert "closed" in str(caught.value) + str(caught.value.__cause__)


async def test_requests_after_it_are_refused_in_the_other_door_too() -> None:
    client = async_supercompat(client=ScriptedModel(), max_retries=0)
    await client.beta.assistants.list()
    await client.close()
    with pytest.raises((RuntimeError, openai.APIConnectionError)) as caught:
        await client.beta.assistants.list()
    assert "closed" in str(caught.value) + str(caught.value.__cause__)


def test_requests_while_it_drains(provider: ScriptedServer) -> None:
    """Those that came before are answered."""
    gate = Gate()
    client = supercompat(client=ScriptedModel(text("Hel", gate, "lo")), options=PATIENT)
    talk = conversation(client)
    run = talk.start()
    assert gate.reached.wait(DEADLINE)
    with ThreadPoolExecutor() as threads:
        polling = threads.submit(talk.poll, run.id)
        closed = threads.submit(client.close)
        while not client.is_closed():
            pass
        gate.open()
        closed.result(DEADLINE)
        # The helper asked while the client was open, or was refused.
        assert polling.exception(DEADLINE) is None or "closed" in str(polling.exception())


@pytest.mark.parametrize("times", range(5))
def test_while_others_ask(times: int, tmp_path: Path) -> None:
    """Whatever it comes in between, each request has an answer or an error, and nothing hangs."""
    storage = SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'assistants.db'}")
    client = supercompat(client=ScriptedModel(), storage=storage, options=HASTY, max_retries=0)
    begun = threading.Barrier(5)

    def ask() -> None:
        begun.wait(DEADLINE)
        with pytest.raises((RuntimeError, openai.OpenAIError)):  # noqa: PT012 - one of them, sooner or later
            while True:
                for _ in conversation(client).stream():
                    pass

    with ThreadPoolExecutor() as threads:
        asking = [threads.submit(ask) for _ in range(4)]
        begun.wait(DEADLINE)
        for _ in range(times):
            client.beta.assistants.list()
        client.close()
        for each in asking:
            each.result(DEADLINE)


def test_memory_outlives_a_client() -> None:
    storage = MemoryStorageAdapter()
    with supercompat(client=ScriptedModel(), storage=storage) as client:
        assistant = client.beta.assistants.create(model="gpt-4o-mini")
    no_threads()
    with supercompat(client=ScriptedModel(), storage=storage) as client:
        assert client.beta.assistants.retrieve(assistant.id) == assistant


async def test_it_is_cancelled() -> None:
    """A caller who does not want to wait any longer: what is left is handed over all the same."""
    client = async_supercompat(client=ScriptedModel(text("Hel").then_hang()), options=PATIENT)
    before = other_tasks()
    await (await talk_with(client)).start()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.close()
    assert not other_tasks() - before
    no_threads()


async def test_before_it_has_started(tmp_path: Path) -> None:
    storage = SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'assistants.db'}")
    client = async_supercompat(client=ScriptedModel(), storage=storage)
    asking = asyncio.create_task(client.beta.assistants.create(model="gpt-4o-mini"))
    while not ours():  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    await client.close()
    (answer,) = await asyncio.gather(asking, return_exceptions=True)
    assert "gpt-4o-mini" in str(answer) or "The client was closed" in str(answer)
