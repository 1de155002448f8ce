"""The thread lock, the fence and the leases, on each storage."""

import pytest

from supercompat.storage_adapters.protocol import PageQuery, RunRow, Store, Transaction
from supercompat.wire.objects import RunStatus
from tests.storage.rows import ids, run, thread

ACTIVE: list[RunStatus] = ["queued", "in_progress", "requires_action", "cancelling"]
ENDED: list[RunStatus] = ["cancelled", "failed", "completed", "incomplete", "expired"]


async def test_a_run_comes_back_with_its_ownership(store: Store) -> None:
    row = RunRow(run("run_1").object, {"a": [1]}, owner="me", lease_until=12.5, fence=3)

    def work(tx: Transaction) -> None:
        tx.threads.insert(thread())
        assert tx.runs.insert(row) is None

    await store.transact(work)
    found = await store.transact(lambda tx: (tx.runs.get("run_1"), tx.runs.page(PageQuery()).rows[0]))
    assert found == (row, row)


@pytest.mark.parametrize("status", ACTIVE)
async def test_a_thread_has_one_active_run(store: Store, status: RunStatus) -> None:
    def work(tx: Transaction) -> RunRow | None:
        tx.threads.insert(thread(), thread("thread_2"))
        assert tx.runs.insert(run("run_1", status)) is None
        assert tx.runs.insert(run("run_2", thread_id="thread_2")) is None
        assert tx.runs.insert(run("run_3")) == run("run_1", status)
        assert tx.runs.get("run_3") is None
        return tx.runs.active("thread_1")

    assert await store.transact(work) == run("run_1", status)


@pytest.mark.parametrize("status", ENDED)
async def test_a_run_that_ended_makes_room(store: Store, status: RunStatus) -> None:
    def work(tx: Transaction) -> None:
        tx.threads.insert(thread())
        tx.runs.insert(run("run_1"))
        assert tx.runs.put(run("run_1", status))
        assert tx.runs.active("thread_1") is None
        assert tx.runs.insert(run("run_2")) is None
        assert tx.runs.insert(run("run_3", status)) is None

    await store.transact(work)
    found = await store.transact(lambda tx: tx.runs.page(PageQuery({"thread_id": "thread_1"})))
    assert ids(found.rows) == ["run_3", "run_2", "run_1"]


async def test_put_only_from_an_expected_status(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.threads.insert(thread())
        tx.runs.insert(run("run_1"))
        changed = run("run_1", "in_progress")
        assert not tx.runs.put(changed, expected=["in_progress", "cancelling"])
        assert not tx.runs.put(changed, expected=[])
        assert tx.runs.get("run_1") == run("run_1")
        assert tx.runs.put(changed, expected={"queued", "cancelling"})
        assert tx.runs.get("run_1") == changed
        assert not tx.runs.put(run("run_no"))

    await store.transact(work)


async def test_put_is_refused_behind_the_fence(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.threads.insert(thread())
        tx.runs.insert(run("run_1", fence=5))
        assert not tx.runs.put(run("run_1", "in_progress", fence=4))
        assert tx.runs.get("run_1") == run("run_1", fence=5)
        assert tx.runs.put(run("run_1", "in_progress", fence=5))
        assert tx.runs.put(run("run_1", "completed", fence=6))

    await store.transact(work)


async def test_claim_takes_what_nobody_carries_out(store: Store) -> None:
    rows = {
        "free": run("run_free"),
        "lapsed": run("run_lapsed", "in_progress", owner="dead", lease_until=9.0, fence=2),
        "orphan": run("run_orphan", "cancelling", owner="gone", lease_until=50.0, fence=7),
        "held": run("run_held", "in_progress", owner="other", lease_until=50.0),
        "waiting": run("run_waiting", "requires_action"),
        "ended": run("run_ended", "completed", owner="dead", lease_until=9.0),
    }

    def work(tx: Transaction) -> list[tuple[str, str | None, float, int]]:
        for name, row in rows.items():
            tx.threads.insert(thread(name))
            shown = row.object.changed(thread_id=name)
            tx.runs.insert(RunRow(shown, row.private, row.owner, row.lease_until, row.fence))
        claimed = tx.runs.claim("me", 99.0, now=10.0, orphans_of=["gone"])
        assert [tx.runs.get(row.object.id) for row in claimed] == list(claimed)
        return [(row.object.id, row.owner, row.lease_until, row.fence) for row in claimed]

    assert await store.transact(work) == [
        ("run_free", "me", 99.0, 1),
        ("run_lapsed", "me", 99.0, 3),
        ("run_orphan", "me", 99.0, 8),
    ]
    assert await store.transact(lambda tx: tx.runs.claim("you", 99.0, now=10.0)) == []


async def test_who_lost_a_run_can_not_write_it(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.threads.insert(thread())
        mine = run("run_1", "in_progress", owner="me", lease_until=5.0, fence=1)
        tx.runs.insert(mine)
        [taken] = tx.runs.claim("you", 20.0, now=10.0)
        assert not tx.runs.put(mine)
        assert tx.runs.put(taken)

    await store.transact(work)


async def test_renew_prolongs_the_leases_of_one_owner(store: Store) -> None:
    def work(tx: Transaction) -> list[float]:
        tx.threads.insert(thread("thread_1"), thread("thread_2"), thread("thread_3"))
        tx.runs.insert(run("run_1", owner="me", lease_until=5.0))
        tx.runs.insert(run("run_2", "in_progress", "thread_2", owner="me", lease_until=6.0))
        tx.runs.insert(run("run_3", "in_progress", "thread_3", owner="you", lease_until=7.0))
        tx.runs.renew("me", 60.0)
        return [row.lease_until for row in tx.runs.page(PageQuery(order="asc")).rows]

    assert await store.transact(work) == [60.0, 60.0, 7.0]
