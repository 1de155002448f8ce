"""Streams arrive event by event, while the provider is still speaking."""

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from openai import OpenAI

from supercompat.testing import Gate, ScriptedServer, text
from tests.contract.conversations import DEADLINE, conversation, heard, heard_until, names

DELTA = "thread.message.delta"


@pytest.mark.core
def test_what_was_said_before_a_pause_is_there_during_it(client: OpenAI, provider: ScriptedServer) -> None:
    gates = [Gate(), Gate()]
    provider.reply(text("Hel", gates[0], "lo", gates[1], "!"))
    events = iter(conversation(client).stream())
    for piece, gate in zip(("Hel", "lo"), gates, strict=True):
        delta = heard_until(events, DELTA)[-1].data
        assert delta["delta"]["content"][0]["text"]["value"] == piece
        assert gate.reached.wait(DEADLINE)
        assert not provider.requests[0].finished.is_set()
        gate.open()
    assert names(heard(events))[-1] == "thread.run.completed"


@pytest.mark.core
def test_the_first_events_come_before_the_provider_has_answered(
    client: OpenAI, provider: ScriptedServer
) -> None:
    gate = Gate()
    provider.reply(text("Hello").after(gate))
    events = iter(conversation(client).stream())
    assert names(heard_until(events, "thread.run.in_progress")) == [
        "thread.run.created",
        "thread.run.queued",
        "thread.run.in_progress",
    ]
    gate.open()
    assert names(heard(events))[-1] == "thread.run.completed"


@pytest.mark.core
def test_chat_completions(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    chunks = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    said = (chunk.choices[0].delta.content for chunk in chunks if chunk.choices)
    assert "Hel" in (next(said), next(said))
    assert not provider.requests[0].finished.is_set()
    gate.open()
    assert "lo" in list(said)


def test_the_pace_is_the_providers(client: OpenAI, provider: ScriptedServer) -> None:
    """One piece every 40 ms: they come neither in one burst nor in a few, even on a busy machine."""
    pieces, interval = 25, 0.04
    provider.reply(text(*["word "] * pieces).paced(first=0.2, interval=interval))
    arrivals = [time.monotonic() for event in conversation(client).stream() if event.event == DELTA]
    assert len(arrivals) == pieces
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert sum(gap > interval / 4 for gap in gaps) >= pieces / 3
    assert arrivals[-1] - arrivals[0] >= interval * pieces / 2


def test_a_reader_that_comes_late_misses_nothing(client: OpenAI, provider: ScriptedServer) -> None:
    """More events than wait for a reader in the synchronous door."""
    pieces = [f"{number} " for number in range(400)]
    provider.reply(text(*pieces))
    talk = conversation(client)
    events = iter(talk.stream())
    run_id = heard_until(events, "thread.run.created")[-1].data["id"]
    assert talk.poll(run_id).status == "completed"
    deltas = [event.data for event in heard(events) if event.name == DELTA]
    assert [delta["delta"]["content"][0]["text"]["value"] for delta in deltas] == pieces


def test_many_streams_at_once(client: OpenAI, provider: ScriptedServer) -> None:
    """Each has a place of its own: what one holds back does not hold up the others."""
    gates = [Gate() for _ in range(8)]
    provider.reply(*(text("Hel", gate, "lo") for gate in gates))
    streams: list[Iterator[Any]] = []
    for _ in gates:
        streams.append(iter(conversation(client).stream()))
        # Not before it has come so far is it known which of the gates is its own.
        heard_until(streams[-1], DELTA)
    for gate, events in reversed(list(zip(gates, streams, strict=True))):
        gate.open()
        assert names(heard(events))[-1] == "thread.run.completed"
