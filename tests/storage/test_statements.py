"""How many statements a call takes, and whether each finds its rows by an index."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from supercompat.storage_adapters.protocol import (
    CursorError,
    HistoryQuery,
    PageQuery,
    Parts,
    Store,
    Transaction,
)
from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter
from tests.storage.rows import ids, message, run, step, thread

OF_THREAD = {"thread_id": "thread_1"}
OF_RUN = {"run_id": "run_1"}
OF_BOTH = {**OF_THREAD, **OF_RUN}


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """Every statement that any engine sends meanwhile, with its values."""
    sent: list[tuple[str, Any]] = []

    def listen(connection: object, cursor: object, statement: str, values: Any, *rest: object) -> None:
        sent.append((statement, values))

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", listen)


@pytest.fixture
def postgres_store(postgres_url: str) -> Iterator[Store]:
    store = SQLAlchemyStorageAdapter(postgres_url).open()
    yield store
    store.abandon()


async def count(store: Store, work: Callable[[Transaction], object]) -> int:
    with statements() as sent:
        await store.transact(work)
    return len(sent)


async def test_each_call_is_one_statement(store: Store) -> None:
    await store.transact(lambda tx: tx.threads.insert(thread(), thread("thread_2")))
    rows = [message(f"msg_{n}") for n in range(5)]
    assert await count(store, lambda tx: tx.messages.insert(*rows)) == 1
    assert await count(store, lambda tx: tx.messages.get("msg_1", lock=True)) == 1
    assert await count(store, lambda tx: tx.messages.put(message("msg_1"))) == 1
    assert await count(store, lambda tx: tx.messages.page(PageQuery(OF_THREAD, after="msg_3"))) == 1
    assert await count(store, lambda tx: tx.runs.insert(run("run_1"))) == 1
    assert await count(store, lambda tx: tx.runs.put(run("run_1"), expected=["queued"])) == 1
    assert await count(store, lambda tx: tx.runs.basis("thread_1", "asst_1")) == 1
    assert await count(store, lambda tx: tx.messages.history(HistoryQuery("thread_1", "run_1", 9, 99))) == 1
    assert await count(store, lambda tx: tx.messages.put_metadata("msg_1", {})) == 1
    assert await count(store, lambda tx: tx.runs.claim("me", 9.0, now=1.0, limit=9)) == 1
    assert await count(store, lambda tx: tx.runs.renew("me", 9.0, ["run_1"])) == 1


async def test_a_run_is_written_with_its_parts_at_once(postgres_store: Store) -> None:
    """Elsewhere, where a statement costs no way to a server, these are several."""
    await postgres_store.transact(lambda tx: tx.threads.insert(thread()))
    new = Parts([message("msg_3", run_id="run_1")], [step("step_1", "run_1")])
    both = replace(new, messages=[message("msg_1")], steps=[step("step_1", "run_1")])
    mine = run("run_1", "in_progress", owner="me")
    added = [message("msg_1"), message("msg_2")]
    assert await count(postgres_store, lambda tx: tx.runs.insert(mine, added)) == 1
    assert await count(postgres_store, lambda tx: tx.runs.put_parts(mine, new)) == 1
    assert (
        await count(postgres_store, lambda tx: tx.runs.put(mine, expected=["in_progress"], parts=both)) == 1
    )


async def test_a_write_can_be_done_again(postgres_store: Store) -> None:
    """Where the connection was lost during the commit, nobody knows whether it was done."""
    mine = run("run_1", owner="me")
    new = Parts([message("msg_1", run_id="run_1")], [step("step_1", "run_1")])

    def work(tx: Transaction) -> None:
        assert tx.runs.put_parts(mine, new)

    await postgres_store.transact(lambda tx: tx.threads.insert(thread()))
    await postgres_store.transact(lambda tx: tx.runs.insert(mine))
    await postgres_store.transact(work)
    await postgres_store.transact(work)
    page = await postgres_store.transact(lambda tx: tx.messages.page(PageQuery(OF_RUN)))
    assert ids(page.rows) == ["msg_1"]


async def test_only_a_page_that_is_empty_behind_a_cursor_takes_a_second(store: Store) -> None:
    await store.transact(lambda tx: tx.threads.insert(thread()))
    await store.transact(lambda tx: tx.messages.insert(message("msg_1")))
    assert await count(store, lambda tx: tx.messages.page(PageQuery({"thread_id": "thread_2"}))) == 1
    assert await count(store, lambda tx: tx.messages.page(PageQuery(OF_THREAD, after="msg_1"))) == 2
    with statements() as sent, pytest.raises(CursorError):
        await store.transact(lambda tx: tx.messages.page(PageQuery(OF_THREAD, after="msg_no")))
    assert len(sent) == 2


@pytest.mark.parametrize("cursors", [{}, {"after": "msg_1"}, {"before": "msg_1"}])
@pytest.mark.parametrize(
    ("resource", "where"),
    [
        ("assistants", {}),
        ("messages", OF_THREAD),
        ("messages", OF_RUN),
        ("messages", OF_BOTH),
        ("runs", OF_THREAD),
        ("steps", OF_RUN),
        ("steps", OF_BOTH),
    ],
)
async def test_a_page_is_read_in_the_order_of_an_index(
    tmp_path: Path, resource: str, where: dict[str, str], cursors: dict[str, str]
) -> None:
    def read(tx: Transaction) -> None:
        query = PageQuery(where, after=cursors.get("after"), before=cursors.get("before"))
        try:
            getattr(tx, resource).page(query)
        except CursorError:
            assert cursors

    plan = await plan_of(tmp_path, read)
    assert all(step.startswith(("SEARCH", "SCALAR SUBQUERY")) for step in plan), plan
    assert f"SEARCH {resource} USING INDEX" in plan[0]


OFTEN: dict[str, Callable[[Transaction], object]] = {
    "active": lambda tx: tx.runs.active("thread_1"),
    "basis": lambda tx: tx.runs.basis("thread_1", "asst_1"),
    "count_until": lambda tx: tx.messages.count_until("thread_1", 9),
    "enqueue": lambda tx: tx.runs.enqueue(run("run_1")),
    "claim": lambda tx: tx.runs.claim("me", 9.0, now=1.0, limit=9, orphans_of=["you"]),
    "renew": lambda tx: tx.runs.renew("me", 9.0, ["run_1"]),
    "delete": lambda tx: tx.threads.delete("thread_1"),
}


@pytest.mark.parametrize("name", OFTEN)
async def test_what_is_done_often_uses_an_index(tmp_path: Path, name: str) -> None:
    plan = await plan_of(tmp_path, OFTEN[name])
    assert plan[0].startswith("SEARCH"), plan
    assert not [step for step in plan if step.startswith("SCAN runs")], plan


async def test_runs_that_ended_are_not_searched_for_orphans(tmp_path: Path) -> None:
    plan = await plan_of(tmp_path, OFTEN["claim"])
    assert "SEARCH runs USING INDEX uq_runs_active (project=? AND thread_id>?)" in plan


async def test_a_history_is_read_by_indices(tmp_path: Path) -> None:
    query = HistoryQuery("thread_1", "run_1", None, 1000)
    plan = await plan_of(tmp_path, lambda tx: tx.messages.history(query))
    # What is scanned are the few rows that the indices gave.
    scanned = [step.split()[1] for step in plan if step.startswith("SCAN")]
    assert not {"messages", "steps"} & set(scanned), plan
    assert any("ix_messages_project_thread_id_seq" in step for step in plan), plan
    assert any("ix_steps_of_tools" in step for step in plan), plan
    assert any("ix_messages_of_user" in step for step in plan), plan


async def test_a_stretch_is_read_by_indices(tmp_path: Path) -> None:
    plan = await plan_of(tmp_path, lambda tx: tx.messages.stretch("thread_1", 1, 9))
    scanned = [step.split()[1] for step in plan if step.startswith("SCAN")]
    assert not {"messages", "steps"} & set(scanned), plan
    assert any("ix_messages_project_thread_id_seq" in step for step in plan), plan
    assert any("ix_steps_of_tools" in step for step in plan), plan


async def plan_of(folder: Path, work: Callable[[Transaction], object]) -> list[str]:
    """How SQLite carries out the first statement of `work`."""
    store = SQLAlchemyStorageAdapter(f"sqlite:///{folder / 'rows.db'}").open()
    await store.transact(lambda tx: None)
    with statements() as sent:
        await store.transact(work)
    await store.aclose()
    statement, values = sent[0]
    file = sqlite3.connect(folder / "rows.db")
    file.execute("PRAGMA foreign_keys = ON")
    plan = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    file.close()
    return plan
