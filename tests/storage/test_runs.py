"""The thread lock, the fence and the leases, on each storage."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

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


async def insert(store: Store, rows: Mapping[str, RunRow]) -> None:
    """Store these runs, each on a thread of its own, named by its key."""

    def work(tx: Transaction) -> None:
        for name, row in rows.items():
            tx.threads.insert(thread(name))
            tx.runs.insert(replace(row, object=row.object.changed(thread_id=name)))

    await store.transact(work)


def held(row: RunRow | None) -> tuple[str | None, float, int]:
    assert row
    return row.owner, row.lease_until, row.fence


async def test_claim_takes_what_nobody_carries_out(store: Store) -> None:
    rows = {
        "free": run("run_free"),
        "lapsed": run("run_lapsed", "in_progress", owner="dead", lease_until=9.0, fence=2),
        "orphan": run("run_orphan", "cancelling", owner="gone", lease_until=50.0, fence=7),
        "held": run("run_held", "in_progress", owner="other", lease_until=50.0),
        "busy": run("run_busy", "in_progress", owner="me", lease_until=9.0, fence=1),
        "waiting": run("run_waiting", "requires_action"),
        "ended": run("run_ended", "completed", owner="dead", lease_until=9.0),
    }
    await insert(store, rows)

    def claim(tx: Transaction) -> Mapping[str, int]:
        return tx.runs.claim("me", 99.0, now=10.0, limit=9, but=["run_busy"], orphans_of=["gone"])

    claimed = await store.transact(claim)
    assert list(claimed.items()) == [("run_free", 1), ("run_lapsed", 3), ("run_orphan", 8)]
    for run_id, fence in claimed.items():
        row = await store.transact(partial(_get, run_id))
        assert held(row) == ("me", 99.0, fence)
    assert await store.transact(claim) == {}


async def test_claim_takes_what_waits_past_its_time(store: Store) -> None:
    def waiting(run_id: str, expires_at: int) -> RunRow:
        row = run(run_id, "requires_action")
        return replace(row, object=row.object.changed(expires_at=expires_at))

    await insert(store, {"late": waiting("run_late", 10), "early": waiting("run_early", 11)})
    assert await store.transact(lambda tx: tx.runs.claim("me", 20.0, now=10.6, limit=9)) == {"run_late": 1}
    # Who claimed it is given the time to end it.
    assert await store.transact(lambda tx: tx.runs.claim("you", 20.0, now=10.6, limit=9)) == {}


async def test_claim_takes_so_many_at_most(store: Store) -> None:
    await insert(store, {f"thread_{number}": run(f"run_{number}") for number in range(3)})
    claims = [await store.transact(lambda tx: tx.runs.claim("me", 20.0, now=10.0, limit=2)) for _ in range(3)]
    assert [len(claimed) for claimed in claims] == [2, 1, 0]
    assert {run_id for claimed in claims for run_id in claimed} == {"run_0", "run_1", "run_2"}


async def test_who_lost_a_run_can_not_write_it(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.threads.insert(thread())
        mine = run("run_1", "in_progress", owner="me", lease_until=5.0, fence=1)
        tx.runs.insert(mine)
        assert tx.runs.claim("you", 20.0, now=10.0, limit=1) == {"run_1": 2}
        taken = tx.runs.get("run_1")
        assert taken
        assert not tx.runs.put(mine)
        assert tx.runs.put(taken)

    await store.transact(work)


async def test_renew_prolongs_the_leases_of_what_is_held(store: Store) -> None:
    rows = {
        "thread_1": run("run_1", owner="me", lease_until=5.0, fence=1),
        "thread_2": run("run_2", "cancelling", owner="me", lease_until=6.0, fence=4),
        "thread_3": run("run_3", "in_progress", owner="me", lease_until=7.0),
        "thread_4": run("run_4", "in_progress", owner="you", lease_until=7.0),
        "thread_5": run("run_5", "completed", owner="me", lease_until=7.0),
    }
    await insert(store, rows)
    asked = ["run_1", "run_2", "run_4", "run_5", "run_6"]
    stored = await store.transact(lambda tx: tx.runs.renew("me", 60.0, asked))
    assert stored == {"run_1": ("queued", 1), "run_2": ("cancelling", 4)}
    page = await store.transact(lambda tx: tx.runs.page(PageQuery(order="asc")))
    assert [row.lease_until for row in page.rows] == [60.0, 60.0, 7.0, 7.0, 7.0]
    assert await store.transact(lambda tx: tx.runs.renew("me", 60.0, [])) == {}


def line_up(tx: Transaction, *rows: RunRow) -> None:
    """Store an active run of thread_1, and these in line behind it."""
    tx.threads.insert(thread(), thread("thread_2"))
    tx.runs.insert(run("run_1", "in_progress"))
    for row in rows:
        assert tx.runs.enqueue(row)


def statuses(tx: Transaction) -> dict[str, str]:
    return {row.object.id: row.status for row in tx.runs.page(PageQuery(order="asc")).rows}


async def test_a_run_stands_in_line_behind_an_active_one(store: Store) -> None:
    """It is shown as queued, is not active, and nobody takes it over."""
    waiting = run("run_2", owner="me", lease_until=5.0, fence=1)

    def work(tx: Transaction) -> None:
        line_up(tx, waiting)
        assert not tx.runs.enqueue(run("run_3", thread_id="thread_2"))
        assert tx.runs.get("run_3") is None
        assert tx.runs.get("run_2") == replace(waiting, enqueued=True)
        assert tx.runs.active("thread_1") == run("run_1", "in_progress")
        assert tx.runs.insert(run("run_4")) == run("run_1", "in_progress")
        assert tx.runs.claim("you", 20.0, now=10.0, limit=9, but=["run_1"]) == {}
        assert tx.runs.renew("me", 9.0, ["run_2"]) == {"run_2": ("enqueued", 1)}

    await store.transact(work)
    found = await store.transact(lambda tx: tx.runs.get("run_2"))
    assert found
    assert (found.object.status, found.status, found.lease_until) == ("queued", "enqueued", 9.0)


@pytest.mark.parametrize("status", ENDED)
async def test_the_oldest_in_line_comes_next(store: Store, status: RunStatus) -> None:
    """With its ownership as it was."""

    def work(tx: Transaction) -> None:
        line_up(tx, run("run_2", owner="me", lease_until=5.0, fence=3), run("run_3"))
        assert not tx.runs.put(run("run_1", status), expected=["queued"])
        assert statuses(tx) == {"run_1": "in_progress", "run_2": "enqueued", "run_3": "enqueued"}
        assert tx.runs.put(run("run_1", status), expected=["in_progress"])
        assert tx.runs.active("thread_1") == run("run_2", owner="me", lease_until=5.0, fence=3)
        assert tx.runs.put(run("run_2", status, fence=3))
        assert statuses(tx) == {"run_1": status, "run_2": status, "run_3": "queued"}
        assert tx.runs.put(run("run_3", status))
        assert tx.runs.active("thread_1") is None

    await store.transact(work)


@pytest.mark.parametrize("status", ACTIVE)
async def test_nobody_comes_next_while_a_run_is_active(store: Store, status: RunStatus) -> None:
    def work(tx: Transaction) -> None:
        line_up(tx, run("run_2"), run("run_3"))
        assert tx.runs.put(run("run_1", status))
        assert not tx.runs.put(run("run_2", "cancelled"), expected=["queued"])
        assert tx.runs.put(run("run_2", "cancelled"), expected=["enqueued"])
        assert statuses(tx) == {"run_1": status, "run_2": "cancelled", "run_3": "enqueued"}
        assert tx.runs.put(run("run_1", "completed"))
        assert statuses(tx) == {"run_1": "completed", "run_2": "cancelled", "run_3": "queued"}

    await store.transact(work)


async def test_a_run_ends_once(store: Store) -> None:
    """Writing it again calls nobody."""

    def work(tx: Transaction) -> None:
        line_up(tx, run("run_2"), run("run_3"))
        assert tx.runs.put(run("run_1", "completed"))
        assert tx.runs.put(run("run_1", "completed"))
        assert statuses(tx) == {"run_1": "completed", "run_2": "queued", "run_3": "enqueued"}

    await store.transact(work)


async def test_a_deleted_thread_takes_its_line_with_it(store: Store) -> None:
    def work(tx: Transaction) -> None:
        line_up(tx, run("run_2"))
        assert tx.threads.delete("thread_1")
        assert statuses(tx) == {}

    await store.transact(work)


async def test_release_ends_all_leases_of_one_owner(store: Store) -> None:
    rows = {
        "thread_1": run("run_1", owner="me", lease_until=5.0, fence=1),
        "thread_2": run("run_2", "in_progress", owner="you", lease_until=6.0, fence=2),
    }
    await insert(store, rows)
    await store.transact(lambda tx: tx.runs.release("me"))
    assert held(await store.transact(partial(_get, "run_1"))) == (None, 0.0, 1)
    assert held(await store.transact(partial(_get, "run_2"))) == ("you", 6.0, 2)


def _get(run_id: str, tx: Transaction) -> RunRow | None:
    return tx.runs.get(run_id)
