"""Whose turn it is on a thread, when the process that carries its run out stands still."""

from typing import Any

import pytest
from openai import BadRequestError

from supercompat.testing import FakeClock, Gate, ScriptedModel, text
from tests.contract.conversations import DEADLINE, Conversation, conversation
from tests.engine.conftest import LEASE
from tests.engine.processes import MakeProcess


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
