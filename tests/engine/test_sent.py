"""Notes of what passes sent: short, and enough to tell it again."""

import json
from typing import Any

from supercompat.engine.sent import noted, sent_by
from supercompat.engine.transcript import Prompt
from supercompat.model.request import ModelRequest
from supercompat.storage_adapters.protocol import History
from supercompat.testing import FakeClock, Gate, ScriptedModel, call, text, tool_calls
from tests.contract.conversations import CLOCK, DEADLINE, conversation
from tests.contract.wire import get
from tests.engine.conftest import LEASE
from tests.engine.processes import MakeProcess
from tests.engine.test_transcript import said


def sent_again(private: dict[str, Any], *sent: str) -> dict[str, Any]:
    """A run's private data when a pass that sent these has begun, read back."""
    things = [said(f"msg_{number}") for number in range(1000)]
    history = History(things, range(1000))
    prompt = Prompt(ModelRequest("m", ()), 7, sent, None)
    return json.loads(json.dumps(noted(private, prompt, history, tokens=prompt.tokens, window=9, now=1)))


def ends(private: dict[str, Any]) -> list[tuple[str | None, ...]]:
    return [(sent.question, sent.first, sent.last) for sent in sent_by(private)]


def test_the_ends_of_what_was_sent() -> None:
    assert ends(sent_again({}, "msg_3", "msg_4", "msg_5")) == [(None, "msg_3", "msg_5")]
    assert ends(sent_again({}, "msg_1", "msg_4", "msg_5")) == [("msg_1", "msg_4", "msg_5")]
    assert ends(sent_again({}, "msg_1", "msg_4")) == [("msg_1", "msg_4", "msg_4")]
    assert ends(sent_again({}, "msg_4")) == [(None, "msg_4", "msg_4")]
    assert ends(sent_again({})) == [(None, None, None)]


def test_a_note_is_short() -> None:
    many = [f"msg_{number}" for number in range(1000)]
    assert len(json.dumps(sent_again({}, *many))) < 400


def test_a_pass_that_is_carried_out_again_is_noted_once() -> None:
    private = {**sent_again({"kept": True}, "msg_1"), "passes": 1}
    broken = sent_again(private, "msg_1", "msg_2")
    again = sent_again(broken, "msg_1", "msg_3")
    assert [sent.last for sent in sent_by(again)] == ["msg_1", "msg_3"]
    assert again["kept"]


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
