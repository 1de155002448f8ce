"""How many statements a whole run takes. None of the figures depends on the thread's length."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from supercompat import SQLAlchemyStorageAdapter, supercompat
from supercompat.storage_adapters.protocol import Row
from supercompat.testing import ScriptedModel, text
from supercompat.wire.objects import Message, Text, TextContent, Thread
from tests.storage.test_statements import statements

#: Streamed, and polled with a look at the messages.
POSTGRESQL = 6, 8
SQLITE = 10, 12

#: Renewed, and looked for, as time passes.
OF_LEASES = "UPDATE runs SET lease_until", "UPDATE runs SET owner"

LAST_TWENTY = {"type": "last_messages", "last_messages": 20}
STRATEGIES = {"auto": {"type": "auto"}, "last_messages": LAST_TWENTY}


async def long_thread(adapter: SQLAlchemyStorageAdapter, length: int) -> str:
    """A thread with so many messages, the user's and, every other, the assistant's."""
    store = adapter.open()
    rows = [
        Row(
            Message(
                id=f"msg_{number}",
                created_at=1,
                thread_id="thread_1",
                role="assistant" if number % 2 else "user",
                content=[TextContent(text=Text(value="A few words. " * 8))],
            )
        )
        for number in range(length)
    ]
    await store.transact(lambda tx: tx.threads.insert(Row(Thread(id="thread_1", created_at=1))))
    await store.transact(lambda tx: tx.messages.insert(*rows))
    await store.aclose()
    return "thread_1"


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("instructions", [None, "Be kind."])
@pytest.mark.parametrize("length", [10, 1000])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_run_without_tools(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database: str,
    length: int,
    instructions: str | None,
    strategy: str,
) -> None:
    url = f"sqlite:///{tmp_path / 'rows.db'}"
    if database == "postgresql":
        url = request.getfixturevalue("postgres_url")
    adapter = SQLAlchemyStorageAdapter(url)
    thread_id = asyncio.run(long_thread(adapter, length))
    model = ScriptedModel(default=text("Hello", " there"))
    with supercompat(client=model, storage=adapter) as client:
        assistant = client.beta.assistants.create(model="gpt-4", instructions=instructions)
        asked: Any = {
            "thread_id": thread_id,
            "assistant_id": assistant.id,
            "truncation_strategy": STRATEGIES[strategy],
        }

        def stream() -> None:
            with client.beta.threads.runs.stream(**asked) as stream:
                stream.until_done()

        def poll() -> None:
            run = client.beta.threads.runs.create_and_poll(**asked)
            newest = client.beta.threads.messages.list(thread_id, limit=1).data[0]
            assert (run.status, newest.run_id) == ("completed", run.id)

        counted = counted_quickly(stream), counted_quickly(poll)
    assert counted == (POSTGRESQL if database == "postgresql" else SQLITE)
    if length == 10:
        assert len(model.requests[0].turns) == 10
    elif strategy == "auto":
        # What a window of 8,192 tokens holds.
        assert all(180 < len(request.turns) < 190 for request in model.requests)
    else:
        assert all(len(request.turns) == 20 for request in model.requests)


def counted_quickly(act: Callable[[], None]) -> int:
    """The statements of the first time that it lasts less than a second: then time adds none to them, except for the
    leases of all runs."""
    for _ in range(10):
        began = monotonic()
        with statements() as sent:
            act()
        if monotonic() - began < 0.9:
            return len([text for text, _ in sent if not text.startswith(OF_LEASES)])
    raise AssertionError("Ten runs in a row lasted longer than a second.")
