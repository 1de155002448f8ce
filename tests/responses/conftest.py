"""Runs through the Responses API of a scripted provider."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from openai import AzureOpenAI, OpenAI

from supercompat import Options, ResponsesRunAdapter, supercompat
from supercompat.testing import Failure, Reply, ScriptedServer


@dataclass
class Talk:
    """A thread with an assistant."""

    client: OpenAI
    provider: Any
    assistant_id: str
    thread_id: str

    def run(self, *replies: Reply | Failure, **settings: Any) -> Any:
        self.provider.reply(*replies)
        return self.run_as_scripted(**settings)

    def run_as_scripted(self, **settings: Any) -> Any:
        return self.client.beta.threads.runs.create_and_poll(
            thread_id=self.thread_id, assistant_id=self.assistant_id, **settings
        )

    def stream(self, *replies: Reply, **settings: Any) -> list[Any]:
        """The events of a run."""
        self.provider.reply(*replies)
        return list(
            self.client.beta.threads.runs.create(
                self.thread_id, assistant_id=self.assistant_id, stream=True, **settings
            )
        )

    def submit(self, run: Any, *replies: Reply, **outputs: str) -> Any:
        """The run, with these outputs by the name of the function."""
        self.provider.reply(*replies)
        calls = run.required_action.submit_tool_outputs.tool_calls
        return self.client.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id,
            thread_id=self.thread_id,
            tool_outputs=[{"tool_call_id": call.id, "output": outputs[call.function.name]} for call in calls],
        )

    def steps(self, run: Any, **query: Any) -> list[Any]:
        return list(
            self.client.beta.threads.runs.steps.list(run.id, thread_id=self.thread_id, order="asc", **query)
        )

    def answer(self) -> Any:
        """The newest message."""
        return self.client.beta.threads.messages.list(self.thread_id, limit=1).data[0]

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The bodies of the requests for answers."""
        return [each.body for each in self.provider.requests if each.method == "POST" and each.body]


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def _openai(server: Any) -> OpenAI:
    return OpenAI(base_url=server.base_url, api_key="test-key", max_retries=0)


def _azure(server: Any) -> OpenAI:
    return AzureOpenAI(azure_endpoint=server.url, api_key="test-key", api_version="preview", max_retries=0)


MakeTalk = Callable[..., Talk]


@pytest.fixture
def talk(provider: ScriptedServer) -> Iterator[MakeTalk]:
    """Makes a conversation: takes the run adapter's options as `how`, another provider as `server`, and whether it is
    asked as Azure; the rest is the assistant's."""
    with ExitStack() as stack:

        def make(
            *,
            how: dict[str, Any] | None = None,
            server: Any = provider,
            azure: bool = False,
            **assistant: Any,
        ) -> Talk:
            inner = stack.enter_context(_azure(server) if azure else _openai(server))
            client = supercompat(
                client=inner,
                run_adapter=ResponsesRunAdapter(**(how or {})),
                options=Options(drain=0),
            )
            stack.callback(client.close)
            settings: dict[str, Any] = {"model": "gpt-4.1", **assistant}
            made = client.beta.assistants.create(**settings)
            thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
            return Talk(client, server, made.id, thread.id)

        yield make
