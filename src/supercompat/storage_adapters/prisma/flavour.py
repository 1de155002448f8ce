"""What a database that Prisma made looks like: the schema is in several shapes in the wild."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from supercompat.errors import SchemaError

_TIMES: Final = ("createdAt", "updatedAt")

#: What each table has in every shape.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "Assistant": ("id", *_TIMES),
    "Thread": ("id", "assistantId", "metadata", *_TIMES),
    "Message": (
        *("id", "threadId", "role", "content", "status", "assistantId", "runId", "completedAt"),
        *("incompleteAt", "incompleteDetails", "attachments", "metadata", "toolCalls", *_TIMES),
    ),
    "Run": (
        *("id", "threadId", "assistantId", "status", "requiredAction", "lastError", "expiresAt", "startedAt"),
        *("cancelledAt", "failedAt", "completedAt", "model", "instructions", "tools", "metadata", "usage"),
        *_TIMES,
    ),
    "RunStep": (
        *("id", "threadId", "assistantId", "runId", "type", "status", "stepDetails", "lastError"),
        *("expiredAt", "cancelledAt", "failedAt", "completedAt", "metadata", "usage", *_TIMES),
    ),
}

#: What some have.
OF_ASSISTANT: Final = ("modelSlug", "model", "instructions", "name", "description", "metadata")
OF_RUN: Final = ("truncationStrategy", "responseFormat")

_IDS: Final = {"uuid": True, "text": False, "character varying": False}
_MOMENTS: Final = {"timestamp with time zone": True, "timestamp without time zone": False}


@dataclass(frozen=True)
class Flavour:
    """The shape of one database.

    Args:
        has_uuids: whether ids are of the type `uuid`, and not text.
        has_zones: whether moments are `timestamptz`, and not `timestamp` in UTC.
        tick: microseconds between two moments that a column can tell apart.
        of_assistant, of_run: the columns of `OF_ASSISTANT` and `OF_RUN` that are there.
        required: those of the assistant that take no NULL.
        needs_assistant: whether each thread has to have an assistant.
    """

    has_uuids: bool
    has_zones: bool
    tick: int
    of_assistant: tuple[str, ...]
    of_run: tuple[str, ...]
    required: tuple[str, ...]
    needs_assistant: bool


_LOOK: Final = sa.text(
    "SELECT table_name, column_name, data_type, datetime_precision, is_nullable = 'YES' "
    "FROM information_schema.columns "
    "WHERE table_schema = coalesce(CAST(:schema AS text), current_schema()) "
    "AND table_name IN ('Assistant', 'Thread', 'Message', 'Run', 'RunStep')"
)


def look(connection: sa.Connection, schema: str | None) -> Flavour:
    """The shape of the database.

    Args:
        schema: the one with Prisma's tables; None for the connection's own.

    Raises:
        SchemaError: it has no such tables.
    """
    found: dict[str, dict[str, tuple[Any, ...]]] = {table: {} for table in COLUMNS}
    for table, column, *kind in connection.execute(_LOOK, {"schema": schema}):
        found[table][column] = tuple(kind)
    _check(found)
    assistant, thread = found["Assistant"], found["Thread"]
    of_assistant = tuple(name for name in OF_ASSISTANT if name in assistant)
    return Flavour(
        has_uuids=_one({columns["id"][0] for columns in found.values()}, _IDS, "ids"),
        has_zones=_one({columns["createdAt"][0] for columns in found.values()}, _MOMENTS, "moments"),
        tick=10 ** (6 - min(columns["createdAt"][1] for columns in found.values())),
        of_assistant=of_assistant,
        of_run=tuple(name for name in OF_RUN if name in found["Run"]),
        required=tuple(name for name in of_assistant if not assistant[name][2]),
        needs_assistant=not thread["assistantId"][2],
    )


def _check(found: Mapping[str, Collection[str]]) -> None:
    lacking = [
        f'"{table}"' if not found[table] else f'"{table}"."{column}"'
        for table, columns in COLUMNS.items()
        for column in (columns if found[table] else columns[:1])
        if column not in found[table]
    ]
    if lacking:
        raise SchemaError(
            "The database lacks tables or columns of the Prisma schema that supercompat documents: "
            f"{', '.join(lacking)}. Apply the application's migrations first (npx prisma migrate deploy), and name its "
            "schema in the URL (?schema=…) if that is not the connection's own."
        )


def _one(kinds: set[str], known: Mapping[str, bool], what: str) -> bool:
    if len(kinds) != 1 or not kinds <= known.keys():
        raise SchemaError(
            f"The {what} in Prisma's tables are of the types {', '.join(sorted(kinds))}. Known are one of "
            f"{', '.join(known)}, the same in all tables."
        )
    return known[kinds.pop()]
