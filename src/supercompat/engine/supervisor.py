"""Who carries out which run: starts passes, keeps their leases, stops them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeAlias, cast

import anyio

from supercompat.engine.closing import end_broken, end_if_half_said
from supercompat.engine.driver import Driver
from supercompat.engine.executor import LostRunError, Pass
from supercompat.engine.feed import Feed
from supercompat.engine.lifecycle import move
from supercompat.engine.reducer import RUN_EVENTS
from supercompat.errors import RequestError, StorageError, internal_error
from supercompat.options import Options
from supercompat.storage_adapters.protocol import RunRow, Store, Transaction
from supercompat.wire.events import AssistantEvent, EventName
from supercompat.wire.ids import new_id
from supercompat.wire.objects import LastError, Run

logger = logging.getLogger(__name__)

StopReason: TypeAlias = Literal["cancelled", "lost", "handed over"]

#: Seconds that a run which is handed over, or ended by us, may take to be written down.
WRITE_TIMEOUT = 5.0

#: What the readers of a run see when it is handed over.
HANDED_OVER = RequestError(
    "The client was closed before the run had ended. The next one that opens this database takes the run over.",
    status=500,
    type="server_error",
)

#: How a run ends that met a defect of ours.
DEFECT = LastError(code="server_error", message="Sorry, something went wrong.")


@dataclass(slots=True, eq=False)
class Job:
    """A pass that is being carried out."""

    row: RunRow
    feed: Feed
    work: Pass
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    stopped: StopReason | None = None
    task: "asyncio.Task[None] | None" = None


class Supervisor:
    """The runs that this runtime carries out. It belongs to the event loop on which it is used."""

    def __init__(self, *, store: Store, driver: Driver, options: Options) -> None:
        self.owner = new_id("owner")
        self._store = store
        self._driver = driver
        self._clock = options.clock
        self._options = options
        self._jobs: dict[str, Job] = {}
        self._heartbeat: asyncio.Task[None] | None = None

    def owned(self, run: Run, private: dict[str, object]) -> RunRow:
        """A row of a run that this runtime is about to carry out."""
        return RunRow(run, private, owner=self.owner, lease_until=self._lease_end(), fence=1)

    def adopt(self, row: RunRow) -> RunRow:
        """The row, owned by this runtime from now on."""
        return replace(row, owner=self.owner, lease_until=self._lease_end(), fence=row.fence + 1)

    def launch(self, row: RunRow, opening: Sequence[AssistantEvent] = ()) -> Feed:
        """Start the next pass of a stored run, outside of any request.

        Args:
            opening: events that come before those of the pass.

        Returns:
            The feed of the pass.
        """
        feed = Feed()
        feed.publish(opening)
        work = Pass(row, feed, store=self._store, driver=self._driver, clock=self._clock)
        job = Job(row, feed, work)
        job.scope.deadline = self._deadline(row)
        self._jobs[row.object.id] = job
        job.task = asyncio.create_task(self._carry_out(job), name=f"supercompat {row.object.id}")
        if self._heartbeat is None:
            self._heartbeat = asyncio.create_task(self._renew_leases(), name="supercompat leases")
        return feed

    def feed(self, run_id: str) -> Feed | None:
        """The feed of the run's pass, if it is carried out here."""
        job = self._jobs.get(run_id)
        return job.feed if job else None

    def cancel(self, run: Run) -> bool:
        """Stop a run that was just stored as `cancelling`. False if it is not carried out here."""
        job = self._jobs.get(run.id)
        if job is None:
            return False
        if job.stopped is None:
            job.work.announce_cancelling(run)
            self._stop(job, "cancelled")
        return True

    def forget(self, thread_id: str) -> None:
        """Stop the run of a thread that was just deleted. Nothing more is written of it."""
        for job in list(self._jobs.values()):
            if job.row.object.thread_id == thread_id:
                self._stop(job, "lost")

    async def take_over(self, orphans_of: Sequence[str] = ()) -> None:
        """Carry on, or end, the runs that nobody owns any more.

        A run that has shown nothing yet is carried out again; one that has said something ends as failed.

        Args:
            orphans_of: owners that are known to be gone.
        """
        owner, until, now = self.owner, self._lease_end(), self._clock.now()

        def work(tx: Transaction) -> list[RunRow]:
            claimed = tx.runs.claim(owner, until, now=now, orphans_of=orphans_of)
            return [row for row in claimed if not end_if_half_said(tx, row, now)]

        for row in await self._store.transact(work):
            self.launch(row)

    def tasks(self) -> list["asyncio.Task[None]"]:
        """The passes that are under way."""
        return [job.task for job in self._jobs.values() if job.task is not None]

    async def close(self) -> None:
        """Hand over the passes that are under way, and whatever else this runtime owns: a run of which only the
        creation was completed, or whose task was cancelled before it began and so runs nothing, not even its end."""
        for job in list(self._jobs.values()):
            self._stop(job, "handed over")
        await settled(self.tasks(), WRITE_TIMEOUT)
        self._rest()
        try:
            await self._store.transact(lambda tx: tx.runs.renew(self.owner, 0.0))
        except StorageError:
            logger.info("What was left was not released: its leases run out", exc_info=True)

    # One job

    async def _carry_out(self, job: Job) -> None:
        try:
            with job.scope:
                await self._end_with_the_pass(job)
            if job.scope.cancelled_caught:
                with anyio.move_on_after(WRITE_TIMEOUT):
                    await self._break_off(job)
        except asyncio.CancelledError:
            # The loop ends. What is still written now is the last that it does for this run.
            await self._hand_over(job)
            raise
        finally:
            if self._jobs.get(job.row.object.id) is job:
                del self._jobs[job.row.object.id]
            job.feed.end()
            if not self._jobs:
                self._rest()

    async def _end_with_the_pass(self, job: Job) -> None:
        try:
            await job.work.carry_out()
        except LostRunError:
            await self._yield_to_winner(job)
        except Exception:
            if job.stopped != "lost":
                logger.exception("%s failed in supercompat", job.row.object.id)
                await self._fail(job)

    async def _fail(self, job: Job) -> None:
        try:
            await job.work.fail(DEFECT)
        except LostRunError:
            await self._yield_to_winner(job)
        except Exception:
            logger.exception("%s could not be ended by its pass", job.row.object.id)
            await self._end_as_stored(job)

    async def _break_off(self, job: Job) -> None:
        try:
            if job.stopped is None:
                await job.work.break_off("expired")
            elif job.stopped == "cancelled":
                await job.work.break_off("cancelled")
            elif job.stopped == "handed over":
                await self._hand_over(job)
        except LostRunError:
            await self._show_end(job)
        except Exception:
            logger.exception("%s could not be stopped by its pass", job.row.object.id)
            await self._end_as_stored(job)

    async def _yield_to_winner(self, job: Job) -> None:
        """The run was moved behind our back: a cancellation is ours to finish, all else is somebody else's."""
        run_id = job.row.object.id
        stored = await self._store.transact(lambda tx: tx.runs.get(run_id))
        if stored is not None and stored.object.status == "cancelling" and stored.fence == job.row.fence:
            if job.stopped != "cancelled":
                job.work.announce_cancelling(stored.object)
            job.stopped = "cancelled"
            await self._break_off(job)
        else:
            await self._show_end(job)

    async def _show_end(self, job: Job) -> None:
        """Tell the readers how the run ended, where somebody else has ended it (C-152, C-154)."""
        run_id = job.row.object.id
        stored = await self._store.transact(lambda tx: tx.runs.get(run_id))
        if stored is not None and (name := RUN_EVENTS.get(stored.object.status)):
            job.feed.publish([AssistantEvent(name, stored.object)])

    async def _end_as_stored(self, job: Job) -> None:
        """End a run whose pass can't, as when it holds what can't be written: no run stays active for that."""
        run_id, fence, now = job.row.object.id, job.row.fence, self._clock.now()

        def work(tx: Transaction) -> RunRow | None:
            row = tx.runs.get(run_id, lock=True)
            if row is None or (row.owner, row.fence) != (self.owner, fence):
                return None
            return end_broken(tx, row, DEFECT, now=now)

        ended: RunRow | None = None
        try:
            with anyio.CancelScope(shield=True):
                ended = await self._store.transact(work)
        except StorageError:
            logger.exception("%s could not be ended", run_id)
        if ended is None:
            job.feed.publish([AssistantEvent("error", internal_error().body())])
        else:
            name = cast(EventName, f"thread.run.{ended.object.status}")
            job.feed.publish([AssistantEvent(name, ended.object)])

    async def _hand_over(self, job: Job) -> None:
        """Let go of a run. What is kept in memory dies with us, so there it is cancelled."""
        try:
            if self._store.durable and job.stopped != "cancelled":
                await job.work.hand_over()
                job.feed.publish([AssistantEvent("error", HANDED_OVER.body())])
                return
            run_id = job.row.object.id
            cancelling = await self._store.transact(lambda tx: start_cancelling(tx, run_id))
            if cancelling is not None:
                job.work.announce_cancelling(cancelling.object)
            await job.work.break_off("cancelled")
        except LostRunError:
            logger.info("%s had ended before it was handed over", job.row.object.id)
        except StorageError:
            logger.exception("%s could not be handed over", job.row.object.id)

    def _stop(self, job: Job, reason: StopReason) -> None:
        if job.stopped is None:
            job.stopped = reason
        job.scope.cancel()

    # Time

    def _lease_end(self) -> float:
        return self._clock.now() + self._options.lease

    def _deadline(self, row: RunRow) -> float:
        expires_at = row.object.expires_at
        if expires_at is None:
            return float("inf")
        return asyncio.get_running_loop().time() + (expires_at - self._clock.now())

    def _rest(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(self._options.lease / 3)
            try:
                stored = await self._store.transact(partial(self._renew, list(self._jobs)))
            except StorageError:
                logger.exception("The leases of running runs could not be renewed")
            else:
                self._heed(stored)

    def _renew(self, run_ids: Sequence[str], tx: Transaction) -> Mapping[str, RunRow | None]:
        """Prolong the leases. Returns what is stored of these runs."""
        tx.runs.renew(self.owner, self._lease_end())
        return {run_id: tx.runs.get(run_id) for run_id in run_ids}

    def _heed(self, stored: Mapping[str, RunRow | None]) -> None:
        """Stop the runs that were cancelled, deleted with their thread, or taken over, in another runtime (C-121,
        C-152)."""
        for run_id, row in stored.items():
            job = self._jobs.get(run_id)
            if job is not None and (row is None or row.fence > job.row.fence):
                self._stop(job, "lost")
            elif row is not None and row.object.status == "cancelling":
                self.cancel(row.object)


async def settled(tasks: Sequence["asyncio.Task[Any]"], seconds: float) -> None:
    """Wait, at most so long, until the tasks have ended, however they did."""
    if tasks and seconds > 0:
        await asyncio.wait(tasks, timeout=seconds)


def start_cancelling(tx: Transaction, run_id: str) -> RunRow | None:
    """Store the run as `cancelling`; None if it is not queued or in progress."""
    row = tx.runs.get(run_id, lock=True)
    if row is None or row.object.status not in ("queued", "in_progress"):
        return None
    row = replace(row, object=move(row.object, "cancelling"))
    return row if tx.runs.put(row, expected=("queued", "in_progress")) else None
