"""A reader whose connection breaks again and again, wherever it comes back, is told each thing once and in order."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supercompat.engine.changes import Change, Output
from supercompat.engine.feed import CAPACITY, Feed
from supercompat.engine.lifecycle import ACTIVE, RESTING, TRANSITIONS, ended_step, move
from supercompat.engine.reducer import Reducer
from supercompat.engine.retelling import Stored, retold
from supercompat.engine.told import Told
from supercompat.model.events import Usage
from supercompat.wire.events import AssistantEvent, Piece
from supercompat.wire.ids import PREFIXED
from supercompat.wire.objects import (
    CreatedMessage,
    LastError,
    Message,
    MessageCreationDetails,
    Run,
    RunStep,
    StepCall,
    Text,
    TextContent,
    ToolCallsDetails,
)
from tests.engine.test_feed import Reader
from tests.engine.test_reducer import ANSWERS, NOW, Json, Said, cuts, finished, spoken

RUN = Run(id="run_1", created_at=1, assistant_id="asst_1", thread_id="thread_1", model="m", expires_at=601)
CALL = Said("call", "{}", "f")


@dataclass
class World:
    """A run as it is stored, and the feed of the pass that is carried out here."""

    run: Run = RUN
    fence: int = 1
    answered: str | None = None
    steps: dict[str, RunStep] = field(default_factory=dict[str, RunStep])
    messages: dict[str, Message] = field(default_factory=dict[str, Message])
    feed: Feed | None = None

    def store(self, changes: Sequence[Change]) -> None:
        for change in changes:
            match change.row.object:
                case Run() as run:
                    self.run = run
                case RunStep() as step:
                    self.steps[step.id] = step
                case Message() as message:
                    self.messages[message.id] = message

    def keep(self, text: Message) -> None:
        """The text so far, with the heartbeat."""
        if self.messages[text.id].status == "in_progress":
            self.messages[text.id] = text

    def stored(self, told: Told) -> Stored:
        behind = told.behind(list(self.steps))
        assert behind is not None
        steps = [self.steps[id] for id in behind]
        return Stored(self.run, self.fence, self.answered, steps, dict(self.messages))


class Connection(NamedTuple):
    """So many frames are read before it breaks. `here`: in the process that carries the run out."""

    frames: int
    here: bool


class Listener:
    """Has what came whole before its connection broke."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self._last_id: str | None = None

    async def connect(self, world: World, connection: Connection) -> None:
        told = Told("run_1")
        if self._last_id is not None:
            parsed = Told.parse(self._last_id, "run_1")
            assert parsed is not None
            told = parsed
        frames = retold(told, world.stored(told))[: connection.frames]
        if connection.here and world.feed is not None and len(frames) < connection.frames:
            reader = Reader(world.feed, told)
            await reader.read(connection.frames - len(frames))
            frames += reader.frames
            await reader.leave()
        for frame in frames:
            self.frames.append(frame)
            self._last_id = id_of(frame)


def id_of(frame: bytes) -> str:
    return frame.partition(b"\n")[0].decode().removeprefix("id: ")


class Moment(NamedTuple):
    """What happens between two outputs of a pass."""

    checkpoint: bool
    connection: Connection | None


MOMENTS = st.lists(
    st.builds(
        Moment,
        st.booleans(),
        st.none() | st.builds(Connection, st.integers(0, 12), st.booleans()),
    ),
    min_size=1,
    max_size=12,
)


