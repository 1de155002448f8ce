"""How many statements a call takes, and whether each finds its rows by an index."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from supercompat.storage_adapters.protocol import CursorError, PageQuery, Store, Transaction
from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter
from tests.storage.rows import message, run, thread

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
    assert await count(store, lambda tx: tx.runs.claim("me", 9.0, now=1.0)) == 1
    assert await count(store, lambda tx: tx.threads.delete("thread_1")) == 1


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
    "claim": lambda tx: tx.runs.claim("me", 9.0, now=1.0, orphans_of=["you"]),
    "renew": lambda tx: tx.runs.renew("me", 9.0),
    "delete": lambda tx: tx.threads.delete("thread_1"),
}


@pytest.mark.parametrize("name", OFTEN)
async def test_what_is_done_often_uses_an_index(tmp_path: Path, name: str) -> None:
    plan = await plan_of(tmp_path, OFTEN[name])
    assert plan[0].startswith("SEARCH"), plan
    assert not [step for step in plan if step.startswith("SCAN")], plan


async def plan_of(folder: Path, work: Callable[[Transaction], object]) -> list[str]:
    """How SQLite carries out the first statement of `work`."""
    store = SQLAlchemyStorageAdapter(f"sqlite:///{folder / 'rows.db'}").open()
    await store.transact(lambda tx: None)
    with statements() as sent:
        await store.transact(work)
    store.close()
    statement, values = sent[0]
    file = sqlite3.connect(folder / "rows.db")
    file.execute("PRAGMA foreign_keys = ON")
    plan = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    file.close()
    return plan
