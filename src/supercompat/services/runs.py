"""Runs: creation, tool outputs, cancellation, retrieval. How a run proceeds is the engine's."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import anyio

from supercompat.engine.closing import ANSWERED, end_stored, expire_if_due, start_cancelling
from supercompat.engine.lifecycle import ACTIVE, RESTING, ended_step, move, stored_usage
from supercompat.engine.line import bringing
from supercompat.engine.tool_calls import INCLUDED, shown_step
from supercompat.errors import ActiveRunError, RequestError
from supercompat.services.assistants import existing_assistant
from supercompat.services.core import (
    Core,
    current_run,
    existing_thread,
    given,
    missing,
    page_query,
    read_page,
)
from supercompat.services.events import Events, Frames
from supercompat.services.hosted import check_resources, check_tools, of_run
from supercompat.services.messages import new_message
from supercompat.services.run_creation import check_thread, new_run
from supercompat.services.threads import insert_thread, new_thread, shown_later
from supercompat.services.turns import Turns, Wish
from supercompat.storage_adapters.protocol import Page, PageQuery, Row, RunRow, Transaction
from supercompat.wire.events import AssistantEvent
from supercompat.wire.objects import (
    Assistant,
    FunctionTool,
    JsonObject,
    Message,
    Run,
    RunStep,
    StepCall,
    Thread,
    ToolCallsDetails,
)
from supercompat.wire.requests import (
    ListQuery,
    RunCreate,
    RunModify,
    SubmitToolOutputs,
    ThreadRunCreate,
)

S = TypeVar("S")
T = TypeVar("T")

#: Seconds that a retrieve may wait for the run, and the part of the request's read timeout that it may take.
LONGEST_WAIT = 20.0
TIMEOUT_SHARE = 0.5

#: Seconds after which a run that was one too many may be asked for again.
RUN_RETRY = 2


class Runs:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._turns = Turns(core, self.cancel)
        self._events = Events(core)
        self._beginning = 0

    async def create(
        self, thread_id: str, body: RunCreate, wish: Wish, *, includes: bool = False, event_ids: bool = False
    ) -> Run | Frames:
        """Start a run, when it is its turn; its stream if the request asks for one (C-066 to C-074).

        Args:
            includes: whether its events show what file searches found (C-130).
            event_ids: whether the events of the stream have ids, by which it can be continued.
        """
        enqueues = self._turns.policy(wish) == "enqueue"
        return await self._turns.take(
            thread_id, wish, lambda: self._create(thread_id, body, enqueues, includes, event_ids)
        )

    async def _create(
        self, thread_id: str, body: RunCreate, enqueues: bool, includes: bool, event_ids: bool
    ) -> Run | Frames:
        now = self._core.now()
        messages = [
            new_message(message, self._core.ids, thread_id, now) for message in body.additional_messages or ()
        ]

        def work(tx: Transaction) -> RunRow:
            basis = tx.runs.basis(thread_id, body.assistant_id)
            if basis is None:
                raise missing(tx.ids, "thread", thread_id)
            if basis.assistant is None:
                raise missing(tx.ids, "assistant", body.assistant_id)
            row = self._new_row(basis.assistant, thread_id, body)
            row = _with_files(row, basis.assistant, tx.threads.get(thread_id) if _is_hosted(row) else None)
            if includes:
                row = replace(row, private={**row.private, INCLUDED: True})
            check_thread(row.object, messages, has_user_message=basis.has_user_message)
            return self._insert(tx, row, messages, enqueues=enqueues)

        def begin(row: RunRow) -> Run | Frames:
            return self._started(row, stream=bool(body.stream), event_ids=event_ids)

        with self._within_limit():
            return await self._stored_and_begun(work, begin)

    async def create_thread_and_run(self, body: ThreadRunCreate, *, event_ids: bool = False) -> Run | Frames:
        """Make a thread and start a run on it, both or neither (C-082). `event_ids` as for `create`."""
        check_resources(self._core, body.thread.tool_resources, "thread.tool_resources")
        check_resources(self._core, body.tool_resources)
        thread, messages = new_thread(body.thread, self._core.ids, self._core.now())

        def work(tx: Transaction) -> RunRow:
            assistant = existing_assistant(tx, body.assistant_id)
            row = self._new_row(assistant, thread.id, body)
            row = _with_files(row, assistant, Row(thread), body.tool_resources)
            check_thread(row.object, messages, has_user_message=False)
            insert_thread(tx, thread)
            return self._insert(tx, row, messages)

        def begin(row: RunRow) -> Run | Frames:
            return self._started(row, stream=bool(body.stream), event_ids=event_ids, thread=thread)

        with self._within_limit():
            return await self._stored_and_begun(work, begin)

    async def retrieve(self, thread_id: str, run_id: str, *, wait: float = 0.0) -> Run:
        """The run as it is stored; it expires here if its time is over.

        Args:
            wait: seconds to wait, at most, for a status at which the SDK's poll helpers stop.
        """

        async def read() -> Run:
            return await self._core.store.transact(
                lambda tx: current_run(tx, thread_id, run_id, now=self._core.clock.now()).object
            )

        if wait:
            supervisor = self._core.supervisor
            with anyio.move_on_after(min(wait, LONGEST_WAIT)):
                if feed := supervisor.feed(run_id):
                    await feed.ended()
                return await supervisor.watch.until(run_id, read, is_resting)
        return await read()

    async def list(self, thread_id: str, query: ListQuery) -> Page[RunRow]:
        def work(tx: Transaction) -> Page[RunRow]:
            existing_thread(tx, thread_id)
            page = read_page(tx.ids, tx.runs, page_query(query, thread_id=thread_id), "run")
            now = self._core.clock.now()
            return replace(page, rows=[expire_if_due(tx, row, now) for row in page.rows])

        return await self._core.store.transact(work)

    async def modify(self, thread_id: str, run_id: str, body: RunModify) -> Run:
        """Replace the metadata, once the run has ended (C-085)."""

        def work(tx: Transaction) -> Run:
            row = current_run(tx, thread_id, run_id, now=self._core.clock.now(), lock=True)
            if row.object.status in ACTIVE:
                raise RequestError(f"Cannot update run with status '{row.object.status}'.")
            row = replace(row, object=row.object.changed(**given(body)))
            tx.runs.put(row, expected=(row.object.status,))
            return row.object

        return await self._core.store.transact(work)

    async def cancel(self, thread_id: str, run_id: str) -> Run:
        """Stop a run. Where something works on it, it is `cancelling` until that has let go; else it is
        `cancelled` at once (C-105 to C-108)."""
        row = await self._cancelled(thread_id, run_id)
        if row.object.status == "cancelled":
            # Whoever reads its stream here is told, and who stands in line here goes on.
            self._core.supervisor.dismiss(run_id)
            await self._core.supervisor.look_for_turn(thread_id)
        return row.object

    async def _cancelled(self, thread_id: str, run_id: str) -> RunRow:
        def work(tx: Transaction) -> RunRow:
            now = self._core.clock.now()
            row = current_run(tx, thread_id, run_id, now=now, lock=True)
            if row.enqueued or row.object.status == "requires_action":
                return end_stored(tx, row, "cancelled", now=int(now)) or row
            cancelling = start_cancelling(tx, run_id)
            if cancelling is None:
                raise RequestError(f"Cannot cancel run with status '{row.object.status}'.")
            if cancelling.owner is None or cancelling.lease_until <= now:
                return end_stored(tx, cancelling, "cancelled", now=int(now)) or cancelling
            return cancelling

        row = await self._core.store.transact(work)
        if row.object.status != "cancelling":
            self._core.supervisor.abandon(row)
        if row.object.status != "cancelling" or self._core.supervisor.cancel(row.object):
            return row
        if row.owner == self._core.supervisor.owner:
            # Ours by name, but nobody works on it: its end could not be stored when it came.
            now = self._core.now()
            ended = await self._core.store.transact(lambda tx: end_stored(tx, row, "cancelled", now=now))
            return ended or row
        return row

    async def submit_tool_outputs(
        self, thread_id: str, run_id: str, body: SubmitToolOutputs, *, event_ids: bool = False
    ) -> Run | Frames:
        """Answer all pending calls, and start the next pass (C-093 to C-101). `event_ids` as for `create`."""

        def work(tx: Transaction) -> tuple[RunRow, Row[RunStep]]:
            row = current_run(tx, thread_id, run_id, now=self._core.clock.now(), lock=True)
            check_outputs(row.object, body)
            step, newest = _answer(tx, row.object, body, self._core.now())
            queued = move(row.object, "queued", required_action=None)
            row = replace(row, object=queued, private={**row.private, ANSWERED: newest})
            row = self._core.supervisor.adopt(row)
            tx.runs.put(row, expected=("requires_action",))
            return row, step

        def begin(answered: tuple[RunRow, Row[RunStep]]) -> Run | Frames:
            row, step = answered
            opening = [
                AssistantEvent("thread.run.step.completed", shown_step(step, row.private)),
                AssistantEvent("thread.run.queued", row.object),
            ]
            feed = self._core.supervisor.launch(row, opening)
            if body.stream and event_ids:
                return self._events.answered(row.object, feed, row.private[ANSWERED])
            return feed.subscribe() if body.stream else row.object

        return await self._stored_and_begun(work, begin)

    async def _stored_and_begun(self, work: Callable[[Transaction], S], begin: Callable[[S], T]) -> T:
        """Store, then begin what was stored. Whoever was broken off in between, as by a client that is closed, would
        leave a run behind that nobody carries out."""
        with anyio.CancelScope(shield=True):
            return begin(await self._core.store.transact(work))
        raise AssertionError("unreachable")

    @contextmanager
    def _within_limit(self) -> Iterator[None]:
        """There is room for one more run.

        Raises:
            RequestError: there is none.
        """
        limit = self._core.options.max_concurrent_runs
        if limit and self._beginning + len(self._core.supervisor.tasks()) >= limit:
            raise RequestError(
                f"Too many runs at once: Limit {limit}. Please try again when one has ended.",
                status=429,
                type="requests",
                code="rate_limit_exceeded",
                retry_after=RUN_RETRY,
            )
        self._beginning += 1
        try:
            yield
        finally:
            self._beginning -= 1

    def _new_row(
        self, assistant: Row[Assistant], thread_id: str, body: RunCreate | ThreadRunCreate
    ) -> RunRow:
        now = self._core.now()
        run, private = new_run(
            assistant,
            thread_id,
            body,
            ids=self._core.ids,
            now=now,
            expires_at=now + self._core.options.run_expires_after,
        )
        # The assistant may be older than the choice of client adapters.
        self._core.check_model(run.model)
        check_tools(self._core, run.model, run.tools, run.tool_choice)
        return self._core.supervisor.owned(run, private)

    def _insert(
        self, tx: Transaction, row: RunRow, messages: Sequence[Message], *, enqueues: bool = False
    ) -> RunRow:
        """Store the run, unless its thread has an active one (C-117, C-119): or, then, in line behind that."""
        added = [Row(message) for message in messages]
        in_line = replace(row, private=bringing(row.private, messages), enqueued=True)
        while (winner := tx.runs.insert(row, added)) is not None:
            if expire_if_due(tx, winner, self._core.clock.now()).object.status not in ACTIVE:
                continue
            if not enqueues:
                raise ActiveRunError(winner.object.thread_id, winner.object.id)
            if tx.runs.enqueue(in_line):
                return in_line
        return row

    def _started(
        self, row: RunRow, *, stream: bool, event_ids: bool, thread: Thread | None = None
    ) -> Run | Frames:
        opening = [
            AssistantEvent("thread.run.created", row.object),
            AssistantEvent("thread.run.queued", row.object),
        ]
        if thread is not None:
            opening.insert(0, AssistantEvent("thread.created", shown_later(thread)))
        feed = self._core.supervisor.launch(row, opening)
        if stream and event_ids:
            return self._events.new(row.object, feed)
        return feed.subscribe() if stream else row.object


def _is_hosted(row: RunRow) -> bool:
    return any(not isinstance(tool, FunctionTool) for tool in row.object.tools)


def _with_files(
    row: RunRow, assistant: Row[Assistant], thread: Row[Thread] | None, own: JsonObject | None = None
) -> RunRow:
    """The run, with a note of the files that its hosted tools take. Its own stand for the assistant's (1.2), and are
    shown (1.4)."""
    resources = {**assistant.object.tool_resources, **(own or {})}
    files = of_run(row.object.tools, resources, thread.object.tool_resources if thread else {})
    shown = row.object.changed(tool_resources=own or {})
    return replace(row, object=shown, private={**row.private, **files})


def wait_for_poll(read_timeout: float | None) -> float:
    """Seconds that a retrieve of the SDK's poll helper waits for news."""
    return LONGEST_WAIT if read_timeout is None else min(LONGEST_WAIT, read_timeout * TIMEOUT_SHARE)


