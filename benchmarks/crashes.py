"""`python -m benchmarks.crashes`: runs under way in several processes while the processes, or PostgreSQL, are stopped.

Conversations ask one question after the other, each in whichever process there is. Every few seconds a process is
killed and another one started; with `--restart` PostgreSQL is stopped and started instead. Afterwards is counted, from
what is stored, whether every run ended, none twice, no thread stayed locked, and no message was lost.
"""

import argparse
import random
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Event
from time import monotonic
from typing import IO, Any, TypeVar

from openai.types.beta.threads import Message, Run
from tests.postgresql import Databases, Server, start_server
from tests.processes.worker import Settings
from tests.processes.workers import GoneError, Nursery, RefusedError, Worker

from supercompat.testing import Reply, ScriptedServer, text

T = TypeVar("T")

ANSWER = [f"word {number} " for number in range(12)]
PACE = {"first": 0.6, "interval": 0.2}
ACTIVE = {"queued", "in_progress", "cancelling", "requires_action"}
#: Seconds within which a call is answered, and every run has ended after the load.
PATIENCE = 60.0


@dataclass(frozen=True)
class Load:
    """How much, how long, and with what in the way: as on the command line."""

    runs: int
    processes: int
    seconds: float
    every: float
    down: float
    lease: float


class Pool:
    """The processes there are. One that is killed is replaced by another."""

    def __init__(self, count: int, settings: Settings, log: IO[str]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._nursery = Nursery(log)
        self._all: list[Worker] = []
        self._workers = [self._start() for _ in range(count)]

    def any(self) -> Worker:
        with self._lock:
            return random.choice(self._workers)

    def kill_one(self) -> None:
        fresh = self._start()
        with self._lock:
            place = random.randrange(len(self._workers))
            killed, self._workers[place] = self._workers[place], fresh
        killed.kill()

    def close(self) -> None:
        for worker in self._all:
            worker.close()
        self._nursery.close()

    def _start(self) -> Worker:
        worker = self._nursery.take(self._settings)
        worker.patience = PATIENCE
        self._all.append(worker)
        return worker


class Conversation:
    """Asks one question after the other, and notes what it was told. A question that failed is looked for first,
    then asked again, as a careful caller would."""

    def __init__(self, name: int, pool: Pool, problems: "Counter[str]") -> None:
        self._name = name
        self._pool = pool
        self._problems = problems
        self.assistant_id: str = self.call(lambda client: client.beta.assistants.create(model="m")).id
        self.thread_id: str = self.call(lambda client: client.beta.threads.create()).id
        self.slowest = 0.0
        self.asked: set[str] = set()
        self.runs: set[str] = set()
        self.heard: dict[str, tuple[str, str]] = {}

    def talk(self, over: Event) -> None:
        number = 0
        while not over.is_set():
            question = f"{self._name}: {number}"
            self._once(lambda c, q=question: self._ask(c, q), lambda c, q=question: self._message(c, q))
            self.asked.add(question)
            run_id = self._once(lambda c, n=number: self._run(c, n), lambda c, n=number: self._run_of(c, n))
            self.runs.add(run_id)
            self.wait(run_id)
            number += 1

    def call(self, work: Callable[[Any], T]) -> T:
        """The result of a call in some process, tried until one answers."""
        return self._once(work, lambda _: None)

    def wait(self, run_id: str) -> Run:
        return self.call(lambda c: c.beta.threads.runs.poll(run_id, thread_id=self.thread_id))

    def messages(self) -> list[Message]:
        return self.call(lambda c: c.beta.threads.messages.list(self.thread_id, order="asc", limit=100))

    def all_runs(self) -> list[Run]:
        return self.call(lambda c: c.beta.threads.runs.list(self.thread_id, limit=100))

    def _once(self, work: Callable[[Any], T], find: Callable[[Any], T | None]) -> T:
        """Carry it out once: after a failure, what has become of it is asked first."""
        began = monotonic()
        tries = 0
        while True:
            client = self._pool.any().client
            try:
                found = find(client) if tries else None
                return work(client) if found is None else found
            except (GoneError, RefusedError, TimeoutError) as problem:
                self._problems[_words(problem)] += 1
                if monotonic() - began > PATIENCE:
                    raise
            tries += 1
            Event().wait(0.2)

    def _ask(self, client: Any, question: str) -> str:
        began = monotonic()
        message = client.beta.threads.messages.create(self.thread_id, role="user", content=question)
        self.slowest = max(self.slowest, monotonic() - began)
        return message.id

    def _message(self, client: Any, question: str) -> str | None:
        messages: list[Message] = client.beta.threads.messages.list(self.thread_id)
        return next((message.id for message in messages if _text(message) == question), None)

    def _run(self, client: Any, number: int) -> str:
        """Every other run is streamed."""
        settings: Any = {"assistant_id": self.assistant_id, "metadata": {"number": str(number)}}
        runs = client.beta.threads.runs
        if number % 2:
            return runs.create_and_poll(thread_id=self.thread_id, **settings).id
        events: list[Any] = runs.create(self.thread_id, stream=True, **settings)
        run_id: str = events[0].data.id if events[0].event == "thread.created" else _first_run(events)
        if events[-1].event == "thread.run.completed":
            [whole] = [event.data for event in events if event.event == "thread.message.completed"]
            deltas = [event.data.delta.content for event in events if event.event == "thread.message.delta"]
            self.heard[run_id] = _text(whole), "".join(part.text.value for delta in deltas for part in delta)
        elif events[-1].event == "error":
            self._problems[f"a stream's error event: {events[-1].data.message}"] += 1
        return run_id

    def _run_of(self, client: Any, number: int) -> str | None:
        runs: list[Run] = client.beta.threads.runs.list(self.thread_id)
        return next((run.id for run in runs if run.metadata == {"number": str(number)}), None)


def _first_run(events: Sequence[Any]) -> str:
    return next(event.data.id for event in events if event.event == "thread.run.created")


def _text(message: Message) -> str:
    return "".join(part.text.value for part in message.content if part.type == "text")


def _words(problem: Exception) -> str:
    if isinstance(problem, GoneError):
        return "the process was killed"
    status = getattr(problem, "status", None)
    return f"{status}: {problem}" if status else f"{type(problem).__name__}: {problem}"


@dataclass(frozen=True)
class Outcome:
    """What was counted afterwards."""

    lines: Sequence[str]
    faults: Sequence[str]


def under_load(database: str, load: Load, disturb: Callable[[Pool], None]) -> Outcome:
    """Put the load on a database, disturb it, and look at what is left."""
    asked: Counter[str] = Counter()
    problems: Counter[str] = Counter()

    def reply(request: Any) -> Reply:
        asked[request.body["messages"][-1]["content"]] += 1
        return text(*ANSWER).paced(**PACE)

    with ScriptedServer(default=reply) as provider, ExitStack() as stack:
        log = stack.enter_context(tempfile.TemporaryFile("w+"))
        pool = Pool(load.processes, Settings(provider.base_url, database, {"lease": load.lease}), log)
        stack.callback(pool.close)
        talks = [Conversation(name, pool, problems) for name in range(load.runs)]
        over = Event()
        threads = [threading.Thread(target=talk.talk, args=(over,), daemon=True) for talk in talks]
        for thread in threads:
            thread.start()
        disturbed = _until_over(load, lambda: disturb(pool))
        over.set()
        ended = monotonic()
        for thread in threads:
            thread.join(max(0.0, ended + PATIENCE - monotonic()))
        stuck = sum(thread.is_alive() for thread in threads)
        lines = [
            _logged(log),
            f"{disturbed} times disturbed; the last run ended {monotonic() - ended:.1f} s after the end",
        ]
        return _counted(talks, asked, problems, lines, [f"{stuck} conversations hang"] if stuck else [])


def _logged(log: IO[str]) -> str:
    """How much the processes had to say, and the last of it."""
    log.seek(0)
    lines = log.readlines()
    return f"the processes logged {len(lines)} lines" + (f", the last: {lines[-1].strip()}" if lines else "")


def _until_over(load: Load, disturb: Callable[[], None]) -> int:
    """Disturb now and then; returns how often."""
    started, count, never = monotonic(), 0, Event()
    while (left := started + load.seconds - monotonic()) > 0:
        never.wait(min(load.every, left))
        if monotonic() < started + load.seconds:
            disturb()
            count += 1
    return count


def _counted(
    talks: Sequence[Conversation],
    asked: "Counter[str]",
    problems: "Counter[str]",
    lines: list[str],
    faults: list[str],
) -> Outcome:
    endings: Counter[str] = Counter()
    for talk in talks:
        messages, runs = talk.messages(), talk.all_runs()
        faults += _faults(talk, messages, runs)
        endings.update(_ending(run) for run in runs)
        talk.call(lambda c, t=talk: c.beta.threads.messages.create(t.thread_id, role="user", content="Bye"))
    lines += [f"runs: {sum(endings.values())}"] + [f"  {count} {how}" for how, count in endings.most_common()]
    bare = sum(whole != deltas for talk in talks for whole, deltas in talk.heard.values())
    lines.append(f"streams that went on elsewhere, and told only the end: {bare}")
    again = sum(count - 1 for count in asked.values())
    lines.append(f"questions that went to the provider again: {again}")
    lines.append(f"the slowest messages.create took {max(talk.slowest for talk in talks):.1f} s")
    lines += [f"callers saw {count} times: {what}" for what, count in problems.most_common()]
    lines += [] if problems else ["callers saw no error"]
    return Outcome(lines, faults)


def _ending(run: Run) -> str:
    return f"{run.status}: {run.last_error.message}" if run.last_error else run.status


def _faults(talk: Conversation, messages: Sequence[Message], runs: Sequence[Run]) -> Iterator[str]:
    """What must not be, in one thread."""
    questions = Counter(_text(message) for message in messages if message.role == "user")
    yield from (f"question {question} is lost" for question in talk.asked - questions.keys())
    yield from (f"question {question} is there twice" for question, n in questions.items() if n > 1)
    yield from (f"run {run_id} is lost" for run_id in talk.runs - {run.id for run in runs})
    numbers = Counter(str(run.metadata) for run in runs)
    yield from (f"run {number} is there twice" for number, count in numbers.items() if count > 1)
    for run in runs:
        said = [(message.status, _text(message)) for message in messages if message.run_id == run.id]
        yield from (f"{run.id}: {fault}" for fault in _faults_of_run(run, said))
        whole, deltas = talk.heard.get(run.id, ("".join(ANSWER), ""))
        if whole != "".join(ANSWER) or not whole.startswith(deltas):
            yield f"{run.id}: a caller heard {deltas!r} and then {whole!r}"


def _faults_of_run(run: Run, said: Sequence[tuple[str, str]]) -> Iterator[str]:
    whole = "".join(ANSWER)
    if run.status in ACTIVE:
        yield f"is still {run.status}"
    if run.status == "completed" and said != [("completed", whole)]:
        yield f"completed with {said}"
    if run.status != "completed" and any(status == "completed" for status, _ in said):
        yield f"{run.status} with {said}"
    if any(not whole.startswith(words) for _, words in said) or len(said) > 1:
        yield f"said {said}"


@contextmanager
def _database(kind: str) -> Iterator[tuple[str, Server | None]]:
    """The URL of a new database, and its server."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'assistants.db'}", None
        return
    server = start_server()
    try:
        made = Databases(server.url)
        yield made.url(made.create_upgraded()), server
    finally:
        server.close()


def _restart(server: Server, down: float) -> None:
    server.stop(signal.SIGINT)
    Event().wait(down)
    server.start()


def _show(title: str, outcome: Outcome) -> None:
    print(f"\n{title}\n")
    for line in outcome.lines:
        print(f"  {line}")
    for fault in outcome.faults[:20]:
        print(f"  FAULT: {fault}")
    print("  every run ended, none twice; no thread is locked, no message lost" if not outcome.faults else "")


def main() -> int:
    """Put the load on each database; 1 if anything was lost."""
    arguments = _arguments()
    load = Load(*(getattr(arguments, each.name) for each in fields(Load)))
    kinds = ["postgresql"] if arguments.restart else arguments.database
    faults: list[str] = []
    for kind in kinds:
        with _database(kind) as (url, server):
            if arguments.restart and server:
                what = f"PostgreSQL is down for {load.down:.0f} s every {load.every:.0f} s"
                outcome = under_load(url, load, lambda _, s=server: _restart(s, load.down))
            else:
                what = f"a process is killed every {load.every:.0f} s"
                outcome = under_load(url, load, Pool.kill_one)
        processes = f"{load.runs} runs at once in {load.processes} processes"
        _show(f"{kind}: {processes} for {load.seconds:.0f} s, {what}", outcome)
        faults += outcome.faults
    return 1 if faults else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crashes", description=__doc__)
    add = parser.add_argument
    add("--runs", type=int, default=64, help="conversations at the same time (%(default)s)")
    add("--processes", type=int, default=4, help="processes that carry them out (%(default)s)")
    add("--seconds", type=float, default=60, help="for how long (%(default)s)")
    add("--every", type=float, default=10, help="seconds between two disturbances (%(default)s)")
    add("--lease", type=float, default=15, help="Options(lease=…) of the processes (%(default)s)")
    add("--down", type=float, default=2, help="for how many seconds PostgreSQL is down (%(default)s)")
    kinds = ["sqlite", "postgresql"]
    add("--database", nargs="+", choices=kinds, default=kinds, help="which databases (both)")
    add("--restart", action="store_true", help="stop and start PostgreSQL instead of the processes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
