"""Runs: what they take from their assistant and their request, what they refuse, and how they hold their thread."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types.beta.threads import Run

from supercompat.testing import Gate, ScriptedServer, call, text, tool_calls
from tests.contract.conversations import (
    CLOCK,
    DEADLINE,
    MODEL,
    WEATHER,
    Conversation,
    Json,
    conversation,
    heard_until,
    texts,
)

SCHEMA = {"type": "json_schema", "json_schema": {"name": "city", "schema": {"type": "object"}}}

#: How the API shows `WEATHER` and `CLOCK`.
SHOWN_WEATHER: Json = {"type": "function", "function": {**WEATHER["function"], "strict": False}}
SHOWN_CLOCK: Json = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}, "strict": False},
}

ASSISTANT: Json = {
    "instructions": "Be kind.",
    "tools": [WEATHER],
    "temperature": 0.5,
    "top_p": 0.25,
    "response_format": {"type": "json_object"},
    "reasoning_effort": "low",
    "metadata": {"of": "assistant"},
}

#: What a request gives, and how the API shows that.
OVERRIDES: dict[str, tuple[Json, Any]] = {
    "model": ({"model": "gpt-4o"}, "gpt-4o"),
    "instructions": ({"instructions": "Be rude."}, "Be rude."),
    "tools": ({"tools": [CLOCK]}, [SHOWN_CLOCK]),
    "no tools": ({"tools": []}, []),
    "temperature": ({"temperature": 0}, 0),
    "top_p": ({"top_p": 0}, 0),
    "format": ({"response_format": SCHEMA}, SCHEMA),
    "auto format": ({"response_format": "auto"}, "auto"),
    "effort": ({"reasoning_effort": "high"}, "high"),
    "metadata": ({"metadata": {"of": "run"}}, {"of": "run"}),
    "completion limit": ({"max_completion_tokens": 100}, 100),
    "prompt limit": ({"max_prompt_tokens": 1000}, 1000),
    "parallel": ({"parallel_tool_calls": False}, False),
    "choice": ({"tool_choice": "none"}, "none"),
}


def held(client: OpenAI, provider: ScriptedServer, **assistant: Any) -> tuple[Conversation, Run, Gate]:
    """A run that is in progress until the gate is open. It answers "Hello"."""
    gate = Gate()
    provider.reply(text("Hello").after(gate))
    asked = conversation(client, **assistant)
    run = asked.start()
    assert gate.reached.wait(DEADLINE)
    return asked, run, gate


def body_of(refusal: pytest.ExceptionInfo[Any]) -> Json:
    """The error object of a refusal."""
    return refusal.value.response.json()["error"]


# What a run is made of


@pytest.mark.conforms("C-067", "C-074")
def test_a_run_is_a_copy_of_its_assistant(client: OpenAI, provider: ScriptedServer) -> None:
    run = conversation(client, "As JSON, please", **ASSISTANT).start().to_dict()
    assert {name: run[name] for name in [*ASSISTANT, "model"]} == {
        **ASSISTANT,
        "model": MODEL,
        "tools": [SHOWN_WEATHER],
        "metadata": {},
    }


@pytest.mark.conforms("C-068", "C-069", "C-074")
@pytest.mark.parametrize(("given", "shown"), OVERRIDES.values(), ids=OVERRIDES)
def test_a_request_overrides(client: OpenAI, provider: ScriptedServer, given: Json, shown: Any) -> None:
    (name,) = given
    asked = conversation(client, "As JSON, please", **ASSISTANT)
    plain = asked.run()
    run = asked.run(**given)
    assert run.to_dict()[name] == shown
    changed = {key for key, value in run.to_dict().items() if plain.to_dict()[key] != value}
    assert changed - {"id", "created_at", "started_at", "completed_at", "usage"} == {name}


@pytest.mark.conforms("C-068", "C-071")
def test_null_is_no_override(client: OpenAI, provider: ScriptedServer) -> None:
    asked = conversation(client, "As JSON, please", **ASSISTANT)
    plain = asked.run().to_dict()
    names = ("model", "instructions", "tools", "temperature", "top_p", "response_format", "reasoning_effort")
    nothing: Json = {**dict.fromkeys(names), "metadata": None, "tool_choice": None, "additional_messages": []}
    run = asked.run(**nothing).to_dict()
    assert {name: run[name] for name in names} == {name: plain[name] for name in names}
    assert (run["metadata"], run["tool_choice"]) == ({}, "auto")


@pytest.mark.conforms("C-086")
def test_a_run_keeps_what_it_was_made_of(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(tool_calls(call("get_weather", id="call_1")))
    asked = conversation(client, "As JSON, please", **ASSISTANT)
    run = asked.run()
    client.beta.assistants.update(
        asked.assistant_id,
        model="gpt-4o",
        instructions="Be rude.",
        tools=[],
        temperature=1,
        top_p=1,
        response_format="auto",
        reasoning_effort="high",
    )
    done = asked.submit_and_poll(run.id, {"call_1": "Sunny"})
    assert done.instructions == "Be kind."
    first, second = (request.body for request in provider.requests)
    assert second["messages"][0] == {"role": "system", "content": "Be kind."}
    assert {**second, "messages": first["messages"]} == first
    assert asked.run().instructions == "Be rude."


@pytest.mark.conforms("C-085")
def test_metadata_while_outputs_are_awaited(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(tool_calls(call("get_time", id="call_1")))
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    update = partial(client.beta.threads.runs.update, run.id, thread_id=asked.thread_id, metadata={"k": "v"})
    with pytest.raises(BadRequestError) as refusal:
        update()
    assert body_of(refusal)["message"] == "Cannot update run with status 'requires_action'."
    assert asked.cancel(run.id).status == "cancelled"
    assert update().metadata == {"k": "v"}


@pytest.mark.conforms("C-087")
def test_the_assistant_is_deleted_during_a_run(client: OpenAI, provider: ScriptedServer) -> None:
    asked, run, gate = held(client, provider)
    assert client.beta.assistants.delete(asked.assistant_id).deleted
    gate.open()
    assert asked.poll(run.id).status == "completed"
    with pytest.raises(NotFoundError, match=f"No assistant found with id '{asked.assistant_id}'"):
        asked.start()


@pytest.mark.conforms("C-082")
def test_a_thread_and_its_run(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hello"), text("Hello"))
    assistant = client.beta.assistants.create(model=MODEL, instructions="Be kind.")
    run = client.beta.threads.create_and_run(assistant_id=assistant.id)
    assert (run.status, run.started_at, run.usage) == ("queued", None, None)
    done = client.beta.threads.runs.poll(run.id, thread_id=run.thread_id)
    assert done.status == "completed"
    assert client.beta.threads.retrieve(run.thread_id).id == run.thread_id
    assert [message.role for message in client.beta.threads.messages.list(run.thread_id)] == ["assistant"]

    messages: Any = [{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"}]
    run = client.beta.threads.create_and_run_poll(assistant_id=assistant.id, thread={"messages": messages})
    found = client.beta.threads.messages.list(run.thread_id, order="asc").data
    assert [texts(message) for message in found] == [["One"], ["Two"], ["Hello"]]


@pytest.mark.conforms("C-084")
def test_a_list_of_runs(client: OpenAI, provider: ScriptedServer) -> None:
    asked = conversation(client)
    other = conversation(client)
    other.run()
    made = [asked.run() for _ in range(3)]
    runs = client.beta.threads.runs
    assert runs.list(asked.thread_id).data == made[::-1]
    assert [run.id for run in runs.list(asked.thread_id, order="asc", limit=2)] == [run.id for run in made]
    for run in made:
        assert asked.retrieve(run.id) == run
        with pytest.raises(NotFoundError, match=f"No run found with id '{run.id}'"):
            other.retrieve(run.id)


# What is refused


@pytest.mark.conforms("C-072")
def test_an_unknown_assistant(client: OpenAI, provider: ScriptedServer) -> None:
    asked = replace(conversation(client), assistant_id="asst_none")
    with pytest.raises(NotFoundError) as refusal:
        asked.start(additional_messages=[{"role": "user", "content": "More"}])
    assert body_of(refusal) == {
        "message": "No assistant found with id 'asst_none'.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert client.beta.threads.runs.list(asked.thread_id).data == []
    assert [texts(message) for message in asked.messages()] == [["Hi"]]
    with pytest.raises(NotFoundError):
        client.beta.threads.create_and_run(assistant_id="asst_none")


@pytest.mark.conforms("C-073")
def test_nothing_to_answer(client: OpenAI, provider: ScriptedServer) -> None:
    asked = conversation(client, question=None)
    with pytest.raises(BadRequestError) as refusal:
        asked.start()
    assert body_of(refusal) == {
        "message": "Run creation requires a Thread with a user message or an assistant with instructions.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_thread",
    }
    with pytest.raises(BadRequestError):
        asked.start(additional_messages=[{"role": "assistant", "content": "Hello"}])
    assert asked.messages() == []
    assert client.beta.threads.runs.list(asked.thread_id).data == []
    assert asked.run(instructions="Greet me.").status == "completed"
    assert asked.run(additional_messages=[{"role": "user", "content": "Hi"}]).status == "completed"
    assert conversation(client, question=None, instructions="Greet me.").run().status == "completed"


@pytest.mark.conforms("C-075", "C-077")
@pytest.mark.parametrize(
    ("settings", "param", "code"),
    [
        ({"max_completion_tokens": 15}, "max_completion_tokens", "integer_below_min_value"),
        (
            {"truncation_strategy": {"type": "last_messages"}},
            "truncation_strategy.last_messages",
            "missing_required_parameter",
        ),
        (
            {"truncation_strategy": {"type": "last_messages", "last_messages": None}},
            "truncation_strategy.last_messages",
            "invalid_type",
        ),
        (
            {"truncation_strategy": {"type": "last_messages", "last_messages": 0}},
            "truncation_strategy.last_messages",
            "integer_below_min_value",
        ),
    ],
)
def test_settings_out_of_range(client: OpenAI, settings: Json, param: str, code: str) -> None:
    asked = conversation(client)
    with pytest.raises(BadRequestError) as refusal:
        asked.start(**settings)
    assert (body_of(refusal)["param"], body_of(refusal)["code"]) == (param, code)
    assert client.beta.threads.runs.list(asked.thread_id).data == []


@pytest.mark.conforms("C-075")
def test_settings_in_range(client: OpenAI, provider: ScriptedServer) -> None:
    run = conversation(client).run(max_completion_tokens=16, max_prompt_tokens=256)
    assert (run.status, run.max_completion_tokens, run.max_prompt_tokens) == ("completed", 16, 256)


@pytest.mark.conforms("C-083")
def test_settings_of_the_other_way_to_start(client: OpenAI, provider: ScriptedServer) -> None:
    asked = conversation(client)
    with pytest.raises(BadRequestError) as refusal:
        asked.start(extra_body={"tool_resources": {}})
    assert body_of(refusal) == {
        "message": "Unknown parameter: 'tool_resources'.",
        "type": "invalid_request_error",
        "param": "tool_resources",
        "code": "unknown_parameter",
    }
    refused: Json = {"additional_messages": [], "additional_instructions": "Be brief."}
    for name, value in refused.items():
        with pytest.raises(BadRequestError, match=f"Unknown parameter: '{name}'"):
            client.beta.threads.create_and_run(assistant_id=asked.assistant_id, extra_body={name: value})


# How a run holds its thread


@pytest.mark.core
@pytest.mark.conforms("C-116", "C-117", "C-118")
def test_a_run_holds_its_thread(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(tool_calls(call("get_time", id="call_1")), text("Noon.").after(gate))
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    assert run.status == "requires_action"
    check_locked(asked, run)
    asked.submit(run.id, {"call_1": "12:00"})
    assert gate.reached.wait(DEADLINE)
    check_locked(asked, run)
    gate.open()
    assert asked.poll(run.id).status == "completed"
    asked.ask("Again")
    assert asked.run().status == "completed"


def check_locked(asked: Conversation, run: Run) -> None:
    """The thread takes neither messages nor runs, and keeps nothing of the attempts."""
    before = asked.messages()
    with pytest.raises(BadRequestError) as refusal:
        asked.ask("Another")
    assert body_of(refusal) == {
        "message": f"Can't add messages to {asked.thread_id} while a run {run.id} is active.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    with pytest.raises(BadRequestError) as refusal:
        asked.start(additional_messages=[{"role": "user", "content": "More"}])
    assert body_of(refusal) == {
        "message": f"Thread {asked.thread_id} already has an active run {run.id}.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert asked.messages() == before
    assert [each.id for each in asked.client.beta.threads.runs.list(asked.thread_id)] == [run.id]


@pytest.mark.core
@pytest.mark.conforms("C-119")
def test_two_runs_at_once(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hello").after(gate))
    asked = conversation(client)
    start = Barrier(4)

    def attempt(_: int) -> Run | BadRequestError:
        start.wait(DEADLINE)
        try:
            return asked.start()
        except BadRequestError as refusal:
            return refusal

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(attempt, range(4)))
    (run,) = [result for result in results if isinstance(result, Run)]
    refusals = [str(result) for result in results if not isinstance(result, Run)]
    assert all(f"already has an active run {run.id}" in refusal for refusal in refusals)
    gate.open()
    assert asked.poll(run.id).status == "completed"
    assert [each.id for each in client.beta.threads.runs.list(asked.thread_id)] == [run.id]
    assert len(provider.requests) == 1


@pytest.mark.conforms("C-120")
def test_what_works_during_a_run(client: OpenAI, provider: ScriptedServer) -> None:
    asked, run, gate = held(client, provider)
    (question,) = asked.messages()
    threads = client.beta.threads
    assert threads.messages.retrieve(question.id, thread_id=asked.thread_id) == question
    changed = threads.messages.update(question.id, thread_id=asked.thread_id, metadata={"k": "v"})
    assert changed.metadata == {"k": "v"}
    assert threads.update(asked.thread_id, metadata={"k": "v"}).metadata == {"k": "v"}
    assert threads.retrieve(asked.thread_id).metadata == {"k": "v"}
    assert threads.runs.list(asked.thread_id).data[0].id == run.id
    assert asked.steps(run.id) == []
    gate.open()
    assert asked.poll(run.id).status == "completed"
    assert threads.retrieve(asked.thread_id).metadata == {"k": "v"}


@pytest.mark.conforms("C-120")
def test_metadata_of_a_message_that_is_being_written(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    asked = conversation(client)
    events = iter(asked.stream())
    run_id = heard_until(events, "thread.message.delta")[0].data["id"]
    (answer,) = asked.answers()
    client.beta.threads.messages.update(answer.id, thread_id=asked.thread_id, metadata={"k": "v"})
    gate.open()
    assert asked.poll(run_id).status == "completed"
    (answer,) = asked.answers()
    assert (texts(answer), answer.metadata) == (["Hello"], {"k": "v"})


@pytest.mark.conforms("C-085")
def test_metadata_of_a_run(client: OpenAI, provider: ScriptedServer) -> None:
    asked, run, gate = held(client, provider)
    update = client.beta.threads.runs.update
    with pytest.raises(BadRequestError) as refusal:
        update(run.id, thread_id=asked.thread_id, metadata={"k": "v"})
    assert body_of(refusal) == {
        "message": "Cannot update run with status 'in_progress'.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    gate.open()
    done = asked.poll(run.id)
    changed = update(run.id, thread_id=asked.thread_id, metadata={"k": "v"})
    assert changed.to_dict() == done.to_dict() | {"metadata": {"k": "v"}}
    assert update(run.id, thread_id=asked.thread_id, metadata={"other": "w"}).metadata == {"other": "w"}
    assert asked.retrieve(run.id).metadata == {"other": "w"}


@pytest.mark.conforms("C-088", "C-089", "C-090")
def test_a_poll_never_goes_back(client: OpenAI, provider: ScriptedServer) -> None:
    """Seen through requests alone, from queued to completed."""
    first, second = Gate(), Gate()
    provider.reply(tool_calls(call("get_time", id="call_1")).after(first), text("Noon.").after(second))
    asked = conversation(client, tools=[CLOCK])
    seen = [asked.start()]
    for gate in (first, second):
        assert gate.reached.wait(DEADLINE)
        seen.append(asked.retrieve(seen[0].id))
        gate.open()
        seen.append(asked.poll(seen[0].id))
        if seen[-1].status == "requires_action":
            seen.append(asked.submit(seen[0].id, {"call_1": "12:00"}))
    assert [run.status for run in seen] == [
        "queued",
        "in_progress",
        "requires_action",
        "queued",
        "in_progress",
        "completed",
    ]
    assert [run.usage is None for run in seen] == [True] * 5 + [False]
    assert [run.expires_at is None for run in seen] == [False] * 5 + [True]
    assert [run.started_at is None for run in seen] == [True] + [False] * 5
    assert [run.completed_at is None for run in seen] == [True] * 5 + [False]
    assert {run.expires_at for run in seen[:-1]} == {seen[0].created_at + 600}