def is_resting(run: Run) -> bool:
    """Whether the poll helpers of the SDK stop here."""
    return run.status in RESTING


def check_outputs(run: Run, body: SubmitToolOutputs) -> None:
    """The run waits for outputs, and these are for exactly the calls that it waits for (C-094 to C-096)."""
    if run.status != "requires_action" or run.required_action is None:
        raise RequestError(f'Runs in status "{run.status}" do not accept tool outputs.')
    expected = [call.id for call in run.required_action.submit_tool_outputs.tool_calls]
    got = [output.tool_call_id for output in body.tool_outputs]
    if sorted(expected) != sorted(got):
        raise RequestError(f"Expected tool outputs for call_ids {expected}, got {got}")


def _answer(tx: Transaction, run: Run, body: SubmitToolOutputs, now: int) -> tuple[Row[RunStep], str]:
    """Complete the step that waits, with the outputs as they were given.

    Returns:
        The step, and the id of the run's newest one.
    """
    outputs = {output.tool_call_id: output.output or "" for output in body.tool_outputs}
    # The newest, unless the model said something behind its calls.
    newest: Sequence[Row[RunStep]] = tx.steps.page(PageQuery({"run_id": run.id}, limit=1)).rows
    if newest[0].object.status != "in_progress":
        newest = tx.steps.page(PageQuery({"run_id": run.id}, limit=None)).rows
    row = next((row for row in newest if row.object.status == "in_progress"), None)
    if row is None or not isinstance(row.object.step_details, ToolCallsDetails):
        raise RequestError(f"No step of run {run.id} is waiting for tool outputs.")
    calls = [
        call.changed(function=call.function.changed(output=outputs[call.id]))
        if isinstance(call, StepCall) and call.id in outputs
        else call
        for call in row.object.step_details.tool_calls
    ]
    answered = row.object.changed(step_details=ToolCallsDetails(tool_calls=calls))
    step = replace(row, object=ended_step(answered, "completed", now, stored_usage(row.private)))
    tx.steps.put(step)
    return step, newest[0].object.id
