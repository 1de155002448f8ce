"""`python -m benchmarks.drivers`: the transactions of one streamed run on PostgreSQL, by psycopg and by asyncpg.

asyncpg has to be installed. The drivers take turns; the server is the tests' own, or the one in `DATABASE_URL`.
"""

import argparse
import asyncio
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter, process_time
from uuid import uuid4

from tests.postgresql import databases

from supercompat import SQLAlchemyStorageAdapter
from supercompat.storage_adapters.protocol import PageQuery, Row, RunRow, Store, Transaction
from supercompat.wire.objects import Content, Message, Run, RunStatus, Text, TextContent, Thread

DRIVERS = ("psycopg", "asyncpg")


class Conversation:
    """A thread of twenty messages, and the next run on it."""

    def __init__(self) -> None:
        self.thread = f"thread_{uuid4().hex}"
        self.run = ""

    def begin(self, tx: Transaction) -> None:
        tx.threads.insert(Row(Thread(id=self.thread, created_at=1)))
        tx.messages.insert(*(self._message(f"msg_{uuid4().hex}", 200) for _ in range(20)))

    def transactions(self) -> list[Callable[[Transaction], object]]:
        """What a streamed run without tools stores: created, started, its message, the text so far, the end."""
        self.run, answer = f"run_{uuid4().hex}", f"msg_{uuid4().hex}"

        def create(tx: Transaction) -> None:
            tx.threads.get(self.thread, lock=True)
            tx.runs.insert(self._row("queued"))

        def start(tx: Transaction) -> None:
            tx.runs.put(self._row("in_progress"), expected=["queued"])
            tx.messages.page(PageQuery({"thread_id": self.thread}))

        def end(tx: Transaction) -> None:
            tx.messages.put(self._message(answer, 800))
            tx.runs.put(self._row("completed"), expected=["in_progress"])

        return [
            create,
            start,
            lambda tx: tx.messages.insert(self._message(answer, 0)),
            lambda tx: tx.messages.put(self._message(answer, 400)),
            end,
        ]

    def _message(self, id: str, length: int) -> Row[Message]:
        content: list[Content] = [TextContent(text=Text(value="x" * length))]
        return Row(Message(id=id, created_at=1, thread_id=self.thread, role="user", content=content))

    def _row(self, status: RunStatus) -> RunRow:
        run = Run(
            id=self.run, created_at=1, thread_id=self.thread, assistant_id="asst_1", model="m", status=status
        )
        return RunRow(run, owner="owner_1", lease_until=9e9, fence=1)


async def carry_out(store: Store, conversation: Conversation, runs: int) -> None:
    for _ in range(runs):
        for work in conversation.transactions():
            await store.transact(work)


async def measured(store: Store, conversations: Sequence[Conversation], runs: int) -> tuple[float, float]:
    """Milliseconds for one run: by the clock, and of this process's own work."""
    began, worked = perf_counter(), process_time()
    await asyncio.gather(*(carry_out(store, each, runs) for each in conversations))
    count = runs * len(conversations)
    return 1000 * (perf_counter() - began) / count, 1000 * (process_time() - worked) / count


async def compare(url: str, *, rounds: int, runs: int, at_once: int) -> None:
    await SQLAlchemyStorageAdapter(url).upgrade()
    stores = {
        driver: SQLAlchemyStorageAdapter(url.replace("postgresql:", f"postgresql+{driver}:")).open()
        for driver in DRIVERS
    }
    conversations = [Conversation() for _ in range(at_once)]
    figures: dict[str, list[tuple[float, float]]] = {driver: [] for driver in DRIVERS}
    for each in conversations:
        await stores["psycopg"].transact(each.begin)
    for store in stores.values():
        await measured(store, conversations, 5)
    for number in range(rounds):
        for driver in DRIVERS if number % 2 else DRIVERS[::-1]:
            figures[driver].append(await measured(stores[driver], conversations, max(runs // at_once, 1)))
    for store in stores.values():
        await store.aclose()
    for driver, found in figures.items():
        clock, work = (median(each) for each in zip(*found, strict=True))
        print(f"{at_once:3} at once  {driver:8} {clock:6.2f} ms a run, of it {work:6.2f} ms our own work")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often each driver's turn comes")
    parser.add_argument("--runs", type=int, default=40, help="runs in each turn")
    arguments = parser.parse_args()
    with databases() as made:
        for at_once in (1, 16):
            url = made.url(made.create())
            asyncio.run(compare(url, rounds=arguments.rounds, runs=arguments.runs, at_once=at_once))


if __name__ == "__main__":
    main()
