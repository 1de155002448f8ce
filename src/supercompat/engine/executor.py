"""Carries out one pass of a run: driver -> reducer -> commit -> publish."""

import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from collections.abc import Collection as Some
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias

import anyio

from supercompat.clock import Clock
from supercompat.engine.changes import Change, Output
from supercompat.engine.closing import ANSWERED, said
from supercompat.engine.driver import Driver
from supercompat.engine.estimates import Estimates
from supercompat.engine.feed import Feed
from supercompat.engine.lifecycle import move
from supercompat.engine.line import brought
from supercompat.engine.patience import Transacting
from supercompat.engine.reducer import Reducer
from supercompat.engine.sent import noted
from supercompat.engine.tool_calls import UNDER_WAY
from supercompat.engine.transcript import BudgetSpentError, Prompt, build_request, read_history, settings
from supercompat.errors import ProviderError
from supercompat.model.events import ModelEvent, UsageReported
from supercompat.storage_adapters.protocol import (
    History,
    PageQuery,
    Parts,
    Row,
    RunRow,
    StoredStatus,
    Transaction,
)
from supercompat.wire.events import AssistantEvent
from supercompat.wire.objects import LastError, Message, Run, RunStep

#: A run that a pass may pick up.
AT_WORK: Final = ("queued", "in_progress")

logger = logging.getLogger(__name__)

#: A pass's answer, not yet asked for.
Answer: TypeAlias = AbstractAsyncContextManager[AsyncIterator[ModelEvent]]


class LostRunError(Exception):
    """The run's stored state is not what this pass started from: somebody else moved it."""


