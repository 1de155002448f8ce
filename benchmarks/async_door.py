"""The same runs through asynchronous clients: the twin of `sync_door`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import openai

from benchmarks import raw, subjects
from benchmarks.floor import AsyncFloorTransport
from benchmarks.samples import Sample, Stopwatch, UnfinishedError


@asynccontextmanager
async def runs_of(
    subject: str, base_url: str, folder: Path
) -> AsyncIterator[Callable[[str], Awaitable[Sample]]]:
    """Gives a function that carries out and measures one run of a kind: `streamed` or `polled`.

    Args:
        folder: where a database may be made.
    """
    async with openai.AsyncOpenAI(api_key="bench", base_url=base_url) as provider:
        if subject == "raw":
            yield lambda kind: _raw(provider)
            return
        async with client_of(subject, provider, folder) as client:
            assistant = await client.beta.assistants.create(model=raw.MODEL, instructions=raw.INSTRUCTIONS)
            kinds = {"streamed": _streamed, "polled": _polled}
            yield lambda kind: kinds[kind](client, assistant.id)


def client_of(subject: str, provider: openai.AsyncOpenAI, folder: Path) -> openai.AsyncOpenAI:
    """`floor`, or supercompat on `memory` or `sqlite`."""
    if subject != "floor":
        from supercompat import async_supercompat

        return async_supercompat(client=provider, storage=subjects.storage(subject, folder))
    transport = AsyncFloorTransport(provider)
    return openai.AsyncOpenAI(
        api_key="floor", base_url=subjects.FLOOR_URL, http_client=httpx2.AsyncClient(transport=transport)
    )


async def _raw(provider: openai.AsyncOpenAI) -> Sample:
    watch = Stopwatch()
    async with await raw.ask_async(provider) as chunks:
        async for chunk in chunks:
            watch.event(is_text=raw.has_text(chunk))
    return watch.stop()


async def _streamed(client: openai.AsyncOpenAI, assistant_id: str) -> Sample:
    thread_id = await new_thread(client)
    name = None
    watch = Stopwatch()
    async with await client.beta.threads.runs.create(
        thread_id, assistant_id=assistant_id, stream=True
    ) as events:
        async for event in events:
            name = event.event
            watch.event(is_text=name == "thread.message.delta")
    sample = watch.stop()
    if name != "thread.run.completed":
        raise UnfinishedError(f"The last event of a streamed run was {name}.")
    return sample


async def _polled(client: openai.AsyncOpenAI, assistant_id: str) -> Sample:
    thread_id = await new_thread(client)
    watch = Stopwatch()
    run = await client.beta.threads.runs.create_and_poll(thread_id=thread_id, assistant_id=assistant_id)
    sample = watch.stop()
    if run.status != "completed":
        raise UnfinishedError(f"A polled run ended as {run.status}: {run.last_error}")
    return sample


async def new_thread(client: openai.AsyncOpenAI) -> str:
    """A thread with the question in it; its id."""
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": raw.QUESTION}])
    return thread.id
