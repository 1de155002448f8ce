"""Who carries out which run: starts passes, keeps their leases, stops them, takes over what others left."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from supercompat.engine.closing import resume
from supercompat.engine.driver import Driver
from supercompat.engine.estimates import Estimates
from supercompat.engine.executor import cancel_at_provider, keep_text
from supercompat.engine.feed import Feed
from supercompat.engine.job import WRITE_TIMEOUT, Job
from supercompat.engine.lifecycle import RESTING
from supercompat.engine.presence import Presence
from supercompat.engine.timer import Timer
from supercompat.engine.tool_calls import UNDER_WAY
from supercompat.engine.watch import Watch
from supercompat.errors import StorageError, internal_error
from supercompat.options import Options
from supercompat.storage_adapters.protocol import RunRow, Store, StoredStatus, Transaction
from supercompat.wire.events import AssistantEvent
from supercompat.wire.ids import new_id
from supercompat.wire.objects import Message, Run

logger = logging.getLogger(__name__)

#: The parts of the lease that it lasts, that pass between two renewals (at most a second), and between two looks for
#: runs that nobody carries out. The first and the last make the time within which such a run is taken over.
TERM = 3 / 5
RENEWAL = 1 / 5
LOOK = 1 / 6

#: The part of the lease for which a database that was away, for as long, has to be back before runs are taken over:
#: whoever lives renews its leases first.
GRACE = 1 / 3

#: Seconds between two renewals at most: without any news, a cancellation by another process is noticed by them, which
#: has to be within a second.
LONGEST_RENEWAL = 0.8

#: Seconds between news of a run that is carried out here, and the look at it that they bring about.
NEWS_WAIT = 0.05

#: How many runs are taken over by one statement.
CLAIMED_AT_ONCE = 16


class Supervisor:
    """The runs that this runtime carries out. It belongs to the event loop on which it is used.

    Attributes:
        driver: how they are carried out.

    Args:
        presence: of the store's database; the same one where others look for runs that nobody carries out.
    """

    def __init__(
        self, *, store: Store, driver: Driver, options: Options, presence: Presence | None = None
    ) -> None:
        self.owner = new_id("owner")
        self.watch = Watch(store, self._hear)
        self.driver = driver
        self._store = store
        self._estimates = Estimates()
        self._clock = options.clock
        self._options = options
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        self._errands: set[asyncio.Task[None]] = set()
        every = min(LONGEST_RENEWAL, options.lease * RENEWAL)
        self._heartbeat = Timer("supercompat leases", every, self._beat)
        self._reaper = Timer("supercompat reaper", options.lease * LOOK, self.take_over)
        self._presence = presence or presence_for(options.lease)
        self._has_leased = False
        self._is_closing = False

    async def start(self, orphans_of: Collection[str] = ()) -> None:
        """Take over the runs that nobody owns, now, and again and again where other processes may leave some.

        Args:
            orphans_of: owners that are known to be gone.

        Raises:
            StorageError
        """
        await self.take_over(orphans_of)
        if self._store.durable:
            self._reaper.start()

    def owned(self, run: Run, private: dict[str, object]) -> RunRow:
        """A row of a run that this runtime is about to carry out."""
        return RunRow(run, private, owner=self.owner, lease_until=self._lease_end(), fence=1)

    def adopt(self, row: RunRow) -> RunRow:
        """The row, owned by this runtime from now on."""
        return replace(row, owner=self.owner, lease_until=self._lease_end(), fence=row.fence + 1)

    def launch(self, row: RunRow, opening: Sequence[AssistantEvent] = ()) -> Feed:
        """Start the next pass of a stored run, outside of any request; of one that stands in line, when its turn has
        come.

        Args:
            opening: events that come before those of the pass.

        Returns:
            The feed of the pass.
        """
        job = Job(
            row,
            opening,
            store=self._store,
            driver=self.driver,
            estimates=self._estimates,
            clock=self._clock,
            watch=self.watch,
            lease=self._options.lease,
        )
        newest = self._jobs.get(job.run_id)
        # One with a higher fence took the run over from this very runtime, when that was too slow to begin.
        if newest is None or newest.row.fence < row.fence:
            self._jobs[job.run_id] = job
        task = asyncio.create_task(self._carry_out(job), name=f"supercompat {job.run_id}")
        self._tasks[job] = task
        self._heartbeat.start()
        if row.enqueued and not self._store.durable:
            # Who is in front may wait for outputs, and then nobody but the reaper ends it when its time is over. Where
            # rows outlive this process it is on, or somebody looks for all projects.
            self._reaper.start()
        return job.feed

    def feed(self, run_id: str, *, fence: int | None = None) -> Feed | None:
        """The feed of the run's pass, if it is carried out here, and under this fence."""
        job = self._jobs.get(run_id)
        return job.feed if job and fence in (None, job.row.fence) else None

    def cancel(self, run: Run) -> bool:
        """Stop a run that was just stored as `cancelling`. False if it is not carried out here."""
        job = self._jobs.get(run.id)
        if job is None:
            return False
        job.cancel(run)
        return True

    def dismiss(self, run_id: str) -> None:
        """Stop waiting with a run that was just ended where it stood in line."""
        job = self._jobs.get(run_id)
        if job is not None and job.stands_in_line:
            job.stop("lost")

    def forget(self, thread_id: str) -> None:
        """Stop the run of a thread that was just deleted. Nothing more is written of it."""
        for job in list(self._jobs.values()):
            if job.row.object.thread_id == thread_id:
                job.stop("lost")
                self._cancel_at_provider(job.row.object, job.under_way)

    def abandon(self, row: RunRow) -> None:
        """End what the provider goes on with for a run that was ended while nobody carried it out."""
        self._cancel_at_provider(row.object, row.private.get(UNDER_WAY))

    def _cancel_at_provider(self, run: Run, handle: Mapping[str, Any] | None) -> None:
        if handle is None or not self.driver.can_resume(run.model, handle):
            return
        errand = asyncio.create_task(cancel_at_provider(self.driver, run, handle))
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    async def look_for_turn(self, thread_id: str) -> None:
        """A run of the thread has ended here. The next one may stand in line here too; what this does not find, the
        next renewal does."""
        waiting = (job.row.object.thread_id for job in self._jobs.values() if job.stands_in_line)
        if self._is_closing or thread_id not in waiting:
            return
        try:
            row = await self._store.transact(lambda tx: tx.runs.active(thread_id))
        except Exception:
            logger.info("It could not be seen whose turn it is on %s", thread_id, exc_info=True)
            return
        if row is not None and (job := self._jobs.get(row.object.id)) is not None and job.stands_in_line:
            self._heed(job, row)

    def tasks(self) -> list["asyncio.Task[None]"]:
        """The passes that are under way."""
        return [self._tasks[job] for job in self._jobs.values()]

    async def close(self) -> None:
        """Hand over the passes that are under way, and whatever else this runtime owns: a run of which only the
        creation was completed, or whose task was cancelled before it began and so runs nothing, not even its end."""
        self._is_closing = True
        self._reaper.stop()
        for job in list(self._tasks):
            job.stop("handed over")
        timers = [timer.task for timer in (self._heartbeat, self._reaper) if timer.task is not None]
        await settled([*self._tasks.values(), *timers, *self._errands], WRITE_TIMEOUT)
        self._heartbeat.stop()
        await self.watch.aclose()
        if not self._has_leased:
            return
        try:
            await self._store.transact(lambda tx: tx.runs.release(self.owner))
        except StorageError:
            logger.info("What was left was not released: its leases run out", exc_info=True)

    async def _carry_out(self, job: Job) -> None:
        try:
            with self.watch.listening():
                await job.carry_out()
            self._drop(job)
            if job.is_lost:
                job.feed.leave()
                await job.follow()
        except Exception:
            # As where its row can't be read. Its lease runs out, and who takes it over judges it.
            logger.exception("%s was given up", job.run_id)
            job.feed.publish([AssistantEvent("error", internal_error().body())])
        else:
            job.feed.end()
            await self.look_for_turn(job.row.object.thread_id)
        finally:
            self._drop(job)
            self._tasks.pop(job, None)
            job.feed.end()

    def _drop(self, job: Job) -> None:
        if self._jobs.get(job.run_id) is job:
            del self._jobs[job.run_id]
        if not self._jobs:
            self._heartbeat.stop()
            if not self._store.durable:
                self._reaper.stop()

    # Runs that others may move

    def _lease_end(self) -> float:
        self._has_leased = True
        return self._clock.now() + self._options.lease * TERM

    def _hear(self, run_id: str | None) -> None:
        """News are a reason to look at once, unless they are most likely of what was stored here."""
        job = self._jobs.get(run_id) if run_id is not None else None
        if run_id is None or (job is not None and not job.has_just_written):
            self._heartbeat.hurry(NEWS_WAIT)

    async def _beat(self) -> None:
        jobs = [job for job in self._jobs.values() if not job.is_stopped]
        in_line = [job for job in jobs if job.stands_in_line]
        moved: dict[Job, RunRow | None] = {}
        # One by one: who ends a run holds it, and then takes the next one in line.
        for part in ([job for job in jobs if not job.stands_in_line], in_line):
            if part:
                moved |= await self._store.transact(partial(self._renew, part), urgent=True)
        for job, row in moved.items():
            self._heed(job, row)
        # Apart from the leases, since a text that can't be stored must not cost them.
        texts = {job: text for job in jobs if job not in moved and (text := job.unkept())}
        if texts:
            for job in await self._store.transact(partial(self._keep, texts)):
                job.kept(texts[job])

    def _renew(self, jobs: Collection[Job], tx: Transaction) -> Mapping[Job, RunRow | None]:
        """Prolong the leases. Returns what is stored of those runs that were moved."""
        held = tx.runs.renew(self.owner, self._lease_end(), [job.run_id for job in jobs])
        return {job: _read(tx, job.run_id) for job in jobs if held.get(job.run_id) not in _at_work(job)}

    def _keep(self, texts: Mapping[Job, Message], tx: Transaction) -> Sequence[Job]:
        """Store how far open messages have come: so pollers see them grow, and little is lost in a crash.

        Returns:
            Whose were stored.
        """
        # This also locks the runs that are still ours, and so keeps their passes from ending them meanwhile.
        moved = self._renew(texts, tx)
        return [job for job, text in texts.items() if job not in moved and keep_text(tx, text)]

    def _heed(self, job: Job, row: RunRow | None) -> None:
        """Stop a run that was cancelled, ended, taken over, or deleted with its thread, in another runtime (C-121,
        C-152). Begin one whose turn has come."""
        if row is None or row.fence != job.row.fence or row.object.status in RESTING:
            job.stop("lost")
        elif row.object.status == "cancelling":
            job.cancel(row.object)
        elif not row.enqueued:
            job.begin()

    async def take_over(self, orphans_of: Collection[str] = ()) -> None:
        """Take over the runs that nobody carries out, once.

        Args:
            orphans_of: owners that are known to be gone.

        Raises:
            StorageError
        """
        claimed: Mapping[str, int] | None = None
        while not self._is_closing and (claimed is None or len(claimed) == CLAIMED_AT_ONCE):
            claimed = await self._store.transact(partial(self._claim, orphans_of), urgent=True)
            self._presence.seen()
            for run_id, fence in claimed.items():
                await self._resume(run_id, fence)

    def _claim(self, orphans_of: Collection[str], tx: Transaction) -> Mapping[str, int]:
        # Asked here: the transaction may have waited for the database to come back.
        if not self._presence.is_settled:
            return {}
        return tx.runs.claim(
            self.owner,
            self._lease_end(),
            now=self._clock.now(),
            limit=CLAIMED_AT_ONCE,
            but=list(self._jobs),
            orphans_of=orphans_of,
        )

    async def _resume(self, run_id: str, fence: int) -> None:
        """Carry on, or end, one run that was claimed. If that fails, its lease runs out, and it is claimed again."""
        now, restarts = self._clock.now(), self._options.on_crash == "restart"

        def work(tx: Transaction) -> RunRow | None:
            row = tx.runs.get(run_id, lock=True)
            if row is None or (row.owner, row.fence) != (self.owner, fence):
                return None
            handle = row.private.get(UNDER_WAY)
            goes_on = handle is not None and self.driver.can_resume(row.object.model, handle)
            claimed.append(row)
            return resume(tx, row, now=now, restarts=restarts, goes_on=goes_on)

        claimed: list[RunRow] = []
        try:
            row = await self._store.transact(work)
        except Exception:
            logger.exception("%s could not be taken over", run_id)
        else:
            if row is not None and not self._is_closing:
                self.launch(row)
            elif row is None and claimed:
                self.abandon(claimed[-1])


def presence_for(lease: float) -> Presence:
    """What tells whether a database has been there for long enough to take over runs."""
    return Presence(gap=lease * GRACE, grace=lease * GRACE)


def _read(tx: Transaction, run_id: str) -> RunRow | None:
    try:
        return tx.runs.get(run_id)
    except ValueError:
        # Whoever moved it made it what it is: it must not cost the leases of the others.
        logger.exception("%s can't be read", run_id)
        return None


def _at_work(job: Job) -> tuple[tuple[StoredStatus, int], ...]:
    """What is stored of a run that nobody else has moved."""
    if job.stands_in_line:
        return (("enqueued", job.row.fence),)
    return ("queued", job.row.fence), ("in_progress", job.row.fence)


async def settled(tasks: Sequence["asyncio.Task[Any]"], seconds: float) -> None:
    """Wait, at most so long, until the tasks have ended, however they did."""
    if tasks and seconds > 0:
        await asyncio.wait(tasks, timeout=seconds)
