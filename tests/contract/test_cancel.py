"""Cancelling a run: in every state, at every moment, down to the provider's socket."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from supercompat import Options
from supercompat.testing import Gate, ScriptedServer, Usage, call, hang, text, tool_calls
from tests.contract.conftest import MakeClient
from tests.contract.conversations import (
    CLOCK,
    DEADLINE,
    conversation,
    heard,
    heard_until,
    names,
    only,
    texts,
)
from tests.contract.storages import HeldStorage

NOTHING_BILLED = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}

#: So that nobody takes over a run whose transactions wait.
UNDISTURBED = Options(drain=0, lease=600)


@pytest.mark.core
@pytest.mark.conforms("C-105", "C-132", "C-152")
def test_in_mid_stream(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hel", "lo").then_hang())
    asked = conversation(client)
    events = iter(asked.stream())
    said = heard_until(events, "thread.message.delta") + heard_until(events, "thread.message.delta")
    run_id = said[0].data["id"]
    reply = asked.cancel(run_id)
    assert (reply.status, reply.cancelled_at, reply.usage) == ("cancelling", None, None)
    assert reply.expires_at
    rest = heard(events)
    assert names(rest) == [
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
    ]
    assert provider.requests[0].closed.wait(DEADLINE)

    assert only(rest, "thread.run.cancelling") == reply.to_dict()
    opened = only(said, "thread.message.created")
    message = only(rest, "thread.message.incomplete")
    assert message == opened | {
        "status": "incomplete",
        "incomplete_details": {"reason": "run_cancelled"},
        "incomplete_at": message["incomplete_at"],
        "content": [{"type": "text", "text": {"value": "Hello", "annotations": []}}],
    }
    assert message["incomplete_at"]
    step = only(rest, "thread.run.step.cancelled")
    assert step == only(said, "thread.run.step.created") | {
        "status": "cancelled",
        "cancelled_at": step["cancelled_at"],
        "usage": NOTHING_BILLED,
    }
    assert step["cancelled_at"]
    run = only(rest, "thread.run.cancelled")
    assert run == reply.to_dict() | {
        "status": "cancelled",
        "cancelled_at": run["cancelled_at"],
        "expires_at": None,
        "usage": NOTHING_BILLED,
    }
    assert run["cancelled_at"]
    assert asked.retrieve(run_id).to_dict() == run
    assert [answer.to_dict() for answer in asked.answers()] == [message]
    assert [each.to_dict() for each in asked.steps(run_id)] == [step | {"expires_at": None}]


@pytest.mark.core
@pytest.mark.conforms("C-105", "C-107", "C-118")
def test_before_the_provider_answers(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hello").after(gate))
    asked = conversation(client)
    run = asked.start()
    assert gate.reached.wait(DEADLINE)
    assert asked.cancel(run.id).status == "cancelling"
    done = asked.poll(run.id)
    assert provider.requests[0].closed.wait(DEADLINE)
    assert (done.status, done.expires_at, done.completed_at) == ("cancelled", None, None)
    assert (bool(done.cancelled_at), bool(done.started_at)) == (True, True)
    assert done.usage
    assert done.usage.to_dict() == NOTHING_BILLED
    assert asked.steps(run.id) == []
    asked.ask("Again")
    assert asked.run().status == "completed"


@pytest.mark.core
@pytest.mark.conforms("C-106", "C-118", "C-132")
def test_while_it_waits_for_outputs(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(tool_calls(call("get_time", id="call_1")).with_usage(Usage(prompt=10, completion=1)))
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    assert run.status == "requires_action"
    reply = asked.cancel(run.id)
    assert (reply.status, reply.required_action, reply.expires_at) == ("cancelled", None, None)
    assert reply.cancelled_at
    assert reply.completed_at is None
    assert reply.usage
    assert reply.usage.total_tokens == 11
    assert asked.retrieve(run.id) == reply
    (step,) = asked.steps(run.id)
    assert (step.status, bool(step.cancelled_at), step.completed_at) == ("cancelled", True, None)
    assert step.usage
    assert step.usage.total_tokens == 11
    assert step.to_dict()["step_details"] == {
        "type": "tool_calls",
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "get_time", "arguments": "{}", "output": None},
            }
        ],
    }
    asked.ask("Again")
    assert asked.run().status == "completed"
    assert [message["role"] for message in provider.requests[1].body["messages"]] == ["user", "user"]


@pytest.mark.conforms("C-105", "C-132")
def test_while_a_call_is_being_said(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(
        text("Let me look.") + tool_calls(call("get_time", '{"zone":', gate, '"UTC"}', id="call_1"))
    )
    asked = conversation(client, tools=[CLOCK])
    events = iter(asked.stream())
    said = heard_until(events, "thread.run.step.delta") + heard_until(events, "thread.run.step.delta")
    asked.cancel(said[0].data["id"])
    rest = heard(events)
    assert names(rest) == ["thread.run.cancelling", "thread.run.step.cancelled", "thread.run.cancelled"]
    assert provider.requests[0].closed.wait(DEADLINE)
    (made,) = only(rest, "thread.run.step.cancelled")["step_details"]["tool_calls"]
    assert made["function"] == {"name": "get_time", "arguments": '{"zone":', "output": None}
    (answer,) = asked.answers()
    assert (answer.status, texts(answer)) == ("completed", ["Let me look."])


@pytest.mark.conforms("C-090", "C-105")
def test_in_a_later_round(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(
        tool_calls(call("get_time", id="call_1")).with_usage(Usage(prompt=10, completion=1)),
        text("It is", " noon").then_hang(),
    )
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    events = iter(asked.submit_stream(run.id, {"call_1": "12:00"}))
    heard_until(events, "thread.message.delta")
    asked.cancel(run.id)
    done = only(heard(events), "thread.run.cancelled")
    assert provider.requests[1].closed.wait(DEADLINE)
    assert done["usage"]["total_tokens"] == 11
    assert [step.status for step in asked.steps(run.id)] == ["completed", "cancelled"]


@pytest.mark.conforms("C-107")
def test_while_it_is_queued(make_client: MakeClient, provider: ScriptedServer) -> None:
    storage = HeldStorage()
    asked = conversation(make_client(storage=storage, options=UNDISTURBED))
    gate = storage.hold(after=1)
    events = iter(asked.stream())
    run_id = heard_until(events, "thread.run.queued")[-1].data["id"]
    assert gate.reached.wait(DEADLINE)
    reply = asked.cancel(run_id)
    assert (reply.status, reply.started_at, reply.usage) == ("cancelling", None, None)
    gate.open()
    rest = heard(events)
    assert names(rest) == ["thread.run.cancelling", "thread.run.cancelled"]
    run = asked.retrieve(run_id)
    assert (run.status, run.started_at, bool(run.cancelled_at)) == ("cancelled", None, True)
    assert run.usage
    assert run.usage.to_dict() == NOTHING_BILLED
    assert asked.steps(run_id) == []
    assert provider.requests == []


@pytest.mark.conforms("C-108", "C-116", "C-117")
def test_a_run_that_is_being_cancelled(make_client: MakeClient, provider: ScriptedServer) -> None:
    """It can't be cancelled again, and holds the thread until it is over."""
    storage = HeldStorage()
    asked = conversation(make_client(storage=storage, options=UNDISTURBED))
    provider.reply(text("Hello").after(gate := Gate()))
    run = asked.start()
    assert gate.reached.wait(DEADLINE)
    asked_for = storage.hold(after=1)
    assert asked.cancel(run.id).status == "cancelling"
    assert asked_for.reached.wait(DEADLINE)
    assert asked.retrieve(run.id).status == "cancelling"
    with pytest.raises(BadRequestError, match="Cannot cancel run with status 'cancelling'"):
        asked.cancel(run.id)
    with pytest.raises(BadRequestError, match=f"while a run {run.id} is active"):
        asked.ask("Again")
    with pytest.raises(BadRequestError, match=f"already has an active run {run.id}"):
        asked.start()
    asked_for.open()
    assert asked.poll(run.id).status == "cancelled"
    asked.ask("Again")


