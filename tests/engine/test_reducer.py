"""What a model says, however it is cut into pieces, becomes the same messages, steps and usage."""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supercompat.engine.changes import Change, Output
from supercompat.engine.reducer import Reducer
from supercompat.model import events as model
from supercompat.model.events import ModelEvent
from supercompat.wire.events import AssistantEvent
from supercompat.wire.ids import PREFIXED
from supercompat.wire.objects import LastError, Run

NOW = 100
BILLED = model.Usage(prompt=7, completion=5, cached=2, reasoning=1)
BEFORE = model.Usage(prompt=10, completion=3)
PRIVATE = {"usage": {"prompt": 10, "completion": 3, "cached": 0, "reasoning": 0}, "passes": 1}

Json: TypeAlias = dict[str, Any]


class Said(NamedTuple):
    """A stretch of an answer: text, a refusal, or the arguments of a call with that name."""

    kind: str
    text: str
    name: str = ""


def a_reducer(status: Any = "in_progress") -> Reducer:
    run = Run(
        id="run_1",
        created_at=1,
        assistant_id="asst_1",
        thread_id="thread_1",
        model="m",
        status=status,
        expires_at=601,
    )
    return Reducer(run, PRIVATE, ids=PREFIXED, now=lambda: NOW, last_message="msg_0")


def spoken(answer: Sequence[Said], cut: Callable[[str], list[str]]) -> list[ModelEvent]:
    """The answer as a model says it, each stretch in pieces."""
    events: list[ModelEvent] = []
    calls = -1
    for said in answer:
        pieces = cut(said.text)
        if said.kind == "text":
            events += [model.TextDelta(piece) for piece in pieces]
        elif said.kind == "refusal":
            events += [model.RefusalDelta(piece) for piece in pieces]
        else:
            calls += 1
            events.append(model.ToolCallStarted(calls, f"call_{calls}", said.name))
            events += [model.ToolCallArguments(calls, piece) for piece in pieces]
    return events


def finished(answer: Sequence[Said]) -> list[ModelEvent]:
    """What ends an answer that is whole."""
    reason = "tool_calls" if any(said.kind == "call" for said in answer) else "stop"
    return [model.UsageReported(BILLED), model.Finished(reason)]


def reduced(
    events: Sequence[ModelEvent], end: Callable[[Reducer], Sequence[Output]] = Reducer.finish
) -> list[Output]:
    reducer = a_reducer()
    outputs = [output for event in events for output in reducer.on(event)]
    return [*outputs, *end(reducer)]


def stored(outputs: Sequence[Output]) -> list[Json]:
    """The last state of everything that was stored, in the order of its first, with the ids counted."""
    latest: dict[str, Json] = {}
    for output in outputs:
        if isinstance(output, Change):
            shown = {**output.row.object.model_dump(), "private": dict(output.row.private)}
            latest[output.row.object.id] = shown
    text = json.dumps(list(latest.values()))
    for number, name in enumerate(latest):
        text = text.replace(name, f"id_{number}")
    return json.loads(text)


def sent(outputs: Sequence[Output]) -> list[AssistantEvent]:
    """All events, in order."""
    return [
        event for output in outputs for event in (output.events() if isinstance(output, Change) else [output])
    ]


def names(outputs: Sequence[Output]) -> list[str]:
    return [event.name.removeprefix("thread.") for event in sent(outputs)]


def whole(text: str) -> list[str]:
    return [text] if text else []


TEXTS = st.text(min_size=1, max_size=12)
ANSWERS = st.lists(
    st.one_of(
        st.builds(Said, st.just("text"), TEXTS),
        st.builds(Said, st.just("refusal"), TEXTS),
        st.builds(Said, st.just("call"), TEXTS, st.sampled_from(["get_time", "get_weather"])),
    ),
    max_size=5,
)


@st.composite
def cuts(draw: st.DrawFn) -> Callable[[str], list[str]]:
    """A way to cut texts into pieces, empty ones among them."""
    sizes = draw(st.lists(st.integers(0, 4), min_size=1, max_size=8).filter(any))

    def cut(text: str) -> list[str]:
        pieces: list[str] = []
        turn = 0
        while text:
            size = sizes[turn % len(sizes)]
            turn += 1
            pieces.append(text[:size])
            text = text[size:]
        return pieces

    return cut


few = settings(max_examples=60, deadline=None)