@dataclass
class Life:
    """A run, and a listener who comes back at each of these moments, over and over."""

    moments: list[Moment]
    cut: Any
    capacity: int
    crash: int | None
    world: World = field(default_factory=World)
    listener: Listener = field(default_factory=Listener)
    opening: list[AssistantEvent] = field(default_factory=list[AssistantEvent])
    turn: int = 0

    async def live(self, passes: Sequence[list[Said]], end: str) -> None:
        self.opening = [
            AssistantEvent("thread.run.created", RUN),
            AssistantEvent("thread.run.queued", RUN),
        ]
        for answer in passes[:-1]:
            await self._carry_out(answer, "crash")
            self.opening = answer_calls(self.world)
        await self._carry_out(passes[-1], end)
        await self._moment(None)
        await self.listener.connect(self.world, Connection(1_000_000, here=False))

    async def _carry_out(self, answer: list[Said], how: str) -> None:
        """A pass, with another attempt if the first one crashes."""
        world, before, said = self.world, dict(self.world.steps), dict(self.world.messages)
        reducer = await self._begun()
        for number, event in enumerate(spoken(answer, self.cut) + finished(answer)):
            await self._moment(reducer)
            if how == "crash" and number == self.crash:
                world.feed, world.steps, world.messages, world.fence = None, before, said, world.fence + 1
                await self._moment(None)
                self.opening = []
                await self._carry_out(answer, "finish")
                return
            await self._pass_on(reducer.on(event), reducer)
        await self._pass_on(self._ended(reducer, how), reducer)
        world.feed = None
        await self._moment(None)

    async def _begun(self) -> Reducer:
        world = self.world
        world.feed = Feed(self.capacity)
        world.feed.publish(self.opening)
        await self._moment(None)
        if world.run.status == "queued":
            world.run = move(world.run, "in_progress", started_at=NOW)
        await self._moment(None)
        world.feed.publish([AssistantEvent("thread.run.in_progress", world.run)])
        return Reducer(world.run, {}, ids=PREFIXED, now=lambda: NOW, last_message="msg_0")

    async def _pass_on(self, outputs: Sequence[Output], reducer: Reducer) -> None:
        assert self.world.feed is not None
        if any(isinstance(output, Change) for output in outputs):
            self.world.store([output for output in outputs if isinstance(output, Change)])
            await self._moment(reducer)
        for output in outputs:
            self.world.feed.publish(output.events() if isinstance(output, Change) else [output])

    def _ended(self, reducer: Reducer, how: str) -> list[Output]:
        if how == "cancel":
            self.world.run = move(self.world.run, "cancelling")
            assert self.world.feed
            self.world.feed.publish([AssistantEvent("thread.run.cancelling", self.world.run)])
            return reducer.cancel()
        if how == "fail":
            return reducer.fail(LastError(code="server_error", message="Broken."))
        return reducer.expire() if how == "expire" else reducer.finish()

    async def _moment(self, reducer: Reducer | None) -> None:
        moment = self.moments[self.turn % len(self.moments)]
        self.turn += 1
        text = reducer.open_message() if reducer else None
        if moment.checkpoint and text and text.id in self.world.messages:
            self.world.keep(text)
        if moment.connection:
            await self.listener.connect(self.world, moment.connection)


def answer_calls(world: World) -> list[AssistantEvent]:
    """Outputs come. Returns what opens the next pass."""
    waiting = next(step for step in world.steps.values() if step.status == "in_progress")
    assert isinstance(waiting.step_details, ToolCallsDetails)
    calls = [
        call.changed(function=call.function.changed(output="x"))
        for call in waiting.step_details.tool_calls
        if isinstance(call, StepCall)
    ]
    step = waiting.changed(step_details=ToolCallsDetails(tool_calls=calls))
    step = world.steps[step.id] = ended_step(step, "completed", NOW, Usage())
    world.answered = list(world.steps)[-1]
    world.run = move(world.run, "queued", required_action=None)
    world.fence += 1
    return [
        AssistantEvent("thread.run.step.completed", step),
        AssistantEvent("thread.run.queued", world.run),
    ]


# What a listener may rely on


def events_of(frames: Sequence[bytes]) -> Iterator[tuple[str, Json]]:
    for frame in frames:
        _, event, data, *_ = frame.decode().split("\n", 3)
        yield event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


