"""How to test an application that uses the Assistants API without a provider, a key or a network.

pytest examples/own_tests.py
"""

from collections.abc import Iterator

import pytest
from openai import OpenAI

from supercompat import supercompat
from supercompat.testing import ScriptedModel, call, error, text, tool_calls


def summarize(client: OpenAI, article: str) -> str:
    """A function of the application: its code knows nothing of supercompat."""
    assistant = client.beta.assistants.create(model="gpt-4o", instructions="Summarize in one sentence.")
    thread = client.beta.threads.create(messages=[{"role": "user", "content": article}])
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    if run.status != "completed":
        raise RuntimeError(f"No summary: the run is {run.status}.")
    newest = client.beta.threads.messages.list(thread.id, limit=1).data[0]
    return "".join(part.text.value for part in newest.content if part.type == "text")


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def client(model: ScriptedModel) -> Iterator[OpenAI]:
    with supercompat(client=model) as client:
        yield client


def test_the_summary_is_what_the_model_says(client: OpenAI, model: ScriptedModel) -> None:
    model.reply(text("Cats ", "sleep."))
    assert summarize(client, "A long article about cats") == "Cats sleep."
    assert model.requests[0].model == "gpt-4o"
    assert model.requests[0].instructions == "Summarize in one sentence."


def test_a_failure_of_the_provider_is_reported(client: OpenAI, model: ScriptedModel) -> None:
    model.reply(error(500, "The provider is down."))
    with pytest.raises(RuntimeError, match="the run is failed"):
        summarize(client, "A long article about cats")


def test_a_call_that_nobody_expects_is_reported(client: OpenAI, model: ScriptedModel) -> None:
    model.reply(tool_calls(call("look_up", '{"word": "cat"}')))
    with pytest.raises(RuntimeError, match="the run is requires_action"):
        summarize(client, "A long article about cats")
