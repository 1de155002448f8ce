"""Runs through synchronous clients: the provider's own, the floor's, supercompat's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import openai

from benchmarks import raw, subjects
from benchmarks.floor import FloorTransport
from benchmarks.samples import Sample, Stopwatch, UnfinishedError


@contextmanager
def runs_of(subject: str, base_url: str, folder: Path) -> Iterator[Callable[[str], Sample]]:
    """Gives a function that carries out and measures one run of a kind: `streamed` or `polled`.

    Args:
        folder: where a database may be made.
    """
    with openai.OpenAI(api_key="bench", base_url=base_url) as provider:
        if subject == "raw":
            yield lambda kind: _raw(provider)
            return
        with client_of(subject, provider, folder) as client:
            assistant = client.beta.assistants.create(model=raw.MODEL, instructions=raw.INSTRUCTIONS)
            kinds = {"streamed": _streamed, "polled": _polled}
            yield lambda kind: kinds[kind](client, assistant.id)


def client_of(subject: str, provider: openai.OpenAI, folder: Path) -> openai.OpenAI:
    """`floor`, or supercompat on `memory` or `sqlite`."""
    if subject != "floor":
        from supercompat import supercompat

        return supercompat(client=provider, storage=subjects.storage(subject, folder))
    transport = FloorTransport(provider)
    return openai.OpenAI(
        api_key="floor", base_url=subjects.FLOOR_URL, http_client=httpx2.Client(transport=transport)
    )


def _raw(provider: openai.OpenAI) -> Sample:
    watch = Stopwatch()
    with raw.ask(provider) as chunks:
        for chunk in chunks:
            watch.event(is_text=raw.has_text(chunk))
    return watch.stop()


def _streamed(client: openai.OpenAI, assistant_id: str) -> Sample:
    thread_id = new_thread(client)
    name = None
    watch = Stopwatch()
    with client.beta.threads.runs.create(thread_id, assistant_id=assistant_id, stream=True) as events:
        for event in events:
            name = event.event
            watch.event(is_text=name == "thread.message.delta")
    sample = watch.stop()
    if name != "thread.run.completed":
        raise UnfinishedError(f"The last event of a streamed run was {name}.")
    return sample


def _polled(client: openai.OpenAI, assistant_id: str) -> Sample:
    thread_id = new_thread(client)
    watch = Stopwatch()
    run = client.beta.threads.runs.create_and_poll(thread_id=thread_id, assistant_id=assistant_id)
    sample = watch.stop()
    if run.status != "completed":
        raise UnfinishedError(f"A polled run ended as {run.status}: {run.last_error}")
    return sample


def new_thread(client: openai.OpenAI) -> str:
    """A thread with the question in it; its id."""
    return client.beta.threads.create(messages=[{"role": "user", "content": raw.QUESTION}]).id
