"""A thread is shortened to what the model takes: by its family, by the alias's model, or as the user says."""

from typing import Any

import pytest
from openai import OpenAI

from supercompat import OpenAIClientAdapter, supercompat
from supercompat.errors import ConfigurationError
from supercompat.testing import ScriptedModel, ScriptedServer, Usage, text
from tests.contract.conversations import conversation

LONG = "word " * 80


def ask(client: OpenAI, model: str) -> None:
    """A question at the end of a hundred messages, of about ten thousand tokens."""
    messages: Any = [{"role": "user", "content": LONG}] * 100
    thread = client.beta.threads.create(messages=messages)
    assistant = client.beta.assistants.create(model=model)
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.status == "completed"


@pytest.mark.conforms("C-076")
@pytest.mark.parametrize(("model", "turns"), [("gpt-4", 53), ("gpt-4o", 100), ("fast", 100), ("unknown", 53)])
def test_what_is_known_of_the_model(model: str, turns: int) -> None:
    scripted = ScriptedModel(default=text("Hello"))
    with supercompat(client=scripted, models={"fast": "gpt-4o"}) as client:
        ask(client, model)
    assert len(scripted.requests[0].turns) == turns


def test_what_the_user_says() -> None:
    with ScriptedServer() as server:
        server.reply(text("Hello"))
        provider = OpenAI(base_url=server.base_url, api_key="key")
        adapter = OpenAIClientAdapter(provider, context_window=1_000)
        with provider, supercompat(client=adapter) as client:
            ask(client, "gpt-4o")
        assert len(server.requests[0].body["messages"]) == 6


def test_a_window_of_nothing_is_refused() -> None:
    with OpenAI(api_key="key") as provider, pytest.raises(ConfigurationError, match="context_window="):
        OpenAIClientAdapter(provider, context_window=0)


@pytest.mark.core
def test_more_messages_than_there_can_be(client: OpenAI, provider: ScriptedServer) -> None:
    talk = conversation(client)
    strategy: Any = {"type": "last_messages", "last_messages": 2**40}
    assert talk.run(truncation_strategy=strategy).status == "completed"
    assert len(provider.requests[0].body["messages"]) == 1


@pytest.mark.parametrize(("counted_for_one", "then"), [(2.0, 26), (0.8, 66), (0.1, 53), (9.0, 53)])
def test_estimates_follow_what_the_provider_counted(counted_for_one: float, then: int) -> None:
    """The first run estimates; its report corrects the next one's, unless it can't be of the prompt."""
    scripted = ScriptedModel(default=text("Hello"))
    estimated = 53 * 104
    scripted.reply(text("Hello").with_usage(Usage(prompt=int(estimated * counted_for_one))))
    with supercompat(client=scripted) as client:
        ask(client, "gpt-4")
        ask(client, "gpt-4")
        ask(client, "another")
    assert [len(request.turns) for request in scripted.requests] == [53, then, 53]