class Pass:
    """One trip of a run through the provider.

    Args:
        row: the run, owned by this process, queued (or in progress when it is taken over before it said anything).
        feed: where its events go.
        estimates: of tokens; learns what the provider counted.

    Attributes:
        is_over: its end was stored and published.
        shown: the status of each thing that changed, as it was published last.
    """

    def __init__(
        self,
        row: RunRow,
        feed: Feed,
        *,
        store: Transacting,
        driver: Driver,
        estimates: Estimates,
        clock: Clock,
    ) -> None:
        self.is_over = False
        self.shown: dict[str, str] = {}
        self._row = row
        self._feed = feed
        self._store = store
        self._driver = driver
        self._window = driver.context_window(row.object.model)
        self._estimates = estimates
        self._clock = clock
        self._reducer: Reducer | None = None
        self._kept: Message | None = None
        self._prompt: Prompt | None = None

    async def carry_out(self) -> None:
        """Run to the end of the pass: `requires_action`, or a terminal state.

        Cancellation of the scope around leaves the pass as it is, nothing half written; `break_off` ends it.

        Raises:
            LostRunError: the run was moved by somebody else.
        """
        try:
            reducer, answer = await self._pick_up()
            async with answer as events:
                async for event in events:
                    if isinstance(event, UsageReported):
                        self._learn(event)
                    await self._apply(event, reducer)
            await self._end(reducer.finish())
        except BudgetSpentError as spent:
            await self._end(self._open_reducer().exhausted(spent.args[0]))
        except ProviderError as error:
            await self._end(self._open_reducer().fail(LastError(code=error.code, message=error.message)))

    async def break_off(self, how: Literal["cancelled", "expired"]) -> None:
        """End a pass that was stopped: what is open is closed, then the run ends.

        Raises:
            LostRunError: it has ended already.
        """
        reducer = self._open_reducer()
        if how == "cancelled":
            await self._end(reducer.cancel(), expected=("cancelling",))
        else:
            await self._end(reducer.expire(), expected=("enqueued", "queued", "in_progress", "cancelling"))
        if reducer.under_way is not None:
            await cancel_at_provider(self._driver, self._row.object, reducer.under_way)

    async def fail(self, error: LastError) -> None:
        """End a pass that met a defect of ours."""
        await self._end(self._open_reducer().fail(error), expected=("queued", "in_progress"))

    @property
    def under_way(self) -> Mapping[str, Any] | None:
        """With what the provider's answer is picked up, or cancelled, if it goes on by itself."""
        return self._reducer.under_way if self._reducer else None

    @property
    def open_message(self) -> Message | None:
        """The message that was begun and is not yet ended, with its text so far."""
        return self._reducer.open_message() if self._reducer else None

    def unkept(self) -> Message | None:
        """The open message, if it has more text than what was last `kept`."""
        message = self.open_message
        return None if message == self._kept else message

    def kept(self, message: Message) -> None:
        """Note that its text so far was stored."""
        self._kept = message

    async def hand_over(self) -> None:
        """Let go of the run, with its text so far.

        Raises:
            LostRunError: it has ended, or somebody else has it.
        """
        parts = Parts(messages=[Row(text) for text in (self.open_message,) if text is not None])

        def work(tx: Transaction) -> None:
            # What is stored of it counts: a write of which we were not told may have gone before.
            stored = tx.runs.get(self._row.object.id, lock=True)
            if stored is None or (stored.owner, stored.fence) != (self._row.owner, self._row.fence):
                raise LostRunError
            tx.runs.put(replace(stored, owner=None, lease_until=0.0), parts=parts)

        await self._store.transact(work)

    def announce_cancelling(self, run: Run) -> None:
        """Publish that the run is `cancelling`, as somebody else has stored it."""
        self._row = replace(self._row, object=run)
        self._feed.publish([AssistantEvent("thread.run.cancelling", run)])

    async def _pick_up(self) -> tuple[Reducer, Answer]:
        """What is to be read, and who reads it."""
        handle = self._row.private.get(UNDER_WAY)
        if handle is not None and self._driver.can_resume(self._row.object.model, handle):
            return await self._hear_again(), self._driver.resume(settings(self._row), handle)
        reducer, self._prompt = await self._begin()
        return reducer, self._driver.drive(self._prompt.request)

    def _learn(self, billed: UsageReported) -> None:
        # For hosted tools the provider asks the model more than once.
        if self._prompt is not None and not self._prompt.request.hosted_tools:
            prompt = self._prompt
            self._estimates.learn(prompt.request.model, estimated=prompt.tokens, counted=billed.usage.prompt)

    async def _hear_again(self) -> Reducer:
        """The pass began elsewhere, and its answer went on since: what is stored of it is said anew."""
        with anyio.CancelScope(shield=True):
            stored, newest = await self._store.transact(self._stored)
            self._feed.publish([AssistantEvent("thread.run.in_progress", self._row.object)])
            self._reducer = self._new_reducer(newest, stored)
            return self._reducer
        raise AssertionError("unreachable")

    def _stored(self, tx: Transaction) -> tuple[Sequence[Row[RunStep]], str | None]:
        """The steps of this pass, and the newest message of the thread."""
        run = self._row.object
        of_pass = PageQuery(
            {"run_id": run.id}, order="asc", limit=None, after=self._row.private.get(ANSWERED)
        )
        newest = tx.messages.page(PageQuery({"thread_id": run.thread_id}, limit=1)).rows
        return tx.steps.page(of_pass).rows, newest[0].object.id if newest else None

    async def _begin(self) -> tuple[Reducer, Prompt]:
        """queued -> in_progress, with a note of what the model is about to be sent: read, judged and stored in one
        transaction.

        Raises:
            BudgetSpentError: the run is in progress, and the model can't be asked.
        """
        run = self._row.object
        now = int(self._clock.now())
        if run.status == "queued":
            run = move(run, "in_progress", started_at=now)
        private, messages = brought(self._row.private, now)
        row = replace(self._row, object=run, private=private)
        correction = self._estimates.correction(run.model)

        def work(tx: Transaction) -> tuple[RunRow, str | None, Prompt | BudgetSpentError]:
            if messages and not tx.runs.put(row, expected=AT_WORK, parts=Parts(new_messages=messages)):
                raise LostRunError
            history = read_history(tx, row, self._window, correction)
            prompt = _built(row, history, self._window, correction)
            taken = row
            if isinstance(prompt, Prompt):
                tokens = round(prompt.tokens * correction)
                note = noted(row.private, prompt, history, tokens=tokens, window=self._window, now=now)
                taken = replace(row, private=note)
            if not tx.runs.put(taken, expected=AT_WORK):
                raise LostRunError
            return taken, history.last_message, prompt

        # The scope swallows nothing: it only keeps a cancellation waiting until store and feed agree.
        with anyio.CancelScope(shield=True):
            self._row, last_message, prompt = await self._store.transact(work)
            self._feed.publish([AssistantEvent("thread.run.in_progress", run)])
            self._reducer = self._new_reducer(last_message)
            if isinstance(prompt, BudgetSpentError):
                raise prompt
            return self._reducer, prompt
        raise AssertionError("unreachable")

    async def _apply(self, event: ModelEvent, reducer: Reducer) -> None:
        outputs = reducer.on(event)
        if any(isinstance(output, Change) for output in outputs):
            await self._commit(outputs)
            self._note(outputs)
        else:
            self._feed.publish(output for output in outputs if isinstance(output, AssistantEvent))

    async def _end(
        self, outputs: Sequence[Output], *, expected: Sequence[StoredStatus] = ("in_progress",)
    ) -> None:
        await self._commit(outputs, expected=expected)
        self._note(outputs)
        self.is_over = True

    def _note(self, outputs: Iterable[Output]) -> None:
        changed = [output.row.object for output in outputs if isinstance(output, Change)]
        self.shown |= {each.id: each.status for each in changed}

    async def _commit(
        self, outputs: Iterable[Output], *, expected: Sequence[StoredStatus] = ("in_progress",)
    ) -> None:
        """Store the changes in one transaction, then publish everything in order (C-159).

        The two belong together: a cancellation that comes meanwhile waits.
        """
        outputs = list(outputs)
        changes = [output for output in outputs if isinstance(output, Change)]

        with anyio.CancelScope(shield=True):
            await self._store.transact(lambda tx: write(tx, self._row, changes, expected))
            self._feed.publish(event for output in outputs for event in _events(output))

    def _open_reducer(self) -> Reducer:
        return self._reducer or self._new_reducer(None)

    def _new_reducer(self, last_message: str | None, stored: Sequence[Row[RunStep]] = ()) -> Reducer:
        return Reducer(
            self._row.object,
            self._row.private,
            ids=self._store.ids,
            now=lambda: int(self._clock.now()),
            last_message=last_message,
            stored=stored,
        )


