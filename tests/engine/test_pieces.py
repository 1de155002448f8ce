"""Answers cut anywhere, all the way: from a model's pieces to what a client is streamed and reads afterwards."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI

from supercompat import supercompat
from supercompat.testing import Reply, ScriptedModel, Usage, call, text, tool_calls
from tests.contract.conversations import CLOCK, Json, conversation

SAID = "Grüße! 🎉 It is\r\n\n noon."
ARGUMENTS = '{"zone": "Europe/Zürich", "list": [1, 2]}'
USAGE = Usage(prompt=20, completion=10)


@pytest.fixture(scope="module")
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture(scope="module")
def client(model: ScriptedModel) -> Iterator[OpenAI]:
    with supercompat(client=model) as client:
        yield client


def pieces(whole: str) -> st.SearchStrategy[list[str]]:
    """The text, cut at any places."""
    places = st.sets(st.integers(1, len(whole) - 1))
    return places.map(
        lambda found: [whole[a:b] for a, b in zip([0, *sorted(found)], [*sorted(found), None], strict=True)]
    )


def outcome(client: OpenAI, model: ScriptedModel, answer: Reply) -> tuple[str, list[Json], list[Json], Json]:
    """The text that was streamed; the messages, steps and usage that are kept; without what differs by nature."""
    model.reply(answer, text("Done.").with_usage(USAGE))
    asked = conversation(client, tools=[CLOCK])
    deltas: list[str] = []
    for event in asked.stream():
        if event.event == "thread.message.delta":
            deltas += [part.text.value for part in event.data.delta.content]
    (run,) = client.beta.threads.runs.list(asked.thread_id).data
    if run.status == "requires_action":
        run = asked.submit_and_poll(run.id, {"call_1": "12:00"})
    assert run.status == "completed"
    assert run.usage
    return (
        "".join(deltas),
        [message.to_dict()["content"] for message in asked.answers()],  # type: ignore[misc]
        [without_ids(step.to_dict()) for step in asked.steps(run.id)],
        run.usage.to_dict(),
    )


def without_ids(step: Json) -> Json:
    kept = ("type", "status", "usage", "last_error")
    return {name: step[name] for name in kept} | {"calls": step["step_details"].get("tool_calls")}


@settings(max_examples=12, deadline=None)
@given(said=pieces(SAID), arguments=pieces(ARGUMENTS))
def test_pieces_make_no_difference(
    client: OpenAI, model: ScriptedModel, said: list[str], arguments: list[str]
) -> None:
    def answer(said: list[str], arguments: list[str]) -> Reply:
        calling = tool_calls(call("get_time", *arguments, id="call_1"))
        return (text(*said) + calling).with_usage(USAGE)

    whole = outcome(client, model, answer([SAID], [ARGUMENTS]))
    assert whole[0] == SAID
    assert outcome(client, model, answer(said, arguments)) == whole
