"""`supercompat import --from-prisma`: the API over the copy shows what it shows over the tables that were copied."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import psycopg
import pytest
from openai import OpenAI

from supercompat import (
    OpenAIClientAdapter,
    Options,
    PrismaStorageAdapter,
    SQLAlchemyStorageAdapter,
    supercompat,
)
from supercompat.server.cli import main
from supercompat.storage_adapters.protocol import PageQuery, StorageAdapter, Transaction
from supercompat.testing import Gate, ScriptedServer, call, text, tool_calls
from tests.contract.conversations import CLOCK, DEADLINE, MODEL, WEATHER, call_ids, outputs
from tests.prisma.conftest import MakeClient
from tests.prisma.databases import make_tables
from tests.prisma.node import Node, node
from tests.prisma.node import text as node_text
from tests.prisma.test_together import ACTION, ASKED, asked_of, begun
from tests.storage.sessions import blocked, session

Shown = dict[str, Any]

#: Each row with the transaction that wrote it last.
EVERYTHING = """
SELECT to_jsonb(a) AS row, a.xmin::text FROM "Assistant" AS a UNION ALL
SELECT to_jsonb(t), t.xmin::text FROM "Thread" AS t UNION ALL
SELECT to_jsonb(m), m.xmin::text FROM "Message" AS m UNION ALL
SELECT to_jsonb(r), r.xmin::text FROM "Run" AS r UNION ALL
SELECT to_jsonb(s), s.xmin::text FROM "RunStep" AS s
"""


@dataclass(frozen=True)
class Ended:
    """How the command ended, and what it said."""

    code: int
    out: str
    err: str


Import = Callable[..., Ended]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of the database to copy to."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/copy.db"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def bring(url: str, target: str, capsys: pytest.CaptureFixture[str]) -> Import:
    """Carries the command out."""

    def carried_out(*flags: str, source: str = url) -> Ended:
        code = main(["import", "--from-prisma", source, "--database", target, *flags])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return carried_out


@pytest.fixture
def open_copy(target: str, provider: ScriptedServer) -> Iterator[Callable[..., OpenAI]]:
    """Makes clients on the copy."""
    with ExitStack() as stack:

        def make(**storage: Any) -> OpenAI:
            inner = openai.OpenAI(base_url=provider.base_url, api_key="test-key", max_retries=0)
            stack.callback(inner.close)
            adapter = SQLAlchemyStorageAdapter(storage.pop("url", target), **storage)
            client = supercompat(client=OpenAIClientAdapter(inner), storage=adapter, options=Options(drain=0))
            stack.callback(client.close)
            return client

        yield make


def shown(client: OpenAI, *threads: str) -> Shown:
    """All that the API shows, by pages of two."""
    assistants = [each.to_dict() for each in client.beta.assistants.list(order="asc", limit=2)]
    return {"assistants": assistants, **{id: thread_shown(client, id) for id in threads}}


def thread_shown(client: OpenAI, id: str) -> Shown:
    thread = client.beta.threads
    runs = list(thread.runs.list(id, order="asc", limit=2))
    steps = [step for run in runs for step in thread.runs.steps.list(run.id, thread_id=id, limit=2)]
    return {
        "thread": thread.retrieve(id).to_dict(),
        "messages": [each.to_dict() for each in thread.messages.list(id, limit=2)],
        "of_run": [each.to_dict() for each in thread.messages.list(id, run_id=runs[-1].id)] if runs else [],
        "runs": [run.to_dict() for run in runs],
        "steps": [step.to_dict() for step in steps],
    }


def has(client: OpenAI, thread: str) -> bool:
    """Whether there is a thread. An id that names nothing, and has no prefix, is none to the API."""
    try:
        return client.beta.threads.retrieve(thread).id == thread
    except openai.BadRequestError:
        return False


def conversed(client: OpenAI, provider: ScriptedServer) -> tuple[str, str]:
    """An assistant and a thread of ours, with calls, settings that Prisma has no column for, and an incomplete run."""
    assistant = client.beta.assistants.create(
        model=MODEL, name="Weather", tools=[WEATHER, CLOCK], temperature=0.5, metadata={"k": "v"}
    )
    thread = client.beta.threads.create(
        messages=[{"role": "user", "content": "How warm?", "metadata": {"m": "1"}}], metadata={"t": "2"}
    )
    provider.reply(
        text("Let me look.") + tool_calls(call("get_weather", "{}", id="call_7")),
        tool_calls(call("get_time", "{}", id="call_8")),
        text("18 °C, at noon."),
        text("Once upon a", finish="length"),
    )
    given: dict[str, Any] = {"thread_id": thread.id, "assistant_id": assistant.id}
    run = client.beta.threads.runs.create_and_poll(**given, tool_choice="required", temperature=0.25)
    for answer in ("18 °C", "12:00"):
        run = client.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id, thread_id=thread.id, tool_outputs=outputs(dict.fromkeys(call_ids(run), answer))
        )
    assert run.status == "completed"
    client.beta.threads.messages.create(thread.id, role="user", content="A story, please.")
    assert client.beta.threads.runs.create_and_poll(**given).status == "incomplete"
    return assistant.id, thread.id


def test_the_copy_is_the_same(
    client: OpenAI, app: Node, provider: ScriptedServer, bring: Import, open_copy: Callable[..., OpenAI]
) -> None:
    of_node, thread_of_node = begun(app)
    app.tick *= 0
    tied = app.thread(of_node)
    for number in range(5):
        app.message(tied, f"At one moment: {number}")
    ours, thread_of_ours = conversed(client, provider)
    threads = thread_of_node, tied, thread_of_ours, app.thread(of_node)
    before = shown(client, *threads)

    ended = bring()
    assert ended == Ended(0, ended.out, "")
    assert ended.out == "imported: assistants 2, threads 4, messages 13, runs 3, steps 6\n"
    copy = open_copy()
    assert shown(copy, *threads) == before == shown(client, *threads)

    for assistant, thread in ((of_node, thread_of_node), (ours, thread_of_ours)):
        for each in (client, copy):
            each.beta.threads.messages.create(thread, role="user", content="And now?")
            provider.reply(text("Now is now."))
            each.beta.threads.runs.create_and_poll(
                thread_id=thread, assistant_id=assistant, model=MODEL, tool_choice="auto"
            )
        assert provider.requests[-1].body == provider.requests[-2].body
    assert len(asked_of(provider)) == 9


def test_calls_where_the_clock_of_node_is_ahead(
    client: OpenAI, app: Node, provider: ScriptedServer, bring: Import, open_copy: Callable[..., OpenAI]
) -> None:
    """A step comes with an earlier moment than the message that it follows."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.now = app.now.replace(year=2037)
    app.message(thread, "How warm is it?")
    provider.reply(tool_calls(call("get_weather", "{}", id="call_1")), text("It is 18 °C."))
    given: dict[str, Any] = {"thread_id": thread, "assistant_id": assistant, "model": MODEL}
    run = client.beta.threads.runs.create_and_poll(**given, tools=[WEATHER])
    client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=thread, tool_outputs=outputs({"call_1": "18 °C"})
    )
    assert bring().code == 0
    copy = open_copy()
    copy.beta.threads.messages.create(thread, role="user", content="And now?")
    provider.reply(text("Now is now."))
    copy.beta.threads.runs.create_and_poll(**given)
    roles = [role for role, _ in asked_of(provider)]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_a_source_without_side_tables(
    flavour: str, empty_postgres_url: str, bring: Import, open_copy: Callable[..., OpenAI]
) -> None:
    """Which no Python has ever used: nothing is made in it, and nothing changed."""
    make_tables(empty_postgres_url, flavour)
    with node(empty_postgres_url) as app:
        _, thread = begun(app)
        before = app.rows(EVERYTHING)
        assert len(before) == 7
        assert bring(source=empty_postgres_url).code == 0
        assert app.rows(EVERYTHING) == before
        schemas = app.rows("SELECT schema_name AS name FROM information_schema.schemata")
    assert "supercompat" not in {row["name"] for row in schemas}
    copy = open_copy()
    roles = [message.role for message in copy.beta.threads.messages.list(thread, order="asc")]
    assert roles == ["user", "assistant", "assistant"]


