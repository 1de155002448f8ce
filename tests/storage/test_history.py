"""What a run is given of its thread, and what it stores of itself, on each storage."""

from dataclasses import replace

import pytest

from supercompat.storage_adapters.protocol import HistoryQuery, Parts, Row, StorageAdapter, Store, Transaction
from supercompat.wire.objects import (
    Content,
    ImageUrl,
    ImageUrlContent,
    Message,
    RunStep,
    StepCall,
    StepFunction,
    Text,
    TextContent,
    ToolCallsDetails,
)
from tests.storage.rows import assistant, ids, run, step, thread

ALL = 1_000_000


def said(
    id: str, text: str = "four", *, run_id: str | None = None, thread_id: str = "thread_1"
) -> Row[Message]:
    role = "user" if run_id is None else "assistant"
    content: list[Content] = [TextContent(text=Text(value=text))]
    return Row(Message(id=id, created_at=1, thread_id=thread_id, run_id=run_id, role=role, content=content))


def called(id: str, after: str | None, output: str | None = "four", *, run_id: str = "run_1") -> Row[RunStep]:
    call = StepCall(id="call_1", function=StepFunction(name="f", arguments="{}", output=output))
    details = ToolCallsDetails(tool_calls=[call])
    return Row(
        step(id, run_id).object.changed(type="tool_calls", step_details=details),
        {"after": after} if after else {},
    )


def conversation(tx: Transaction) -> None:
    """Run 1 has called a tool twice, with words before; run 2 is asked now."""
    tx.threads.insert(thread())
    tx.messages.insert(said("msg_1"))
    tx.runs.insert(run("run_1", owner="me"))
    of_run = run("run_1", owner="me")
    tx.runs.put_parts(of_run, Parts([said("msg_2", run_id="run_1")], [step("step_1", "run_1")]))
    tx.runs.put_parts(of_run, Parts(new_steps=[called("step_2", "msg_2")]))
    tx.runs.put_parts(of_run, Parts(new_steps=[called("step_3", "msg_2")]))
    tx.runs.put_parts(of_run, Parts([said("msg_3", run_id="run_1")]))
    tx.runs.put(run("run_1", "completed"))
    tx.messages.insert(said("msg_4"))


WHOLE = ["msg_1", "msg_2", "step_2", "step_3", "msg_3", "msg_4"]


def read(
    tx: Transaction, size: int = ALL, last: int | None = None, run_id: str = "run_2"
) -> tuple[list[str], bool]:
    history = tx.messages.history(HistoryQuery("thread_1", run_id, last, size))
    return ids(history.rows), history.is_cut


async def test_a_thread_without_messages(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.threads.insert(thread())
        assert read(tx) == ([], False)
        tx.runs.insert(run("run_1", owner="me"))
        tx.runs.put_parts(run("run_1", owner="me"), Parts(new_steps=[called("step_1", None)]))
        history = tx.messages.history(HistoryQuery("thread_1", "run_1", None, ALL))
        assert (ids(history.rows), history.last_message, history.is_cut) == (["step_1"], None, False)

    await store.transact(work)


async def test_messages_and_tool_steps_in_the_order_of_the_conversation(store: Store) -> None:
    def work(tx: Transaction) -> None:
        conversation(tx)
        assert read(tx) == (WHOLE, False)
        history = tx.messages.history(HistoryQuery("thread_1", "run_2", None, ALL))
        assert history.last_message == "msg_4"
        assert history.rows[2] == called("step_2", "msg_2")
        assert history.rows[1] == said("msg_2", run_id="run_1")

    await store.transact(work)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (1, ["msg_4"]),
        (2, ["msg_3", "msg_4"]),
        (3, ["msg_2", "step_2", "step_3", "msg_3", "msg_4"]),
        (4, WHOLE),
        (100, WHOLE),
    ],
)
async def test_the_last_messages_with_the_steps_that_follow_them(
    store: Store, last: int, expected: list[str]
) -> None:
    def work(tx: Transaction) -> None:
        conversation(tx)
        assert read(tx, last=last) == (expected, expected != WHOLE)

    await store.transact(work)