class Account:
    """Puts together what was told, and checks that each thing is told in its time."""

    def __init__(self) -> None:
        self.status: str = ""
        self.levels: dict[str, str] = {}
        self.parts: dict[tuple[str, int], str] = {}
        self.last: dict[str, Json] = {}

    def take(self, name: str, data: Json) -> None:
        kind, _, what = name.rpartition(".")
        if what == "delta":
            assert self.levels[data["id"]] == "in_progress"
            self._delta(data["id"], data["delta"])
            return
        self.last[data["id"]] = data
        if kind == "thread.run":
            self._run(what, data["status"])
        else:
            before = {"created": None, "in_progress": "created"}.get(what, "in_progress")
            assert self.levels.get(data["id"]) == before, (name, before)
            self.levels[data["id"]] = what
            assert data["status"] == ("in_progress" if what == "created" else what)
            assert self.status in ACTIVE

    def _run(self, what: str, status: str) -> None:
        if what == "created":
            assert (self.status, status) == ("", "queued")
            self.status = "created"
        else:
            assert what == status
            assert self.status == "created" if what == "queued" and self.status != "requires_action" else True
            if self.status != "created":
                assert what in TRANSITIONS[self.status]  # pyright: ignore[reportArgumentType]
            self.status = what

    def _delta(self, id: str, delta: Json) -> None:
        for part in delta.get("content", []):
            is_new = (id, part["index"]) not in self.parts
            text = part["refusal"] if part["type"] == "refusal" else part["text"]["value"]
            if part["type"] == "text":
                assert ("annotations" in part["text"]) == is_new
            self.parts[id, part["index"]] = self.parts.get((id, part["index"]), "") + text
        for call in delta.get("step_details", {}).get("tool_calls", []):
            assert ("id" in call) == ((id, call["index"]) not in self.parts)
            made = call["function"]["arguments"]
            self.parts[id, call["index"]] = self.parts.get((id, call["index"]), "") + made


def check(world: World, listener: Listener) -> None:
    account = Account()
    for name, data in events_of(listener.frames):
        account.take(name, data)
    assert world.run.status in RESTING
    assert account.last["run_1"] == world.run.model_dump(mode="json")
    for thing in (*world.steps.values(), *world.messages.values()):
        assert account.levels[thing.id] == thing.status
        if thing.status != "in_progress":
            assert account.last[thing.id] == thing.model_dump(mode="json")
    kept = {part: text for part, text in account.parts.items() if part[0] in world.steps | world.messages}
    assert kept == dict(parts_of(world))


def parts_of(world: World) -> Iterator[tuple[tuple[str, int], str]]:
    for id, message in world.messages.items():
        for index, part in enumerate(message.content):
            yield (id, index), part.refusal if part.type == "refusal" else part.text.value  # type: ignore[union-attr]
    for id, step in world.steps.items():
        if isinstance(step.step_details, ToolCallsDetails):
            for index, call in enumerate(step.step_details.tool_calls):
                assert isinstance(call, StepCall)
                yield (id, index), call.function.arguments


def check_any(
    passes: list[list[Said]], cut: Any, moments: list[Moment], capacity: int, end: str, crash: int | None
) -> None:
    clean = [
        [said._replace(text=said.text.encode(errors="replace").decode()) for said in answer]
        for answer in passes
    ]
    answers = [[*answer, CALL] for answer in clean[:-1]] + [clean[-1]]
    life = Life(moments, cut, capacity, crash)
    asyncio.run(life.live(answers, end))
    check(life.world, life.listener)


GIVEN: dict[str, Any] = {
    "passes": st.lists(ANSWERS, min_size=1, max_size=3),
    "cut": cuts(),
    "moments": MOMENTS,
    "capacity": st.sampled_from([0, 150, 1500, CAPACITY]),
    "end": st.sampled_from(["finish", "finish", "cancel", "fail", "expire", "crash"]),
    "crash": st.none() | st.integers(0, 12),
}


@pytest.mark.conforms("C-139", "C-140")
@settings(max_examples=100, deadline=None)
@given(**GIVEN)
def test_a_stream_that_is_cut_anywhere_goes_on(**given: Any) -> None:
    check_any(**given)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(**GIVEN)