def test_again(
    client: OpenAI, app: Node, provider: ScriptedServer, bring: Import, open_copy: Callable[..., OpenAI]
) -> None:
    """What is there stays as it is, whichever side has changed; what is new comes."""
    assistant, thread = begun(app)
    _, other = conversed(client, provider)
    assert bring().code == 0
    ended = bring()
    nothing = "imported: assistants 0, threads 0, messages 0, runs 0, steps 0\n"
    assert ended == Ended(0, nothing + "there already: assistants 2, threads 2\n", "")

    copied = thread_shown(open_copy(), thread)
    app.message(thread, "Said later.")
    open_copy().beta.threads.update(other, metadata={"moved": "on"})
    new = app.thread(assistant)
    open_copy().beta.assistants.update(assistant, name="Another")
    ended = bring()
    assert ended.code == 1
    assert ended.out.startswith("imported: assistants 0, threads 1,")
    assert "not as at the source: assistants 1, threads 2\n" in ended.out
    assert f"assistant {assistant} is not as it is at the source; left as it is\n" in ended.err
    for id in (thread, other):
        assert f"thread {id} is not as it is at the source; left as it is\n" in ended.err
    assert thread_shown(open_copy(), thread) == copied
    assert open_copy().beta.threads.retrieve(other).metadata == {"moved": "on"}
    assert has(open_copy(), new)


