"""The states of a run: which may follow which, and what each shows."""

from itertools import product
from typing import get_args

import pytest

from supercompat.engine.lifecycle import (
    ACTIVE,
    RESTING,
    TERMINAL,
    IllegalTransitionError,
    move,
    stored_usage,
    usage_object,
    usage_state,
)
from supercompat.model.events import Usage
from supercompat.wire.objects import (
    CalledFunction,
    RequiredAction,
    RequiredCall,
    RequiredCalls,
    Run,
    RunStatus,
)

STATUSES: tuple[RunStatus, ...] = get_args(RunStatus)

LEGAL = {
    ("queued", "in_progress"),
    ("queued", "cancelling"),
    ("queued", "expired"),
    # Ended by us before it was picked up.
    ("queued", "failed"),
    ("in_progress", "requires_action"),
    ("in_progress", "completed"),
    ("in_progress", "incomplete"),
    ("in_progress", "failed"),
    ("in_progress", "cancelling"),
    ("in_progress", "expired"),
    ("requires_action", "queued"),
    ("requires_action", "cancelled"),
    ("requires_action", "expired"),
    ("cancelling", "cancelled"),
    ("cancelling", "expired"),
}


def a_run(status: RunStatus) -> Run:
    calls = RequiredCalls(
        tool_calls=[RequiredCall(id="call_1", function=CalledFunction(name="f", arguments="{}"))]
    )
    return Run(
        id="run_1",
        created_at=1,
        assistant_id="asst_1",
        thread_id="thread_1",
        model="m",
        status=status,
        expires_at=601,
        required_action=RequiredAction(submit_tool_outputs=calls),
    )


@pytest.mark.conforms("C-088")
@pytest.mark.parametrize(("before", "after"), list(product(STATUSES, STATUSES)))
def test_what_may_follow(before: RunStatus, after: RunStatus) -> None:
    run = a_run(before)
    if (before, after) in LEGAL:
        assert move(run, after).status == after
    else:
        with pytest.raises(IllegalTransitionError, match=f"{before} -> {after}"):
            move(run, after)


def test_every_status_is_active_or_terminal() -> None:
    assert not ACTIVE & TERMINAL
    assert set(STATUSES) == ACTIVE | TERMINAL
    assert {"requires_action"} == RESTING & ACTIVE
    assert TERMINAL < RESTING


@pytest.mark.conforms("C-089")
@pytest.mark.parametrize(("before", "after"), sorted(LEGAL))
def test_a_run_that_has_ended_waits_for_nothing(before: RunStatus, after: RunStatus) -> None:
    moved = move(a_run(before), after, started_at=5)
    ended = after in TERMINAL
    assert (moved.expires_at is None, moved.required_action is None) == (ended, ended)
    assert moved.started_at == 5


@pytest.mark.conforms("C-090", "C-091")
def test_usage() -> None:
    shown = usage_object(Usage(prompt=10, completion=3, cached=4, reasoning=2))
    assert shown.model_dump() == {
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "total_tokens": 13,
        "prompt_token_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert usage_object(Usage()).model_dump() == nothing


def test_usage_is_kept() -> None:
    usage = Usage(prompt=10, completion=3, cached=4, reasoning=2)
    assert stored_usage({"usage": usage_state(usage)}) == usage
    assert stored_usage({}) == Usage()
