"""One process stands still in mid run, another one takes the run over."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest
from openai import OpenAI
from openai.types.beta.threads import Run

from supercompat import SQLAlchemyStorageAdapter
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
    only,
    texts,
)
from tests.contract.resuming import accounted, all_of, begun, until
from tests.contract.storages import HeldStorage
from tests.engine.conftest import LEASE
from tests.engine.processes import MakeProcess, Process

DELTA = "thread.message.delta"


def seen_by(client: OpenAI, asked: Conversation) -> Conversation:
    """The same conversation, through another client."""
    return replace(asked, client=client)


def newest(asked: Conversation) -> Run:
    return asked.client.beta.threads.runs.list(asked.thread_id).data[0]


def taken_over(left: Process, asked: Conversation, by: Process, clock: FakeClock) -> Conversation:
    """One stands still until its leases have ended. The conversation, as seen by the other one."""
    left.freeze()
    clock.advance(LEASE)
    return seen_by(by.client, asked)


def is_free(asked: Conversation) -> None:
    """The thread takes the next run."""
    asked.ask("And now?")
    assert asked.run(tools=[]).status == "completed"


@pytest.mark.conforms("C-115", "C-118")
def test_who_comes_back_writes_nothing(process: MakeProcess, clock: FakeClock, model: ScriptedModel) -> None:
    """Its run is being carried out anew. Its readers hear how that ends."""
    old, new = Gate(), Gate()
    model.reply(text("Old", old, " words"), text("New", new, " words"))
    left, other = process(), process(on_crash="restart")
    asked = conversation(left.client)
    events = iter(asked.stream())
    run_id = heard_until(events, DELTA)[0].data["id"]
    asked = taken_over(left, asked, other, clock)
    assert new.reached.wait(DEADLINE)

    old.open()
    left.wake()
    seen_by(left.client, asked).retrieve(run_id)
    new.open()
    run = asked.poll(run_id)
    assert run.status == "completed"
    assert [(answer.status, texts(answer)) for answer in asked.answers()] == [("completed", ["New words"])]
    assert [step.status for step in asked.steps(run_id)] == ["completed"]
    # It may have gone on saying things before it noticed.
    rest = [event for event in heard(events) if event.name != DELTA]
    assert names(rest) == ["thread.message.completed", "thread.run.step.completed", "thread.run.completed"]
    assert only(rest, "thread.run.completed") == run.to_dict()
    is_free(asked)


@pytest.mark.conforms("C-115", "C-152")
def test_readers_hear_that_it_failed_elsewhere(
    process: MakeProcess, clock: FakeClock, model: ScriptedModel
) -> None:
    gate = Gate()
    model.reply(text("Hel", gate, "lo"))
    left, other = process(), process()
    asked = conversation(left.client)
    events = iter(asked.stream())
    said = heard_until(events, DELTA)
    asked = taken_over(left, asked, other, clock)
    run = asked.poll(said[0].data["id"])
    assert run.status == "failed"
    assert run.last_error
    assert "ended before the answer was complete" in run.last_error.message
    gate.open()
    left.wake()
    rest = [event for event in heard(events) if event.name != DELTA]
    assert names(rest) == ["thread.message.incomplete", "thread.run.step.failed", "thread.run.failed"]
    # Not all that was heard was stored.
    message = only(rest, "thread.message.incomplete")
    assert message["content"][0]["text"]["value"].startswith("Hel")
    assert only(rest, "thread.run.failed") == run.to_dict()
    is_free(asked)


def test_readers_with_ids_go_on_elsewhere(
    process: MakeProcess, clock: FakeClock, model: ScriptedModel
) -> None:
    """One comes back to the process that is left, the other one stays with the process that was away."""
    gate = Gate()
    model.reply(text("Hel", gate, "lo"))
    left, other = process(), process()
    asked = conversation(left.client)
    with begun(asked) as frames:
        read = until(frames, DELTA)
        run_id = read[0].event.data["id"]
        asked = taken_over(left, asked, other, clock)
        rest = all_of(asked, run_id, read[-1].id)
        ends = ["thread.message.incomplete", "thread.run.step.failed", "thread.run.failed", "done"]
        assert [frame.name for frame in rest] == ends
        assert accounted([*read, *rest]).last[run_id] == asked.retrieve(run_id).to_dict()
        left.wake()
        assert [frame for frame in frames if frame.name != DELTA] == rest
    gate.open()


Begin: TypeAlias = Callable[[Conversation, ScriptedModel], str]


def half_a_text(asked: Conversation, model: ScriptedModel) -> str:
    model.reply(text("Never", Gate()))
    return heard_until(iter(asked.stream()), DELTA)[0].data["id"]


def half_a_call(asked: Conversation, model: ScriptedModel) -> str:
    """A message of the same pass is complete."""
    model.reply(text("Let me look.") + tool_calls(call("get_time", '{"zone":', Gate())))
    return heard_until(iter(asked.stream()), "thread.run.step.delta")[0].data["id"]


def half_a_later_pass(asked: Conversation, model: ScriptedModel) -> str:
    """Those before it stay, and so does what was said behind their calls."""
    model.reply(
        text("First.") + tool_calls(call("get_time", id="call_1")) + text("Wait."),
        text("Never") + tool_calls(call("get_time", Gate())),
    )
    run = asked.run()
    heard_until(iter(asked.submit_stream(run.id, {"call_1": "12:00"})), "thread.run.step.delta")
    return run.id


@pytest.mark.conforms("C-115")
@pytest.mark.parametrize(
    ("begin", "said"),
    [(half_a_text, []), (half_a_call, []), (half_a_later_pass, ["First.", "Wait."])],
)
def test_what_was_half_said_is_withdrawn(
    begin: Begin, said: list[str], process: MakeProcess, clock: FakeClock, model: ScriptedModel
) -> None:
    """If the pass is to be restarted: neither a caller nor the model sees it twice."""
    left, other = process(), process(on_crash="restart")
    asked = conversation(left.client, tools=[CLOCK])
    run_id = begin(asked, model)
    model.reply(text("Noon."))
    asked = taken_over(left, asked, other, clock)
    assert asked.poll(run_id).status == "completed"
    assert [texts(answer) for answer in asked.answers()] == [[each] for each in (*said, "Noon.")]
    assert {step.status for step in asked.steps(run_id)} == {"completed"}
    assert model.requests[-1] == model.requests[-2]
    is_free(asked)


@pytest.mark.conforms("C-105", "C-115")
def test_a_cancellation_under_way_comes_to_its_end(
    process: MakeProcess, clock: FakeClock, model: ScriptedModel
) -> None:
    left, other = process(), process(on_crash="restart")
    asked = conversation(left.client)
    run_id = half_a_text(asked, model)
    asked = seen_by(other.client, asked)
    asked.messages()
    left.freeze()
    assert asked.cancel(run_id).status == "cancelling"
    assert asked.retrieve(run_id).status == "cancelling"
    clock.advance(LEASE)
    assert asked.poll(run_id).status == "cancelled"
    assert [answer.status for answer in asked.answers()] == ["incomplete"]
    is_free(asked)


@pytest.mark.conforms("C-115")
@pytest.mark.parametrize("stage", ["created", "submitted"])
def test_a_pass_that_was_not_begun(
    stage: str, process: MakeProcess, clock: FakeClock, model: ScriptedModel, url: str
) -> None:
    storage = HeldStorage(SQLAlchemyStorageAdapter(url))
    left, other = process(storage), process()
    asked = conversation(left.client, tools=[CLOCK])
    if stage == "created":
        held = storage.hold(after=1)
        run = asked.start()
    else:
        model.reply(tool_calls(call("get_time")))
        run = asked.run()
        held = storage.hold(after=1)
        asked.submit(run.id, dict.fromkeys(call_ids(run), "12:00"))
    model.reply(text("Noon."))
    assert held.reached.wait(DEADLINE)
    asked = taken_over(left, asked, other, clock)
    assert asked.poll(run.id).status == "completed"
    held.open()
    left.wake()
    assert [texts(answer) for answer in asked.answers()] == [["Noon."]]
    is_free(asked)


@pytest.mark.conforms("C-102", "C-104", "C-115")
def test_a_run_past_its_time_expires_and_is_not_restarted(
    process: MakeProcess, clock: FakeClock, model: ScriptedModel
) -> None:
    left, other = process(), process(on_crash="restart")
    asked = conversation(left.client)
    run_id = half_a_text(asked, model)
    left.freeze()
    clock.advance(600)
    asked = seen_by(other.client, asked)
    (answer,) = asked.answers()
    assert answer.incomplete_details
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "run_expired")
    assert asked.retrieve(run_id).status == "expired"
    is_free(asked)
