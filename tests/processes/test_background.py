"""A process is killed while the provider works on an answer in the background: the next one picks the answer up."""

from typing import Any

import pytest
from openai import OpenAI

from supercompat.testing import Gate, Reply, call, code_interpreter, text, tool_calls
from tests.contract.conversations import WEATHER, Conversation, conversation, texts
from tests.processes.conftest import Scene, until
from tests.processes.workers import Worker

EACH_DATABASE = pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)


def begun(scene: Scene, reply: Reply) -> tuple[Worker, Conversation]:
    """A run of another process, under way."""
    victim = scene.worker(background=True)
    asked = conversation(victim.client)
    scene.provider.reply(reply)
    victim.begin.beta.threads.runs.create(
        asked.thread_id,
        assistant_id=asked.assistant_id,
        stream=True,
        tools=[{"type": "code_interpreter"}, WEATHER],
    )
    return victim, asked


def picked_up(
    scene: Scene, victim: Worker, asked: Conversation, gate: Gate
) -> tuple[Conversation, Any, OpenAI]:
    """The run as it rests in another process, that begins after the first one was killed."""
    victim.kill()
    client = scene.client(background=True)
    gate.open()
    left = Conversation(client, asked.assistant_id, asked.thread_id)
    [run] = client.beta.threads.runs.list(asked.thread_id).data
    run = client.beta.threads.runs.poll(run.id, thread_id=asked.thread_id, poll_interval_ms=20)
    return left, run, client


@EACH_DATABASE
def test_in_mid_answer(scene: Scene) -> None:
    gate = Gate()
    victim, asked = begun(scene, text("Hel", gate, "lo"))
    until(lambda: [texts(message) for message in asked.answers()] == [["Hel"]])
    [known] = [message.id for message in asked.answers()]
    left, run, _ = picked_up(scene, victim, asked, gate)
    assert run.status == "completed", run.last_error
    [message] = left.answers()
    assert (message.id, message.status, texts(message)) == (known, "completed", ["Hello"])
    assert [step.status for step in left.steps(run.id)] == ["completed"]
    assert run.usage.total_tokens == 18
    asked_for = [(each.method, each.path.partition("?")[0].count("/")) for each in scene.provider.requests]
    assert asked_for == [("POST", 2), ("GET", 3)]


@EACH_DATABASE
def test_between_hosted_tools_and_a_call(scene: Scene) -> None:
    """The steps that were stored are the same ones afterwards, and none is there twice."""
    gate = Gate()
    said = text("Look: ") + code_interpreter("1") + text("So.", gate)
    victim, asked = begun(scene, said + tool_calls(call("get_weather", "{}")))
    until(lambda: [texts(message) for message in asked.answers()] == [["Look: "], ["So."]])
    [run] = asked.client.beta.threads.runs.list(asked.thread_id)
    known = [step.id for step in asked.steps(run.id)]
    left, run, _ = picked_up(scene, victim, asked, gate)
    assert run.status == "requires_action", run.last_error
    steps = left.steps(run.id)
    assert [step.id for step in steps[:-1]] == known
    assert [step.status for step in steps] == ["completed", "completed", "completed", "in_progress"]
    assert [texts(message) for message in left.answers()] == [["Look: "], ["So."]]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_cancelled_run_is_cancelled_at_the_provider(scene: Scene) -> None:
    gate = Gate()
    victim, asked = begun(scene, text("Hel", gate, "lo"))
    until(lambda: [texts(message) for message in asked.answers()] == [["Hel"]])
    victim.kill()
    client = scene.client(background=True)
    [run] = client.beta.threads.runs.list(asked.thread_id).data
    until(lambda: any(each.method == "GET" for each in scene.provider.requests))
    client.beta.threads.runs.cancel(run.id, thread_id=asked.thread_id)
    run = client.beta.threads.runs.poll(run.id, thread_id=asked.thread_id, poll_interval_ms=20)
    assert run.status == "cancelled"
    until(lambda: scene.provider.requests[-1].path.endswith("/cancel"))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_who_can_not_pick_it_up_ends_it(scene: Scene) -> None:
    victim, asked = begun(scene, text("Hel", Gate(), "lo"))
    until(lambda: [texts(message) for message in asked.answers()] == [["Hel"]])
    victim.kill()
    client = scene.client()
    [run] = client.beta.threads.runs.list(asked.thread_id).data
    run = client.beta.threads.runs.poll(run.id, thread_id=asked.thread_id, poll_interval_ms=20)
    assert run.status == "failed"
