"""The main road: an assistant, a thread, a message, a run, its answer."""

import pytest
from openai import OpenAI

from supercompat.testing import ScriptedServer, Usage, call, text, tool_calls

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather now",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.mark.core
@pytest.mark.conforms("C-060", "C-066", "C-089", "C-090", "C-091", "C-123")
def test_polled_run(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hel", "lo").with_usage(Usage(prompt=12, completion=3, cached=2, reasoning=1)))
    assistant = client.beta.assistants.create(model="gpt-4o-mini", instructions="Be kind.")
    thread = client.beta.threads.create()
    client.beta.threads.messages.create(thread.id, role="user", content="Hi")
    run = client.beta.threads.runs.create(thread.id, assistant_id=assistant.id)
    assert (run.status, run.started_at, run.usage) == ("queued", None, None)
    assert run.expires_at == run.created_at + 600
    done = client.beta.threads.runs.poll(run.id, thread_id=thread.id)
    assert (done.status, done.expires_at) == ("completed", None)
    assert done.completed_at
    assert done.started_at
    assert done.usage
    assert done.usage.to_dict() == {
        "prompt_tokens": 12,
        "completion_tokens": 3,
        "total_tokens": 15,
        "prompt_token_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    message = client.beta.threads.messages.list(thread.id).data[0]
    assert (message.role, message.run_id, message.assistant_id) == ("assistant", run.id, assistant.id)
    assert message.content[0].to_dict() == {"type": "text", "text": {"value": "Hello", "annotations": []}}
    (step,) = client.beta.threads.runs.steps.list(run.id, thread_id=thread.id).data
    assert step.step_details.to_dict() == {
        "type": "message_creation",
        "message_creation": {"message_id": message.id},
    }
    assert step.usage
    assert step.usage.to_dict() == done.usage.to_dict()
    sent = provider.requests[0].body
    assert sent["messages"][0] == {"role": "system", "content": "Be kind."}
    assert sent["messages"][1] == {"role": "user", "content": "Hi"}


@pytest.mark.core
@pytest.mark.conforms("C-092", "C-093", "C-099", "C-101", "C-124", "C-126")
def test_tool_round(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(tool_calls(call("get_weather", '{"city":', '"SF"}')), text("Sunny"))
    assistant = client.beta.assistants.create(model="gpt-4o-mini", tools=[WEATHER])  # type: ignore[list-item]
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Weather?"}])
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.status == "requires_action"
    assert run.required_action
    (wanted,) = run.required_action.submit_tool_outputs.tool_calls
    assert (wanted.function.name, wanted.function.arguments) == ("get_weather", '{"city":"SF"}')
    run = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": wanted.id, "output": "18 °C"}]
    )
    assert run.status == "completed"
    steps = client.beta.threads.runs.steps.list(run.id, thread_id=thread.id).data
    assert [step.type for step in steps] == ["message_creation", "tool_calls"]
    assert steps[1].to_dict()["step_details"]["tool_calls"][0]["function"]["output"] == "18 °C"  # type: ignore[index]
    roles = [message["role"] for message in provider.requests[1].body["messages"]]
    assert roles == ["user", "assistant", "tool"]
