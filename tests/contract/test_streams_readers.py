"""What readers of a stream may rely on, however the run ends and however fast they read."""

from collections.abc import Callable

import pytest
from openai import OpenAI

from supercompat import Options
from supercompat.testing import Gate, Reply, ScriptedServer, Usage, call, error, refusal, text, tool_calls
from tests.contract.conftest import MakeClient, Setup
from tests.contract.conversations import (
    CLOCK,
    DEADLINE,
    Conversation,
    Event,
    Json,
    conversation,
    heard,
    heard_until,
    names,
    only,
    texts,
)
from tests.contract.handlers import Called, recording
from tests.contract.test_streams import ANSWERED, CALLS, MESSAGE, PREFIX


@pytest.mark.core
@pytest.mark.conforms("C-099", "C-142", "C-145")
def test_a_second_round_of_calls(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(
        tool_calls(call("get_time", id="call_1")), tool_calls(call("get_time", id="call_2")), text("Noon.")
    )
    asked = conversation(client, tools=[CLOCK])
    events = heard(asked.stream())
    assert names(events) == [*PREFIX, *CALLS]
    run_id = events[0].data["id"]
    again = heard(asked.submit_stream(run_id, {"call_1": "12:00"}))
    assert names(again) == [*ANSWERED, *CALLS]
    last = heard(asked.submit_stream(run_id, {"call_2": "12:01"}))
    assert names(last) == [*ANSWERED, *MESSAGE, "thread.run.completed"]
    for stream, others in ((again, [events]), (last, [again, events])):
        known = {event.data["id"] for other in others for event in other if event.name.endswith("created")}
        new = {event.data["id"] for event in stream if event.name.endswith("created")}
        assert not known & new


# However a run ends, its stream and its REST objects agree

ENDINGS: dict[str, Callable[[], Reply]] = {
    "completed": lambda: text("Hel", "lo").with_usage(Usage(prompt=12, completion=3)),
    "refused": lambda: refusal("I can't", " help."),
    "text and refusal": lambda: text("Well,") + refusal("no."),
    "incomplete": lambda: text("Hel", "lo", finish="length"),
    "filtered": lambda: text("Hel", "lo", finish="content_filter"),
    "failed": lambda: text("Hel", "lo").then_drop(),
    "expired": lambda: text("Hel", "lo", Gate()),
    "cancelled": lambda: text("Hel", "lo", Gate()),
    "nothing said": lambda: text().with_usage(None),
}


@pytest.mark.conforms("C-140", "C-141", "C-148", "C-154")
@pytest.mark.parametrize("how", ENDINGS)
def test_what_was_streamed_is_what_is_kept(
    make_client: MakeClient, provider: ScriptedServer, how: str
) -> None:
    """The last event of each object is the object that REST shows, but for what only events have (1.4)."""
    provider.reply(ENDINGS[how]())
    asked = conversation(
        make_client(options=Options(drain=0, run_expires_after=2 if how == "expired" else 600))
    )
    events = heard_to_its_end(asked, cancel=how == "cancelled")
    last = {event.data["id"]: event.data for event in events if not event.name.endswith(".delta")}
    run_id = events[0].data["id"]
    assert last.pop(run_id) == asked.retrieve(run_id).to_dict()
    kept: list[Json] = [message.to_dict() for message in asked.answers()]  # type: ignore[misc]
    kept += [step.to_dict() for step in asked.steps(run_id)]  # type: ignore[misc]
    assert [last[each["id"]] | {"expires_at": None} for each in kept] == [
        each | {"expires_at": None} for each in kept
    ]
    assert len(last) == len(kept)
    added = "".join(said_in(event.data) for event in events if event.name == "thread.message.delta")
    assert added == "".join(said_in({"delta": message}) for message in kept if "content" in message)


def heard_to_its_end(asked: Conversation, *, cancel: bool) -> list[Event]:
    events = iter(asked.stream())
    if not cancel:
        return heard(events)
    said = [*heard_until(events, "thread.message.delta"), *heard_until(events, "thread.message.delta")]
    asked.cancel(said[0].data["id"])
    return [*said, *heard(events)]


def said_in(data: Json) -> str:
    parts: list[Json] = data["delta"]["content"]
    return "".join(part["text"]["value"] if "text" in part else part["refusal"] for part in parts)


@pytest.mark.conforms("C-103", "C-154")
@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (lambda: text("Hel", Gate()), ["thread.message.incomplete", "thread.run.step.expired"]),
        (lambda: tool_calls(call("get_time", '{"zone"', Gate())), ["thread.run.step.expired"]),
        (lambda: text(Gate()), []),
    ],
    ids=["text", "call", "nothing"],
)
def test_expiry(
    make_client: MakeClient, provider: ScriptedServer, answer: Callable[[], Reply], ends: list[str]
) -> None:
    """S12: whatever is open ends first."""
    provider.reply(answer())
    client = make_client(options=Options(drain=0, run_expires_after=2))
    events = heard(conversation(client, tools=[CLOCK]).stream())
    assert names(events)[-len(ends) - 1 :] == [*ends, "thread.run.expired"]
    run = only(events, "thread.run.expired")
    assert run == only(events, "thread.run.in_progress") | {
        "status": "expired",
        "expires_at": None,
        "usage": run["usage"],
    }
    if ends:
        step = only(events, "thread.run.step.expired")
        opened = only(events, "thread.run.step.created")
        details = {"step_details": step["step_details"], "usage": step["usage"]}
        assert step == opened | {"status": "expired"} | details
    assert provider.requests[0].closed.wait(DEADLINE)


