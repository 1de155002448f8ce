"""Streams over the network: what is flushed, what keeps proxies calm, and readers that are slow or leave."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from supercompat import Options
from supercompat.testing import Gate, ScriptedServer, text
from tests.contract.conversations import DEADLINE, Conversation, conversation, texts
from tests.server.bare import Bare
from tests.server.conftest import Connect, Lines, Serve


def ask_for_run(bare: Bare, asked: Conversation, **headers: str) -> None:
    body = {"assistant_id": asked.assistant_id, "stream": True}
    bare.ask("POST", f"/v1/threads/{asked.thread_id}/runs", body, **headers)


def begun(bare: Bare, asked: Conversation) -> str:
    """The id of a run whose stream was asked for."""
    ask_for_run(bare, asked)
    assert bare.head()[0] == 200
    return next(runs_of(bare.chunks()))["id"]


def runs_of(chunks: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    for chunk in chunks:
        fields = dict(line.split(": ", 1) for line in chunk.decode().strip().split("\n"))
        if fields["event"].startswith("thread.run.") and "step" not in fields["event"]:
            yield json.loads(fields["data"])


@pytest.mark.conforms("C-140", "C-142")
def test_each_event_is_sent_by_itself(url: str, client: openai.OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hel", "lo"))
    asked = conversation(client)
    with Bare(url) as bare:
        ask_for_run(bare, asked)
        status, headers = bare.head()
        chunks = list(bare.chunks())
    assert status == 200
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert all(chunk.startswith(b"event: ") and chunk.endswith(b"\n\n") for chunk in chunks)
    assert all(chunk.count(b"\n\n") == 1 for chunk in chunks)
    assert chunks[0].startswith(b"event: thread.run.created\n")
    assert chunks[-1] == b"event: done\ndata: [DONE]\n\n"


def test_an_event_does_not_wait_for_the_next(
    url: str, client: openai.OpenAI, provider: ScriptedServer
) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    with Bare(url) as bare:
        ask_for_run(bare, conversation(client))
        bare.head()
        heard = bare.chunks()
        # That it comes at all is the point: the provider says nothing more before the gate is open.
        first = next(chunk for chunk in heard if chunk.startswith(b"event: thread.message.delta"))
        assert b"Hel" in first
        gate.open()
        assert b"lo" in next(heard)


def test_nothing_is_held_back_by_the_system(url: str) -> None:
    """Small packets wait for the confirmation of the last ones, 40 ms, where a server does not forbid it."""
    took: list[float] = []
    with httpx2.Client(trust_env=False) as http:
        for _ in range(50):
            began = time.perf_counter()
            http.get(f"{url}/healthz")
            took.append(time.perf_counter() - began)
    # A new connection is confirmed at once for a while.
    assert min(took[-10:]) < 0.03


def test_a_silent_stream_says_a_comment(serve: Serve, connect: Connect, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    root = serve(keep_alive=1)
    asked = conversation(connect(root))
    with Bare(root) as bare:
        ask_for_run(bare, asked)
        bare.head()
        heard = bare.chunks()
        assert b": keep-alive\n\n" in heard
        assert b": keep-alive\n\n" in heard
        gate.open()
        assert [chunk for chunk in heard if chunk.startswith(b"event: thread.run.completed")]


@pytest.mark.conforms("C-157")
def test_the_sdk_reads_on_behind_a_comment(serve: Serve, connect: Connect, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    root = serve(keep_alive=1)
    asked = conversation(connect(root))
    with Bare(root) as bare, asked.helper(openai.AssistantEventHandler()) as stream:
        said = iter(stream.text_deltas)
        assert next(said) == "Hel"
        # Another stream is silent for as long.
        other = conversation(asked.client)
        provider.reply(text("Other").after(gate))
        ask_for_run(bare, other)
        bare.head()
        assert b": keep-alive\n\n" in bare.chunks()
        gate.open()
        assert list(said) == ["lo"]


@pytest.mark.conforms("C-145")
def test_a_run_goes_on_when_its_reader_has_left(
    url: str, client: openai.OpenAI, provider: ScriptedServer
) -> None:
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"))
    asked = conversation(client)
    with Bare(url) as bare:
        run_id = begun(bare, asked)
        assert gate.reached.wait(DEADLINE)
    gate.open()
    assert asked.poll(run_id).status == "completed"
    [answer, _] = client.beta.threads.messages.list(asked.thread_id).data
    assert texts(answer) == ["Hello"]


def test_who_leaves_before_its_turn_gets_no_run(
    serve: Serve, connect: Connect, provider: ScriptedServer, lines: Lines
) -> None:
    """The wait ends with the connection: else a run would be started of which nobody knows."""
    root = serve(Options(drain=0, active_run="wait"))
    client = connect(root)
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"), text("Second"))
    asked = conversation(client)
    first = asked.start()
    assert gate.reached.wait(DEADLINE)
    with Bare(root) as bare:
        ask_for_run(bare, asked)
    assert lines.next(f"POST /v1/threads/{asked.thread_id}/runs 0 ")
    gate.open()
    assert asked.poll(first.id).status == "completed"
    last = asked.run()
    runs = client.beta.threads.runs.list(asked.thread_id, order="asc").data
    assert [run.id for run in runs] == [first.id, last.id]


@pytest.mark.conforms("C-140", "C-158")
def test_a_slow_reader_holds_up_nobody(url: str, client: openai.OpenAI, provider: ScriptedServer) -> None:
    """More is said than sockets can hold. It gets all of the text in fewer deltas, when the run has ended long ago."""
    words = [f"{number:05}".ljust(8000, ".") for number in range(1200)]
    provider.reply(text(*words))
    asked = conversation(client)
    with Bare(url, room=4096) as bare:
        run_id = begun(bare, asked)
        assert asked.poll(run_id).status == "completed"
        deltas = [chunk for chunk in bare.chunks() if chunk.startswith(b"event: thread.message.delta")]
    said = [
        json.loads(delta.partition(b"data: ")[2])["delta"]["content"][0]["text"]["value"] for delta in deltas
    ]
    assert "".join(said) == "".join(words)
    assert len(said) < len(words)
