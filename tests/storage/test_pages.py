"""Pages against what slicing a list gives (C-037 to C-041), on each storage."""

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supercompat.storage_adapters.protocol import (
    CursorError,
    Page,
    PageQuery,
    Row,
    StorageAdapter,
    Store,
    Transaction,
)
from tests.storage.rows import ids, message, run, step, thread

HERE = {"thread_id": "thread_1"}
# An example gets a project of its own in the one storage.
projects = (f"project_{n}" for n in count())
many_examples = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
orders = st.sampled_from(["asc", "desc"])
# Whether a message, of those stored one after the other, belongs to the thread that is listed.
threads = st.lists(st.sampled_from([True, True, False]), max_size=12)
# A place among them, whatever their number; None for no cursor.
places = st.none() | st.integers(0, 11)


def sliced(listed: list[str], query: PageQuery) -> tuple[list[str], bool]:
    """The page, by list slicing, of a list that is in the order of creation."""
    listed = listed if query.order == "asc" else listed[::-1]
    start = 0 if query.after is None else listed.index(query.after) + 1
    end = len(listed) if query.before is None else listed.index(query.before)
    between = listed[start:end]
    limit = len(listed) + 1 if query.limit is None else query.limit
    backwards = query.before is not None and query.after is None
    return between[-limit:] if backwards else between[:limit], len(between) > limit


def filling(here: list[bool]) -> Any:
    def work(tx: Transaction) -> list[str]:
        tx.threads.insert(thread("thread_1"), thread("thread_2"))
        rows = [message(f"msg_{n}", "thread_1" if mine else "thread_2") for n, mine in enumerate(here)]
        tx.messages.insert(*rows)
        return [row.object.id for row in rows if row.object.thread_id == "thread_1"]

    return work


def page(store: Store, query: PageQuery) -> Any:
    return store.transact(lambda tx: tx.messages.page(query))


@given(here=threads, order=orders, limit=st.none() | st.integers(1, 12), after=places, before=places)
@many_examples
async def test_any_page_is_a_slice(
    adapter: StorageAdapter,
    here: list[bool],
    order: Any,
    limit: int | None,
    after: int | None,
    before: int | None,
) -> None:
    store = adapter.open(project=next(projects))
    listed = await store.transact(filling(here))
    cursors = [
        listed[place % len(listed)] if listed and place is not None else None for place in (after, before)
    ]
    query = PageQuery(HERE, order, limit, *cursors)
    found = await page(store, query)
    assert (ids(found.rows), found.has_more) == sliced(listed, query)
    await store.aclose()


@given(here=threads, order=orders, limit=st.integers(1, 5), backwards=st.booleans())
@many_examples
async def test_a_walk_meets_every_row_once(
    adapter: StorageAdapter, here: list[bool], order: Any, limit: int, backwards: bool
) -> None:
    store = adapter.open(project=next(projects))
    listed = await store.transact(filling([*here, True]))
    listed = listed if order == "asc" else listed[::-1]
    start = listed[-1] if backwards else listed[0]
    walked = [start]
    more = True
    while more:
        cursor = {"before": walked[0]} if backwards else {"after": walked[-1]}
        found = await page(store, PageQuery(HERE, order, limit, **cursor))
        walked = [*ids(found.rows), *walked] if backwards else [*walked, *ids(found.rows)]
        more = found.has_more
    assert walked == listed
    await store.aclose()


async def test_the_default_is_the_newest_twenty(store: Store) -> None:
    listed = await store.transact(filling([True] * 21))
    found: Page[Any] = await page(store, PageQuery())
    assert (ids(found.rows), found.has_more) == (listed[:0:-1], True)


@pytest.mark.parametrize("name", ["after", "before"])
async def test_a_cursor_from_elsewhere_is_named(store: Store, name: str) -> None:
    await store.transact(filling([True, False]))
    for id in ("msg_no", "msg_1"):
        with pytest.raises(CursorError) as raised:
            await page(store, replace(PageQuery(HERE), **{name: id}))
        assert raised.value.args == (name, id)


async def test_the_cursor_that_is_wrong_is_named(store: Store) -> None:
    await store.transact(filling([True, True]))
    with pytest.raises(CursorError) as raised:
        await page(store, PageQuery(HERE, after="msg_0", before="msg_no"))
    assert raised.value.args == ("before", "msg_no")


async def test_a_cursor_with_nothing_behind_it_is_right(store: Store) -> None:
    await store.transact(filling([True]))
    for query in (PageQuery(HERE, after="msg_0"), PageQuery(HERE, before="msg_0", after="msg_0")):
        assert await page(store, query) == Page([])


async def test_lists_of_one_run(store: Store) -> None:
    def work(tx: Transaction) -> tuple[list[str], list[str]]:
        tx.threads.insert(thread())
        for name in ("run_1", "run_2"):
            tx.runs.insert(run(name, "completed"))
            tx.steps.insert(step(f"step_{name}", name))
            tx.messages.insert(message(f"msg_{name}", run_id=name))
        where = {"thread_id": "thread_1", "run_id": "run_1"}
        messages: Page[Any] = tx.messages.page(PageQuery(where))
        return ids(messages.rows), ids(tx.steps.page(PageQuery(where)).rows)

    assert await store.transact(work) == (["msg_run_1"], ["step_run_1"])


async def test_the_storage_keeps_the_order_of_creation_not_the_clock(store: Store) -> None:
    def work(tx: Transaction) -> list[str]:
        tx.threads.insert(thread())
        for id, created_at in (("msg_b", 5), ("msg_a", 5), ("msg_c", 4)):
            tx.messages.insert(Row(message(id).object.changed(created_at=created_at)))
        return ids(tx.messages.page(PageQuery(HERE, "asc")).rows)

    assert await store.transact(work) == ["msg_b", "msg_a", "msg_c"]
