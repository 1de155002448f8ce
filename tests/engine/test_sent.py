"""Notes of what passes sent: short, and each can be told again."""

import json
from typing import Any

from supercompat.engine.sent import noted, sent_by
from supercompat.engine.transcript import Prompt
from supercompat.model.request import ModelRequest
from supercompat.testing import FakeClock, Gate, ScriptedModel, call, text, tool_calls
from tests.contract.conversations import CLOCK, DEADLINE, conversation
from tests.contract.wire import get
from tests.engine.conftest import LEASE
from tests.engine.processes import MakeProcess


def after(private: dict[str, Any], *sent: str) -> dict[str, Any]:
    """A run's private data when a pass that sent these has ended, read back."""
    prompt = Prompt(ModelRequest("m", ()), 7, sent, None)
    written = json.loads(json.dumps(noted(private, prompt, window=9, now=1)))
    return {**written, "passes": written.get("passes", 0) + 1}


def test_each_pass_is_told_again() -> None:
    told = [
        ("m1", "m2", "m3"),
        ("m1", "m2", "m3", "s1"),
        ("m2", "m3", "s1", "s2"),
        ("m3", "s2", "s3"),
        ("m3", "s2", "s3"),
        (),
        ("m1",),
    ]
    private: dict[str, Any] = {"kept": True}
    for sent in told:
        private = after(private, *sent)
    assert [sent.ids for sent in sent_by(private)] == told
    assert private["kept"]


def test_what_was_sent_before_is_not_noted_again() -> None:
    many = [f"m{number}" for number in range(1000)]
    first = after({}, *many)
    second = after(first, *many[500:], "s1")
    assert len(json.dumps(second)) - len(json.dumps(first)) < 200


def test_a_pass_that_is_carried_out_again_is_told_once() -> None:
    private = after({}, "m1")
    broken = after(private, "m1", "s1")
    again = after({**broken, "passes": 1}, "m1", "s2")
    assert [sent.ids for sent in sent_by(again)] == [("m1",), ("m1", "s2")]


def test_a_run_that_was_taken_over(process: MakeProcess, clock: FakeClock, model: ScriptedModel) -> None:
    gate = Gate()
    model.reply(tool_calls(call("get_time", id="call_1")), text("No", gate, "on."), text("Noon."))
    left, other = process(), process(on_crash="restart")
    asked = conversation(left.client, tools=[CLOCK])
    run = asked.run()
    asked.submit(run.id, {"call_1": "12:00"})
    assert gate.reached.wait(DEADLINE)
    path = f"/threads/{asked.thread_id}/runs/{run.id}/context"
    before: Any = get(left.client, path)
    left.freeze()
    clock.advance(LEASE)
    assert other.client.beta.threads.runs.poll(run.id, thread_id=asked.thread_id).status == "completed"
    passes: Any = get(other.client, path)["passes"]
    assert [sent["messages"] for sent in passes] == [sent["messages"] for sent in before["passes"]]
    gate.open()
    left.wake()
