"""`python -m benchmarks.races`: two requests create a run on the same thread at the same moment, again and again.

On a file of SQLite and on PostgreSQL the two come from two clients, as from two processes; memory has one client and
two threads. The winner's run is held until both have been answered. Exactly one has to win each time, and the other one
has to be refused as the API does; with `--enqueue` it has to stand in line, and to be carried out when the first has
ended. It exits with 1 otherwise.
"""

import argparse
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from time import monotonic
from warnings import simplefilter

import openai
from openai import OpenAI
from tests.postgresql import databases

from supercompat import MemoryStorageAdapter, Options, SQLAlchemyStorageAdapter, supercompat
from supercompat.testing import Gate, ScriptedModel, text

STORAGES = ("memory", "sqlite", "postgresql")
MODEL = "gpt-4o-mini"


@contextmanager
def clients(storage: str, model: ScriptedModel) -> Iterator[Sequence[OpenAI]]:
    """Two that race: the same client twice where its storage is its own."""
    with ExitStack() as stack:
        if storage == "memory":
            adapters = [MemoryStorageAdapter()]
        else:
            url = f"sqlite:///{stack.enter_context(tempfile.TemporaryDirectory())}/races.db"
            if storage == "postgresql":
                made = stack.enter_context(databases())
                url = made.url(made.create_upgraded())
            adapters = [SQLAlchemyStorageAdapter(url) for _ in range(2)]
        racers = [
            stack.enter_context(supercompat(client=model, storage=adapter, options=Options(drain=1)))
            for adapter in adapters
        ]
        yield (racers * 2)[:2]


def race(racers: Sequence[OpenAI], model: ScriptedModel, pool: ThreadPoolExecutor, assistant_id: str) -> str:
    """What came of one race, in words."""
    gate, start = Gate(), threading.Barrier(2)
    model.reply(text("Hello").after(gate))
    threads = racers[0].beta.threads
    thread_id = threads.create(messages=[{"role": "user", "content": "Hi"}]).id

    def attempt(client: OpenAI) -> str:
        start.wait()
        try:
            return client.beta.threads.runs.create(thread_id, assistant_id=assistant_id).id
        except openai.BadRequestError as error:
            return "refused" if "already has an active run" in error.message else error.message

    answers = list(pool.map(attempt, racers))
    gate.open()
    winners = [answer for answer in answers if answer.startswith("run_")]
    others = [answer for answer in answers if answer not in winners]
    stored = [run.id for run in threads.runs.list(thread_id)]
    if stored != winners or any(answer != "refused" for answer in others):
        return f"answers {answers}, stored {stored}"
    for run_id in winners:
        if (status := threads.runs.poll(run_id, thread_id=thread_id).status) != "completed":
            return f"the winner's run is {status}"
    return f"{len(winners)} won"


def race_in_line(
    racers: Sequence[OpenAI], model: ScriptedModel, pool: ThreadPoolExecutor, assistant_id: str
) -> str:
    """What came of one race whose loser stands in line."""
    gate, start = Gate(), threading.Barrier(2)
    model.reply(text("First").after(gate), text("Second"))
    threads = racers[0].beta.threads
    thread_id = threads.create(messages=[{"role": "user", "content": "Hi"}]).id

    def attempt(client: OpenAI) -> str:
        start.wait()
        header = {"supercompat-active-run": "enqueue"}
        return client.beta.threads.runs.create(thread_id, assistant_id=assistant_id, extra_headers=header).id

    attempts = [pool.submit(attempt, client) for client in racers]
    answers = [each.result() for each in attempts]
    gate.open()
    stored = [run.id for run in threads.runs.list(thread_id, order="asc")]
    ends = [threads.runs.poll(run_id, thread_id=thread_id).status for run_id in stored]
    said = [message.run_id for message in threads.messages.list(thread_id, order="asc") if message.run_id]
    if sorted(stored) != sorted(answers) or said != stored or ends != ["completed"] * 2:
        return f"answers {answers}, stored {stored}, ended {ends}, said by {said}"
    return "one after another"


def races(storage: str, count: int, *, enqueue: bool) -> bool:
    """Carry out so many, and say what came of them. Whether it was right each time."""
    carry_out, right = (race_in_line, "one after another") if enqueue else (race, "1 won")
    model, began, outcomes = ScriptedModel(), monotonic(), Counter[str]()
    with clients(storage, model) as racers, ThreadPoolExecutor(2) as pool:
        assistant_id = racers[0].beta.assistants.create(model=MODEL).id
        for client in racers:
            client.beta.assistants.list()
        for _ in range(count):
            outcomes[carry_out(racers, model, pool, assistant_id)] += 1
    told = ", ".join(f"{outcome}: {times}" for outcome, times in outcomes.most_common())
    print(f"{storage:<11} {count} races in {monotonic() - began:.1f} s; {told}", flush=True)
    return outcomes == Counter({right: count})


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.races", description=__doc__)
    parser.add_argument("--races", type=int, default=1000, help="on each storage (1000)")
    parser.add_argument("--storage", choices=STORAGES, action="append", help="all of them, if none is named")
    parser.add_argument("--enqueue", action="store_true", help="the loser stands in line")
    given = parser.parse_args()
    simplefilter("ignore", DeprecationWarning)
    outcomes = [races(storage, given.races, enqueue=given.enqueue) for storage in given.storage or STORAGES]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
