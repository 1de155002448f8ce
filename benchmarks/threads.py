"""`python -m benchmarks.threads`: statements and times of a run, on threads of more and more messages.

Every run asks a scripted model that answers at once: what is left is ours, and the database's. A PostgreSQL server is
started for it, as for the tests.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any
from warnings import simplefilter

import sqlalchemy as sa
from openai import OpenAI
from rich import box
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, event
from tests.postgresql import databases

from supercompat import SQLAlchemyStorageAdapter, supercompat
from supercompat.storage_adapters.protocol import Row, Store
from supercompat.storage_adapters.sql import schema
from supercompat.testing import ScriptedModel, text
from supercompat.wire.objects import Message, Text, TextContent, Thread

LENGTHS = (10, 1_000, 100_000)
STRATEGIES = {"last 20": {"type": "last_messages", "last_messages": 20}, "auto": {"type": "auto"}}
#: A model whose context window of 128,000 tokens takes some thousands of these messages, and one of 8,192.
MODELS = {"gpt-4o": "128k", "gpt-4": "8k"}
WORDS = "A question, or an answer, of some twenty words, as people write them when they talk to each other in a chat. "
ROWS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Figures:
    """Of some runs of a kind: statements a run, milliseconds to the first event of text and to the end, turns sent."""

    streamed: set[int]
    polled: set[int]
    first: Sequence[float]
    whole: Sequence[float]
    turns: int


def main() -> None:
    """Measures, and shows one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads", description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="streamed runs of each kind (%(default)s)")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, help="messages (%(default)s)")
    arguments = parser.parse_args()
    simplefilter("ignore", DeprecationWarning)
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    table = Table(box=box.ROUNDED if console.is_terminal else box.MARKDOWN)
    for name in (
        "database",
        "window",
        "strategy",
        "messages",
        "turns sent",
        "statements: streamed",
        "polled",
    ):
        table.add_column(name)
    for name in ("first text, ms", "p90", "whole, ms", "p90"):
        table.add_column(name, justify="right")
    with ExitStack() as stack:
        urls = _databases(stack)
        for database, url in urls.items():
            for length in arguments.lengths:
                adapter = SQLAlchemyStorageAdapter(url)
                asyncio.run(_make_thread(adapter, length))
                for model, window in MODELS.items():
                    for strategy in STRATEGIES:
                        figures = _measure(adapter, f"thread_{length}", model, strategy, arguments.runs)
                        table.add_row(database, window, strategy, f"{length:,}", *_cells(figures))
    console.print(table)


def _databases(stack: ExitStack) -> dict[str, str]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    server = stack.enter_context(databases())
    url = server.url(server.create())
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        schema.ensure(connection)
    engine.dispose()
    return {"SQLite": f"sqlite:///{folder / 'threads.db'}", "PostgreSQL": url}


async def _make_thread(adapter: SQLAlchemyStorageAdapter, length: int) -> None:
    store = adapter.open()
    thread = Thread(id=f"thread_{length}", created_at=1)
    await store.transact(lambda tx: tx.threads.insert(Row(thread)))
    for first in range(0, length, ROWS_AT_ONCE):
        await _add_messages(store, thread.id, range(first, min(first + ROWS_AT_ONCE, length)))
    await store.aclose()


async def _add_messages(store: Store, thread_id: str, numbers: range) -> None:
    rows = [
        Row(
            Message(
                id=f"msg_{thread_id}_{number}",
                created_at=1,
                thread_id=thread_id,
                role="assistant" if number % 2 else "user",
                content=[TextContent(text=Text(value=WORDS))],
            )
        )
        for number in numbers
    ]
    await store.transact(lambda tx: tx.messages.insert(*rows))


def _measure(
    adapter: SQLAlchemyStorageAdapter, thread_id: str, model: str, strategy: str, count: int
) -> Figures:
    script = ScriptedModel(default=text("Hello", " there"))
    with supercompat(client=script, storage=adapter) as client:
        assistant = client.beta.assistants.create(model=model)
        asked: dict[str, Any] = {
            "thread_id": thread_id,
            "assistant_id": assistant.id,
            "truncation_strategy": STRATEGIES[strategy],
        }
        # The first ones compile the statements, and warm what is read.
        for _ in range(3):
            _stream(client, asked)
        streams = [_stream(client, asked) for _ in range(count)]
        polls = {_poll(client, asked) for _ in range(3)}
    return Figures(
        streamed={statements for statements, _, _ in streams},
        polled=polls,
        first=[first for _, first, _ in streams],
        whole=[whole for _, _, whole in streams],
        turns=len(script.requests[-1].turns),
    )


def _stream(client: OpenAI, asked: dict[str, Any]) -> tuple[int, float, float]:
    """Statements, and milliseconds to the first text and to the end. The answer is deleted again."""
    first = 0.0
    with _counted() as statements:
        began = perf_counter()
        with client.beta.threads.runs.stream(**asked) as stream:
            for each in stream:
                if each.event == "thread.message.delta" and not first:
                    first = perf_counter() - began
        whole = perf_counter() - began
    for answer in stream.get_final_messages():
        client.beta.threads.messages.delete(answer.id, thread_id=asked["thread_id"])
    return len(statements), first * 1000, whole * 1000


def _poll(client: OpenAI, asked: dict[str, Any]) -> int:
    with _counted() as statements:
        client.beta.threads.runs.create_and_poll(**asked)
        client.beta.threads.messages.list(asked["thread_id"], limit=1)
    return len(statements)


@contextmanager
def _counted() -> Iterator[list[str]]:
    """All statements meanwhile but those that time brings about: leases are renewed, and what has none looked for."""
    sent: list[str] = []

    def listen(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if not statement.startswith(("UPDATE runs SET lease_until", "UPDATE runs SET owner")):
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", listen)


def _cells(figures: Figures) -> list[str]:
    statements = [", ".join(map(str, sorted(counted))) for counted in (figures.streamed, figures.polled)]
    times = [
        f"{value:.1f}"
        for times in (figures.first, figures.whole)
        for value in (median(times), quantiles(times, n=10)[-1])
    ]
    return [str(figures.turns), *statements, *times]


if __name__ == "__main__":
    main()
