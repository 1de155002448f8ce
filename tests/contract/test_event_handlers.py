"""The SDK's event handlers, synchronous and asynchronous: every callback fires, and what they were told is true."""

import pytest
from openai import APIError, AssistantEventHandler, AsyncAssistantEventHandler, AsyncOpenAI, OpenAI
from openai.types.beta import AssistantStreamEvent
from openai.types.beta.threads import Message

from supercompat import OpenAIClientAdapter, Options, async_supercompat, supercompat
from supercompat.testing import Gate, ScriptedServer, call, text, tool_calls
from tests.contract.conftest import MakeClient, Setup
from tests.contract.conversations import MODEL, WEATHER, conversation, heard, heard_until
from tests.contract.handlers import Called, recording
from tests.contract.storages import HeldStorage


@pytest.mark.core
@pytest.mark.conforms("C-146", "C-148")
def test_every_callback_fires(setup: Setup, client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(tool_calls(call("get_weather", '{"city":', '"SF"}', id="call_1")), text("Sun", "ny"))
    asked = conversation(client, tools=[WEATHER])
    called: list[Called] = []
    with asked.helper(recording(setup.door, called)) as stream:
        run = stream.get_final_run()
        steps = stream.get_final_run_steps()
    assert [name for name, _ in called] == [
        "on_run_step_created",
        "on_tool_call_created",
        "on_run_step_delta",
        *["on_tool_call_delta", "on_run_step_delta"] * 2,
        "on_tool_call_done",
        "on_end",
    ]
    assert run.to_dict() == asked.retrieve(run.id).to_dict()
    assert [step.id for step in steps] == [step.id for step in asked.steps(run.id)]
    done = dict(called)["on_tool_call_done"]
    assert done["id"] == "call_1"
    assert done["function"] == {"name": "get_weather", "arguments": '{"city":"SF"}', "output": None}

    called.clear()
    with asked.submit_helper(run.id, {"call_1": "18 °C"}, recording(setup.door, called)) as stream:
        run = stream.get_final_run()
        messages = stream.get_final_messages()
    assert [name for name, _ in called] == [
        "on_run_step_done",
        "on_run_step_created",
        "on_message_created",
        "on_text_created",
        *["on_text_delta", "on_message_delta"] * 2,
        "on_text_done",
        "on_message_done",
        "on_run_step_done",
        "on_end",
    ]
    assert run.to_dict() == asked.retrieve(run.id).to_dict()
    assert [message.to_dict() for message in messages] == [message.to_dict() for message in asked.answers()]
    said = [snapshot for name, snapshot in called if name in ("on_text_delta", "on_text_done")]
    assert [each["value"] for each in said] == ["Sun", "Sunny", "Sunny"]
    closed = [step for name, step in called if name == "on_run_step_done"]
    assert [step["id"] for step in closed] == [step.id for step in asked.steps(run.id)]


@pytest.mark.conforms("C-148")
def test_snapshots_agree_with_what_is_stored(setup: Setup, client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hel", "lo"))
    asked = conversation(client)
    with asked.helper(recording(setup.door, [])) as stream:
        run = stream.get_final_run()
        (message,) = stream.get_final_messages()
        (step,) = stream.get_final_run_steps()
    assert run.to_dict() == asked.retrieve(run.id).to_dict()
    assert [message.to_dict()] == [answer.to_dict() for answer in asked.answers()]
    # The helper keeps a step as it was created, and adds only deltas.
    assert [step.id] == [stored.id for stored in asked.steps(run.id)]


@pytest.mark.conforms("C-146")
def test_a_stream_that_falls_silent_times_out(
    setup: Setup, make_client: MakeClient, provider: ScriptedServer
) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    asked = conversation(make_client(timeout=1.0))
    called: list[Called] = []
    with asked.helper(recording(setup.door, called)) as stream:
        events = iter(stream)
        run_id = heard_until(events, "thread.message.delta")[0].data["id"]
        with pytest.raises(Exception) as silent:  # noqa: PT011 - each HTTP library has its own
            heard(events)
        assert "Timeout" in type(silent.value).__name__
    assert [name for name, _ in called][-3:] == ["on_timeout", "on_exception", "on_end"]
    gate.open()
    assert asked.poll(run_id).status == "completed"


@pytest.mark.conforms("C-159")
def test_a_handler_may_ask(provider: ScriptedServer) -> None:
    """What an event says is there for a request that its handler makes."""
    seen: list[tuple[str, str]] = []

    class Asking(AssistantEventHandler):
        def on_event(self, event: AssistantStreamEvent) -> None:
            if event.event == "thread.run.completed":
                run = client.beta.threads.runs.retrieve(event.data.id, thread_id=event.data.thread_id)
                seen.append((event.event, run.status))

        def on_message_created(self, message: Message) -> None:
            (newest,) = client.beta.threads.messages.list(message.thread_id, limit=1).data
            seen.append((newest.id, message.id))

    inner = OpenAI(base_url=provider.base_url, api_key="test-key")
    with inner, supercompat(client=OpenAIClientAdapter(inner)) as client:
        asked = conversation(client)
        with asked.helper(Asking()) as stream:
            stream.until_done()
    assert seen[0][0] == seen[0][1]
    assert seen[1:] == [("thread.run.completed", "completed")]


@pytest.mark.conforms("C-159")
async def test_an_asynchronous_handler_may_ask(provider: ScriptedServer) -> None:
    seen: list[tuple[str, str]] = []

    class Asking(AsyncAssistantEventHandler):
        async def on_event(self, event: AssistantStreamEvent) -> None:
            if event.event == "thread.run.completed":
                run = await client.beta.threads.runs.retrieve(event.data.id, thread_id=event.data.thread_id)
                seen.append((event.event, run.status))

        async def on_message_created(self, message: Message) -> None:
            newest = await client.beta.threads.messages.list(message.thread_id, limit=1)
            seen.append((newest.data[0].id, message.id))

    inner = AsyncOpenAI(base_url=provider.base_url, api_key="test-key")
    async with inner, async_supercompat(client=OpenAIClientAdapter(inner)) as client:
        assistant = await client.beta.assistants.create(model=MODEL)
        thread = await client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
        async with client.beta.threads.runs.stream(
            thread_id=thread.id, assistant_id=assistant.id, event_handler=Asking()
        ) as stream:
            await stream.until_done()
    assert seen[0][0] == seen[0][1]
    assert seen[1:] == [("thread.run.completed", "completed")]


@pytest.mark.conforms("C-155")
def test_an_error_event_raises(setup: Setup, make_client: MakeClient, provider: ScriptedServer) -> None:
    storage, gate = HeldStorage(), Gate()
    provider.reply(text("Hel", gate, "lo"))
    asked = conversation(make_client(storage=storage, options=Options(drain=0, lease=600)))
    called: list[Called] = []
    with asked.helper(recording(setup.door, called)) as stream:
        events = iter(stream)
        heard_until(events, "thread.message.delta")
        storage.fail()
        gate.open()
        with pytest.raises(APIError, match="The server had an error") as raised:
            heard(events)
    assert (raised.value.type, raised.value.code, raised.value.param) == ("server_error", None, None)
    assert called[-2:] == [("on_exception", raised.value), ("on_end", None)]
