"""A process is killed at each stage of a run, on each database; another one is alive, or only starts afterwards.

What nobody has seen anything of is carried out again. What was half said ends as failed, its message incomplete.
"""

from dataclasses import dataclass
from time import monotonic
from typing import Any

import pytest
from openai import OpenAI
from openai.types.beta.threads import Run

from supercompat.testing import Gate, Reply, ScriptedServer, call, text, tool_calls
from tests.contract.conversations import WEATHER, Conversation, conversation, texts
from tests.processes.conftest import Endings, Scene, until
from tests.processes.workers import PATIENCE, Worker

pytestmark = pytest.mark.parametrize(
    ("database", "crash"),
    [
        ("sqlite", "another is alive"),
        ("sqlite", "next start"),
        ("postgresql", "another is alive"),
        pytest.param("postgresql", "next start", marks=pytest.mark.slow),
        pytest.param("prisma", "another is alive", marks=pytest.mark.slow),
    ],
    indirect=True,
)

ASKS_FOR_WEATHER = tool_calls(call("get_weather", '{"city":"SF"}', id="call_1"))
ANSWERS = {"call_1": "18 °C"}
TERMINAL = {"completed", "failed", "cancelled", "expired", "incomplete"}


@dataclass
class Crash:
    """A process that is to be killed, and whoever is there afterwards.

    Attributes:
        what: how this is told in the summary.
        survivor: a client that is alive all the while; None if one only starts after the kill.
    """

    scene: Scene
    what: str
    endings: Endings
    is_next_start: bool
    survivor: OpenAI | None = None

    def victim(self, **settings: Any) -> Worker:
        if not self.is_next_start and self.survivor is None:
            self.survivor = self.scene.client()
        return self.scene.worker(**settings)

    def kill(self, victim: Worker, asked: Conversation) -> tuple[Conversation, Run]:
        """Kill it. Returns the conversation as seen by who is left, and its run, ended."""
        killed = monotonic()
        victim.kill()
        client = self.survivor or self.scene.client()
        left = Conversation(client, asked.assistant_id, asked.thread_id)
        [newest, *_] = client.beta.threads.runs.list(asked.thread_id).data
        run = client.beta.threads.runs.poll(newest.id, thread_id=asked.thread_id, poll_interval_ms=20)
        self.endings.append((self.what, monotonic() - killed, _told(left, run)))
        return left, run


def _told(asked: Conversation, run: Run) -> str:
    said = [f"message {message.status} {texts(message)}" for message in asked.answers()]
    error = [run.last_error.message] if run.last_error else []
    return ", ".join([f"run {run.status}", *said, *error])


@pytest.fixture
def crash(scene: Scene, endings: Endings, request: pytest.FixtureRequest) -> Crash:
    return Crash(scene, request.node.name, endings, request.param == "next start")


def open_at(asked: Conversation, worker: Worker, reply: Reply, provider: ScriptedServer) -> None:
    """A run that is streamed there, and answered like this, has begun."""
    provider.reply(reply)
    worker.begin.beta.threads.runs.create(asked.thread_id, assistant_id=asked.assistant_id, stream=True)


def in_mid_text(victim: Worker, provider: ScriptedServer) -> Conversation:
    """A run whose text so far is stored."""
    asked = conversation(victim.client)
    open_at(asked, victim, text("Hel").then_hang(), provider)
    until(lambda: [texts(message) for message in asked.answers()] == [["Hel"]])
    return asked


def nothing_is_open(asked: Conversation, run: Run) -> None:
    """The run is over and so is all of it; its thread takes the next one."""
    assert run.status in TERMINAL
    assert run.expires_at is None
    assert [step.status for step in asked.steps(run.id) if step.status == "in_progress"] == []
    assert [message.status for message in asked.messages() if message.status == "in_progress"] == []
    asked.ask("And now?")
    assert asked.run(tools=[]).status == "completed"


def failed_half_said(asked: Conversation, run: Run) -> None:
    """As the API ends what broke off."""
    assert run.status == "failed"
    assert run.last_error
    assert run.last_error.code == "server_error"
    assert "process" in run.last_error.message
    assert run.failed_at is not None
    assert run.usage is not None
    assert asked.steps(run.id)[-1].status == "failed"


