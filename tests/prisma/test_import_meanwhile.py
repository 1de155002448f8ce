"""`supercompat import`, whatever happens meanwhile: killed, interrupted, a source that is written to, a long thread."""

import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.contract.conversations import DEADLINE
from tests.prisma.importing import Ended, Import, OpenCopy, has
from tests.prisma.node import Node
from tests.prisma.test_together import begun
from tests.storage.sessions import blocked, session


@contextmanager
def held_at_the_steps(url: str) -> Iterator[Callable[[], None]]:
    """While this is open nobody reads steps; what it gives waits until somebody tries."""
    with psycopg.connect(url) as holder, session(url) as watcher:
        holder.execute('LOCK TABLE "RunStep" IN ACCESS EXCLUSIVE MODE')

        def wait() -> None:
            assert blocked(watcher)

        yield wait


def test_killed_and_begun_again(url: str, app: Node, target: str, bring: Import, open_copy: OpenCopy) -> None:
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


def test_a_source_that_is_written_to(url: str, app: Node, bring: Import, open_copy: OpenCopy) -> None:
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
def test_memory_does_not_grow_with_a_thread(app: Node, bring: Import, open_copy: OpenCopy) -> None:
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
