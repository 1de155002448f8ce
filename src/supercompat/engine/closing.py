"""Ends runs that nobody carries out, from what is stored of them."""

from dataclasses import replace
from typing import Any, Literal, TypeAlias

from supercompat.engine.lifecycle import ACTIVE, move, stored_usage, usage_object
from supercompat.engine.reducer import run_ended, step_ended
from supercompat.storage_adapters.protocol import PageQuery, RunRow, Transaction
from supercompat.wire.objects import IncompleteDetails, LastError, Run

Ending: TypeAlias = Literal["failed", "cancelled", "expired"]

ABANDONED = LastError(
    code="server_error",
    message="The process that carried out this run ended before the answer was complete.",
)


def end_stored(
    tx: Transaction, row: RunRow, status: Ending, *, now: int, error: LastError | None = None
) -> RunRow | None:
    """End an active run: its open message becomes incomplete, its open step and the run get `status`.

    Returns:
        The run as it is stored now, or None if it had changed meanwhile.
    """
    fields: dict[str, Any] = {**run_ended(status, now), "usage": usage_object(stored_usage(row.private))}
    if error is not None:
        fields["last_error"] = error
    ended = replace(row, object=move(row.object, status, **fields), owner=None, lease_until=0.0)
    if not tx.runs.put(ended, expected=(row.object.status,)):
        return None
    _end_parts(tx, row.object.id, status, now, error)
    return ended


def _end_parts(tx: Transaction, run_id: str, status: Ending, now: int, error: LastError | None) -> None:
    of_run = PageQuery({"run_id": run_id}, limit=None)
    for message in tx.messages.page(of_run).rows:
        if message.object.status == "in_progress":
            reason = IncompleteDetails(reason=f"run_{status}")
            ended = message.object.changed(status="incomplete", incomplete_at=now, incomplete_details=reason)
            tx.messages.put(replace(message, object=ended))
    for step in tx.steps.page(of_run).rows:
        if step.object.status == "in_progress":
            usage = usage_object(stored_usage(step.private))
            ended = step.object.changed(**step_ended(status, now, last_error=error), usage=usage)
            tx.steps.put(replace(step, object=ended))


def expire_if_due(tx: Transaction, row: RunRow, now: float) -> RunRow:
    """The run, ended first if its time is over: expiry follows from what is stored (C-102, C-104)."""
    if _is_due(row.object, now):
        return end_stored(tx, row, "expired", now=int(now)) or tx.runs.get(row.object.id) or row
    return row


def end_broken(tx: Transaction, row: RunRow, error: LastError, *, now: float) -> RunRow | None:
    """End an active run that can't be carried on. A cancellation that was under way, or a time that is over, ends
    it as such, all else as failed.

    Returns:
        As `end_stored`.
    """
    if _is_due(row.object, now):
        return end_stored(tx, row, "expired", now=int(now))
    if row.object.status == "cancelling":
        return end_stored(tx, row, "cancelled", now=int(now))
    return end_stored(tx, row, "failed", now=int(now), error=error)


def end_if_half_said(tx: Transaction, row: RunRow, now: float) -> bool:
    """End a run that was taken over from a process that is gone, unless it can be carried out from the start.

    A pass that has shown nothing can. One that has said something ends as the API ends it; so does a
    cancellation that was under way. Returns whether the run has ended.
    """
    of_run = PageQuery({"run_id": row.object.id}, limit=None)
    is_stopped = row.object.status == "cancelling" or _is_due(row.object, now)
    if not is_stopped and not any(step.object.status == "in_progress" for step in tx.steps.page(of_run).rows):
        return False
    end_broken(tx, row, ABANDONED, now=now)
    return True


def _is_due(run: Run, now: float) -> bool:
    return run.status in ACTIVE and run.expires_at is not None and run.expires_at <= now