def test_a_run_that_is_under_way(app: Node, bring: Import, open_copy: Callable[..., OpenAI]) -> None:
    """Who carries it out writes to the source: its thread comes when it rests."""
    assistant, thread = begun(app)
    run = app.run(thread, assistant, "IN_PROGRESS")
    ended = bring()
    assert (ended.code, ended.err) == (
        1,
        f"supercompat import: left out: thread {thread}: its run {run} is in_progress\n",
    )
    assert "left out: assistants 0, threads 1\n" in ended.out
    assert not has(open_copy(), thread)
    app.message(thread, "Done.", "ASSISTANT", assistant=assistant, run=run)
    app.set("Run", run, "status", "COMPLETED")
    assert bring().code == 0
    assert open_copy().beta.threads.runs.retrieve(run, thread_id=thread).status == "completed"


def test_runs_that_are_ended(
    app: Node, provider: ScriptedServer, bring: Import, open_copy: Callable[..., OpenAI]
) -> None:
    assistant, thread = begun(app)
    stopping, running = (app.run(thread, assistant, status) for status in ("CANCELLING", "IN_PROGRESS"))
    message = app.message(thread, "It is", "ASSISTANT", assistant=assistant, run=running)
    app.set("Message", message, "status", "IN_PROGRESS")
    whole = app.message(thread, "Wait.", "ASSISTANT", assistant=assistant, run=running)
    step = app.step(thread, assistant, running, [ASKED])
    ended = bring("--end-runs")
    assert (ended.code, ended.out.splitlines()[1]) == (0, "ended: runs 2")
    copy = open_copy()
    of_thread = copy.beta.threads
    assert of_thread.runs.retrieve(stopping, thread_id=thread).status == "cancelled"
    failed = of_thread.runs.retrieve(running, thread_id=thread)
    assert failed.status == "failed"
    assert failed.failed_at
    assert failed.last_error
    assert failed.last_error.message == "The run was under way in the database that it was imported from."
    shown = of_thread.messages.retrieve(message, thread_id=thread)
    assert (shown.status, shown.incomplete_details and shown.incomplete_details.reason) == (
        "incomplete",
        "run_failed",
    )
    assert of_thread.messages.retrieve(whole, thread_id=thread).status == "completed"
    assert of_thread.runs.steps.retrieve(step, thread_id=thread, run_id=running).status == "failed"
    # Nobody takes such a run up, and the thread is free.
    provider.reply(text("Hello again."))
    of_thread.messages.create(thread, role="user", content="Hello?")
    run = of_thread.runs.create_and_poll(thread_id=thread, assistant_id=assistant, model=MODEL)
    assert run.status == "completed"
    assert len(provider.requests) == 1


