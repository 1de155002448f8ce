"""Carries out one pass of a run: driver -> reducer -> commit -> publish."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import anyio

from supercompat.clock import Clock
from supercompat.engine.driver import Driver
from supercompat.engine.feed import Feed
from supercompat.engine.lifecycle import move
from supercompat.engine.reducer import Change, Output, Reducer
from supercompat.engine.transcript import BudgetSpentError, History, build_request, read_history
from supercompat.errors import ProviderError, StorageError
from supercompat.model.events import ModelEvent
from supercompat.storage_adapters.protocol import Row, RunRow, Store, Transaction
from supercompat.wire.events import AssistantEvent
from supercompat.wire.objects import LastError, Message, Run, RunStatus, RunStep

logger = logging.getLogger(__name__)

#: Seconds between two checkpoints of the text of an open message.
CHECKPOINT_EVERY = 1.0


class LostRunError(Exception):
    """The run's stored state is not what this pass started from: somebody else moved it."""


class Pass:
    """One trip of a run through the provider.

    Args:
        row: the run, owned by this process, queued (or in progress when it is taken over before it said anything).
        feed: where its events go.
    """

    def __init__(self, row: RunRow, feed: Feed, *, store: Store, driver: Driver, clock: Clock) -> None:
        self._row = row
        self._feed = feed
        self._store = store
        self._driver = driver
        self._clock = clock
        self._reducer: Reducer | None = None
        self._checkpointed = clock.now()

    async def carry_out(self) -> None:
        """Run to the end of the pass: `requires_action`, or a terminal state.

        Cancellation of the scope around leaves the pass as it is, nothing half written; `break_off` ends it.

        Raises:
            LostRunError: the run was moved by somebody else.
        """
        try:
            reducer, history = await self._pick_up()
            request = build_request(self._row, history)
            async with self._driver.drive(request) as events:
                async for event in events:
                    await self._apply(event, reducer)
            await self._commit(reducer.finish())
        except BudgetSpentError as spent:
            await self._commit(self._open_reducer().exhausted(spent.args[0]))
        except ProviderError as error:
            await self._commit(self._open_reducer().fail(LastError(code=error.code, message=error.message)))

    async def break_off(self, how: Literal["cancelled", "expired"]) -> None:
        """End a pass that was stopped: what is open is closed, then the run ends.

        Raises:
            LostRunError: it has ended already.
        """
        reducer = self._open_reducer()
        if how == "cancelled":
            await self._commit(reducer.cancel(), expected=("cancelling",))
        else:
            await self._commit(reducer.expire(), expected=("queued", "in_progress", "cancelling"))

    async def fail(self, error: LastError) -> None:
        """End a pass that met a defect of ours."""
        await self._commit(self._open_reducer().fail(error), expected=("queued", "in_progress"))

    async def checkpoint(self) -> None:
        """Store the text of the open message so far.

        Raises:
            LostRunError: somebody else has the run.
        """
        if texts := self._texts():
            await self._store.transact(lambda tx: self._keep(tx, texts))

    async def hand_over(self) -> None:
        """Let go of the run, with its text so far.

        Raises:
            LostRunError: it has ended, or somebody else has it.
        """
        texts = self._texts()

        def work(tx: Transaction) -> None:
            stored = self._keep(tx, texts)
            tx.runs.put(replace(stored, owner=None, lease_until=0.0))

        await self._store.transact(work)

    def announce_cancelling(self, run: Run) -> None:
        """Publish that the run is `cancelling`, as somebody else has stored it."""
        self._row = replace(self._row, object=run)
        self._feed.publish([AssistantEvent("thread.run.cancelling", run)])

    async def _pick_up(self) -> tuple[Reducer, History]:
        """queued -> in_progress, and the history, in one transaction."""
        run = self._row.object
        if run.status == "queued":
            run = move(run, "in_progress", started_at=int(self._clock.now()))
        row = replace(self._row, object=run)

        def work(tx: Transaction) -> History:
            if not tx.runs.put(row, expected=("queued", "in_progress")):
                raise LostRunError
            return read_history(tx, row)

        # The scope swallows nothing: it only keeps a cancellation waiting until store and feed agree.
        with anyio.CancelScope(shield=True):
            history = await self._store.transact(work)
            self._row = row
            self._feed.publish([AssistantEvent("thread.run.in_progress", run)])
            self._reducer = self._new_reducer(history.last_message)
            return self._reducer, history
        raise AssertionError("unreachable")

    async def _apply(self, event: ModelEvent, reducer: Reducer) -> None:
        outputs = reducer.on(event)
        if any(isinstance(output, Change) for output in outputs):
            await self._commit(outputs)
        else:
            self._feed.publish(output for output in outputs if isinstance(output, AssistantEvent))
        now = self._clock.now()
        if now - self._checkpointed >= CHECKPOINT_EVERY:
            self._checkpointed = now
            try:
                await self.checkpoint()
            except StorageError:
                # The text is whole in the reducer, and stored when its message ends.
                logger.warning("A checkpoint of %s failed", self._row.object.id, exc_info=True)

    async def _commit(
        self, outputs: Iterable[Output], *, expected: Sequence[RunStatus] = ("in_progress",)
    ) -> None:
        """Store the changes in one transaction, then publish everything in order (C-159).

        The two belong together: a cancellation that comes meanwhile waits.
        """
        outputs = list(outputs)
        changes = [output for output in outputs if isinstance(output, Change)]

        def work(tx: Transaction) -> None:
            if not any(isinstance(change.row.object, Run) for change in changes):
                self._owned(tx)
            write(tx, self._row, changes, expected)

        with anyio.CancelScope(shield=True):
            await self._store.transact(work)
            self._feed.publish(event for output in outputs for event in _events(output))

    def _texts(self) -> list[Change]:
        return self._reducer.checkpoint() if self._reducer else []

    def _keep(self, tx: Transaction, texts: Sequence[Change]) -> RunRow:
        """Store texts, if the run is still ours. What is stored of it counts: a write of which we were not told
        may have gone before."""
        stored = self._owned(tx)
        write(tx, stored, texts, ())
        return stored

    def _owned(self, tx: Transaction) -> RunRow:
        """The run as it is stored, if it is still ours, though it may be `cancelling` by now.

        Raises:
            LostRunError: it has ended, or somebody else has it.
        """
        stored = tx.runs.get(self._row.object.id, lock=True)
        if stored is None or (stored.owner, stored.fence) != (self._row.owner, self._row.fence):
            raise LostRunError
        return stored

    def _open_reducer(self) -> Reducer:
        return self._reducer or self._new_reducer(None)

    def _new_reducer(self, last_message: str | None) -> Reducer:
        return Reducer(
            self._row.object,
            self._row.private,
            now=lambda: int(self._clock.now()),
            last_message=last_message,
        )