@pytest.mark.conforms("C-108")
def test_a_run_that_has_ended(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hello"), text("Hel").then_drop(), text("Hel", finish="length"), hang())
    asked = conversation(client)
    ended = [asked.run() for _ in range(3)]
    last = asked.start()
    asked.cancel(last.id)
    ended.append(asked.poll(last.id))
    assert [run.status for run in ended] == ["completed", "failed", "incomplete", "cancelled"]
    for run in ended:
        with pytest.raises(BadRequestError) as refusal:
            asked.cancel(run.id)
        assert refusal.value.body == {
            "message": f"Cannot cancel run with status '{run.status}'.",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }
        assert asked.retrieve(run.id) == run


@pytest.mark.conforms("C-109")
def test_a_cancellation_that_comes_just_before_the_end(
    make_client: MakeClient, provider: ScriptedServer
) -> None:
    """The answer is complete and about to be stored: the cancellation was stored first, so it holds."""
    storage, gate = HeldStorage(), Gate()
    provider.reply(text("Hello", gate))
    asked = conversation(make_client(storage=storage, options=UNDISTURBED))
    events = iter(asked.stream())
    run_id = heard_until(events, "thread.message.delta")[0].data["id"]
    end = storage.hold(after=0)
    gate.open()
    assert end.reached.wait(DEADLINE)
    assert asked.cancel(run_id).status == "cancelling"
    end.open()
    assert names(heard(events)) == [
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
    ]
    run = asked.retrieve(run_id)
    assert (run.status, run.completed_at) == ("cancelled", None)
    assert [(answer.status, texts(answer)) for answer in asked.answers()] == [("incomplete", ["Hello"])]


@pytest.mark.conforms("C-109")
def test_a_cancellation_of_an_empty_answer(make_client: MakeClient, provider: ScriptedServer) -> None:
    """The end would have made a message: nothing of it may show."""
    storage, gate = HeldStorage(), Gate()
    provider.reply(text().after(gate))
    asked = conversation(make_client(storage=storage, options=UNDISTURBED))
    events = iter(asked.stream())
    run_id = heard_until(events, "thread.run.in_progress")[0].data["id"]
    end = storage.hold(after=0)
    gate.open()
    assert end.reached.wait(DEADLINE)
    asked.cancel(run_id)
    end.open()
    assert names(heard(events)) == ["thread.run.cancelling", "thread.run.cancelled"]
    assert asked.answers() == []
    assert asked.steps(run_id) == []


@pytest.mark.conforms("C-109")
def test_a_cancellation_that_comes_just_too_late(make_client: MakeClient, provider: ScriptedServer) -> None:
    storage, gate = HeldStorage(), Gate()
    provider.reply(text("Hello", gate))
    asked = conversation(make_client(storage=storage, options=UNDISTURBED))
    events = iter(asked.stream())
    run_id = heard_until(events, "thread.message.delta")[0].data["id"]
    cancellation = storage.hold(after=0)
    with ThreadPoolExecutor(1) as pool:
        attempt = pool.submit(asked.cancel, run_id)
        assert cancellation.reached.wait(DEADLINE)
        gate.open()
        assert names(heard(events))[-1] == "thread.run.completed"
        cancellation.open()
        with pytest.raises(BadRequestError, match="Cannot cancel run with status 'completed'"):
            attempt.result(DEADLINE)
    run = asked.retrieve(run_id)
    assert (run.status, run.cancelled_at) == ("completed", None)


@pytest.mark.conforms("C-105", "C-152")
def test_by_another_thread_while_the_stream_is_read(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    asked = conversation(client)
    stream = asked.stream()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(heard, stream)
        assert gate.reached.wait(DEADLINE)
        (run,) = client.beta.threads.runs.list(asked.thread_id).data
        asked.cancel(run.id)
        events = reading.result(DEADLINE)
    assert events[-1].name == "thread.run.cancelled"
    assert provider.requests[0].closed.wait(DEADLINE)


@pytest.mark.conforms("C-105", "C-152")
def test_by_another_client(make_client: MakeClient, provider: ScriptedServer) -> None:
    """Whoever carries the run out finds its cancellation in the storage, at latest when it renews its lease."""
    provider.reply(text("Hel", "lo").then_hang())
    asked = conversation(make_client())
    events = iter(asked.stream())
    run_id = heard_until(events, "thread.message.delta")[0].data["id"]
    other = replace(asked, client=make_client())
    assert other.cancel(run_id).status == "cancelling"
    rest = [name for name in names(heard(events)) if not name.endswith("*")]
    assert rest == [
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
    ]
    assert provider.requests[0].closed.wait(DEADLINE)
    assert other.retrieve(run_id).status == "cancelled"


@pytest.mark.conforms("C-121")
def test_the_thread_is_deleted_by_another_client(make_client: MakeClient, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hello").after(gate))
    asked = conversation(make_client())
    run = asked.start()
    assert gate.reached.wait(DEADLINE)
    assert make_client().beta.threads.delete(asked.thread_id).deleted
    assert provider.requests[0].closed.wait(DEADLINE)
    with pytest.raises(NotFoundError):
        asked.retrieve(run.id)
