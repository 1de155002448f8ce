"""The states of a run, and what changes with each (section 2 of the specification)."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from supercompat.model.events import Usage
from supercompat.wire import objects as wire
from supercompat.wire.objects import LastError, Message, Run, RunStatus, RunStep

StepEnding: TypeAlias = Literal["completed", "failed", "cancelled", "expired"]
RunEnding: TypeAlias = Literal["completed", "incomplete", "failed", "cancelled", "expired"]

ACTIVE: frozenset[RunStatus] = frozenset(wire.ACTIVE_STATUSES)
TERMINAL: frozenset[RunStatus] = frozenset({"completed", "failed", "cancelled", "expired", "incomplete"})

#: Where the poll helpers of the SDK stop.
RESTING = TERMINAL | {"requires_action"}

TRANSITIONS: Mapping[RunStatus, frozenset[RunStatus]] = {
    "queued": frozenset({"in_progress", "cancelling", "failed", "expired"}),
    "in_progress": frozenset(
        {"requires_action", "cancelling", "completed", "failed", "incomplete", "expired"}
    ),
    "requires_action": frozenset({"queued", "cancelled", "expired"}),
    "cancelling": frozenset({"cancelled", "expired"}),
}


class IllegalTransitionError(AssertionError):
    """The engine tried what the lifecycle forbids: a defect of ours."""


def move(run: Run, status: RunStatus, **fields: Any) -> Run:
    """The run in its next state.

    A terminal state clears `expires_at` and `required_action`; whatever else changes is in `fields`.

    Raises:
        IllegalTransitionError: the table has no such transition (C-088).
    """
    if status not in TRANSITIONS.get(run.status, frozenset()):
        raise IllegalTransitionError(f"{run.id}: {run.status} -> {status}")
    if status in TERMINAL:
        fields = {"expires_at": None, "required_action": None, **fields}
    return run.changed(status=status, **fields)


def run_ended(status: RunEnding, now: int) -> dict[str, Any]:
    """The timestamp of a run that ends; an expired one has none."""
    timestamps = {
        "completed": "completed_at",
        "incomplete": "completed_at",
        "failed": "failed_at",
        "cancelled": "cancelled_at",
    }
    return {timestamps[status]: now} if status in timestamps else {}


def ended_step(
    step: RunStep, status: StepEnding, now: int, usage: Usage, error: LastError | None = None
) -> RunStep:
    """The step as it ends. `expires_at` stays in events, and is cleared when it is read (1.4)."""
    timestamps = {"completed": "completed_at", "failed": "failed_at", "cancelled": "cancelled_at"}
    at = {timestamps[status]: now} if status in timestamps else {}
    if error is not None and error.code == "invalid_prompt":
        # Only a run's error has that code.
        error = error.changed(code="server_error")
    return step.changed(status=status, last_error=error, usage=usage_object(usage), **at)


def made_message(step: RunStep) -> str | None:
    """The id of the message that the step made; None of a step of tools."""
    details = step.step_details
    return details.message_creation.message_id if isinstance(details, wire.MessageCreationDetails) else None


def begun_step(step: RunStep) -> RunStep:
    """The step as it was when it began."""
    is_tools = isinstance(step.step_details, wire.ToolCallsDetails)
    details = wire.ToolCallsDetails() if is_tools else step.step_details
    ended = {"cancelled_at": None, "completed_at": None, "failed_at": None, "last_error": None, "usage": None}
    return step.changed(status="in_progress", step_details=details, **ended)


def broken_message(message: Message, reason: str, now: int) -> Message:
    """The message as it ends before it is complete, its content as it is."""
    details = wire.IncompleteDetails(reason=reason)
    return message.changed(status="incomplete", incomplete_at=now, incomplete_details=details)


def usage_object(usage: Usage) -> wire.Usage:
    """Tokens as the API shows them: details only where something was billed (C-091)."""
    if not usage.prompt and not usage.completion:
        return wire.Usage()
    return wire.Usage(
        prompt_tokens=usage.prompt,
        completion_tokens=usage.completion,
        total_tokens=usage.prompt + usage.completion,
        prompt_token_details=wire.CachedTokens(cached_tokens=usage.cached),
        completion_tokens_details=wire.ReasoningTokens(reasoning_tokens=usage.reasoning),
    )


def usage_state(usage: Usage) -> dict[str, int]:
    """Tokens as they are kept beside a row."""
    return {
        "prompt": usage.prompt,
        "completion": usage.completion,
        "cached": usage.cached,
        "reasoning": usage.reasoning,
    }


def stored_usage(private: Mapping[str, Any]) -> Usage:
    """The tokens that `private["usage"]` keeps; none if there are none."""
    return Usage(**private.get("usage", {}))