async def cancel_at_provider(driver: Driver, run: Run, handle: Mapping[str, Any]) -> None:
    """End what the provider goes on with by itself for a run that has ended, and that has no use any more."""
    try:
        await driver.cancel(run.model, handle)
    except ProviderError:
        logger.info("The answer to %s goes on at the provider", run.id, exc_info=True)


def _built(row: RunRow, history: History, window: int, correction: float) -> Prompt | BudgetSpentError:
    try:
        return build_request(row, history, window, correction)
    except BudgetSpentError as spent:
        return spent


def _events(output: Output) -> list[AssistantEvent]:
    return output.events() if isinstance(output, Change) else [output]


def write(
    tx: Transaction, owned: RunRow, changes: Sequence[Change], expected: Sequence[StoredStatus]
) -> None:
    """Store the last state of each thing that changed, if the run is still whose it was.

    Raises:
        LostRunError: the run's stored status is none of `expected`, where its own state changes, or somebody else
            has it. Nothing was written.
    """
    latest = {change.row.object.id: change.row for change in changes}
    parts = _parts(latest.values(), {change.row.object.id for change in changes if change.new})
    run = next((row for row in latest.values() if isinstance(row.object, Run)), None)
    if run is None:
        is_ours = tx.runs.put_parts(owned, parts)
    elif run.object.status == "in_progress":
        is_ours = _put_private(tx, owned, run.private)
    else:
        ended = replace(owned, object=run.object, private=run.private, owner=None, lease_until=0.0)
        is_ours = tx.runs.put(ended, expected=expected, parts=parts)
    if not is_ours:
        raise LostRunError


def _put_private(tx: Transaction, owned: RunRow, private: Mapping[str, Any]) -> bool:
    """Store what is kept beside a run that goes on, under the lease that it has by now."""
    stored = tx.runs.get(owned.object.id, lock=True)
    if stored is None or (stored.owner, stored.fence) != (owned.owner, owned.fence):
        return False
    return tx.runs.put(replace(stored, private=private), expected=("in_progress",))


def _parts(rows: Iterable[Row[Any]], new: Some[str]) -> Parts:
    rows = list(rows)
    messages = [row for row in rows if isinstance(row.object, Message)]
    steps = [row for row in rows if isinstance(row.object, RunStep)]
    return Parts(
        new_messages=[row for row in messages if row.object.id in new],
        new_steps=[row for row in steps if row.object.id in new],
        messages=[row for row in messages if row.object.id not in new],
        steps=[row for row in steps if row.object.id not in new],
    )


def keep_text(tx: Transaction, message: Message) -> bool:
    """Store the text so far of a message of a run that is locked and ours. False if the message has ended, or has
    not been stored yet."""
    stored = tx.messages.get(message.id, lock=True)
    if stored is None or stored.object.status != "in_progress":
        return False
    if said(stored.object) > said(message):
        # It is being heard again, and will come to where it was.
        return True
    return tx.messages.put(replace(stored, object=stored.object.changed(content=message.content)))