async def test_what_is_the_run_s_own_does_not_count(store: Store) -> None:
    def work(tx: Transaction) -> None:
        conversation(tx)
        assert read(tx, last=1, run_id="run_1") == (["msg_2", "step_2", "step_3", "msg_3", "msg_4"], True)

    await store.transact(work)


async def test_only_as_much_as_is_wanted(store: Store) -> None:
    """Twenty of each message, as much of each call and a bit."""

    def work(tx: Transaction) -> None:
        conversation(tx)
        assert read(tx, size=20) == (["msg_4"], True)
        assert read(tx, size=40) == (["msg_3", "msg_4"], True)
        assert read(tx, size=41) == (["step_3", "msg_3", "msg_4"], True)

    await store.transact(work)


async def test_the_newest_question_comes_in_any_case(store: Store) -> None:
    def work(tx: Transaction) -> None:
        conversation(tx)
        tx.runs.insert(run("run_2", owner="me"))
        long = called("step_4", "msg_4", "x" * 1000, run_id="run_2")
        newest = called("step_5", "msg_4", "x" * 1000, run_id="run_2")
        tx.runs.put_parts(run("run_2", owner="me"), Parts(new_steps=[long, newest]))
        assert read(tx, size=100) == (["msg_4", "step_5"], True)

    await store.transact(work)


