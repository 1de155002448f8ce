"""The events of a run's stream: their order, their bodies, and what the SDK's helpers make of them."""

import json
from dataclasses import replace

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from supercompat import Options
from supercompat.testing import Gate, ScriptedServer, Usage, call, refusal, text, tool_calls
from tests.contract.conftest import MakeClient
from tests.contract.conversations import (
    CLOCK,
    DEADLINE,
    MODEL,
    WEATHER,
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
from tests.contract.storages import HeldStorage

PREFIX = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]
MESSAGE_OPENS = [
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.delta*",
]
MESSAGE = [*MESSAGE_OPENS, "thread.message.completed", "thread.run.step.completed"]
CALLS = [
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.run.step.delta*",
    "thread.run.requires_action",
]
ANSWERED = ["thread.run.step.completed", "thread.run.queued", "thread.run.in_progress"]

USAGE = Usage(prompt=12, completion=3, cached=2, reasoning=1)
BILLED = {
    "prompt_tokens": 12,
    "completion_tokens": 3,
    "total_tokens": 15,
    "prompt_token_details": {"cached_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


@pytest.mark.core
@pytest.mark.conforms("C-089", "C-136", "C-138", "C-139", "C-140", "C-141")
def test_plain_text(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hel", "lo", "!").with_usage(USAGE))
    asked = conversation(client, instructions="Be kind.")
    events = heard(asked.stream())
    assert names(events) == [*PREFIX, *MESSAGE, "thread.run.completed"]
    run = only(events, "thread.run.created")
    created = run["created_at"]
    assert run == new_run(asked.assistant_id, asked.thread_id, run)
    assert only(events, "thread.run.queued") == run
    started = only(events, "thread.run.in_progress")
    assert started == run | {"status": "in_progress", "started_at": started["started_at"]}
    assert created <= started["started_at"] <= created + 60
    check_message(events, run)
    done = only(events, "thread.run.completed")
    ended = {"status": "completed", "completed_at": done["completed_at"], "expires_at": None, "usage": BILLED}
    assert done == started | ended
    assert done["completed_at"] >= started["started_at"]
    assert asked.retrieve(run["id"]).to_dict() == done


def new_run(assistant_id: str, thread_id: str, seen: Json) -> Json:
    """A run that was just created, with the id and the time that were seen."""
    return {
        "id": seen["id"],
        "object": "thread.run",
        "created_at": seen["created_at"],
        "assistant_id": assistant_id,
        "thread_id": thread_id,
        "status": "queued",
        "started_at": None,
        "expires_at": seen["created_at"] + 600,
        "cancelled_at": None,
        "failed_at": None,
        "completed_at": None,
        "required_action": None,
        "last_error": None,
        "model": MODEL,
        "instructions": "Be kind.",
        "tools": [],
        "tool_resources": {},
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "reasoning_effort": None,
        "max_completion_tokens": None,
        "max_prompt_tokens": None,
        "truncation_strategy": {"type": "auto", "last_messages": None},
        "incomplete_details": None,
        "usage": None,
        "response_format": "auto",
        "tool_choice": "auto",
        "parallel_tool_calls": True,
    }


def check_message(events: list[Event], run: Json) -> None:
    """The step and the message of "Hello!", said in three pieces."""
    step = only(events, "thread.run.step.created")
    message = only(events, "thread.message.created")
    assert message == {
        "id": message["id"],
        "object": "thread.message",
        "created_at": message["created_at"],
        "assistant_id": run["assistant_id"],
        "thread_id": run["thread_id"],
        "run_id": run["id"],
        "status": "in_progress",
        "incomplete_details": None,
        "incomplete_at": None,
        "completed_at": None,
        "role": "assistant",
        "content": [],
        "attachments": [],
        "metadata": {},
    }
    assert only(events, "thread.message.in_progress") == message
    assert step == {
        "id": step["id"],
        "object": "thread.run.step",
        "created_at": step["created_at"],
        "run_id": run["id"],
        "assistant_id": run["assistant_id"],
        "thread_id": run["thread_id"],
        "type": "message_creation",
        "status": "in_progress",
        "cancelled_at": None,
        "completed_at": None,
        "expires_at": run["expires_at"],
        "failed_at": None,
        "last_error": None,
        "step_details": {"type": "message_creation", "message_creation": {"message_id": message["id"]}},
        "usage": None,
    }
    assert only(events, "thread.run.step.in_progress") == step
    parts: list[Json] = [{"value": "Hel", "annotations": []}, {"value": "lo"}, {"value": "!"}]
    assert [event.data for event in events if event.name == "thread.message.delta"] == [
        {
            "id": message["id"],
            "object": "thread.message.delta",
            "delta": {"content": [{"index": 0, "type": "text", "text": part}]},
        }
        for part in parts
    ]
    done = only(events, "thread.message.completed")
    content: list[Json] = [{"type": "text", "text": {"value": "Hello!", "annotations": []}}]
    ended = {"status": "completed", "completed_at": done["completed_at"], "content": content}
    assert done == message | ended
    assert done["completed_at"] >= message["created_at"]
    closed = only(events, "thread.run.step.completed")
    ended = {"status": "completed", "completed_at": closed["completed_at"], "usage": BILLED}
    assert closed == step | ended


@pytest.mark.core
@pytest.mark.conforms("C-088", "C-092", "C-101", "C-142", "C-143", "C-145")
def test_a_function_call_and_its_output(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(
        tool_calls(call("get_weather", '{"city":', '"SF"}', id="call_1")).with_usage(USAGE), text("Sunny")
    )
    asked = conversation(client, tools=[WEATHER])
    events = heard(asked.stream())
    assert names(events) == [*PREFIX, *CALLS]
    step = only(events, "thread.run.step.created")
    assert step["type"] == "tool_calls"
    assert step["step_details"] == {"type": "tool_calls", "tool_calls": []}
    assert only(events, "thread.run.step.in_progress") == step
    header = {"name": "get_weather", "arguments": "", "output": None}
    assert call_deltas(events, step) == [
        {"index": 0, "id": "call_1", "type": "function", "function": header},
        {"index": 0, "type": "function", "function": {"arguments": '{"city":'}},
        {"index": 0, "type": "function", "function": {"arguments": '"SF"}'}},
    ]
    waiting = only(events, "thread.run.requires_action")
    assert waiting == only(events, "thread.run.in_progress") | {
        "status": "requires_action",
        "required_action": {
            "type": "submit_tool_outputs",
            "submit_tool_outputs": {
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": '{"city":"SF"}'},
                    }
                ]
            },
        },
    }
    assert asked.retrieve(waiting["id"]).to_dict() == waiting

    answered = heard(asked.submit_stream(waiting["id"], {"call_1": "18 °C\n"}))
    assert names(answered) == [*ANSWERED, *MESSAGE, "thread.run.completed"]
    done = answered[0].data
    function = {"name": "get_weather", "arguments": '{"city":"SF"}', "output": "18 °C\n"}
    assert done == step | {
        "status": "completed",
        "completed_at": done["completed_at"],
        "step_details": {
            "type": "tool_calls",
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        "usage": BILLED,
    }
    queued = only(answered, "thread.run.queued")
    assert queued == waiting | {"status": "queued", "required_action": None}
    started = only(answered, "thread.run.in_progress")
    assert started == queued | {"status": "in_progress", "started_at": started["started_at"]}
    assert started["started_at"] >= queued["started_at"]


def call_deltas(events: list[Event], step: Json) -> list[Json]:
    """What the step deltas, all of them of this step, say of its calls; one call a delta."""
    said: list[Json] = []
    for event in events:
        if event.name == "thread.run.step.delta":
            assert (event.data["id"], event.data["object"]) == (step["id"], "thread.run.step.delta")
            details = event.data["delta"]["step_details"]
            assert details["type"] == "tool_calls"
            said += details["tool_calls"]
    return said


@pytest.mark.conforms("C-125", "C-144")
def test_parallel_calls(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(
        tool_calls(
            call("get_weather", '{"city":"SF"}', id="call_1"),
            call("get_weather", '{"city":', '"NY"}', id="call_2"),
            call("get_time", id="call_3"),
        )
    )
    asked = conversation(client, tools=[WEATHER, CLOCK])
    events = heard(asked.stream())
    assert names(events) == [*PREFIX, *CALLS]
    deltas = call_deltas(events, only(events, "thread.run.step.created"))
    assert [delta["index"] for delta in deltas] == [0, 0, 1, 1, 1, 2, 2]
    headers = [delta for delta in deltas if "id" in delta]
    assert [(each["index"], each["id"]) for each in headers] == [(0, "call_1"), (1, "call_2"), (2, "call_3")]
    waiting = only(events, "thread.run.requires_action")["required_action"]["submit_tool_outputs"]
    said = [(each["id"], each["function"]["arguments"]) for each in waiting["tool_calls"]]
    assert said == [("call_1", '{"city":"SF"}'), ("call_2", '{"city":"NY"}'), ("call_3", "{}")]


@pytest.mark.conforms("C-124", "C-133")
def test_text_before_a_call_is_a_message_of_its_own(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Let me", " look.") + tool_calls(call("get_time", id="call_1")), text("Noon."))
    asked = conversation(client, tools=[CLOCK])
    events = heard(asked.stream())
    assert names(events) == [*PREFIX, *MESSAGE, *CALLS]
    opened = [event.data for event in events if event.name == "thread.run.step.created"]
    assert [step["type"] for step in opened] == ["message_creation", "tool_calls"]
    run_id = events[0].data["id"]
    events = heard(asked.submit_stream(run_id, {"call_1": "12:00"}))
    assert names(events) == [*ANSWERED, *MESSAGE, "thread.run.completed"]
    assert [step.type for step in asked.steps(run_id)] == [
        "message_creation",
        "tool_calls",
        "message_creation",
    ]
    assert [texts(message) for message in asked.answers()] == [["Let me look."], ["Noon."]]


@pytest.mark.conforms("C-133", "C-140", "C-144")
def test_text_after_a_call_is_a_message_of_its_own(client: OpenAI, provider: ScriptedServer) -> None:
    said = (
        tool_calls(call("get_time", id="call_1"))
        + text("I am", " looking.")
        + tool_calls(call("get_weather", "{}", id="call_2"))
    )
    provider.reply(said, text("Noon."))
    asked = conversation(client, tools=[CLOCK, WEATHER])
    events = heard(asked.stream())
    assert names(events)[-1] == "thread.run.requires_action"
    steps = {event.data["id"]: event.data for event in events if event.name == "thread.run.step.created"}
    assert [step["type"] for step in steps.values()] == ["tool_calls", "message_creation"]
    assert only(events, "thread.run.step.completed")["type"] == "message_creation"
    run_id = events[0].data["id"]
    tool_step = next(step for step in steps.values() if step["type"] == "tool_calls")
    assert [delta.get("id") for delta in call_deltas(events, tool_step)] == ["call_1", None, "call_2", None]
    done = asked.submit_and_poll(run_id, {"call_1": "12:00", "call_2": "Sunny"})
    assert done.status == "completed"
    assert [texts(message) for message in asked.answers()] == [["I am looking."], ["Noon."]]
    assert [message["role"] for message in provider.requests[1].body["messages"]] == [
        "user",
        "assistant",
        "tool",
        "tool",
    ]
    assert provider.requests[1].body["messages"][1]["content"] == "I am looking."


@pytest.mark.conforms("C-082", "C-137")
def test_a_thread_and_its_run_at_once(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hello"))
    assistant = client.beta.assistants.create(model=MODEL)
    stream = client.beta.threads.create_and_run(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": "Hi"}], "metadata": {"k": "v"}},
        stream=True,
    )
    events = heard(stream)
    assert names(events) == ["thread.created", *PREFIX, *MESSAGE, "thread.run.completed"]
    thread = events[0].data
    stored = client.beta.threads.retrieve(thread["id"]).to_dict()
    assert thread == stored
    assert (thread["object"], thread["metadata"]) == ("thread", {"k": "v"})
    assert {event.data["thread_id"] for event in events if "thread_id" in event.data} == {thread["id"]}


@pytest.mark.conforms("C-140", "C-141")
def test_refusal(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(refusal("I can't", " help."))
    asked = conversation(client)
    events = heard(asked.stream())
    assert names(events) == [*PREFIX, *MESSAGE, "thread.run.completed"]
    deltas = [event.data["delta"]["content"] for event in events if event.name == "thread.message.delta"]
    assert deltas == [
        [{"index": 0, "type": "refusal", "refusal": "I can't"}],
        [{"index": 0, "type": "refusal", "refusal": " help."}],
    ]
    (answer,) = asked.answers()
    assert answer.to_dict()["content"] == [{"type": "refusal", "refusal": "I can't help."}]


@pytest.mark.conforms("C-140")
def test_parts_of_a_message_are_counted_from_0(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Well,", " no.") + refusal("I can't."))
    events = heard(conversation(client).stream())
    parts = [event.data["delta"]["content"][0] for event in events if event.name == "thread.message.delta"]
    assert [(part["index"], part["type"]) for part in parts] == [(0, "text"), (0, "text"), (1, "refusal")]
    kinds = [part["type"] for part in only(events, "thread.message.completed")["content"]]
    assert kinds == ["text", "refusal"]


@pytest.mark.conforms("C-123", "C-136")
def test_an_empty_answer_is_an_empty_message(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text())
    asked = conversation(client)
    events = heard(asked.stream())
    assert names(events) == [
        *PREFIX,
        *MESSAGE_OPENS[:-1],
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
    ]
    assert only(events, "thread.message.completed")["content"] == []


@pytest.mark.conforms("C-134", "C-135")
def test_frames(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    asked = conversation(client)
    runs = client.beta.threads.runs.with_streaming_response
    with runs.create(asked.thread_id, assistant_id=asked.assistant_id, stream=True) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["x-request-id"].startswith("req_")
        lines = iter(response.iter_lines())
        early = list(iter(lambda: next(lines), "event: thread.message.delta"))
        early += ["event: thread.message.delta", next(lines), next(lines)]
        gate.open()
        late = list(lines)
    assert early[:1] == ["event: thread.run.created"]
    lines_of = [early[index : index + 3] for index in range(0, len(early), 3)]
    assert all(name.startswith("event: thread.") for name, _, _ in lines_of)
    assert all(data.startswith('data: {"') and not gap for _, data, gap in lines_of)
    assert late[-3:] == ["event: done", "data: [DONE]", ""]


@pytest.mark.core
@pytest.mark.conforms("C-158")
def test_a_run_goes_on_when_its_caller_leaves(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    asked = conversation(client)
    stream = asked.stream()
    said = heard_until(iter(stream), "thread.message.delta")
    stream.close()
    run_id = said[0].data["id"]
    assert asked.retrieve(run_id).status == "in_progress"
    gate.open()
    assert asked.poll(run_id).status == "completed"
    assert provider.requests[0].finished.wait(DEADLINE)
    assert [texts(message) for message in asked.answers()] == [["Hello"]]


@pytest.mark.core
@pytest.mark.conforms("C-159")
def test_what_an_event_says_is_stored_before(client: OpenAI, provider: ScriptedServer) -> None:
    first, second = Gate(), Gate()
    provider.reply(text("Hel", second, "lo").after(first))
    asked = conversation(client)
    events = iter(asked.stream())
    run_id = heard_until(events, "thread.run.created")[0].data["id"]
    assert asked.retrieve(run_id).status in ("queued", "in_progress")
    started = heard_until(events, "thread.run.in_progress")[-1].data
    assert asked.retrieve(run_id).to_dict() == started
    first.open()
    opened = heard_until(events, "thread.message.delta")
    for name in ("thread.run.step.created", "thread.message.created"):
        assert stored_status(asked, only(opened, name)) == "in_progress"
    second.open()
    for event in heard(events):
        if event.name != "thread.message.delta":
            assert stored_status(asked, event.data) == event.data["status"]


def stored_status(asked: Conversation, seen: Json) -> str | None:
    """The status of what was seen, as a request of its own reads it now."""
    threads = asked.client.beta.threads
    if seen["object"] == "thread.run":
        return asked.retrieve(seen["id"]).status
    if seen["object"] == "thread.message":
        return threads.messages.retrieve(seen["id"], thread_id=asked.thread_id).status
    steps = threads.runs.steps
    return steps.retrieve(seen["id"], run_id=seen["run_id"], thread_id=asked.thread_id).status


@pytest.mark.conforms("C-156")
def test_a_stream_that_is_refused_is_plain_json(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hello").after(gate))
    asked = conversation(client)
    active = asked.start()
    attempts = [
        (BadRequestError, lambda: asked.stream()),
        (BadRequestError, lambda: asked.stream(max_completion_tokens=1)),
        (BadRequestError, lambda: asked.submit_stream(active.id, {"call_1": "x"})),
        (NotFoundError, lambda: replace(asked, thread_id="thread_none").stream()),
    ]
    for refused, attempt in attempts:
        with pytest.raises(refused) as refusal:
            attempt()
        assert refusal.value.response.headers["content-type"] == "application/json"
        assert set(refusal.value.response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.conforms("C-155")
def test_a_defect_of_ours_is_an_error_event(make_client: MakeClient, provider: ScriptedServer) -> None:
    storage, gate = HeldStorage(), Gate()
    provider.reply(text("Hel", gate, "lo"))
    asked = conversation(make_client(storage=storage, options=Options(drain=0, lease=600)))
    runs = asked.client.beta.threads.runs.with_streaming_response
    with runs.create(asked.thread_id, assistant_id=asked.assistant_id, stream=True) as response:
        lines = iter(response.iter_lines())
        assert "event: thread.message.delta" in lines
        storage.fail()
        gate.open()
        *_, name, data, gap, done, end, _ = lines
    assert (name, gap, done, end) == ("event: error", "", "event: done", "data: [DONE]")
    assert json.loads(data.removeprefix("data: "))["error"].keys() == {"message", "type", "param", "code"}
