"""Runs that nobody carries out are looked for all the time, and other processes' doings are heeded."""

import gc
import logging
from collections.abc import Callable, Iterator
from time import monotonic

import pytest
import sqlalchemy as sa
from openai import APIError

from supercompat import SQLAlchemyStorageAdapter
from supercompat.testing import FakeClock, Gate, ScriptedModel, call, text, tool_calls
from tests.contract.conversations import (
    CLOCK,
    DEADLINE,
    conversation,
    heard,
    heard_until,
    names,
    texts,
)
from tests.contract.storages import HeldStorage
from tests.engine.conftest import LEASE
from tests.engine.processes import MakeProcess
from tests.engine.test_takeover import DELTA, half_a_text, is_free, seen_by


@pytest.fixture
def database(url: str) -> Iterator[sa.Engine]:
    """The database itself, past all clients."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()


def happens(condition: Callable[[], bool]) -> None:
    """Returns once it has happened."""
    deadline = monotonic() + DEADLINE
    while not condition():
        assert monotonic() < deadline


def status(database: sa.Engine, run_id: str) -> str:
    """What is stored, which nobody's asking has changed."""
    with database.begin() as connection:
        found = connection.execute(sa.text("SELECT status FROM runs WHERE id = :id"), {"id": run_id})
        return str(found.scalar_one())


def lease_of(database: sa.Engine, run_id: str) -> float:
    """When it ends."""
    with database.begin() as connection:
        found = connection.execute(sa.text("SELECT lease_until FROM runs WHERE id = :id"), {"id": run_id})
        return float(found.scalar_one())


@pytest.mark.conforms("C-102", "C-104")
def test_a_run_that_waits_expires_unasked(
    process: MakeProcess, clock: FakeClock, model: ScriptedModel, database: sa.Engine
) -> None:
    model.reply(tool_calls(call("get_time")))
    asked = conversation(process().client, tools=[CLOCK])
    run = asked.run()
    clock.advance(600)
    happens(lambda: status(database, run.id) == "expired")
    assert [step.status for step in asked.steps(run.id)] == ["expired"]
    is_free(asked)


