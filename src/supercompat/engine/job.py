"""One pass of a run from its start to an end, whatever happens to it."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import anyio

from supercompat.clock import Clock
from supercompat.engine.closing import ANSWERED, end_broken, endings, leave_line, start_cancelling
from supercompat.engine.driver import Driver
from supercompat.engine.estimates import Estimates
from supercompat.engine.executor import LostRunError, Pass
from supercompat.engine.feed import Feed
from supercompat.engine.lifecycle import RESTING
from supercompat.engine.patience import PatientStore
from supercompat.engine.watch import Watch
from supercompat.errors import RequestError, StorageError, internal_error
from supercompat.storage_adapters.protocol import RunRow, Store, Transaction
from supercompat.wire.events import AssistantEvent
from supercompat.wire.objects import LastError, Message, Run

logger = logging.getLogger(__name__)

StopReason: TypeAlias = Literal["cancelled", "lost", "handed over"]

#: Seconds that a run which is handed over, or ended by us, may take to be written down.
WRITE_TIMEOUT = 5.0

#: Seconds within which the storage tells what was stored.
OWN_NEWS = 0.1

#: What the readers of a run see when it is handed over.
HANDED_OVER = RequestError(
    "The client was closed before the run had ended. Another one that works on this database takes the run over.",
    status=500,
    type="server_error",
)

#: How a run ends that met a defect of ours.
DEFECT = LastError(code="server_error", message="Sorry, something went wrong.")


class Job:
    """A pass that is being carried out, or that will be when it is its run's turn.

    Args:
        row: the run, owned by this runtime.
        opening: events that come before those of the pass.
        lease: as in `Options`: for so long the pass waits for a database that can't be used. Memory does not come back.

    Attributes:
        is_lost: somebody else has moved the run, or has it. Nothing more is written of it here.
    """

    def __init__(
        self,
        row: RunRow,
        opening: Sequence[AssistantEvent],
        *,
        store: Store,
        driver: Driver,
        estimates: Estimates,
        clock: Clock,
        watch: Watch,
        lease: float,
    ) -> None:
        self.row = row
        self.feed = Feed()
        self.feed.publish(opening)
        self.is_lost = False
        self._store = store
        self._patient = PatientStore(store, lease if store.durable else 0.0)
        self._lease = lease
        self._clock = clock
        self._watch = watch
        # What a pass writes of a run no longer stands in line.
        self._pass = Pass(
            replace(row, enqueued=False),
            self.feed,
            store=self._patient,
            driver=driver,
            estimates=estimates,
            clock=clock,
        )
        self._turn = asyncio.Event()
        if not row.enqueued:
            self._turn.set()
        self._stopped: StopReason | None = None
        self._scope = anyio.CancelScope(deadline=self._deadline())
        self._following = anyio.CancelScope()

    @property
    def run_id(self) -> str:
        return self.row.object.id

    @property
    def stands_in_line(self) -> bool:
        return not self._turn.is_set()

    @property
    def is_stopped(self) -> bool:
        return self._stopped is not None

    @property
    def has_just_written(self) -> bool:
        """Whether news of the run are likely to be of what this job itself has stored."""
        return self._patient.has_just_written(OWN_NEWS)

    @property
    def under_way(self) -> Mapping[str, Any] | None:
        """With what the provider's answer is cancelled, if it goes on by itself."""
        return self._pass.under_way

    def begin(self) -> None:
        """It is the run's turn: it was stored so."""
        self._turn.set()

    def unkept(self) -> Message | None:
        """The open message, if it has text that is not stored yet."""
        return self._pass.unkept()

    def kept(self, message: Message) -> None:
        """Note that its text so far was stored."""
        self._pass.kept(message)

    def stop(self, reason: StopReason) -> None:
        """Break the pass off. The first reason counts."""
        if self._stopped is None:
            self._stopped = reason
        if reason == "handed over":
            self._patient.patience = 0.0
            self._following.cancel()
        self._scope.cancel()

    def cancel(self, run: Run) -> None:
        """Stop the run, which was stored as `cancelling`."""
        if self._stopped is None:
            self._pass.announce_cancelling(run)
            self.stop("cancelled")

    async def carry_out(self) -> None:
        """The pass, to an end of which its readers have heard, unless it `is_lost`.

        A cancellation of the task hands the run over.
        """
        try:
            with self._scope:
                await self._turn.wait()
                await self._end_with_the_pass()
            if self._scope.cancelled_caught:
                with anyio.move_on_after(WRITE_TIMEOUT):
                    await self._break_off()
        except asyncio.CancelledError:
            # The loop ends. What is still written now is the last that it does for this run.
            self._patient.patience = 0.0
            await self._hand_over()
            raise

    async def follow(self) -> None:
        """Show the readers of a lost run how it goes on elsewhere, as far as that is known: until it rests there
        (C-152, C-154)."""
        ending: Sequence[AssistantEvent] | None = None
        with suppress(StorageError), self._following, anyio.move_on_at(self._deadline() + self._lease):
            ending = await self._watch.until(self.run_id, self._look_for_end, _is_known)
        if ending is None:
            error = HANDED_OVER if self._following.cancel_called else internal_error()
            ending = [AssistantEvent("error", error.body())]
        self.feed.publish(ending)

    # Ends

    async def _end_with_the_pass(self) -> None:
        try:
            await self._pass.carry_out()
        except LostRunError:
            await self._yield_to_winner()
        except StorageError:
            logger.exception("%s could not be stored", self.run_id)
            await self._end_as_stored()
        except Exception:
            if await self._has_moved():
                self.is_lost = True
            else:
                logger.exception("%s failed in supercompat", self.run_id)
                await self._fail()

    async def _fail(self) -> None:
        try:
            await self._pass.fail(DEFECT)
        except LostRunError:
            await self._yield_to_winner()
        except Exception:
            logger.exception("%s could not be ended by its pass", self.run_id)
            await self._end_as_stored()

    async def _break_off(self) -> None:
        try:
            if self._pass.is_over:
                return
            if self._stopped is None:
                await self._pass.break_off("expired")
            elif self._stopped == "cancelled":
                await self._pass.break_off("cancelled")
            elif self._stopped == "handed over":
                await self._hand_over()
            else:
                self.is_lost = True
        except LostRunError:
            self.is_lost = True
        except Exception:
            logger.exception("%s could not be stopped by its pass", self.run_id)
            await self._end_as_stored()

    async def _yield_to_winner(self) -> None:
        """The run was moved behind our back: a cancellation is ours to finish, all else is somebody else's."""
        stored: RunRow | None = None
        with suppress(StorageError):
            stored = await self._patient.transact(lambda tx: tx.runs.get(self.run_id))
        if stored is not None and stored.object.status == "cancelling" and self._is_ours(stored):
            if self._stopped != "cancelled":
                self._pass.announce_cancelling(stored.object)
            self._stopped = "cancelled"
            await self._break_off()
        else:
            self.is_lost = True

    async def _has_moved(self) -> bool:
        """Whether the run is somebody else's by now, or rests, or is gone: then whatever failed is no defect."""
        try:
            with anyio.CancelScope(shield=True):
                stored = await self._store.transact(lambda tx: tx.runs.get(self.run_id))
                return stored is None or not self._is_ours(stored) or stored.object.status in RESTING
        except StorageError:
            logger.info("%s could not be looked at", self.run_id, exc_info=True)
        return False

    async def _end_as_stored(self) -> None:
        """End a run whose pass can't, as when it holds what can't be written: no run stays active for that. If this
        fails too, the lease runs out, and who takes the run over ends it."""
        now = self._clock.now()

        def work(tx: Transaction) -> Sequence[AssistantEvent] | None:
            row = tx.runs.get(self.run_id, lock=True)
            if row is not None and self._is_ours(row) and row.object.status not in RESTING:
                end_broken(tx, row, DEFECT, now=now)
            return self._endings(tx)

        ending: Sequence[AssistantEvent] | None = [AssistantEvent("error", internal_error().body())]
        try:
            with anyio.CancelScope(shield=True):
                ending = await self._store.transact(work)
        except StorageError:
            logger.exception("%s could not be ended", self.run_id)
        if ending is None:
            self.is_lost = True
        else:
            self.feed.publish(ending)

    async def _hand_over(self) -> None:
        try:
            try:
                await self._let_go()
            except LostRunError:
                ending = await self._look_for_end()
                self.feed.publish(ending or [AssistantEvent("error", HANDED_OVER.body())])
        except StorageError:
            logger.exception("%s could not be handed over", self.run_id)

    async def _let_go(self) -> None:
        """What is kept in memory dies with us, so there the run is cancelled."""
        if self._store.durable and self._stopped != "cancelled":
            await self._pass.hand_over()
            self.feed.publish([AssistantEvent("error", HANDED_OVER.body())])
            return
        now = int(self._clock.now())
        if await self._store.transact(lambda tx: leave_line(tx, self.run_id, now)):
            raise LostRunError
        cancelling = await self._store.transact(lambda tx: start_cancelling(tx, self.run_id))
        if cancelling is not None:
            self._pass.announce_cancelling(cancelling.object)
        await self._pass.break_off("cancelled")

    # What is stored

    def _is_ours(self, stored: RunRow) -> bool:
        return stored.fence == self.row.fence

    async def _look_for_end(self) -> Sequence[AssistantEvent] | None:
        return await self._store.transact(self._endings)

    def _endings(self, tx: Transaction) -> Sequence[AssistantEvent] | None:
        """The events that tell how the run rests; None while it does not. Of a run that is gone nothing is told."""
        stored = tx.runs.get(self.run_id)
        if stored is None:
            return []
        if stored.object.status not in RESTING:
            return None
        return endings(
            tx,
            stored.object,
            after=self.row.private.get(ANSWERED),
            shown=self._pass.shown,
            text=self._pass.open_message,
        )

    def _deadline(self) -> float:
        """When the run expires, by the event loop's clock."""
        expires_at = self.row.object.expires_at
        if expires_at is None:
            return float("inf")
        return anyio.current_time() + (expires_at - self._clock.now())


def _is_known(ending: object) -> bool:
    return ending is not None