def _events(output: Output) -> list[AssistantEvent]:
    return output.events() if isinstance(output, Change) else [output]


def write(tx: Transaction, owned: RunRow, changes: Sequence[Change], expected: Sequence[RunStatus]) -> None:
    """Store the last state of each thing that changed. The run goes first: if it is lost, nothing is written.

    Raises:
        LostRunError: the run's stored status is none of `expected`, or another process owns it.
    """
    latest = {change.row.object.id: change.row for change in changes}
    new = {change.row.object.id for change in changes if change.new}
    for row in latest.values():
        if isinstance(row.object, Run):
            ended = replace(owned, object=row.object, private=row.private, owner=None, lease_until=0.0)
            if not tx.runs.put(ended, expected=expected):
                raise LostRunError
    for row in latest.values():
        if isinstance(row.object, Run):
            continue
        collection = tx.steps if isinstance(row.object, RunStep) else tx.messages
        if row.object.id in new:
            collection.insert(row)  # type: ignore[arg-type]
        else:
            collection.put(_with_stored_metadata(tx, row))  # type: ignore[arg-type]


def _with_stored_metadata(tx: Transaction, row: Row[Any]) -> Row[Any]:
    """A message's metadata can be changed while it is being written: what is stored of it counts (C-120)."""
    stored = tx.messages.get(row.object.id, lock=True) if isinstance(row.object, Message) else None
    return row if stored is None else replace(row, object=row.object.changed(metadata=stored.object.metadata))
