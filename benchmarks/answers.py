"""Constant objects of the Assistants API, as the API shows them: what the floor is made of."""

import json
from typing import Any

_RUN_ID, _THREAD_ID, _ASSISTANT_ID = "run_constant", "thread_constant", "asst_constant"
_STEP_ID, _MESSAGE_ID = "step_constant", "msg_constant"
_USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
_CONTENT: dict[str, Any] = {"type": "text", "text": {"value": "token " * 50, "annotations": []}}

ASSISTANT: dict[str, Any] = {
    "id": _ASSISTANT_ID,
    "object": "assistant",
    "created_at": 1730000000,
    "name": None,
    "description": None,
    "model": "gpt-4o-mini",
    "instructions": "Answer.",
    "tools": [],
    "tool_resources": {},
    "metadata": {},
    "temperature": 1.0,
    "top_p": 1.0,
    "response_format": "auto",
    "reasoning_effort": None,
}
THREAD: dict[str, Any] = {
    "id": _THREAD_ID,
    "object": "thread",
    "created_at": 1730000000,
    "metadata": {},
    "tool_resources": {},
}


def run(status: str) -> dict[str, Any]:
    """The run in one of its states."""
    completed = status == "completed"
    return {
        "id": _RUN_ID,
        "object": "thread.run",
        "created_at": 1730000000,
        "thread_id": _THREAD_ID,
        "assistant_id": _ASSISTANT_ID,
        "status": status,
        "required_action": None,
        "last_error": None,
        "expires_at": None if completed else 1730000600,
        "started_at": None if status == "queued" else 1730000000,
        "cancelled_at": None,
        "failed_at": None,
        "completed_at": 1730000001 if completed else None,
        "incomplete_details": None,
        "model": "gpt-4o-mini",
        "instructions": "Answer.",
        "tools": [],
        "metadata": {},
        "usage": _USAGE if completed else None,
        "temperature": 1.0,
        "top_p": 1.0,
        "max_prompt_tokens": None,
        "max_completion_tokens": None,
        "truncation_strategy": {"type": "auto", "last_messages": None},
        "response_format": "auto",
        "tool_choice": "auto",
        "parallel_tool_calls": True,
    }


def _step(status: str) -> dict[str, Any]:
    completed = status == "completed"
    return {
        "id": _STEP_ID,
        "object": "thread.run.step",
        "created_at": 1730000000,
        "run_id": _RUN_ID,
        "assistant_id": _ASSISTANT_ID,
        "thread_id": _THREAD_ID,
        "type": "message_creation",
        "status": status,
        "cancelled_at": None,
        "completed_at": 1730000001 if completed else None,
        "expired_at": None,
        "failed_at": None,
        "last_error": None,
        "step_details": {"type": "message_creation", "message_creation": {"message_id": _MESSAGE_ID}},
        "usage": _USAGE if completed else None,
        "metadata": {},
    }


def _message(status: str) -> dict[str, Any]:
    completed = status == "completed"
    return {
        "id": _MESSAGE_ID,
        "object": "thread.message",
        "created_at": 1730000000,
        "assistant_id": _ASSISTANT_ID,
        "thread_id": _THREAD_ID,
        "run_id": _RUN_ID,
        "status": status,
        "incomplete_details": None,
        "incomplete_at": None,
        "completed_at": 1730000001 if completed else None,
        "role": "assistant",
        "content": [_CONTENT] if completed else [],
        "attachments": [],
        "metadata": {},
    }


def _frame(event: str, data: dict[str, Any]) -> bytes:
    return f"event: {event}\ndata: {json.dumps(data)}\n\n".encode()


_PIECE = {"index": 0, "type": "text", "text": {"value": "token "}}

#: The frames of a run: what comes before the provider's first text, what comes with it, one for each piece of text,
#: and what comes behind the last.
OPENING = [
    _frame("thread.run.created", run("queued")),
    _frame("thread.run.queued", run("queued")),
    _frame("thread.run.in_progress", run("in_progress")),
]
MESSAGE_OPENING = [
    _frame("thread.run.step.created", _step("in_progress")),
    _frame("thread.run.step.in_progress", _step("in_progress")),
    _frame("thread.message.created", _message("in_progress")),
    _frame("thread.message.in_progress", _message("in_progress")),
]
DELTA = _frame(
    "thread.message.delta",
    {"id": _MESSAGE_ID, "object": "thread.message.delta", "delta": {"content": [_PIECE]}},
)
CLOSING = [
    _frame("thread.message.completed", _message("completed")),
    _frame("thread.run.step.completed", _step("completed")),
    _frame("thread.run.completed", run("completed")),
    b"event: done\ndata: [DONE]\n\n",
]
