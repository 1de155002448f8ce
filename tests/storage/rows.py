"""Rows for the tests, with the least that their objects need."""

from typing import Any

from supercompat.storage_adapters.protocol import Row, RunRow
from supercompat.wire.objects import (
    Assistant,
    CreatedMessage,
    Message,
    MessageCreationDetails,
    Run,
    RunStatus,
    RunStep,
    Thread,
)

#: Whose the runs are, where nobody asks.
ASSISTANT = "asst_of_runs"


def assistant(id: str) -> Row[Assistant]:
    return Row(Assistant(id=id, created_at=1, model="m"))


def thread(id: str = "thread_1", **metadata: str) -> Row[Thread]:
    return Row(Thread(id=id, created_at=1, metadata=metadata))


def message(id: str, thread_id: str = "thread_1", run_id: str | None = None) -> Row[Message]:
    return Row(Message(id=id, created_at=1, thread_id=thread_id, run_id=run_id, role="user"))


def run(id: str, status: RunStatus = "queued", thread_id: str = "thread_1", **ownership: Any) -> RunRow:
    shown = Run(id=id, created_at=1, thread_id=thread_id, assistant_id=ASSISTANT, model="m", status=status)
    return RunRow(shown, **ownership)


def step(id: str, run_id: str, thread_id: str = "thread_1") -> Row[RunStep]:
    details = MessageCreationDetails(message_creation=CreatedMessage(message_id="msg_1"))
    return Row(
        RunStep(
            id=id,
            created_at=1,
            run_id=run_id,
            assistant_id=ASSISTANT,
            thread_id=thread_id,
            type="message_creation",
            step_details=details,
        )
    )


def ids(rows: Any) -> list[str]:
    return [row.object.id for row in rows]
