"""What a collection promises, on each storage."""

import pytest

from supercompat.errors import StorageError
from supercompat.storage_adapters.protocol import PageQuery, Row, StorageAdapter, Store, Transaction
from supercompat.wire.objects import ImageUrl, ImageUrlContent, Message, Text, TextContent, Usage
from tests.storage.rows import assistant, ids, message, run, step, thread


async def test_a_row_comes_back_as_it_was_stored(store: Store) -> None:
    shown = Message(
        id="msg_1",
        created_at=1_700_000_000,
        thread_id="thread_1",
        role="user",
        content=[
            TextContent(text=Text(value="naïve 🦜", annotations=[{"type": "file_citation", "index": 0}])),
            ImageUrlContent(image_url=ImageUrl(url="https://example.com/a.png")),
        ],
        metadata={"k": "v"},
    )
    row = Row(shown, {"provider_state": {"signature": "a=="}})

    def work(tx: Transaction) -> None:
        tx.threads.insert(thread())
        tx.messages.insert(row)

    await store.transact(work)
    assert await store.transact(lambda tx: tx.messages.get("msg_1")) == row


async def test_each_resource_has_its_collection(store: Store) -> None:
    usage = Usage(prompt_tokens=3)

    def work(tx: Transaction) -> None:
        tx.assistants.insert(assistant("asst_1"))
        tx.threads.insert(thread())
        tx.runs.insert(run("run_1"))
        tx.steps.insert(step("step_1", "run_1"))
        found = tx.steps.get("step_1")
        assert found is not None
        tx.steps.put(Row(found.object.changed(usage=usage)))

    await store.transact(work)
    found = await store.transact(lambda tx: (tx.assistants.get("asst_1"), tx.steps.get("step_1")))
    assert found[0] == assistant("asst_1")
    assert found[1] is not None
    assert found[1].object.usage == usage


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert await store.transact(lambda tx: tx.assistants.get("asst_no")) is None
    assert await store.transact(lambda tx: tx.assistants.get("asst_no", lock=True)) is None
    assert await store.transact(lambda tx: tx.runs.get("run_no")) is None


async def test_put_changes_a_row_and_its_private_part(store: Store) -> None:
    await store.transact(lambda tx: tx.threads.insert(Row(thread().object, {"a": 1})))
    assert await store.transact(lambda tx: tx.threads.put(thread(k="v")))
    assert await store.transact(lambda tx: tx.threads.get("thread_1")) == thread(k="v")


async def test_put_of_what_is_not_there_writes_nothing(store: Store) -> None:
    assert not await store.transact(lambda tx: tx.threads.put(thread()))
    assert await store.transact(lambda tx: tx.threads.get("thread_1")) is None


async def test_delete_tells_whether_there_was_something(store: Store) -> None:
    await store.transact(lambda tx: tx.assistants.insert(assistant("asst_1")))
    assert await store.transact(lambda tx: tx.assistants.delete("asst_1"))
    assert not await store.transact(lambda tx: tx.assistants.delete("asst_1"))


async def test_a_thread_takes_what_is_in_it_along(store: Store) -> None:
    def fill(tx: Transaction) -> None:
        for name in ("thread_1", "thread_2"):
            tx.threads.insert(thread(name))
            tx.messages.insert(message(f"msg_{name}", name))
            tx.runs.insert(run(f"run_{name}", thread_id=name))
            tx.steps.insert(step(f"step_{name}", f"run_{name}", name))

    await store.transact(fill)
    assert await store.transact(lambda tx: tx.threads.delete("thread_1"))
    left = await store.transact(
        lambda tx: (tx.messages.page(PageQuery()), tx.runs.page(PageQuery()), tx.steps.page(PageQuery()))
    )
    assert [ids(page.rows) for page in left] == [["msg_thread_2"], ["run_thread_2"], ["step_thread_2"]]


async def test_rows_inserted_at_once_keep_their_order(store: Store) -> None:
    def work(tx: Transaction) -> list[str]:
        tx.threads.insert(thread())
        tx.messages.insert(message("msg_c"), message("msg_a"))
        tx.messages.insert(message("msg_b"))
        tx.messages.insert()
        return ids(tx.messages.page(PageQuery(order="asc")).rows)

    assert await store.transact(work) == ["msg_c", "msg_a", "msg_b"]


async def test_what_was_deleted_last_does_not_disturb_the_order(store: Store) -> None:
    def work(tx: Transaction) -> list[str]:
        tx.assistants.insert(assistant("asst_1"), assistant("asst_2"))
        tx.assistants.delete("asst_2")
        tx.assistants.insert(assistant("asst_3"))
        return ids(tx.assistants.page(PageQuery()).rows)

    assert await store.transact(work) == ["asst_3", "asst_1"]


async def test_an_exception_undoes_the_whole_transaction(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.threads.insert(thread())
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await store.transact(work)
    assert await store.transact(lambda tx: tx.threads.get("thread_1")) is None


async def test_an_id_is_taken_only_once(store: Store) -> None:
    await store.transact(lambda tx: tx.threads.insert(thread()))
    with pytest.raises(StorageError):
        await store.transact(lambda tx: tx.threads.insert(thread()))
    assert await store.transact(lambda tx: tx.threads.get("thread_1")) == thread()


async def test_a_message_needs_its_thread(store: Store) -> None:
    with pytest.raises(StorageError):
        await store.transact(lambda tx: tx.messages.insert(message("msg_1")))


async def test_projects_do_not_see_each_other(adapter: StorageAdapter, store: Store) -> None:
    other = adapter.open(project="other")
    await store.transact(lambda tx: tx.assistants.insert(assistant("asst_1")))
    assert await other.transact(lambda tx: tx.assistants.get("asst_1")) is None
    assert not await other.transact(lambda tx: tx.assistants.put(assistant("asst_1")))
    assert not await other.transact(lambda tx: tx.assistants.delete("asst_1"))
    assert (await other.transact(lambda tx: tx.assistants.page(PageQuery()))).rows == []

    await other.transact(lambda tx: tx.assistants.insert(assistant("asst_1")))
    await other.transact(lambda tx: tx.assistants.delete("asst_1"))
    assert await store.transact(lambda tx: tx.assistants.get("asst_1")) is not None
    await other.aclose()
