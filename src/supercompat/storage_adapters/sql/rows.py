"""How a row becomes columns, and columns a row."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

import sqlalchemy as sa

from supercompat.storage_adapters.protocol import Row, RunRow
from supercompat.storage_adapters.sizes import size_of
from supercompat.storage_adapters.sql import tables
from supercompat.wire.objects import Assistant, Message, Resource, Run, RunStep, Thread

R = TypeVar("R", bound=Resource)

COLUMNS: Final = ("object", "private")
"""What is read of a row."""

MESSAGE_COLUMNS: Final = (*COLUMNS, "metadata")
"""What is read of a message."""

RUN_COLUMNS: Final = (*COLUMNS, "owner", "lease_until", "fence", "status")
"""What is read of a run."""


def content(row: Row[Any]) -> dict[str, Any]:
    """The columns that change with every new state of a row."""
    return {
        "object": row.object.model_dump_json(),
        "private": json.dumps(dict(row.private)) if row.private else None,
    }


def _sized(row: Row[Any]) -> dict[str, Any]:
    return {**content(row), "size": size_of(row.object)}


def _step(row: Row[RunStep]) -> dict[str, Any]:
    # The message that a tool step follows, of which the statements make its place; empty where there is none.
    follows = row.private.get("after") or "" if row.object.type == "tool_calls" else None
    return {**_sized(row), "follows": follows}


def run_content(row: RunRow) -> dict[str, Any]:
    """The columns that change with every new state of a run."""
    return {
        **content(row),
        "status": row.status,
        "expires_at": row.object.expires_at,
        "owner": row.owner,
        "lease_until": row.lease_until,
        "fence": row.fence,
    }


def read_row(model: type[R], columns: Sequence[Any]) -> Row[R]:
    """The row that was stored, from `COLUMNS`."""
    text, private = columns
    return Row(model.model_validate_json(text), _private(private))


def read_message(columns: Sequence[Any]) -> Row[Message]:
    """The message that was stored, from `MESSAGE_COLUMNS`."""
    text, private, metadata = columns
    row = Row(Message.model_validate_json(text), _private(private))
    # Without a change the metadata is where it was from the start, in the object.
    return row if metadata is None else replace(row, object=row.object.changed(metadata=json.loads(metadata)))


def read_run(columns: Sequence[Any]) -> RunRow:
    """The run that was stored, from `RUN_COLUMNS`."""
    text, private, *ownership, status = columns
    return RunRow(Run.model_validate_json(text), _private(private), *ownership, enqueued=status == "enqueued")


def _private(text: str | None) -> Mapping[str, Any]:
    return json.loads(text) if text else {}


@dataclass(frozen=True)
class Kind(Generic[R]):
    """One resource and its table.

    Args:
        fixed: columns taken from the object when it is inserted, and never changed.
        content: the values that change with every new state, by the names that the statements have for them.
        columns: what is read.
        reader: makes a row of these; None for the usual way.
    """

    table: sa.Table
    model: type[R]
    fixed: tuple[str, ...]
    content: Callable[[Row[R]], dict[str, Any]] = content
    columns: tuple[str, ...] = COLUMNS
    reader: Callable[[Sequence[Any]], Row[R]] | None = None

    def new(self, project: str, row: Row[R]) -> dict[str, Any]:
        """The values of a new row."""
        values = {name: getattr(row.object, name) for name in self.fixed}
        return {"project": project, **values, **self.content(row)}

    def read(self, columns: Sequence[Any]) -> Row[R]:
        """The row that was stored."""
        return read_row(self.model, columns) if self.reader is None else self.reader(columns)


ASSISTANTS: Final = Kind(tables.assistants, Assistant, ("id", "created_at"))
THREADS: Final = Kind(tables.threads, Thread, ("id", "created_at"))
MESSAGES: Final = Kind(
    tables.messages,
    Message,
    ("id", "created_at", "thread_id", "run_id", "role"),
    _sized,
    MESSAGE_COLUMNS,
    read_message,
)
RUNS: Final = Kind(tables.runs, Run, ("id", "created_at", "thread_id"))
STEPS: Final = Kind(tables.steps, RunStep, ("id", "created_at", "thread_id", "run_id"), _step)
