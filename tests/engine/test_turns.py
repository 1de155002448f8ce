"""Whose turn it is on a thread, when a process stands still."""

from typing import Any

import pytest
from openai import BadRequestError

from supercompat.testing import FakeClock, Gate, ScriptedModel, call, text, tool_calls
from tests.contract.conversations import (
    CLOCK,
    DEADLINE,
    Conversation,
    call_ids,
    conversation,
    heard,
    heard_until,
    names,
    texts,
)
from tests.engine.conftest import LEASE
from tests.engine.processes import MakeProcess, Process


def asks(policy: str) -> dict[str, Any]:
    """The settings of a single request."""
    return {"extra_headers": {"supercompat-active-run": policy}}


def test_a_run_that_is_not_let_go(process: MakeProcess, model: ScriptedModel) -> None:
    """Its cancellation stands, but nothing is created beside it."""
    one, other, gate = process(), process(), Gate()
    model.reply(text("Hel", gate))
    asked = conversation(one.client)
    run = asked.start()
    assert gate.reached.wait(DEADLINE)
    one.freeze()
    left = Conversation(other.client, asked.assistant_id, asked.thread_id)
    with pytest.raises(BadRequestError, match=f"already has an active run {run.id}"):
        left.start(**asks("cancel_previous; seconds=0.3"))
    assert left.retrieve(run.id).status == "cancelling"
    assert len(other.client.beta.threads.runs.list(asked.thread_id).data) == 1


@pytest.mark.parametrize("policy", ["wait", "cancel_previous"])
def test_a_run_whose_process_died(
    process: MakeProcess, model: ScriptedModel, clock: FakeClock, policy: str
) -> None:
    """When its lease has ended, so does its run, and the next one comes."""
    one, other, gate = process(), process(), Gate()
    model.reply(text("Hel", gate), text("Fine"))
    asked = conversation(one.client)
    run = asked.start()
    assert gate.reached.wait(DEADLINE)
    one.freeze()
    clock.advance(LEASE)
    left = Conversation(other.client, asked.assistant_id, asked.thread_id)
    second = left.start(**asks(policy))
    assert left.retrieve(run.id).status in (
        {"cancelled", "failed"} if policy == "cancel_previous" else {"failed", "completed"}
    )
    assert left.poll(second.id).status == "completed"


def test_a_run_whose_time_is_over(process: MakeProcess, model: ScriptedModel, clock: FakeClock) -> None:
    one, other, gate = process(), process(), Gate()
    model.reply(text("Hel", gate), text("Fine"))
    asked = conversation(one.client)
    run = asked.start()
    assert gate.reached.wait(DEADLINE)
    one.freeze()
    clock.advance(600)
    left = Conversation(other.client, asked.assistant_id, asked.thread_id)
    second = left.start(**asks("wait"))
    assert left.retrieve(run.id).status == "expired"
    assert left.poll(second.id).status == "completed"


# Runs that stand in line


def elsewhere(process: Process, asked: Conversation) -> Conversation:
    """The same conversation, held through another process."""
    return Conversation(process.client, asked.assistant_id, asked.thread_id)


def test_the_next_run_after_one_whose_process_died(
    process: MakeProcess, model: ScriptedModel, clock: FakeClock
) -> None:
    one, other, gate = process(), process(), Gate()
    model.reply(text("Hel", gate), text("Fine"))
    asked = conversation(one.client)
    first = asked.start()
    assert gate.reached.wait(DEADLINE)
    left = elsewhere(other, asked)
    events = iter(left.stream(**asks("enqueue")))
    heard_until(events, "thread.run.queued")
    one.freeze()
    clock.advance(LEASE)
    rest = heard(events)
    assert (rest[0].name, rest[-1].name) == ("thread.run.in_progress", "thread.run.completed")
    assert left.retrieve(first.id).status == "failed"


def test_the_process_that_waits_with_it_dies(
    process: MakeProcess, model: ScriptedModel, clock: FakeClock
) -> None:
    """Its run comes nevertheless, in its turn. When it wakes, its readers hear how it ended."""
    here, there, gate = process(), process(), Gate()
    model.reply(text("Hel", gate, "lo"), text("Second"), text("Third"))
    asked = conversation(here.client)
    asked.start()
    assert gate.reached.wait(DEADLINE)
    events = iter(elsewhere(there, asked).stream(**asks("enqueue")))
    second = heard_until(events, "thread.run.queued")[0].data["id"]
    third = asked.start(**asks("enqueue"))
    there.freeze()
    clock.advance(LEASE)
    gate.open()
    assert asked.poll(third.id).status == "completed"
    assert asked.retrieve(second).status == "completed"
    assert [texts(answer) for answer in asked.answers()] == [["Hello"], ["Second"], ["Third"]]
    there.wake()
    rest = heard(events)
    assert names(rest) == [
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
    ]
    assert rest[-1].data == asked.retrieve(second).to_dict()


def test_a_process_that_closes_leaves_its_line(process: MakeProcess, model: ScriptedModel, url: str) -> None:
    """To those who are left: nothing is cancelled on a durable storage."""
    here, there, gate = process(), process(), Gate()
    model.reply(text("Hel", gate, "lo"), text("Second"), text("Third"))
    asked = conversation(here.client)
    asked.start()
    assert gate.reached.wait(DEADLINE)
    runs = [elsewhere(there, asked).start(**asks("enqueue")) for _ in range(2)]
    there.client.close()
    gate.open()
    assert [asked.poll(run.id).status for run in runs] == ["completed"] * 2
    assert [texts(answer) for answer in asked.answers()] == [["Hello"], ["Second"], ["Third"]]


def test_outputs_that_another_process_submits(process: MakeProcess, model: ScriptedModel) -> None:
    """A run that waits for them is carried on by whoever has them; then comes the next one, where it waits."""
    here, there = process(), process()
    model.reply(tool_calls(call("get_time")), text("Noon."), text("Fine"))
    asked = conversation(here.client, tools=[CLOCK])
    first = asked.run()
    events = iter(asked.stream(**asks("enqueue")))
    heard_until(events, "thread.run.queued")
    left = elsewhere(there, asked)
    assert left.submit_and_poll(first.id, dict.fromkeys(call_ids(first), "12:00")).status == "completed"
    assert heard(events)[-1].name == "thread.run.completed"
    assert [texts(answer) for answer in asked.answers()] == [["Noon."], ["Fine"]]


def test_a_cancellation_in_line_is_heard_elsewhere(process: MakeProcess, model: ScriptedModel) -> None:
    here, there, gate = process(), process(), Gate()
    model.reply(text("Hel", gate, "lo"))
    asked = conversation(here.client)
    first = asked.start()
    assert gate.reached.wait(DEADLINE)
    events = iter(elsewhere(there, asked).stream(**asks("enqueue")))
    run_id = heard_until(events, "thread.run.queued")[0].data["id"]
    assert asked.cancel(run_id).status == "cancelled"
    assert names(heard(events)) == ["thread.run.cancelled"]
    gate.open()
    assert asked.poll(first.id).status == "completed"