@pytest.mark.parametrize("flavour", ["uuid"])
def test_a_run_that_stands_in_line(
    make_client: MakeClient,
    app: Node,
    provider: ScriptedServer,
    bring: Import,
    open_copy: Callable[..., OpenAI],
) -> None:
    assistant, thread = begun(app)
    of_thread = make_client(active_run="enqueue").beta.threads
    gate = Gate()
    provider.reply(text("18", gate, " °C."), text("Never."))
    running, waiting = (of_thread.runs.create(thread, assistant_id=assistant, model=MODEL) for _ in range(2))
    assert gate.reached.wait(DEADLINE)
    assert bring().code == 1
    assert bring("--end-runs").code == 0
    statuses = {run.id: run.status for run in open_copy().beta.threads.runs.list(thread)}
    assert (statuses[running.id], statuses[waiting.id]) == ("failed", "cancelled")
    gate.open()


def test_runs_whose_time_is_over(
    client: OpenAI, app: Node, bring: Import, open_copy: Callable[..., OpenAI]
) -> None:
    """Left by a process that is gone. They have expired here as there, also where Node let a thread have several."""
    assistant, thread = begun(app)
    for status in ("QUEUED", "IN_PROGRESS", "REQUIRES_ACTION"):
        app.run(thread, assistant, status, expires=1_700_000_000)
    ended = bring()
    assert (ended.code, ended.err) == (0, "")
    copy = open_copy()
    assert [run.status for run in copy.beta.threads.runs.list(thread)] == [*["expired"] * 3, "completed"]
    assert thread_shown(copy, thread) == thread_shown(client, thread)


def test_a_run_that_waits_for_outputs(
    app: Node, provider: ScriptedServer, bring: Import, open_copy: Callable[..., OpenAI]
) -> None:
    """Nobody carries it out: they can be given to the copy."""
    assistant, thread = begun(app)
    run = app.run(thread, assistant, "REQUIRES_ACTION", action=ACTION, tools=[WEATHER])
    app.step(thread, assistant, run, [ASKED])
    assert bring().code == 0
    provider.reply(text("It is 18 °C."))
    ended = open_copy().beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run, thread_id=thread, tool_outputs=outputs({"call_1": "18 °C"})
    )
    assert ended.status == "completed"
    assert asked_of(provider)[-1] == ("tool", "18 °C")


def test_a_second_run_that_waits(app: Node, bring: Import, open_copy: Callable[..., OpenAI]) -> None:
    assistant, thread = begun(app)
    first, second = (app.run(thread, assistant, "REQUIRES_ACTION", action=ACTION) for _ in range(2))
    assert f"thread {thread}: its run {second} is requires_action\n" in bring().err
    assert bring("--end-runs").code == 0
    statuses = {run.id: run.status for run in open_copy().beta.threads.runs.list(thread)}
    assert (statuses[first], statuses[second]) == ("requires_action", "cancelled")


def test_a_row_that_cannot_be_read(app: Node, bring: Import, open_copy: Callable[..., OpenAI]) -> None:
    """Nothing of its thread comes, and everything else does."""
    assistant, broken = begun(app)
    _, whole = begun(app)
    run = app.run(broken, assistant, "COMPLETED")
    app.set("Run", run, "usage", {"total_tokens": "secretly many"})
    ended = bring()
    assert ended.code == 1
    assert f"left out: thread {broken}: Run {run}: usage.total_tokens: " in ended.err
    assert "secretly" not in ended.err
    assert "imported: assistants 2, threads 1, messages 3," in ended.out
    copy = open_copy()
    assert has(copy, whole)
    assert not has(copy, broken)
    app.set("Run", run, "usage", {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})
    assert bring().code == 0


def test_an_assistant_that_cannot_be_read(
    client: OpenAI, app: Node, bring: Import, open_copy: Callable[..., OpenAI]
) -> None:
    assistant, thread = begun(app)
    bad = client.beta.assistants.create(model=MODEL).id
    side = "UPDATE supercompat.prisma_assistants SET object = %(object)s WHERE id = %(id)s RETURNING id"
    app.rows(side, object='{"tools": 7}', id=bad)
    ended = bring()
    assert (ended.code, f"left out: Assistant {bad}: tools: " in ended.err) == (1, True)
    assert [each.id for each in open_copy().beta.assistants.list()] == [assistant]
    assert has(open_copy(), thread)