@few
@given(ANSWERS, cuts())
def test_pieces_make_no_difference(answer: list[Said], cut: Callable[[str], list[str]]) -> None:
    end = finished(answer)
    assert stored(reduced(spoken(answer, cut) + end)) == stored(reduced(spoken(answer, whole) + end))


def halves(text: str) -> list[str]:
    """The text, cut between its UTF-16 units."""
    units = text.encode("utf-16-le", "replace")
    return [units[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), 2)]


def test_characters_that_come_in_halves() -> None:
    answer = [
        Said("text", "a🎉🎉"),
        Said("refusal", "🎉"),
        Said("call", '{"a":"🎉"}', "f"),
        Said("text", "🎉"),
    ]
    end = finished(answer)
    assert stored(reduced(spoken(answer, halves) + end)) == stored(reduced(spoken(answer, whole) + end))


@few
@given(st.text(st.sampled_from("a🎉\ud83d\ude00"), min_size=1, max_size=6), cuts())
def test_halves_alone_are_replaced(text: str, cut: Callable[[str], list[str]]) -> None:
    """Whatever comes can be sent and stored; at its end a half of a character is nothing."""
    things = stored(reduced(spoken([Said("text", text), Said("text", "!")], cut) + finished([])))
    (message,) = (thing for thing in things if thing["object"] == "thread.message")
    expected = (text + "!").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert [part["text"]["value"] for part in message["content"]] == [expected]


ENDS: dict[str, tuple[list[ModelEvent], Callable[[Reducer], Sequence[Output]]]] = {
    "stop": ([model.UsageReported(BILLED), model.Finished("stop")], Reducer.finish),
    "length": ([model.UsageReported(BILLED), model.Finished("length")], Reducer.finish),
    "filtered": ([model.Finished("content_filter"), model.UsageReported(BILLED)], Reducer.finish),
    "broken off": ([], Reducer.finish),
    "failed": ([], lambda reducer: reducer.fail(LastError(code="server_error", message="No."))),
    "cancelled": ([], Reducer.cancel),
    "expired": ([], Reducer.expire),
}


@few
@given(ANSWERS, cuts(), st.sampled_from(sorted(ENDS)))
def test_the_events_of_any_answer_fit_together(
    answer: list[Said], cut: Callable[[str], list[str]], how: str
) -> None:
    """Whatever is said and however it ends: all that opens is closed, deltas add up, the run comes last."""
    last, end = ENDS[how]
    outputs = reduced(spoken(answer, cut) + last, end)
    snapshots: dict[str, Json] = {}
    closed: set[str] = set()
    for event in sent(outputs):
        data = event.data if isinstance(event.data, dict) else event.data.model_dump()
        if event.name.endswith(".delta"):
            assert data["id"] not in closed
            add(snapshots[data["id"]], data["delta"])
        elif event.name.endswith((".created", ".in_progress")):
            snapshots[data["id"]] = {"content": [], "calls": [], "kind": data["object"]}
        elif data["object"] != "thread.run":
            assert data["id"] not in closed
            closed.add(data["id"])
            check_sum(snapshots[data["id"]], data)
    *_, final = sent(outputs)
    assert final.name.startswith("thread.run.")
    assert "step" not in final.name
    waits = final.name == "thread.run.requires_action"
    waiting = {id for id, snapshot in snapshots.items() if waits and snapshot["calls"]}
    assert snapshots.keys() - closed == waiting


def add(snapshot: Json, delta: Json) -> None:
    """What a client keeps of a message or a step, continued: indices come in order, headers once."""
    details: Json = delta.get("step_details", {"tool_calls": []})
    for part in delta.get("content", []):
        kind = part["type"]
        said = part["text"]["value"] if kind == "text" else part["refusal"]
        assert ("annotations" in part.get("text", {})) == (
            kind == "text" and part["index"] == len(snapshot["content"])
        )
        put(snapshot["content"], part["index"], {"type": kind, "said": said})
    for call in details["tool_calls"]:
        header = "id" in call
        assert header == (call["index"] == len(snapshot["calls"]))
        put(snapshot["calls"], call["index"], {"type": "function", "said": call["function"]["arguments"]})


def put(kept: list[Json], index: int, piece: Json) -> None:
    assert index <= len(kept)
    if index == len(kept):
        kept.append(piece)
    else:
        assert kept[index]["type"] == piece["type"]
        kept[index]["said"] += piece["said"]


