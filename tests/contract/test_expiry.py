"""Runs whose time is over."""

import openai
import pytest

from supercompat import Options
from supercompat.testing import FakeClock, Gate, ScriptedServer, call, text, tool_calls
from tests.contract.conftest import MakeClient

FUNCTION = {"type": "function", "function": {"name": "look"}}


@pytest.mark.conforms("C-102", "C-104", "C-132")
def test_a_run_that_waits_for_outputs_expires(make_client: MakeClient, provider: ScriptedServer) -> None:
    clock = FakeClock()
    first = make_client(options=Options(drain=0, clock=clock))
    provider.reply(tool_calls(call("look", "{}")), text("Again"))
    assistant = first.beta.assistants.create(model="gpt-4o-mini", instructions="Look.", tools=[FUNCTION])  # type: ignore[list-item]
    run = first.beta.threads.create_and_run_poll(assistant_id=assistant.id)
    assert run.status == "requires_action"
    assert run.required_action
    (wanted,) = run.required_action.submit_tool_outputs.tool_calls
    first.close()
    clock.advance(600)

    # Another client knows of it only what is stored.
    client = make_client(options=Options(drain=0, clock=clock))
    with pytest.raises(openai.BadRequestError, match='Runs in status "expired" do not accept tool outputs'):
        client.beta.threads.runs.submit_tool_outputs(
            run_id=run.id,
            thread_id=run.thread_id,
            tool_outputs=[{"tool_call_id": wanted.id, "output": "late"}],
        )
    expired = client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    assert (expired.status, expired.expires_at, expired.required_action) == ("expired", None, None)
    assert expired.usage
    assert expired.usage.total_tokens == 18
    (step,) = client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id).data
    assert step.status == "expired"
    client.beta.threads.messages.create(run.thread_id, role="user", content="Hello?")


@pytest.mark.conforms("C-102", "C-118")
def test_an_expired_run_does_not_lock_its_thread(make_client: MakeClient, provider: ScriptedServer) -> None:
    clock = FakeClock()
    client = make_client(options=Options(drain=0, clock=clock))
    provider.reply(tool_calls(call("look", "{}")), text("Again"))
    assistant = client.beta.assistants.create(model="gpt-4o-mini", instructions="Look.", tools=[FUNCTION])  # type: ignore[list-item]
    old = client.beta.threads.create_and_run_poll(assistant_id=assistant.id)
    clock.advance(600)

    new = client.beta.threads.runs.create_and_poll(
        thread_id=old.thread_id, assistant_id=assistant.id, tools=[]
    )

    assert new.status == "completed"
    runs = client.beta.threads.runs.list(old.thread_id).data
    assert [(run.id, run.status) for run in runs] == [(new.id, "completed"), (old.id, "expired")]


@pytest.mark.conforms("C-103", "C-154")
def test_expiry_ends_a_run_that_is_carried_out(make_client: MakeClient, provider: ScriptedServer) -> None:
    client = make_client(options=Options(drain=0, run_expires_after=2))
    provider.reply(text("Hel", Gate()))
    assistant = client.beta.assistants.create(model="gpt-4o-mini", instructions="Talk.")
    thread = client.beta.threads.create()

    stream = client.beta.threads.runs.create(thread.id, assistant_id=assistant.id, stream=True)
    events = [(event.event, event.data) for event in stream]

    assert [name for name, _ in events][-4:] == [
        "thread.message.delta",
        "thread.message.incomplete",
        "thread.run.step.expired",
        "thread.run.expired",
    ]
    message = client.beta.threads.messages.list(thread.id).data[0]
    assert message.incomplete_details
    assert (message.status, message.incomplete_details.reason) == ("incomplete", "run_expired")
    assert message.content[0].to_dict()["text"] == {"value": "Hel", "annotations": []}
    assert provider.requests[0].closed.wait(5)
    run = client.beta.threads.runs.list(thread.id).data[0]
    assert (run.status, run.expires_at) == ("expired", None)


@pytest.mark.conforms("C-176")
def test_a_run_that_is_not_over_says_when_to_ask_again(
    make_client: MakeClient, provider: ScriptedServer
) -> None:
    client = make_client()
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    assistant = client.beta.assistants.create(model="gpt-4o-mini", instructions="Talk.")
    run = client.beta.threads.create_and_run(assistant_id=assistant.id)
    assert gate.reached.wait(5)
    runs = client.beta.threads.runs

    reply = runs.with_raw_response.retrieve(run.id, thread_id=run.thread_id)
    assert reply.headers["openai-poll-after-ms"] == "250"
    gate.open()
    runs.poll(run.id, thread_id=run.thread_id)
    reply = runs.with_raw_response.retrieve(run.id, thread_id=run.thread_id)
    assert "openai-poll-after-ms" not in reply.headers