def test_a_part_that_the_api_cannot_show(
    client: OpenAI, app: Node, bring: Import, open_copy: Callable[..., OpenAI]
) -> None:
    _, thread = begun(app)
    picture = {"type": "image_file", "image_file": {"file_id": "file-secret"}}
    message = app.message(thread, [*node_text("Look."), picture])
    ended = bring()
    assert ended.code == 0
    assert ended.err == (
        f"supercompat import: Message {message}: A message has a part that can't be shown, of the type 'image_file'.\n"
    )
    assert thread_shown(open_copy(), thread) == thread_shown(client, thread)


@pytest.mark.parametrize("flavour", ["uuid"])
def test_what_the_api_does_not_show(
    url: str, client: OpenAI, app: Node, provider: ScriptedServer, bring: Import, target: str
) -> None:
    """The settings that were really made, what was billed, where calls stand. Of what was sent only notes by place are
    lost."""
    _, thread = conversed(client, provider)
    assert bring().code == 0
    there, here = (
        asyncio.run(private(each, thread))
        for each in (PrismaStorageAdapter(url), SQLAlchemyStorageAdapter(target))
    )
    assert [each.pop("sent") is None for each in there.values() if "sent" in each] == [False, False]
    assert there == here
    assert {"after", "usage", "sampling"} <= {name for each in here.values() for name in each}


async def private(storage: StorageAdapter, thread: str) -> dict[str, dict[str, Any]]:
    """By id."""

    def read(tx: Transaction) -> dict[str, dict[str, Any]]:
        of_thread = PageQuery({"thread_id": thread}, limit=None)
        rows = [row for each in (tx.messages, tx.runs, tx.steps) for row in each.page(of_thread).rows]
        assistants = tx.assistants.page(PageQuery()).rows
        return {row.object.id: dict(row.private) for row in (*rows, *assistants)}

    store = storage.open()
    try:
        return await store.transact(read)
    finally:
        await store.aclose()


def test_another_project(app: Node, bring: Import, target: str, open_copy: Callable[..., OpenAI]) -> None:
    _, thread = begun(app)
    assert bring("--project", "other").code == 0
    assert list(open_copy().beta.assistants.list()) == []

    async def found() -> bool:
        store = SQLAlchemyStorageAdapter(target).open(project="other")
        try:
            return await store.transact(lambda tx: tx.threads.get(thread) is not None)
        finally:
            await store.aclose()

    assert asyncio.run(found())


# Whatever happens meanwhile


@contextmanager
def held_at_the_steps(url: str) -> Iterator[Callable[[], None]]:
    """While this is open nobody reads steps; what it gives waits until somebody tries."""
    with psycopg.connect(url) as holder, session(url) as watcher:
        holder.execute('LOCK TABLE "RunStep" IN ACCESS EXCLUSIVE MODE')

        def wait() -> None:
            assert blocked(watcher)

        yield wait


def test_killed_and_begun_again(
    url: str, app: Node, target: str, bring: Import, open_copy: Callable[..., OpenAI]
) -> None:
    """In the middle of a thread: nothing of it is there."""
    assistant, thread = begun(app)
    command = [sys.executable, "-m", "supercompat", "import", "--from-prisma", url, "--database", target]
    with held_at_the_steps(url) as wait, subprocess.Popen(command) as process:
        wait()
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(DEADLINE) == -signal.SIGKILL
    copy = open_copy()
    assert [each.id for each in copy.beta.assistants.list()] == [assistant]
    assert not has(copy, thread)
    ended = bring()
    assert ended.code == 0
    assert ended.out.startswith("imported: assistants 0, threads 1, messages 3, runs 1, steps 1\n")


def test_interrupted(url: str, app: Node, target: str) -> None:
    begun(app)
    command = [sys.executable, "-m", "supercompat", "import", "--from-prisma", url, "--database", target]
    with held_at_the_steps(url) as wait:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait()
        os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out) == (130, "")
    assert "the same command goes on from there" in err


def test_a_source_that_is_written_to(
    url: str, app: Node, bring: Import, open_copy: Callable[..., OpenAI]
) -> None:
    """The copy is of one moment."""
    assistant, thread = begun(app)
    _, other = begun(app)
    ended: list[Ended] = []
    with held_at_the_steps(url) as wait:
        importing = threading.Thread(target=lambda: ended.append(bring()))
        importing.start()
        wait()
        app.message(other, "Said meanwhile.")
        app.delete("Message", str(app.messages(thread)[0]["id"]))
        later = app.thread(assistant)
    importing.join(DEADLINE)
    assert ended[0].out == "imported: assistants 2, threads 2, messages 6, runs 2, steps 2\n"
    copy = open_copy()
    assert [len(list(copy.beta.threads.messages.list(id))) for id in (thread, other)] == [3, 3]
    assert not has(copy, later)