def check_sum(snapshot: Json, data: Json) -> None:
    """The deltas joined are what was stored."""
    content = [
        {"type": part["type"], "said": part["text"]["value"] if part["type"] == "text" else part["refusal"]}
        for part in data.get("content", [])
    ]
    calls = [
        {"type": "function", "said": call["function"]["arguments"]}
        for call in data.get("step_details", {}).get("tool_calls", [])
    ]
    assert (snapshot["content"], snapshot["calls"]) == (content, calls)


@few
@given(ANSWERS, st.sampled_from(["stop", "length", "filtered", "failed", "cancelled"]))
def test_the_run_is_billed_what_its_steps_are(answer: list[Said], how: str) -> None:
    _, end = ENDS[how]
    last: list[ModelEvent] = [model.UsageReported(BILLED), *ENDS[how][0]]
    things = stored(reduced(spoken(answer, whole) + last, end))
    *steps, run = [thing for thing in things if thing["object"] != "thread.message"]
    of_steps = [
        (step["usage"] or step["private"]["usage"]).get("prompt_tokens", BILLED.prompt) for step in steps
    ]
    assert run["private"]["usage"]["prompt"] == BEFORE.prompt + BILLED.prompt
    assert run["private"]["passes"] == 2
    if steps:
        assert sum(of_steps) == BILLED.prompt
    if run["status"] != "requires_action":
        assert run["usage"]["prompt_tokens"] == BEFORE.prompt + BILLED.prompt


MESSAGE = [
    "run.step.created",
    "run.step.in_progress",
    "message.created",
    "message.in_progress",
    "message.delta",
]


def test_an_end_that_could_not_be_stored_leaves_no_trace() -> None:
    """`finish` makes the message of an empty answer; if that was not stored, the next end knows of none."""
    reducer = a_reducer()
    reducer.on(model.Finished("stop"))
    made = [*MESSAGE[:-1], "message.completed", "run.step.completed", "run.completed"]
    assert names(reducer.finish()) == made
    assert names(reducer.finish()) == made
    assert names(reducer.cancel()) == ["run.cancelled"]
    assert names(reducer.expire()) == ["run.expired"]


def test_the_text_so_far() -> None:
    reducer = a_reducer()
    assert reducer.open_message() is None
    reducer.on(model.TextDelta("Hel"))
    reducer.on(model.TextDelta("lo"))
    message = reducer.open_message()
    assert message
    assert message.model_dump()["content"][0]["text"]["value"] == "Hello"
    assert message.status == "in_progress"


def test_reasoning_is_not_part_of_the_answer() -> None:
    outputs = reduced([model.ReasoningDelta("Hm."), model.TextDelta("Yes."), *finished([])])
    assert names(outputs) == [*MESSAGE, "message.completed", "run.step.completed", "run.completed"]


def test_calls_stand_behind_what_was_said_last() -> None:
    calls = Said("call", "{}", "f")
    before, said, after = (
        stored(reduced(spoken(answer, whole) + finished(answer)))
        for answer in ([calls], [Said("text", "Hm."), calls], [calls, Said("text", "Hm.")])
    )
    assert tool_step(before)["private"]["after"] == "msg_0"
    for things in (said, after):
        (message,) = (thing for thing in things if thing["object"] == "thread.message")
        assert tool_step(things)["private"]["after"] == message["id"]


def tool_step(things: list[Json]) -> Json:
    (step,) = (thing for thing in things if thing.get("type") == "tool_calls")
    return step


@pytest.mark.conforms("C-114")
def test_a_spent_budget() -> None:
    (change,) = a_reducer().exhausted("max_prompt_tokens")
    run = change.row.object.model_dump() if isinstance(change, Change) else {}
    assert (run["status"], run["incomplete_details"]) == ("incomplete", {"reason": "max_prompt_tokens"})
    assert (run["completed_at"], run["usage"]["prompt_tokens"]) == (NOW, BEFORE.prompt)


def test_a_cancelled_run_was_cancelling() -> None:
    """The pass knows the run as it picked it up; the cancellation was stored by somebody else."""
    for status in ("queued", "in_progress", "cancelling"):
        (change,) = a_reducer(status).cancel()
        assert isinstance(change, Change)
        assert change.row.object.status == "cancelled"