@pytest.mark.conforms("C-115", "C-118", "C-122")
def test_queued(crash: Crash) -> None:
    victim = crash.victim(hold_at="queued")
    asked = conversation(victim.client)
    crash.scene.provider.reply(text("Hello"))
    victim.begin.beta.threads.runs.create(asked.thread_id, assistant_id=asked.assistant_id)
    assert victim.held.wait(PATIENCE)
    asked, run = crash.kill(victim, asked)
    assert run.status == "completed"
    assert [texts(message) for message in asked.answers()] == [["Hello"]]
    assert len(crash.scene.provider.requests) == 1
    nothing_is_open(asked, run)


@pytest.mark.conforms("C-115", "C-118", "C-122")
def test_before_the_first_token(crash: Crash) -> None:
    victim, gate = crash.victim(), Gate()
    asked = conversation(victim.client)
    open_at(asked, victim, text("Never").after(gate), crash.scene.provider)
    assert gate.reached.wait(PATIENCE)
    crash.scene.provider.reply(text("Hello"))
    asked, run = crash.kill(victim, asked)
    assert run.status == "completed"
    assert [texts(message) for message in asked.answers()] == [["Hello"]]
    assert len(crash.scene.provider.requests) == 2
    nothing_is_open(asked, run)


@pytest.mark.conforms("C-115", "C-118", "C-122")
def test_in_mid_text(crash: Crash) -> None:
    victim = crash.victim()
    asked = in_mid_text(victim, crash.scene.provider)
    asked, run = crash.kill(victim, asked)
    failed_half_said(asked, run)
    [answer] = asked.answers()
    assert (answer.status, texts(answer)) == ("incomplete", ["Hel"])
    assert answer.incomplete_details
    assert answer.incomplete_details.reason == "run_failed"
    nothing_is_open(asked, run)


@pytest.mark.conforms("C-115", "C-118", "C-122")
def test_in_mid_tool_arguments(crash: Crash) -> None:
    victim, gate = crash.victim(), Gate()
    asked = conversation(victim.client, tools=[WEATHER])
    reply = tool_calls(call("get_weather", '{"city":', gate, '"SF"}'))
    open_at(asked, victim, reply, crash.scene.provider)
    until(lambda: [step for run in _runs(asked) for step in asked.steps(run.id)])
    asked, run = crash.kill(victim, asked)
    failed_half_said(asked, run)
    assert asked.answers() == []
    nothing_is_open(asked, run)


@pytest.mark.conforms("C-115", "C-118", "C-122")
def test_waiting_for_tool_outputs(crash: Crash) -> None:
    """Nobody carries it out, so nobody is missed: the outputs can be given to any process."""
    victim = crash.victim()
    asked = conversation(victim.client, tools=[WEATHER])
    crash.scene.provider.reply(ASKS_FOR_WEATHER, text("18 °C"))
    assert asked.run().status == "requires_action"
    asked, run = crash.kill(victim, asked)
    assert run.status == "requires_action"
    run = asked.submit_and_poll(run.id, ANSWERS)
    assert run.status == "completed"
    assert [step.status for step in asked.steps(run.id)] == ["completed", "completed"]
    nothing_is_open(asked, run)


@pytest.mark.conforms("C-115", "C-118", "C-122")
@pytest.mark.parametrize("stage", ["stored", "asked"])
def test_during_submit(crash: Crash, stage: str) -> None:
    """The outputs are kept, and the pass that follows them is carried out again."""
    first, gate = crash.victim(), Gate()
    asked = conversation(first.client, tools=[WEATHER])
    crash.scene.provider.reply(ASKS_FOR_WEATHER)
    run = asked.run()
    victim = crash.victim(hold_at="queued" if stage == "stored" else None)
    if stage == "asked":
        crash.scene.provider.reply(text("Never").after(gate))
    crash.scene.provider.reply(text("18 °C"))
    outputs: Any = [{"tool_call_id": "call_1", "output": "18 °C"}]
    victim.begin.beta.threads.runs.submit_tool_outputs(
        run.id, thread_id=asked.thread_id, tool_outputs=outputs
    )
    reached = gate.reached if stage == "asked" else victim.held
    assert reached.wait(PATIENCE)
    first.kill()
    asked, run = crash.kill(victim, asked)
    assert run.status == "completed"
    assert [texts(message) for message in asked.answers()] == [["18 °C"]]
    assert crash.scene.provider.requests[-1].body["messages"][-1]["content"] == "18 °C"
    nothing_is_open(asked, run)


