"""Function tools: the calls that a run waits for, the outputs that it is given, and the steps that keep both."""

from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from supercompat import Options
from supercompat.testing import FakeClock, Gate, Reply, ScriptedServer, Usage, call, text, tool_calls
from tests.contract.conftest import MakeClient
from tests.contract.conversations import (
    CLOCK,
    DEADLINE,
    WEATHER,
    Conversation,
    call_ids,
    conversation,
    heard_until,
    texts,
)

TIME = tool_calls(call("get_time", id="call_1"))
TWO = tool_calls(call("get_time", "{}", id="call_1"), call("get_weather", '{"city":"SF"}', id="call_2"))


def waiting(client: OpenAI, provider: ScriptedServer, asked_for: Reply) -> tuple[Conversation, str]:
    """A run that waits for the outputs of these calls; the model's next answer is "Noon."."""
    provider.reply(asked_for, text("Noon."))
    asked = conversation(client, tools=[CLOCK, WEATHER])
    run = asked.run()
    assert run.status == "requires_action"
    return asked, run.id


@pytest.mark.conforms("C-092", "C-126", "C-127")
def test_what_a_run_waits_for(client: OpenAI, provider: ScriptedServer) -> None:
    asked, run_id = waiting(client, provider, TWO)
    run = asked.retrieve(run_id)
    assert (run.last_error, run.usage, run.completed_at) == (None, None, None)
    assert run.expires_at == run.created_at + 600
    assert run.started_at
    assert run.required_action
    assert run.required_action.to_dict() == {
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}},
                {
                    "id": "call_2",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city":"SF"}'},
                },
            ]
        },
    }
    (step,) = asked.steps(run_id)
    assert (step.type, step.status, step.completed_at, step.usage) == (
        "tool_calls",
        "in_progress",
        None,
        None,
    )
    assert (step.run_id, step.thread_id, step.assistant_id) == (run_id, asked.thread_id, asked.assistant_id)
    assert step.to_dict()["expires_at"] == run.expires_at
    assert outputs_of(step) == {"call_1": None, "call_2": None}
    assert asked.answers() == []


def outputs_of(step: Any) -> dict[str, str | None]:
    """The outputs that a tool step keeps, by call."""
    return {each.id: each.function.output for each in step.step_details.tool_calls}


@pytest.mark.conforms("C-093", "C-097", "C-101", "C-125")
def test_outputs_in_any_order(client: OpenAI, provider: ScriptedServer) -> None:
    asked, run_id = waiting(client, provider, TWO)
    gate = Gate()
    provider.reply(text("Late").after(gate))
    odd = 'Grüße, "é" 🎉\r\n\t\\ {"a": 1}\x00 '
    run = asked.submit(run_id, {"call_2": odd, "call_1": "12:00"})
    assert (run.status, run.required_action) == ("queued", None)
    assert asked.retrieve(run_id).status != "requires_action"
    assert asked.poll(run_id).status == "completed"
    step, _ = asked.steps(run_id)
    assert outputs_of(step) == {"call_1": "12:00", "call_2": odd}
    assert list(outputs_of(step)) == ["call_1", "call_2"]
    assert (step.status, bool(step.completed_at), step.to_dict()["expires_at"]) == ("completed", True, None)
    said = provider.requests[1].body["messages"]
    assert said[-2:] == [
        {"role": "tool", "tool_call_id": "call_1", "content": "12:00"},
        {"role": "tool", "tool_call_id": "call_2", "content": odd},
    ]


