"""Passes that can't end as they should: what they leave is whole, and no run stays active for it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from openai import OpenAI

from supercompat import Options, supercompat
from supercompat.model.events import ModelEvent, TextDelta
from supercompat.testing import FakeClock, Gate, ScriptedModel, ScriptedServer, call, text, tool_calls
from tests.contract.conftest import MakeClient
from tests.contract.conversations import CLOCK, DEADLINE, Conversation, conversation, heard_until, texts


def test_a_call_that_broke_off_leaves_no_empty_turn(
    make_client: MakeClient, provider: ScriptedServer
) -> None:
    first = make_client()
    provider.reply(tool_calls(call("get_time", '{"zone"', Gate())), text("Noon."))
    asked = conversation(first, tools=[CLOCK])
    events = iter(asked.stream())
    heard_until(events, "thread.run.step.delta")
    first.close()

    asked = Conversation(make_client(), asked.assistant_id, asked.thread_id)
    asked.ask("Again")
    assert asked.run().status == "completed"
    roles = [(each["role"], each["content"]) for each in provider.requests[-1].body["messages"]]
    assert roles == [("user", "Hi"), ("user", "Again")]


def test_an_empty_text_beside_an_image_is_not_sent(client: OpenAI, provider: ScriptedServer) -> None:
    image: dict[str, Any] = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    asked = conversation(client, [{"type": "text", "text": ""}, image])
    assert asked.run().status == "completed"
    (message,) = provider.requests[-1].body["messages"]
    assert [part["type"] for part in message["content"]] == ["image_url"]


def test_what_can_not_be_stored_ends_the_run() -> None:
    with supercompat(client=ScriptedModel(tool_calls(call("\ud83d")), text("Noon."))) as client:
        asked = conversation(client)
        run = asked.run()
        assert run.last_error
        assert (run.status, run.last_error.code) == ("failed", "server_error")
        asked.ask("Again")
        assert asked.run().status == "completed"


class BrokenAtTheEnd:
    """A run adapter that can't leave its pass in peace."""

    def check(self, adapters: object) -> None:
        """All will do."""

    def driver(self, connection: object) -> "BrokenAtTheEnd":
        return self

    def hosted_tools(self, model: object) -> frozenset[str]:
        return frozenset()

    def can_resume(self, model: object, handle: object) -> bool:
        return False

    def resume(
        self, request: object, handle: object
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        return self._drive()

    async def cancel(self, model: object, handle: object) -> None:
        """Nothing goes on."""

    def context_window(self, model: str) -> int:
        return 8_192

    def drive(self, request: object) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        return self._drive()

    @asynccontextmanager
    async def _drive(self) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        async def said() -> AsyncIterator[ModelEvent]:
            yield TextDelta("Hel")
            await Gate().pass_through()

        try:
            yield said()
        finally:
            raise KeyError("closing")


@pytest.mark.conforms("C-105")
def test_a_cancelled_pass_that_breaks_is_cancelled() -> None:
    with supercompat(client=ScriptedModel(), run_adapter=BrokenAtTheEnd()) as client:
        asked = conversation(client)
        events = iter(asked.stream())
        run = heard_until(events, "thread.message.delta")[0].data
        asked.cancel(run["id"])
        assert asked.poll(run["id"]).status == "cancelled"
        assert [(texts(answer), answer.status) for answer in asked.answers()] == [(["Hel"], "incomplete")]


@pytest.mark.conforms("C-115")
def test_a_pass_whose_run_was_taken_over_writes_nothing(
    make_client: MakeClient, provider: ScriptedServer
) -> None:
    gate = Gate()
    provider.reply(text("Old", Gate()).after(gate), text("New"))
    clock = FakeClock()
    asked = conversation(make_client(options=Options(drain=0, clock=clock)))
    run = asked.start()
    assert gate.reached.wait(DEADLINE)

    later = make_client(options=Options(drain=0, clock=FakeClock(clock.now() + 20)))
    asked = Conversation(later, asked.assistant_id, asked.thread_id)
    assert asked.poll(run.id).status == "completed"
    gate.open()
    assert provider.requests[0].closed.wait(DEADLINE)
    assert [texts(answer) for answer in asked.answers()] == [["New"]]


@pytest.mark.conforms("C-084", "C-102")
def test_lists_show_an_expired_run_as_expired(make_client: MakeClient, provider: ScriptedServer) -> None:
    clock = FakeClock()
    client = make_client(options=Options(drain=0, clock=clock))
    provider.reply(tool_calls(call("get_time")))
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    clock.advance(600)
    (step,) = asked.steps(run.id)
    assert step.status == "expired"

    provider.reply(tool_calls(call("get_time")))
    asked.run()
    clock.advance(600)
    assert [each.status for each in client.beta.threads.runs.list(asked.thread_id)] == ["expired", "expired"]