@pytest.mark.conforms("C-115", "C-118", "C-122")
def test_in_mid_text_after_submit(crash: Crash) -> None:
    """What was complete stays so: the calls and their outputs."""
    victim = crash.victim()
    asked = conversation(victim.client, tools=[WEATHER])
    crash.scene.provider.reply(ASKS_FOR_WEATHER, text("18").then_hang())
    asked.submit(asked.run().id, ANSWERS)
    until(lambda: [texts(message) for message in asked.answers()] == [["18"]])
    asked, run = crash.kill(victim, asked)
    failed_half_said(asked, run)
    assert [step.status for step in asked.steps(run.id)] == ["completed", "failed"]
    nothing_is_open(asked, run)


@pytest.mark.conforms("C-115", "C-118", "C-122")
def test_during_cancel(crash: Crash) -> None:
    """A cancellation that was taken is a promise."""
    victim = crash.victim(hold_at="cancelling")
    asked = in_mid_text(victim, crash.scene.provider)
    [run] = _runs(asked)
    victim.begin.beta.threads.runs.cancel(run.id, thread_id=asked.thread_id)
    assert victim.held.wait(PATIENCE)
    asked, run = crash.kill(victim, asked)
    assert run.status == "cancelled"
    assert run.cancelled_at is not None
    [answer] = asked.answers()
    assert (answer.status, texts(answer)) == ("incomplete", ["Hel"])
    assert [step.status for step in asked.steps(run.id)] == ["cancelled"]
    nothing_is_open(asked, run)


@pytest.mark.conforms("C-115", "C-118", "C-122")
def test_on_crash_restart(crash: Crash) -> None:
    """What was half said is carried out anew."""
    crash.scene.options["on_crash"] = "restart"
    victim = crash.victim()
    asked = in_mid_text(victim, crash.scene.provider)
    crash.scene.provider.reply(text("Hello"))
    asked, run = crash.kill(victim, asked)
    assert run.status == "completed"
    assert [(answer.status, texts(answer)) for answer in asked.answers()] == [("completed", ["Hello"])]
    nothing_is_open(asked, run)


@pytest.mark.conforms("C-115", "C-118")
def test_with_others_in_line_behind_it(crash: Crash) -> None:
    """Nobody waits with them any more, but they come all the same, one after another."""
    victim = crash.victim()
    asked = in_mid_text(victim, crash.scene.provider)
    crash.scene.provider.reply(text("Second"), text("Third"))
    for words in ("Two?", "Three?"):
        more = [{"role": "user", "content": words}]
        asked.start(additional_messages=more, extra_headers={"supercompat-active-run": "enqueue"})
    asked, run = crash.kill(victim, asked)
    assert sorted(each.status for each in _runs(asked)) == ["completed", "completed", "failed"]
    said = [texts(message)[0] for message in asked.messages()]
    assert said == ["Hi", "Hel", "Two?", "Second", "Three?", "Third"]
    assert len(crash.scene.provider.requests) == 3
    nothing_is_open(asked, run)


@pytest.mark.conforms("C-103", "C-104", "C-115")
def test_expiry_needs_no_lease_to_end(crash: Crash) -> None:
    """It follows from what is stored."""
    crash.scene.options.update(lease=600, run_expires_after=4)
    victim = crash.victim()
    asked = in_mid_text(victim, crash.scene.provider)
    asked, run = crash.kill(victim, asked)
    assert run.status == "expired"
    [answer] = asked.answers()
    assert (answer.status, texts(answer)) == ("incomplete", ["Hel"])
    nothing_is_open(asked, run)


@pytest.mark.slow
def test_the_default_lease(crash: Crash) -> None:
    """Nobody waits for more than 15 seconds, whoever is left."""
    del crash.scene.options["lease"]
    victim, gate = crash.victim(), Gate()
    asked = conversation(victim.client)
    open_at(asked, victim, text("Never").after(gate), crash.scene.provider)
    assert gate.reached.wait(PATIENCE)
    crash.scene.provider.reply(text("Hello"))
    asked, run = crash.kill(victim, asked)
    assert run.status == "completed"
    [*_, (_, seconds, _)] = crash.endings
    assert seconds <= 15


def _runs(asked: Conversation) -> list[Run]:
    return list(asked.client.beta.threads.runs.list(asked.thread_id))