@pytest.mark.conforms("C-115")
def test_a_broken_row_keeps_no_other_from_being_taken_over(
    process: MakeProcess,
    clock: FakeClock,
    model: ScriptedModel,
    database: sa.Engine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    left, other = process(), process()
    first, second = conversation(left.client), conversation(left.client)
    broken, run_id = half_a_text(first, model), half_a_text(second, model)
    left.freeze()
    with database.begin() as connection:
        connection.execute(sa.text("UPDATE runs SET object = '{}' WHERE id = :id"), {"id": broken})
    clock.advance(LEASE)
    assert seen_by(other.client, second).poll(run_id).status == "failed"
    assert f"{broken} could not be taken over" in caplog.text


@pytest.mark.conforms("C-115")
def test_a_row_that_was_broken_costs_no_other_its_lease(
    process: MakeProcess,
    clock: FakeClock,
    model: ScriptedModel,
    database: sa.Engine,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its readers get an error, and nobody else notices."""
    model.reply(text("Never", Gate()), text("Hel", gate := Gate(), "lo"))
    here = process()
    first, second = conversation(here.client), conversation(here.client)
    readers = [iter(asked.stream()) for asked in (first, second)]
    broken, run_id = [heard_until(events, DELTA)[0].data["id"] for events in readers]
    with database.begin() as connection:
        break_it = "UPDATE runs SET object = '{}', fence = fence + 1 WHERE id = :id"
        connection.execute(sa.text(break_it), {"id": broken})
    clock.advance(LEASE / 2)
    happens(lambda: lease_of(database, run_id) > clock.now() + LEASE / 2)
    with pytest.raises(APIError, match="The server had an error"):
        list(readers[0])
    gate.open()
    assert names(heard(readers[1]))[-1] == "thread.run.completed"
    is_free(second)
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]


@pytest.mark.conforms("C-105", "C-152")
def test_another_process_cancels_within_a_second(
    process: MakeProcess, model: ScriptedModel, clock: FakeClock
) -> None:
    """With the default lease too. Whoever waits for the run elsewhere learns of it at once."""
    here, there = process(lease=15), process(lease=15)
    asked = conversation(here.client)
    model.reply(text("Hel", "lo", Gate()))
    events = iter(asked.stream())
    run_id = heard_until(events, DELTA)[0].data["id"]
    heard_until(events, DELTA)
    began = monotonic()
    assert seen_by(there.client, asked).cancel(run_id).status == "cancelling"
    assert seen_by(there.client, asked).poll(run_id).status == "cancelled"
    assert monotonic() - began < 3
    assert names(heard(events)) == [
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
    ]


def test_a_deleted_thread_is_nobodys_defect(
    process: MakeProcess, model: ScriptedModel, caplog: pytest.LogCaptureFixture
) -> None:
    """The run notices when it wants to store something."""
    here, there = process(), process()
    asked = conversation(here.client)
    gate = Gate()
    model.reply(text("Hello").after(gate))
    events = iter(asked.stream())
    assert gate.reached.wait(DEADLINE)
    here.freeze()
    there.client.beta.threads.delete(asked.thread_id)
    gate.open()
    here.wake()
    assert "thread.message.created" not in names(heard(events))
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_nobody_takes_over_from_itself(
    process: MakeProcess, model: ScriptedModel, url: str, clock: FakeClock
) -> None:
    """Its own leases may have run out when it looks, as after the machine slept: it renews them."""
    storage = HeldStorage(SQLAlchemyStorageAdapter(url))
    gate = Gate()
    model.reply(text("Hel", gate, "lo"))
    asked = conversation(process(storage).client)
    events = iter(asked.stream())
    heard_until(events, DELTA)
    for _ in range(8):
        clock.advance(LEASE)
        # Renewals, and looks for runs that nobody carries out, come about as often.
        for _ in range(3):
            assert storage.successes.acquire(timeout=DEADLINE)
    gate.open()
    heard_until(events, "thread.run.completed")
    assert [texts(answer) for answer in asked.answers()] == [["Hello"]]


def test_text_is_stored_while_the_model_is_silent(process: MakeProcess, model: ScriptedModel) -> None:
    """Pollers see how far it has come, and no more than the last second is lost with a process."""
    here, there = process(), process()
    asked = conversation(here.client)
    half_a_text(asked, model)
    asked = seen_by(there.client, asked)
    happens(lambda: [texts(answer) for answer in asked.answers()] == [["Never"]])


@pytest.mark.conforms("C-115")
def test_a_run_that_ends_every_process_is_not_carried_out_for_ever(
    process: MakeProcess, clock: FakeClock, model: ScriptedModel
) -> None:
    gates = [Gate() for _ in range(6)]
    model.reply(*(text("Hello").after(gate) for gate in gates))
    left = process()
    asked = conversation(left.client)
    run = asked.start()
    for gate in gates:
        assert gate.reached.wait(DEADLINE)
        left.freeze()
        clock.advance(LEASE)
        left = process()
    failed = seen_by(left.client, asked).poll(run.id)
    assert failed.status == "failed"
    is_free(seen_by(left.client, asked))


@pytest.mark.conforms("C-122")
def test_a_poll_waits_for_another_processs_run(process: MakeProcess, model: ScriptedModel) -> None:
    here, there = process(), process()
    asked, gate = conversation(here.client), Gate()
    model.reply(text("Hel", gate, "lo"))
    run = asked.start()
    assert gate.reached.wait(DEADLINE)
    runs = there.client.beta.threads.runs.with_raw_response
    header = {"X-Stainless-Poll-Helper": "true"}
    impatient = runs.retrieve(run.id, thread_id=asked.thread_id, extra_headers=header, timeout=1)
    assert impatient.parse().status == "in_progress"
    gate.open()
    reply = runs.retrieve(run.id, thread_id=asked.thread_id, extra_headers=header)
    assert reply.parse().status == "completed"
