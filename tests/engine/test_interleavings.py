"""Whatever happens in whichever order, on several processes: a run ends as it may, and its thread is free."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Literal, TypeAlias, get_args

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.beta.threads import Run

from supercompat import Options, SQLAlchemyStorageAdapter
from supercompat.testing import FakeClock, Gate, Reply, ScriptedModel, call, text, tool_calls
from tests.contract.conversations import CLOCK, DEADLINE, Conversation, call_ids, conversation, texts
from tests.engine.conftest import LEASE
from tests.engine.processes import Process

Action: TypeAlias = Literal[
    "start", "line_up", "speak", "submit", "cancel", "leave_line", "expire", "crash", "wake", "swap"
]
ACTIONS: list[Action] = list(get_args(Action))
TERMINAL = {"completed", "failed", "cancelled", "expired", "incomplete"}
SAYS = ["One", " two."]


@dataclass
class World:
    """Processes on one database, and one conversation.

    Attributes:
        plan: how the model answers; when it is over, with text.
        alive: the processes that have not stood still; the first is asked.
    """

    clock: FakeClock
    plan: list[str]
    asked: Conversation = field(init=False)
    alive: list[Process] = field(default_factory=list[Process])
    frozen: list[Process] = field(default_factory=list[Process])
    gates: list[Gate] = field(default_factory=list[Gate])
    is_over: bool = False

    def answer(self, _: object) -> Reply:
        gate = Gate()
        if self.is_over:
            gate.open()
        self.gates.append(gate)
        if self.plan and self.plan.pop() == "tool":
            return text("Hm.") + tool_calls(call("get_time", '{"zone":', gate, '"UTC"}'))
        return text(SAYS[0], gate, SAYS[1])

    def do(self, action: Action) -> None:
        """An action that is not possible now is refused, as the API does."""
        with suppress(openai.BadRequestError):
            getattr(self, action)()

    @property
    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        return self.alive[0].client.beta.threads.runs.list(self.asked.thread_id, order="asc").data

    @property
    def front(self) -> Run | None:
        """The one that is active, or else the newest."""
        runs = self.runs
        return next((run for run in runs if run.status not in TERMINAL), runs[-1] if runs else None)

    @property
    def here(self) -> Conversation:
        return Conversation(self.alive[0].client, self.asked.assistant_id, self.asked.thread_id)

    def start(self) -> None:
        self.here.start()

    def line_up(self) -> None:
        self.here.start(extra_headers={"supercompat-active-run": "enqueue"})

    def speak(self) -> None:
        if self.gates:
            self.gates[-1].open()

    def submit(self) -> None:
        run = self.front
        if run is not None and run.status == "requires_action":
            self.here.submit(run.id, dict.fromkeys(call_ids(run), "12:00"))

    def cancel(self) -> None:
        if run := self.front:
            self.here.cancel(run.id)

    def leave_line(self) -> None:
        if runs := self.runs:
            self.here.cancel(runs[-1].id)

    def expire(self) -> None:
        self.clock.advance(600)

    def crash(self) -> None:
        """The process that is asked stands still until its leases are over."""
        if len(self.alive) > 1:
            self.frozen.append(self.alive.pop(0))
            self.frozen[-1].freeze()
            self.clock.advance(LEASE)

    def wake(self) -> None:
        for process in self.frozen:
            process.wake()
        self.alive += self.frozen
        self.frozen.clear()

    def swap(self) -> None:
        self.alive.append(self.alive.pop(0))

    def ended(self) -> Run | None:
        """The newest run, once all have ended: everything goes on until then, and outputs are given."""
        self.is_over = True
        for gate in self.gates:
            gate.open()
        deadline = monotonic() + DEADLINE
        while (run := self.front) is not None and run.status not in TERMINAL:
            assert monotonic() < deadline, run
            self.do("submit")
            run = self.here.poll(run.id)
        return run


@contextmanager
def world(plan: list[str], on_crash: str) -> Iterator[World]:
    with TemporaryDirectory() as folder, ExitStack() as stack:
        made = World(FakeClock(), plan)
        model = ScriptedModel(default=made.answer)
        given: Any = {"clock": made.clock, "lease": LEASE, "drain": 0, "on_crash": on_crash}
        for _ in range(2):
            storage = SQLAlchemyStorageAdapter(f"sqlite:///{Path(folder) / 'assistants.db'}")
            made.alive.append(Process(storage, model, Options(**given)))
            stack.callback(made.alive[-1].close)
        made.asked = conversation(made.alive[0].client, tools=[CLOCK])
        yield made


def judge(asked: Conversation, run: Run) -> None:
    """Nothing of the run is open, and nothing was said twice."""
    steps, answers = asked.steps(run.id), asked.messages(run_id=run.id)
    assert run.expires_at is None
    assert run.required_action is None
    assert run.usage is not None
    assert "in_progress" not in {each.status for each in (*steps, *answers)}
    made = [step.step_details for step in steps]
    assert [each.message_creation.message_id for each in made if each.type == "message_creation"] == [
        answer.id for answer in answers
    ]
    for answer in answers:
        whole = ["Hm."], ["".join(SAYS)]
        said = texts(answer)
        if answer.status == "completed":
            assert said in whole
        else:
            assert not said or any(each[0].startswith(said[0]) for each in whole)
    complete = [texts(answer) for answer in answers if answer.status == "completed"]
    assert complete.count(["".join(SAYS)]) == (run.status == "completed")


@pytest.mark.slow
@pytest.mark.conforms("C-088", "C-109", "C-115", "C-118")
@settings(max_examples=60, deadline=None)
@given(
    plan=st.lists(st.sampled_from(["text", "tool"]), max_size=3),
    actions=st.lists(st.sampled_from(ACTIONS), max_size=10),
    on_crash=st.sampled_from(["fail", "restart"]),
)
def test_a_run_ends_whatever_happens(plan: list[str], actions: list[Action], on_crash: str) -> None:
    with world(plan, on_crash) as made:
        made.do("start")
        for action in actions:
            made.do(action)
        last = made.ended()
        assert last is not None
        runs = made.here.client.beta.threads.runs.list(made.asked.thread_id)
        for run in runs:
            assert run.status in TERMINAL
            judge(made.here, run)
        made.wake()
        plan.clear()
        made.here.ask("And now?")
        assert made.here.run(tools=[]).status == "completed"
        for run in runs:
            assert made.here.retrieve(run.id) == run