@pytest.mark.conforms("C-146", "C-148")
@pytest.mark.parametrize("how", ["completed", "refused", "incomplete", "failed"])
def test_a_handler_is_told_the_end(setup: Setup, client: OpenAI, provider: ScriptedServer, how: str) -> None:
    provider.reply(ENDINGS[how]())
    asked = conversation(client)
    called: list[Called] = []
    with asked.helper(recording(setup.door, called)) as stream:
        run = stream.get_final_run()
        messages = stream.get_final_messages()
    assert run.to_dict() == asked.retrieve(run.id).to_dict()
    assert [message.to_dict() for message in messages] == [answer.to_dict() for answer in asked.answers()]
    (step,) = asked.steps(run.id)
    told = dict(called)
    assert told["on_message_done"] == messages[0].to_dict()
    assert told["on_run_step_done"] | {"expires_at": None} == step.to_dict()
    assert called[-1] == ("on_end", None)


def test_a_handler_of_a_run_that_said_nothing(setup: Setup, client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(error(500, "Broken."))
    called: list[Called] = []
    asked = conversation(client)
    with asked.helper(recording(setup.door, called)) as stream:
        run = stream.get_final_run()
    assert run.to_dict() == asked.retrieve(run.id).to_dict()
    assert called == [("on_end", None)]


# Readers that are slow, or leave

LONG = 1800


@pytest.mark.core
@pytest.mark.conforms("C-140", "C-158")
def test_a_slow_reader_holds_up_nobody(client: OpenAI, provider: ScriptedServer) -> None:
    """It gets the same text in fewer deltas, while the run has ended long ago."""
    words = [f"word {number} " for number in range(LONG)]
    provider.reply(text(*words))
    asked = conversation(client)
    events = iter(asked.stream())
    said = heard_until(events, "thread.message.delta")
    run = asked.poll(said[0].data["id"])
    assert run.status == "completed"
    said += heard(events)
    assert names(said) == [*PREFIX, *MESSAGE, "thread.run.completed"]
    added = [said_in(event.data) for event in said if event.name == "thread.message.delta"]
    assert "".join(added) == "".join(words)
    assert len(added) < LONG
    assert [texts(answer) for answer in asked.answers()] == [["".join(words)]]


@pytest.mark.conforms("C-140", "C-143")
def test_a_slow_reader_of_a_long_call(client: OpenAI, provider: ScriptedServer) -> None:
    pieces = ['{"words": "', *(f"word {number} " for number in range(LONG)), '"}']
    provider.reply(tool_calls(call("get_time", *pieces, id="call_1")))
    asked = conversation(client, tools=[CLOCK])
    events = iter(asked.stream())
    said = heard_until(events, "thread.run.step.delta")
    assert asked.poll(said[0].data["id"]).status == "requires_action"
    said += heard(events)
    assert names(said) == [*PREFIX, *CALLS]
    deltas = [
        event.data["delta"]["step_details"]["tool_calls"][0]
        for event in said
        if event.name == "thread.run.step.delta"
    ]
    assert (deltas[0]["id"], deltas[0]["function"]["arguments"]) == ("call_1", "")
    assert all(delta.keys() == {"index", "type", "function"} for delta in deltas[1:])
    assert "".join(delta["function"]["arguments"] for delta in deltas) == "".join(pieces)
    assert len(deltas) < LONG