@pytest.mark.slow
def test_memory_does_not_grow_with_a_thread(
    app: Node, bring: Import, open_copy: Callable[..., OpenAI]
) -> None:
    thread = app.thread(app.assistant())
    app.rows(
        'INSERT INTO "Message" ("threadId", role, content, "createdAt", "updatedAt") '
        "SELECT %(thread)s, 'USER', jsonb_build_array(jsonb_build_object('type', 'text', 'text', "
        "jsonb_build_object('value', repeat('x', 4000) || n, 'annotations', '[]'::jsonb))), now(), now() "
        "FROM generate_series(1, 10000) AS n RETURNING 1 AS done",
        thread=thread,
    )
    tracemalloc.start()
    try:
        assert "messages 10000" in bring().out
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # 40 MB of text alone.
    assert peak < 25_000_000
    ids = [message.id for message in open_copy().beta.threads.messages.list(thread, limit=100)]
    assert len(ids) == 10_000


# Where from, where to


def test_another_schema_of_the_same_database(
    url: str, app: Node, client: OpenAI, provider: ScriptedServer, capsys: pytest.CaptureFixture[str],
    open_copy: Callable[..., OpenAI],
) -> None:  # fmt: skip
    _, thread = begun(app)
    _, ours = conversed(client, provider)
    asyncio.run(SQLAlchemyStorageAdapter(url, schema="own").upgrade())
    command = ["import", "--from-prisma", url, "--database", url]
    assert main(command) == 1
    assert "Name another schema" in capsys.readouterr().err
    assert main([*command, "--schema", "own"]) == 0
    copy = open_copy(url=url, schema="own")
    assert shown(copy, thread, ours) == shown(client, thread, ours)


def test_the_source_by_prismas_variable(
    url: str, app: Node, target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(app)
    monkeypatch.setenv("DATABASE_URL", f"{url}?schema=public&connection_limit=3")
    monkeypatch.setenv("SUPERCOMPAT_DATABASE_URL", target)
    assert main(["import", "--from-prisma"]) == 0
    assert "threads 1" in capsys.readouterr().out
    monkeypatch.delenv("DATABASE_URL")
    assert main(["import", "--from-prisma"]) == 1
    assert "--from-prisma URL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        (
            "postgresql://u:hidden@127.0.0.1:1/db",
            "sqlite:///copy.db",
            "PostgreSQL database db at 127.0.0.1:1",
        ),
        ("postgresql+asyncpg://u:hidden@127.0.0.1/db", "sqlite:///copy.db", "psycopg"),
        ("mysql://u:hidden@127.0.0.1/db", "sqlite:///copy.db", "Prisma's tables are read from"),
        ("postgresql://u:hidden@127.0.0.1:x/db", "sqlite:///copy.db", "The URL can't be read"),
        ("postgresql://u:hidden@127.0.0.1/db", "sqlite://", "in memory"),
        ("postgresql://u:hidden@127.0.0.1/db", "mysql://u:hidden@127.0.0.1/db", "not served"),
        ("postgresql://u:hidden@localhost/db", "postgresql+asyncpg://v:hidden@127.0.0.1:5432/db", "schema"),
    ],
)
def test_what_cannot_be(
    source: str,
    target: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["import", "--from-prisma", source, "--database", target]) == 1
    out, err = capsys.readouterr()
    assert (out, said in err, "hidden" in err, err.count("\n")) == ("", True, False, 1)


def test_a_source_without_prismas_tables(bring: Import, empty_postgres_url: str) -> None:
    ended = bring(source=empty_postgres_url)
    assert ended.code == 1
    assert 'lacks tables or columns of the Prisma schema that supercompat documents: "Assistant"' in ended.err


def test_a_target_without_tables(
    url: str, app: Node, empty_postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(app)
    assert main(["import", "--from-prisma", url, "--database", empty_postgres_url]) == 1
    assert "supercompat db upgrade" in capsys.readouterr().err
