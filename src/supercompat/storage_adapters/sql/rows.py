"""How a row becomes columns, and columns a row."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import sqlalchemy as sa

from supercompat.storage_adapters.protocol import Row, RunRow
from supercompat.storage_adapters.sql import tables
from supercompat.wire.objects import Assistant, Message, Resource, Run, RunStep, Thread

R = TypeVar("R", bound=Resource)

COLUMNS: Final = ("object", "private")
"""What is read of a row."""

RUN_COLUMNS: Final = (*COLUMNS, "owner", "lease_until", "fence")
"""What is read of a run."""


@dataclass(frozen=True)
class Kind(Generic[R]):
    """One resource and its table.

    Args:
        fixed: columns taken from the object when it is inserted, and never changed.
    """

    table: sa.Table
    model: type[R]
    fixed: tuple[str, ...]

    def new(self, project: str, row: Row[R]) -> dict[str, Any]:
        """The values of a new row."""
        values = {name: getattr(row.object, name) for name in self.fixed}
        return {"project": project, **values, **content(row)}

    def read(self, columns: Sequence[Any]) -> Row[R]:
        """The row that was stored, from `COLUMNS`."""
        text, private = columns
        return Row(self.model.model_validate_json(text), _private(private))


ASSISTANTS: Final = Kind(tables.assistants, Assistant, ("id", "created_at"))
THREADS: Final = Kind(tables.threads, Thread, ("id", "created_at"))
MESSAGES: Final = Kind(tables.messages, Message, ("id", "created_at", "thread_id", "run_id"))
RUNS: Final = Kind(tables.runs, Run, ("id", "created_at", "thread_id"))
STEPS: Final = Kind(tables.steps, RunStep, ("id", "created_at", "thread_id", "run_id"))


def content(row: Row[Any]) -> dict[str, Any]:
    """The columns that change with every new state of a row."""
    return {
        "object": row.object.model_dump_json(),
        "private": json.dumps(dict(row.private)) if row.private else None,
    }


def run_content(row: RunRow) -> dict[str, Any]:
    """The columns that change with every new state of a run."""
    return {
        **content(row),
        "status": row.object.status,
        "expires_at": row.object.expires_at,
        "owner": row.owner,
        "lease_until": row.lease_until,
        "fence": row.fence,
    }


def read_run(columns: Sequence[Any]) -> RunRow:
    """The run that was stored, from `RUN_COLUMNS`."""
    text, private, owner, lease_until, fence = columns
    return RunRow(Run.model_validate_json(text), _private(private), owner, lease_until, fence)


def _private(text: str | None) -> Mapping[str, Any]:
    return json.loads(text) if text else {}
