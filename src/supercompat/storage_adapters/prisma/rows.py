"""How a row becomes columns of Prisma's table and of its side table, and these a row."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Generic, TypeVar

import sqlalchemy as sa
from pydantic import ValidationError

from supercompat.errors import StorageError
from supercompat.storage_adapters.prisma import fields, tables
from supercompat.storage_adapters.prisma.fields import Fields
from supercompat.storage_adapters.prisma.tables import PrismaTables
from supercompat.storage_adapters.protocol import Row, RunRow
from supercompat.wire.objects import ACTIVE_STATUSES, Assistant, Message, Resource, Run, RunStep, Thread

R = TypeVar("R", bound=Resource)


class UnreadableRowError(StorageError):
    """A row that somebody has written by hand.

    Args:
        error: what is wrong; the value itself is not shown, for it is somebody's.
    """

    def __init__(self, table: str, id: str, error: ValidationError) -> None:
        first = error.errors(include_input=False, include_url=False)[0]
        self.reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        super().__init__(f'The row {id} of "{table}" can\'t be shown: {self.reason}.')


#: Told by a row's place in its table, and by its type.
_UNWRITTEN: Final = {"id", "object"}

#: By the first of them there is an index.
_OF_STEPS: Final = ("threadId", "runId")


@dataclass(frozen=True, eq=False)
class Kind(Generic[R]):
    """One resource, its tables, and what is where.

    Args:
        view: Prisma's table with its side table.
        unset: what the API shows where nothing was stored.
        siblings: the columns by whose values rows are ordered among themselves; none where all rows are.
    """

    model: type[R]
    table: sa.Table
    side: sa.Table
    view: sa.Subquery
    fields: Fields
    siblings: tuple[str, ...] = ()
    unset: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read of the view."""
        held = (each.column for each in self.fields.values())
        own = (column.name for column in self.view.c if column.name.startswith("side_"))
        return ("id", "createdAt", *held, *own)

    def read(self, found: Sequence[Any]) -> Row[R]:
        """The row, from `columns`."""
        return self.row(self.named(found))

    def named(self, found: Sequence[Any]) -> dict[str, Any]:
        """The same by their names."""
        return dict(zip(self.columns, found, strict=True))

    def row(self, values: Mapping[str, Any]) -> Row[R]:
        """The row, from columns by name."""
        created_at = values["createdAt"] // 1_000_000
        shown: dict[str, Any] = {**self.unset, "id": values["id"], "created_at": created_at}
        beside: dict[str, Any] = json.loads(values["side_object"] or "{}")
        for name, held in self.fields.items():
            stored = values[held.column]
            is_ours = name in beside and held.write(beside[name]) == stored
            shown[name] = beside[name] if is_ours else held.read(stored)
        shown |= {name: value for name, value in beside.items() if name not in self.fields}
        private = json.loads(values["side_private"] or "{}")
        try:
            return Row(self.model.model_validate(shown), private)
        except ValidationError as error:
            raise UnreadableRowError(self.table.name, values["id"], error) from None

    def write(self, row: Row[R], *, is_new: bool) -> dict[str, Any]:
        """The values of Prisma's columns."""
        wire = row.object.model_dump(mode="json")
        return {
            held.column: held.write(wire[name])
            for name, held in self.fields.items()
            if is_new or not held.is_fixed
        }

    def write_side(self, row: Row[R]) -> dict[str, Any]:
        """The values of the side row that every kind has."""
        wire = row.object.model_dump(mode="json")
        beyond = {
            name: value
            for name, value in wire.items()
            if name not in _UNWRITTEN and not (name in self.fields and self.fields[name].keeps(value))
        }
        return {
            "id": row.object.id,
            "object": json.dumps(beyond),
            "private": json.dumps(dict(row.private)) if row.private else None,
        }


@dataclass(frozen=True, eq=False)
class Kinds:
    """All resources of one flavour."""

    tables: PrismaTables
    assistants: Kind[Assistant]
    threads: Kind[Thread]
    messages: Kind[Message]
    runs: Kind[Run]
    steps: Kind[RunStep]


@cache
def kinds_of(of: PrismaTables) -> Kinds:
    """The resources of one flavour."""
    flavour = of.flavour
    assistants = Kind(
        Assistant,
        of.assistants,
        tables.side_assistants,
        of.assistant_view,
        fields.of_assistant(flavour),
        unset={"model": ""},
    )
    return Kinds(
        of,
        assistants,
        Kind(Thread, of.threads, tables.side_threads, of.thread_view, fields.THREAD),
        Kind(Message, of.messages, tables.side_messages, of.message_view, fields.MESSAGE, ("threadId",)),
        Kind(Run, of.runs, tables.side_runs, of.run_view, fields.of_run(flavour), ("threadId",)),
        Kind(RunStep, of.steps, tables.side_steps, of.step_view, fields.STEP, _OF_STEPS),
    )


def read_run(kind: Kind[Run], values: Mapping[str, Any]) -> RunRow:
    """A run with its ownership; one that Node made has none."""
    row = kind.row(values)
    run = row.object
    if run.status not in ACTIVE_STATUSES:
        # The column takes no NULL, and keeps the moment.
        run = run.changed(expires_at=None)
    if run.status != "requires_action":
        # Node leaves it there when it has been given the outputs.
        run = run.changed(required_action=None)
    owned = (values["side_owner"], values["side_lease_until"] or 0.0, values["side_fence"] or 0)
    enqueued = run.status == "queued" and values["side_status"] == "enqueued"
    return RunRow(run, row.private, *owned, enqueued=enqueued)
