"""Moves runs that nobody carries out, by what is stored of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias, TypeVar, cast

from supercompat.engine.lifecycle import (
    ACTIVE,
    broken_message,
    ended_step,
    move,
    run_ended,
    stored_usage,
    usage_object,
)
from supercompat.engine.transcript import words
from supercompat.storage_adapters.protocol import PageQuery, Row, RunRow, Transaction
from supercompat.wire.events import AssistantEvent, EventName
from supercompat.wire.objects import LastError, Message, MessageCreationDetails, Run, RunStep

Ending: TypeAlias = Literal["failed", "cancelled", "expired"]

Part = TypeVar("Part", bound=Row[Message] | Row[RunStep])

ABANDONED = LastError(
    code="server_error",
    message="The process that carried out this run ended before the answer was complete.",
)

#: In a run's private data: the newest step when its last outputs came. What follows is of the pass under way.
ANSWERED = "answered"

#: In a run's private data: how often it was taken over, and how often it may be. A run that ends each process that
#: carries it out must not end them all.
TAKEN_OVER = "taken_over"
MOST = 5


def end_stored(
    tx: Transaction, row: RunRow, status: Ending, *, now: int, error: LastError | None = None
) -> RunRow | None:
    """End an active run, or one that stands in line: its open message becomes incomplete, its open step and the run
    get `status`.

    Returns:
        The run as it is stored now, or None if it had changed meanwhile.
    """
    ended = ended_run(row, status, now=now, error=error)
    if not tx.runs.put(ended, expected=(row.status,)):
        return None
    _end_parts(tx, row.object.id, status, now, error)
    return ended


def ended_run(row: RunRow, status: Ending, *, now: int, error: LastError | None = None) -> RunRow:
    """An active run as it ends, carried out by nobody any more."""
    fields: dict[str, Any] = {**run_ended(status, now), "usage": usage_object(stored_usage(row.private))}
    if error is not None:
        fields["last_error"] = error
    run = row.object
    if row.enqueued and status == "cancelled":
        # Nothing works on it that would have to let go first.
        run = move(run, "cancelling")
    return replace(row, object=move(run, status, **fields), owner=None, lease_until=0.0, enqueued=False)


def ended_part(row: Part, status: Ending, *, now: int, error: LastError | None = None) -> Part:
    """An open message or step of a run that ends."""
    if isinstance(row.object, Message):
        return replace(row, object=broken_message(row.object, f"run_{status}", now))
    return replace(row, object=ended_step(row.object, status, now, stored_usage(row.private), error))


def _end_parts(tx: Transaction, run_id: str, status: Ending, now: int, error: LastError | None) -> None:
    of_run = PageQuery({"run_id": run_id}, limit=None)
    for message in tx.messages.page(of_run).rows:
        if message.object.status == "in_progress":
            # Its metadata may be changed at this moment.
            stored = tx.messages.get(message.object.id, lock=True) or message
            tx.messages.put(ended_part(stored, status, now=now))
    for step in tx.steps.page(of_run).rows:
        if step.object.status == "in_progress":
            tx.steps.put(ended_part(step, status, now=now, error=error))


def expire_if_due(tx: Transaction, row: RunRow, now: float) -> RunRow:
    """The run, ended first if its time is over: expiry follows from what is stored (C-102, C-104)."""
    if _is_due(row.object, now):
        return end_stored(tx, row, "expired", now=int(now)) or tx.runs.get(row.object.id) or row
    return row


def start_cancelling(tx: Transaction, run_id: str) -> RunRow | None:
    """Store the run as `cancelling`; None if it is not queued or in progress, or stands in line."""
    row = tx.runs.get(run_id, lock=True)
    if row is None or row.status not in ("queued", "in_progress"):
        return None
    row = replace(row, object=move(row.object, "cancelling"))
    return row if tx.runs.put(row, expected=("queued", "in_progress")) else None


def leave_line(tx: Transaction, run_id: str, now: int) -> bool:
    """End a run that stands in line as `cancelled`. False if it does not stand there."""
    row = tx.runs.get(run_id, lock=True)
    return row is not None and row.enqueued and end_stored(tx, row, "cancelled", now=now) is not None


def end_broken(tx: Transaction, row: RunRow, error: LastError, *, now: float) -> RunRow | None:
    """End a run that can't be carried on and that waits for nobody. A cancellation that was under way, or a time
    that is over, ends it as such, all else as failed.

    Returns:
        As `end_stored`.
    """
    if _is_due(row.object, now):
        return end_stored(tx, row, "expired", now=int(now))
    if row.object.status == "cancelling":
        return end_stored(tx, row, "cancelled", now=int(now))
    return end_stored(tx, row, "failed", now=int(now), error=error)


def resume(
    tx: Transaction, row: RunRow, *, now: float, restarts: bool, goes_on: bool = False
) -> RunRow | None:
    """Judge a run that was taken over from a process that is gone (C-115).

    A pass that has shown nothing is carried out again. One that has said something ends as the API ends it, or, if
    it `restarts`, what it said is withdrawn. A cancellation that was under way comes to its end, as does what is past
    its time. No run is taken over for ever.

    Args:
        goes_on: the provider goes on with the pass by itself, so that nothing of it is lost.

    Returns:
        The run, to be carried out from its pass's start; None if it has ended.
    """
    if _is_due(row.object, now) or row.object.status == "cancelling":
        end_broken(tx, row, ABANDONED, now=now)
        return None
    if row.object.status not in ("queued", "in_progress"):
        return None
    steps, times = () if goes_on else _said_in_pass(tx, row), row.private.get(TAKEN_OVER, 0)
    if (steps and not restarts) or times == MOST:
        end_broken(tx, row, ABANDONED, now=now)
        return None
    for step in steps:
        _withdraw(tx, step.object)
    row = replace(row, private={**row.private, TAKEN_OVER: times + 1})
    return row if tx.runs.put(row, expected=("queued", "in_progress")) else None


def _said_in_pass(tx: Transaction, row: RunRow) -> Sequence[Row[RunStep]]:
    """The steps of the pass that is under way."""
    after = row.private.get(ANSWERED)
    return tx.steps.page(PageQuery({"run_id": row.object.id}, order="asc", limit=None, after=after)).rows


def _withdraw(tx: Transaction, step: RunStep) -> None:
    if message := _message_of(tx, step):
        tx.messages.delete(message.id)
    tx.steps.delete(step.id)


def endings(
    tx: Transaction, run: Run, *, after: str | None, shown: Mapping[str, str], text: Message | None
) -> list[AssistantEvent]:
    """The events that tell how a run came to rest, for readers who know of it until then.

    Args:
        after: the step before those that they may lack.
        shown: the last status that they know of each thing.
        text: the message that they saw begin and not end, as they know it.
    """
    ended: list[Message | RunStep | Run] = []
    for step in tx.steps.page(PageQuery({"run_id": run.id}, order="asc", limit=None, after=after)).rows:
        if message := _message_of(tx, step.object):
            ended.append(_as_known(message, text))
        ended.append(step.object)
    lacking = [each for each in ended if each.status not in ("in_progress", shown.get(each.id))]
    return [AssistantEvent(cast(EventName, f"{each.object}.{each.status}"), each) for each in (*lacking, run)]


def _message_of(tx: Transaction, step: RunStep) -> Message | None:
    if not isinstance(step.step_details, MessageCreationDetails):
        return None
    row = tx.messages.get(step.step_details.message_creation.message_id)
    return row.object if row else None


def _as_known(message: Message, text: Message | None) -> Message:
    """Nobody is shown less than was heard before: it may have been lost with whoever said it."""
    if text is None or text.id != message.id or said(text) <= said(message):
        return message
    return message.changed(content=text.content)


def said(message: Message) -> int:
    """How many characters."""
    return sum(map(len, words(message)))


def _is_due(run: Run, now: float) -> bool:
    return run.status in ACTIVE and run.expires_at is not None and run.expires_at <= now
