"""Conversations with an asynchronous client."""

from dataclasses import dataclass
from typing import Any

from openai import AsyncOpenAI
from openai.types.beta.threads import Run

from tests.contract.conversations import MODEL, texts


@dataclass(frozen=True)
class Talk:
    """A thread and the assistant that answers on it."""

    client: AsyncOpenAI
    assistant_id: str
    thread_id: str

    async def start(self, **settings: Any) -> Run:
        runs: Any = self.client.beta.threads.runs
        return await runs.create(self.thread_id, assistant_id=self.assistant_id, **settings)

    async def stream(self, **settings: Any) -> Any:
        runs: Any = self.client.beta.threads.runs
        return await runs.create(self.thread_id, assistant_id=self.assistant_id, stream=True, **settings)

    async def run(self) -> Run:
        """The newest run, as it is."""
        return (await self.client.beta.threads.runs.list(self.thread_id)).data[0]

    async def rested(self) -> Run:
        """The newest run, polled until it rests."""
        run = await self.run()
        return await self.client.beta.threads.runs.poll(run.id, thread_id=self.thread_id)

    async def answers(self) -> list[tuple[str, list[str]]]:
        """Status and texts of the messages that runs made, oldest first."""
        messages = await self.client.beta.threads.messages.list(self.thread_id, order="asc")
        return [(message.status, texts(message)) for message in messages.data if message.run_id]


async def talk_with(client: AsyncOpenAI) -> Talk:
    """A new assistant, and a thread with a question in it."""
    assistant = await client.beta.assistants.create(model=MODEL)
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    return Talk(client, assistant.id, thread.id)