@pytest.mark.conforms("C-094", "C-095")
@pytest.mark.parametrize(
    "got",
    [
        ["call_1"],
        ["call_1", "call_9"],
        ["call_1", "call_2", "call_9"],
        ["call_1", "call_1"],
        ["call_1", "call_2", "call_2"],
        [],
    ],
    ids=["missing", "unknown", "one more", "duplicate", "one twice", "none"],
)
def test_outputs_for_other_calls_are_refused(
    client: OpenAI, provider: ScriptedServer, got: list[str]
) -> None:
    asked, run_id = waiting(client, provider, TWO)
    before = asked.retrieve(run_id)
    with pytest.raises(BadRequestError) as refusal:
        client.beta.threads.runs.submit_tool_outputs(
            run_id,
            thread_id=asked.thread_id,
            tool_outputs=[{"tool_call_id": call_id, "output": "x"} for call_id in got],
        )
    assert refusal.value.body == {
        "message": f"Expected tool outputs for call_ids ['call_1', 'call_2'], got {got}",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert asked.retrieve(run_id) == before
    assert outputs_of(asked.steps(run_id)[0]) == {"call_1": None, "call_2": None}
    done = asked.submit_and_poll(run_id, {"call_1": "12:00", "call_2": "Sunny"})
    assert done.status == "completed"


@pytest.mark.conforms("C-096")
def test_outputs_are_refused_where_none_are_awaited(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hello").after(gate))
    asked = conversation(client)
    run = asked.start()
    assert gate.reached.wait(DEADLINE)
    for status in ("in_progress", "completed"):
        with pytest.raises(BadRequestError) as refusal:
            asked.submit(run.id, {"call_1": "x"})
        assert refusal.value.body["message"] == f'Runs in status "{status}" do not accept tool outputs.'  # type: ignore[index]
        gate.open()
        assert asked.poll(run.id).status == "completed"
    assert len(provider.requests) == 1


@pytest.mark.conforms("C-096", "C-106")
def test_outputs_for_a_cancelled_run_are_refused(client: OpenAI, provider: ScriptedServer) -> None:
    asked, run_id = waiting(client, provider, TIME)
    asked.cancel(run_id)
    with pytest.raises(BadRequestError, match='Runs in status "cancelled" do not accept tool outputs'):
        asked.submit(run_id, {"call_1": "12:00"})
    assert outputs_of(asked.steps(run_id)[0]) == {"call_1": None}


@pytest.mark.conforms("C-098")
@pytest.mark.parametrize("output", [{}, {"output": None}, {"output": ""}], ids=["absent", "null", "empty"])
def test_no_output_is_an_empty_one(client: OpenAI, provider: ScriptedServer, output: dict[str, Any]) -> None:
    asked, run_id = waiting(client, provider, TIME)
    runs: Any = client.beta.threads.runs
    runs.submit_tool_outputs(
        run_id, thread_id=asked.thread_id, tool_outputs=[{"tool_call_id": "call_1", **output}]
    )
    assert asked.poll(run_id).status == "completed"
    assert outputs_of(asked.steps(run_id)[0]) == {"call_1": ""}
    assert provider.requests[1].body["messages"][-1]["content"] == ""


@pytest.mark.conforms("C-098")
def test_an_output_that_is_no_text_is_refused(client: OpenAI, provider: ScriptedServer) -> None:
    asked, run_id = waiting(client, provider, TIME)
    with pytest.raises(BadRequestError, match="tool_outputs"):
        asked.submit(run_id, {"call_1": 12})  # type: ignore[dict-item]
    assert asked.retrieve(run_id).status == "requires_action"


@pytest.mark.core
@pytest.mark.conforms("C-090", "C-099", "C-124")
def test_several_rounds(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(
        tool_calls(call("get_time", id="call_1")).with_usage(Usage(prompt=10, completion=1)),
        tool_calls(call("get_time", id="call_2"), call("get_time", id="call_3")).with_usage(
            Usage(prompt=20, completion=2, cached=10)
        ),
        text("Noon.").with_usage(Usage(prompt=40, completion=4, reasoning=3)),
    )
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    assert call_ids(run) == ["call_1"]
    run = asked.submit_and_poll(run.id, {"call_1": "one"})
    assert (run.status, call_ids(run)) == ("requires_action", ["call_2", "call_3"])
    run = asked.submit_and_poll(run.id, {"call_2": "two", "call_3": "three"})
    assert run.status == "completed"
    steps = asked.steps(run.id)
    assert [step.type for step in steps] == ["tool_calls", "tool_calls", "message_creation"]
    assert {step.status for step in steps} == {"completed"}
    newest_first = client.beta.threads.runs.steps.list(run.id, thread_id=asked.thread_id).data
    assert newest_first == steps[::-1]
    usages = [step.usage for step in steps]
    assert [(each.prompt_tokens, each.completion_tokens, each.total_tokens) for each in usages if each] == [
        (10, 1, 11),
        (20, 2, 22),
        (40, 4, 44),
    ]
    assert run.usage
    assert run.usage.to_dict() == {
        "prompt_tokens": 70,
        "completion_tokens": 7,
        "total_tokens": 77,
        "prompt_token_details": {"cached_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    assert [texts(message) for message in asked.answers()] == [["Noon."]]
    said = provider.requests[2].body["messages"]
    assert [message["role"] for message in said] == ["user", "assistant", "tool", "assistant", "tool", "tool"]
    assert [each["content"] for each in said if each["role"] == "tool"] == ["one", "two", "three"]


@pytest.mark.conforms("C-089", "C-093", "C-145")
def test_times(make_client: MakeClient, provider: ScriptedServer) -> None:
    """Each pick-up starts the run anew; its time is not extended."""
    clock = FakeClock()
    client = make_client(options=Options(drain=0, clock=clock))
    asked, run_id = waiting(client, provider, TIME)
    run = asked.retrieve(run_id)
    created = int(clock.now())
    assert (run.created_at, run.started_at, run.expires_at) == (created, created, created + 600)
    clock.advance(5)
    queued = asked.submit(run_id, {"call_1": "12:00"})
    assert (queued.started_at, queued.expires_at) == (created, created + 600)
    done = asked.poll(run_id)
    assert (done.created_at, done.started_at, done.completed_at) == (created, created + 5, created + 5)
    answered, said = asked.steps(run_id)
    assert (answered.created_at, answered.completed_at) == (created, created + 5)
    assert (said.created_at, said.completed_at) == (created + 5, created + 5)


@pytest.mark.conforms("C-100")
def test_a_call_without_arguments(client: OpenAI, provider: ScriptedServer) -> None:
    asked, run_id = waiting(client, provider, TIME)
    action = asked.retrieve(run_id).required_action
    assert action
    assert action.submit_tool_outputs.tool_calls[0].function.arguments == "{}"
    assert asked.submit_and_poll(run_id, {"call_1": "12:00"}).status == "completed"
    asked_back = provider.requests[1].body["messages"][1]["tool_calls"]
    assert asked_back == [
        {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    ]


@pytest.mark.conforms("C-078", "C-079")
@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_time"}}], ids=["required", "named"]
)
def test_a_forced_call_is_forced_once(client: OpenAI, provider: ScriptedServer, choice: Any) -> None:
    provider.reply(TIME, text("Noon."))
    asked = conversation(client, tools=[CLOCK, WEATHER])
    run = asked.run(tool_choice=choice)
    assert run.to_dict()["tool_choice"] == choice
    assert asked.submit_and_poll(run.id, {"call_1": "12:00"}).status == "completed"
    first, second = (request.body for request in provider.requests)
    assert first["tool_choice"] == choice
    assert second.get("tool_choice", "auto") == "auto"
    assert second["tools"] == first["tools"]


@pytest.mark.conforms("C-078")
def test_calls_can_be_ruled_out(client: OpenAI, provider: ScriptedServer) -> None:
    asked = conversation(client, tools=[CLOCK])
    assert asked.run(tool_choice="none").status == "completed"
    assert provider.requests[0].body["tool_choice"] == "none"


@pytest.mark.conforms("C-080")
@pytest.mark.parametrize("parallel", [True, False])
def test_one_call_at_a_time(client: OpenAI, provider: ScriptedServer, parallel: bool) -> None:
    """The provider is told; it is the one that knows how to hold a model to it."""
    asked = conversation(client, tools=[CLOCK])
    run = asked.run(parallel_tool_calls=parallel)
    assert run.parallel_tool_calls is parallel
    assert provider.requests[0].body["parallel_tool_calls"] is parallel


@pytest.mark.conforms("C-128", "C-129")
def test_one_step(client: OpenAI, provider: ScriptedServer) -> None:
    asked, run_id = waiting(client, provider, TIME)
    asked.submit_and_poll(run_id, {"call_1": "12:00"})
    steps = client.beta.threads.runs.steps
    for step in asked.steps(run_id):
        assert steps.retrieve(step.id, run_id=run_id, thread_id=asked.thread_id) == step
    with pytest.raises(NotFoundError, match="No run step found with id 'step_none'"):
        steps.retrieve("step_none", run_id=run_id, thread_id=asked.thread_id)
    other, other_run = waiting(client, provider, TIME)
    step = asked.steps(run_id)[0]
    places = [(other.thread_id, run_id), (other.thread_id, other_run), (asked.thread_id, other_run)]
    for thread_id, run in places:
        with pytest.raises(NotFoundError):
            steps.retrieve(step.id, run_id=run, thread_id=thread_id)
    with pytest.raises(NotFoundError):
        _ = steps.list(run_id, thread_id=other.thread_id).data


@pytest.mark.conforms("C-131")
def test_pages_of_steps(client: OpenAI, provider: ScriptedServer) -> None:
    rounds = 3
    provider.reply(*[tool_calls(call("get_time", id=f"call_{number}")) for number in range(rounds)])
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    for number in range(rounds):
        run = asked.submit_and_poll(run.id, {f"call_{number}": "12:00"})
    assert run.status == "completed"
    ids = [step.id for step in asked.steps(run.id)]
    assert len(ids) == rounds + 1

    def page(**query: Any) -> list[str]:
        found = client.beta.threads.runs.steps.list(run.id, thread_id=asked.thread_id, **query)
        return [step.id for step in found.data]

    assert page() == ids[::-1]
    assert page(order="asc", limit=2) == ids[:2]
    assert page(order="asc", limit=2, after=ids[1]) == ids[2:]
    assert page(order="asc", limit=2, before=ids[3]) == ids[1:3]
    assert page(limit=1, after=ids[2]) == [ids[1]]
    assert page(before=ids[1]) == [ids[3], ids[2]]


@pytest.mark.conforms("C-127")
def test_the_step_of_a_message_that_is_being_written(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    asked = conversation(client)
    events = iter(asked.stream())
    run = asked.retrieve(heard_until(events, "thread.message.delta")[0].data["id"])
    (step,) = asked.steps(run.id)
    assert (step.type, step.status, step.usage) == ("message_creation", "in_progress", None)
    assert step.to_dict()["expires_at"] == run.expires_at
    assert (step.run_id, step.thread_id, step.assistant_id) == (run.id, asked.thread_id, asked.assistant_id)
    gate.open()
    assert asked.poll(run.id).status == "completed"