def test_a_stream_that_is_cut_anywhere_goes_on_at_length(**given: Any) -> None:
    check_any(**given)


# What is more than text: annotations, images and tools of the provider's own


def message_delta(*content: Json) -> AssistantEvent:
    data = {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": list(content)}}
    return AssistantEvent("thread.message.delta", data)


def step_delta(*calls: Json) -> AssistantEvent:
    details = {"type": "tool_calls", "tool_calls": list(calls)}
    data = {"id": "step_1", "object": "thread.run.step.delta", "delta": {"step_details": details}}
    return AssistantEvent("thread.run.step.delta", data)


def output(number: int) -> AssistantEvent:
    made = {"outputs": [{"index": number, "type": "logs", "logs": "x"}]}
    return step_delta({"index": 0, "type": "code_interpreter", "code_interpreter": made})


def note(number: int) -> Json:
    citation = {"file_id": "file-1", "quote": ""}
    place = {"start_index": 3, "end_index": 6}
    return {"index": number, "type": "file_citation", "text": "【1】", **place, "file_citation": citation}


RICH = [
    message_delta(
        {"index": 0, "type": "image_file", "image_file": {"file_id": "file-2"}},
        {"index": 1, "type": "text", "text": {"value": "", "annotations": []}},
    ),
    Piece("text", "msg_1", 1, "Yes", first=True).event(),
    message_delta({"index": 1, "type": "text", "text": {"value": "【1】", "annotations": [note(0)]}}),
    message_delta({"index": 1, "type": "text", "text": {"annotations": [note(1)]}}),
    Piece("text", "msg_1", 1, ", so.").event(),
    Piece("text", "msg_1", 1, " Or not.").event(),
    step_delta(
        {
            "index": 0,
            "id": "call_1",
            "type": "code_interpreter",
            "code_interpreter": {"input": "", "outputs": []},
        }
    ),
    output(0),
    output(1),
    step_delta({"index": 1, "id": "call_2", "type": "file_search", "file_search": {"results": []}}),
]


@pytest.mark.parametrize("capacity", [0, CAPACITY])
async def test_what_is_more_than_text_comes_once(capacity: int) -> None:
    feed = Feed(capacity)
    feed.publish([AssistantEvent("thread.run.in_progress", RUN), *RICH])
    whole = Reader(feed, Told("run_1", stage="i"))
    await whole.read(20)
    for place, frame in enumerate(whole.frames):
        told = Told.parse(id_of(frame), "run_1")
        assert told is not None
        again = Reader(feed, told)
        await again.read(20)
        assert again.frames == whole.frames[place + 1 :]
        await again.leave()
    await whole.leave()


def test_annotations_are_told_from_what_is_stored() -> None:
    value = "Yes【1】, so. Or not."
    kept = [{name: part for name, part in note(number).items() if name != "index"} for number in (0, 1)]
    message = Message(
        id="msg_1",
        created_at=1,
        thread_id="thread_1",
        run_id="run_1",
        role="assistant",
        content=[TextContent(text=Text(value=value, annotations=kept))],
    )
    details = MessageCreationDetails(message_creation=CreatedMessage(message_id="msg_1"))
    step = RunStep(
        id="step_2",
        created_at=1,
        run_id="run_1",
        assistant_id="asst_1",
        thread_id="thread_1",
        type="message_creation",
        status="completed",
        step_details=details,
    )
    world = World(move(move(RUN, "in_progress"), "completed"), steps={step.id: step})
    world.messages[message.id] = message
    told = Told("run_1")
    whole = retold(told, world.stored(told))
    assert [name for name, _ in events_of(whole)].count("thread.message.delta") == 3
    for place, frame in enumerate(whole):
        told = Told.parse(id_of(frame), "run_1")
        assert told is not None
        assert retold(told, world.stored(told)) == whole[place + 1 :]
