"""What a new run takes from its assistant, and what the request puts in its place."""

from collections.abc import Sequence
from typing import Any

from supercompat.errors import RequestError
from supercompat.services.assistants import SAMPLING
from supercompat.storage_adapters.protocol import Row
from supercompat.wire.ids import Ids
from supercompat.wire.objects import Assistant, Message, Run
from supercompat.wire.requests import RunCreate, ThreadRunCreate

#: Copied from the assistant unless the request says otherwise; null in a request means "as the assistant".
INHERITED = ("model", "tools", "response_format", "reasoning_effort")

#: The run's own; null in a request means the default.
OWN = (
    "max_prompt_tokens",
    "max_completion_tokens",
    "truncation_strategy",
    "tool_choice",
    "parallel_tool_calls",
    "metadata",
)


def new_run(
    assistant: Row[Assistant],
    thread_id: str,
    body: RunCreate | ThreadRunCreate,
    *,
    ids: Ids,
    now: int,
    expires_at: int,
) -> tuple[Run, dict[str, Any]]:
    """A run, not yet stored: a snapshot of the assistant with the request's overrides (C-067 to C-070).

    Returns:
        The run, and what is kept beside it: the sampling settings that somebody really set.
    """
    source = assistant.object
    fields = {name: getattr(body, name) for name in OWN}
    fields = {name: value for name, value in fields.items() if value is not None}
    for name in (*INHERITED, *SAMPLING):
        override = getattr(body, name)
        fields[name] = getattr(source, name) if override is None else override
    run = Run(
        id=ids.new(Run),
        created_at=now,
        assistant_id=source.id,
        thread_id=thread_id,
        model=fields.pop("model"),
        expires_at=expires_at,
        instructions=joined_instructions(source, body),
    ).changed(**fields)
    return run, _private(assistant, body)


def joined_instructions(assistant: Assistant, body: RunCreate | ThreadRunCreate) -> str | None:
    """The request's instructions or else the assistant's, then the additional ones (C-070)."""
    instructions = assistant.instructions if body.instructions is None else body.instructions
    additional = body.additional_instructions if isinstance(body, RunCreate) else None
    parts = [part for part in (instructions, additional) if part]
    return "\n".join(parts) if parts else instructions


def check_thread(run: Run, added: Sequence[Message], *, has_user_message: bool) -> None:
    """There is something to answer: instructions or a user message (C-073).

    Args:
        added: messages that the run brings with it.
        has_user_message: whether the thread has one without them.

    Raises:
        RequestError: neither (E31).
    """
    if run.instructions or has_user_message or any(message.role == "user" for message in added):
        return
    raise RequestError(
        "Run creation requires a Thread with a user message or an assistant with instructions.",
        code="invalid_thread",
    )


def _private(assistant: Row[Assistant], body: RunCreate | ThreadRunCreate) -> dict[str, Any]:
    sampling = dict(assistant.private.get("sampling", {}))
    for name in SAMPLING:
        value = getattr(body, name)
        if value is not None:
            sampling[name] = value
    return {"sampling": sampling} if sampling else {}
