"""An answer cut anywhere, between its characters or its bytes, gives the same messages, steps, usage and deltas."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import openai
import pytest
from groq import Groq
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI

from supercompat import GroqClientAdapter, OpenAIClientAdapter, Options, supercompat
from supercompat.testing import Reply, ScriptedServer, Usage, call, refusal, text, tool_calls
from tests.contract.conversations import (
    CLOCK,
    WEATHER,
    Conversation,
    Json,
    call_ids,
    conversation,
    heard,
    only,
)

SAID = "Grüße! 🎉 It is\r\n\n noon; data: [DONE] \u2028\x85."
ARGUMENTS = '{"zone": "Europe/Zürich", "list": [1, 2]}'
USAGE = Usage(prompt=20, completion=10, cached=3, reasoning=2)

Cut: TypeAlias = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(scope="module", params=["openai", "openai-async", "groq"])
def client(request: pytest.FixtureRequest, server: ScriptedServer) -> Iterator[OpenAI]:
    """A client for all the examples of a test, in front of a real SDK."""
    adapters: dict[str, Callable[[], Any]] = {
        "openai": lambda: OpenAIClientAdapter(OpenAI(base_url=server.base_url, api_key="test-key")),
        "openai-async": lambda: OpenAIClientAdapter(
            openai.AsyncOpenAI(base_url=server.base_url, api_key="test-key")
        ),
        "groq": lambda: GroqClientAdapter(Groq(base_url=server.url, api_key="test-key")),
    }
    with supercompat(client=adapters[request.param](), options=Options(drain=0)) as client:
        yield client


@st.composite
def cuts(draw: st.DrawFn) -> Cut:
    """A way to cut texts into pieces."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))

    def cut(whole: str) -> list[str]:
        pieces: list[str] = []
        while whole:
            size = sizes[len(pieces) % len(sizes)]
            pieces.append(whole[:size])
            whole = whole[size:]
        return pieces

    return cut


def whole(said: str) -> list[str]:
    return [said]


SIZES = st.lists(st.integers(1, 40) | st.integers(100, 2000), max_size=6)


def answers(cut: Cut, sizes: list[int]) -> list[Reply]:
    """Two rounds: text and two calls, then text and a refusal."""
    calls = tool_calls(
        call("get_time", *cut(ARGUMENTS), id="call_1"), call("get_weather", *cut(ARGUMENTS), id="call_2")
    )
    rounds = [text(*cut(SAID)) + calls, text(*cut(SAID[::-1])) + refusal(*cut("No."))]
    return [each.with_usage(USAGE).cut(*sizes) for each in rounds]


def outcome(asked: Conversation) -> Json:
    """What the streams of a run say, and what is kept of it; without ids and times."""
    events = heard(asked.stream())
    waiting = asked.retrieve(events[0].data["id"])
    events += heard(asked.submit_stream(waiting.id, dict.fromkeys(call_ids(waiting), "12:00")))
    run = only(events, "thread.run.completed")
    assert run == asked.retrieve(run["id"]).to_dict()
    added: dict[str, str] = {}
    for event in events:
        for place, piece in deltas(event.data):
            added[f"{place}"] = added.get(place, "") + piece
    return {
        "added": list(added.values()),
        "calls": call_ids(waiting),
        "messages": [message.to_dict()["content"] for message in asked.answers()],
        "steps": [step_of(step.to_dict()) for step in asked.steps(run["id"])],
        "usage": run["usage"],
        "events": [event.name for event in events if not event.name.endswith(".delta")],
    }


def deltas(data: Json) -> Iterator[tuple[str, str]]:
    """The part that a delta continues, and with what."""
    delta: Json = data.get("delta", {})
    for part in delta.get("content", []):
        said = part["refusal"] if part["type"] == "refusal" else part["text"]["value"]
        yield f"{data['id']} {part['index']}", said
    for made in delta.get("step_details", {}).get("tool_calls", []):
        yield f"{data['id']} {made['index']}", made["function"]["arguments"]


def step_of(step: Any) -> Json:
    kept = ("type", "status", "usage", "last_error")
    return {name: step[name] for name in kept} | {"calls": step["step_details"].get("tool_calls")}


def check(client: OpenAI, server: ScriptedServer, cut: Cut, sizes: list[int]) -> None:
    server.reply(*answers(whole, []), *answers(cut, sizes))
    expected, found = (outcome(conversation(client, tools=[CLOCK, WEATHER])) for _ in range(2))
    assert expected["added"] == [SAID, ARGUMENTS, ARGUMENTS, SAID[::-1], "No."]
    assert found == expected


@pytest.mark.conforms("C-125", "C-133", "C-140")
@settings(max_examples=8, deadline=None)
@given(cut=cuts(), sizes=SIZES)
def test_pieces_make_no_difference(
    client: OpenAI, server: ScriptedServer, cut: Cut, sizes: list[int]
) -> None:
    check(client, server, cut, sizes)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(cut=cuts(), sizes=SIZES)
def test_pieces_of_any_kind_make_no_difference(
    client: OpenAI, server: ScriptedServer, cut: Cut, sizes: list[int]
) -> None:
    check(client, server, cut, sizes)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_few_bytes_at_a_time(client: OpenAI, server: ScriptedServer, size: int) -> None:
    check(client, server, whole, [size])
