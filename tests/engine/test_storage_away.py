"""The database can't be used for a while in mid run. The run goes on, or ends once the database is back."""

import logging
from collections.abc import Iterator
from threading import Event

import pytest
from openai import APIError

from supercompat import SQLAlchemyStorageAdapter
from supercompat.testing import FakeClock, Gate, ScriptedModel, text
from tests.contract.conversations import DEADLINE, conversation, heard, heard_until, only, texts
from tests.contract.storages import HeldStorage
from tests.engine.conftest import LEASE
from tests.engine.processes import MakeProcess
from tests.engine.test_reaper import happens
from tests.engine.test_takeover import DELTA, is_free, seen_by

LOGGER = "supercompat"


class Logged(logging.Handler):
    """Tells when something was logged."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words
        self.happened = Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self.happened.set()


@pytest.fixture
def refused() -> Iterator[Logged]:
    """A renewal of leases that the storage refused."""
    handler = Logged("can't be used (supercompat leases)")
    logging.getLogger(LOGGER).addHandler(handler)
    yield handler
    logging.getLogger(LOGGER).removeHandler(handler)


@pytest.fixture
def storage(url: str) -> HeldStorage:
    return HeldStorage(SQLAlchemyStorageAdapter(url))


def test_a_pass_waits_for_it(
    process: MakeProcess, model: ScriptedModel, storage: HeldStorage, refused: Logged
) -> None:
    gate = Gate()
    model.reply(text("Hel", gate, "lo"))
    asked = conversation(process(storage, lease=3).client)
    events = iter(asked.stream())
    run_id = heard_until(events, DELTA)[0].data["id"]
    storage.fail()
    gate.open()
    assert refused.happened.wait(DEADLINE)
    storage.mend()
    heard_until(events, "thread.run.completed")
    assert asked.retrieve(run_id).status == "completed"
    assert [(answer.status, texts(answer)) for answer in asked.answers()] == [("completed", ["Hello"])]
    is_free(asked)


@pytest.mark.conforms("C-115", "C-155")
@pytest.mark.parametrize("said", [True, False])
def test_a_pass_that_waited_too_long(
    said: bool, process: MakeProcess, model: ScriptedModel, storage: HeldStorage, clock: FakeClock
) -> None:
    """Its readers get an error; once the database is back, the run is taken over like any other."""
    gate = Gate()
    model.reply(text("Hel", gate, "lo") if said else text("Hello").after(gate), text("Again"))
    asked = conversation(process(storage).client)
    events = iter(asked.stream())
    run_id = heard_until(events, "thread.run.in_progress")[0].data["id"]
    if said:
        heard_until(events, DELTA)
    storage.fail()
    gate.open()
    with pytest.raises(APIError, match="The server had an error"):
        list(events)
    storage.mend()
    clock.advance(LEASE)
    run = asked.poll(run_id)
    answers = [(answer.status, texts(answer)) for answer in asked.answers()]
    if said:
        assert run.status == "failed"
        assert [status for status, _ in answers] == ["incomplete"]
    else:
        assert (run.status, answers) == ("completed", [("completed", ["Again"])])
    is_free(asked)


@pytest.mark.conforms("C-152")
def test_nobody_is_shown_less_than_was_heard(
    process: MakeProcess, model: ScriptedModel, storage: HeldStorage, clock: FakeClock
) -> None:
    """What came after the last text that was stored is known to its readers alone."""
    gate = Gate()
    model.reply(text("Hel", gate, "lo", Gate()))
    asked = conversation(process(storage).client)
    other = seen_by(process().client, asked)
    events = iter(asked.stream())
    run_id = heard_until(events, DELTA)[0].data["id"]
    happens(lambda: [texts(answer) for answer in other.answers()] == [["Hel"]])
    storage.fail()
    gate.open()
    heard_until(events, DELTA)
    clock.advance(LEASE)
    assert other.poll(run_id).status == "failed"
    storage.mend()
    message = only(heard(events), "thread.message.incomplete")
    assert message["content"][0]["text"]["value"] == "Hello"


def test_who_lives_keeps_its_runs(
    process: MakeProcess, model: ScriptedModel, storage: HeldStorage, url: str, clock: FakeClock
) -> None:
    """However long it was away for all of them: nobody takes over before others had the time to renew."""
    model.reply(text("Hel", Gate()))
    others = HeldStorage(SQLAlchemyStorageAdapter(url))
    asked = conversation(process(storage, lease=3).client)
    other = process(others, lease=3)
    events = iter(asked.stream())
    heard_until(events, DELTA)
    storage.fail()
    others.fail()
    # Looks for runs that nobody carries out. Together they take half of a lease.
    for _ in range(4):
        assert others.failures.acquire(timeout=DEADLINE)
    clock.advance(3)
    others.mend()
    # Two more of them; if the first one had taken the run over, the second transaction would have ended it.
    for _ in range(2):
        assert others.successes.acquire(timeout=DEADLINE)
    assert other.client.beta.threads.runs.list(asked.thread_id).data[0].status == "in_progress"


@pytest.mark.conforms("C-105")
def test_a_cancellation_is_finished_by_whoever_can(
    process: MakeProcess, model: ScriptedModel, storage: HeldStorage, clock: FakeClock
) -> None:
    model.reply(text("Hel", Gate()))
    asked = conversation(process(storage).client)
    events = iter(asked.stream())
    run_id = heard_until(events, DELTA)[0].data["id"]
    storage.fail(after=1)
    assert asked.cancel(run_id).status == "cancelling"
    with pytest.raises(APIError, match="The server had an error"):
        list(events)
    storage.mend()
    clock.advance(LEASE)
    assert asked.poll(run_id).status == "cancelled"
    assert [answer.status for answer in asked.answers()] == ["incomplete"]
    is_free(asked)