async def test_an_image_is_not_measured_by_its_address(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.threads.insert(thread())
        image = ImageUrlContent(image_url=ImageUrl(url="data:image/png;base64," + "A" * 100_000))
        tx.messages.insert(said("msg_1"), Row(said("msg_2").object.changed(content=[image])))
        assert read(tx, size=4000) == (["msg_1", "msg_2"], False)

    await store.transact(work)


async def test_calls_without_all_of_their_outputs_are_left_out(store: Store) -> None:
    def work(tx: Transaction) -> None:
        conversation(tx)
        tx.runs.insert(run("run_2", owner="me"))
        tx.runs.put_parts(run("run_2", owner="me"), Parts(new_steps=[called("step_4", "msg_4", None)]))
        assert read(tx) == (WHOLE, False)
        tx.steps.put(called("step_4", "msg_4"))
        assert read(tx) == ([*WHOLE, "step_4"], False)

    await store.transact(work)


async def test_a_step_moves_behind_what_was_said_after_it(store: Store) -> None:
    def work(tx: Transaction) -> None:
        conversation(tx)
        mine = run("run_2", owner="me")
        tx.runs.insert(mine)
        tx.runs.put_parts(mine, Parts(new_steps=[called("step_4", "msg_4", None)]))
        tx.runs.put_parts(mine, Parts([said("msg_5", run_id="run_2")]))
        tx.runs.put(
            replace(mine, object=run("run_2", "in_progress").object),
            parts=Parts(steps=[called("step_4", "msg_5")]),
        )
        assert read(tx) == ([*WHOLE, "msg_5", "step_4"], False)

    await store.transact(work)


async def test_a_message_that_is_deleted_leaves_the_calls_behind_it(store: Store) -> None:
    def work(tx: Transaction) -> None:
        conversation(tx)
        tx.messages.delete("msg_2")
        assert read(tx) == (["msg_1", "step_2", "step_3", "msg_3", "msg_4"], False)
        assert read(tx, last=2) == (["msg_3", "msg_4"], True)
        tx.runs.insert(run("run_2", owner="me"))
        # Its message was deleted while the model was asked.
        tx.runs.put_parts(run("run_2", owner="me"), Parts(new_steps=[called("step_4", "msg_no")]))
        assert read(tx)[0][-1] == "step_4"

    await store.transact(work)


async def test_what_stands_between_two_places(adapter: StorageAdapter, store: Store) -> None:
    def work(tx: Transaction) -> list[int]:
        conversation(tx)
        # Of nothing, nothing is sent.
        tx.messages.insert(said("msg_5", text=""), said("msg_6"))
        tx.threads.insert(thread("thread_2"))
        tx.messages.insert(said("msg_0", thread_id="thread_2"))
        history = tx.messages.history(HistoryQuery("thread_1", "run_2", None, ALL))
        places = dict(zip(ids(history.rows), history.places, strict=True))
        assert list(places.values()) == sorted(places.values())
        assert places["msg_2"] == places["step_2"] == places["step_3"]
        tx.messages.delete("msg_2")
        stretch = tx.messages.stretch("thread_1", places["msg_2"], places["msg_4"])
        assert list(zip(ids(stretch.rows), stretch.places, strict=True)) == [
            (id, places[id]) for id in ("step_2", "step_3", "msg_3", "msg_4")
        ]
        assert [
            tx.messages.count_until("thread_1", places[id]) for id in ("msg_1", "step_3", "msg_4", "msg_6")
        ] == [1, 1, 3, 4]
        return [history.places[0], history.places[-1]]

    first, last = await store.transact(work)
    other = adapter.open(project="other")
    found = await other.transact(
        lambda tx: (
            tx.messages.stretch("thread_1", first, last).rows,
            tx.messages.count_until("thread_1", last),
        )
    )
    assert found == ([], 0)
    await other.aclose()


async def test_parts_are_stored_with_their_run_or_not_at_all(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.threads.insert(thread())
        assert tx.runs.insert(run("run_1", owner="me", fence=2), [said("msg_1"), said("msg_2")]) is None
        assert tx.runs.insert(run("run_2"), [said("msg_no")]) == run("run_1", owner="me", fence=2)
        parts = Parts(
            [said("msg_3", run_id="run_1"), said("msg_4", run_id="run_1")], [step("step_1", "run_1")]
        )
        for other in (
            run("run_1", owner="you", fence=2),
            run("run_1", owner="me", fence=1),
            run("run_no", owner="me"),
        ):
            assert not tx.runs.put_parts(other, parts)
        assert not tx.runs.put(run("run_1", "completed", fence=2), expected=["in_progress"], parts=parts)
        assert read(tx) == (["msg_1", "msg_2"], False)
        assert tx.runs.put(run("run_1", "in_progress", owner="me", fence=2), expected=["queued"], parts=parts)
        assert read(tx) == (["msg_1", "msg_2", "msg_3", "msg_4"], False)
        changed = Parts(
            messages=[said("msg_3", "more", run_id="run_1"), said("msg_no")], steps=[step("step_1", "run_1")]
        )
        assert tx.runs.put_parts(run("run_1", owner="me", fence=2), changed)
        assert tx.messages.get("msg_3") == said("msg_3", "more", run_id="run_1")
        assert tx.messages.get("msg_no") is None

    await store.transact(work)


@pytest.mark.conforms("C-120")
async def test_metadata_is_kept_while_the_message_is_written(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.threads.insert(thread())
        mine = run("run_1", owner="me")
        tx.runs.insert(mine, [Row(said("msg_1").object.changed(metadata={"from": "start"}))])
        tx.runs.put_parts(mine, Parts([said("msg_2", run_id="run_1")]))
        assert tx.messages.put_metadata("msg_2", {"a": "b"})
        assert not tx.messages.put_metadata("msg_no", {})
        tx.runs.put_parts(mine, Parts(messages=[said("msg_2", "all", run_id="run_1")]))
        row = tx.messages.get("msg_2")
        assert row == Row(said("msg_2", "all", run_id="run_1").object.changed(metadata={"a": "b"}))
        assert tx.messages.history(HistoryQuery("thread_1", "run_1", None, ALL)).rows[1] == row
        assert tx.messages.put_metadata("msg_1", {})
        row = tx.messages.get("msg_1")
        assert row is not None
        assert row.object.metadata == {}

    await store.transact(work)


async def test_what_a_new_run_stands_on(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.threads.insert(thread())
        tx.assistants.insert(assistant("asst_1"))
        assert tx.runs.basis("thread_no", "asst_1") is None
        basis = tx.runs.basis("thread_1", "asst_no")
        assert basis is not None
        assert (basis.assistant, basis.has_user_message) == (None, False)
        tx.messages.insert(Row(said("msg_1").object.changed(role="assistant")))
        basis = tx.runs.basis("thread_1", "asst_1")
        assert basis is not None
        assert (basis.assistant, basis.has_user_message) == (assistant("asst_1"), False)
        tx.messages.insert(said("msg_2"))
        basis = tx.runs.basis("thread_1", "asst_1")
        assert basis is not None
        assert basis.has_user_message

    await store.transact(work)
