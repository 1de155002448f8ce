"""What a database that Prisma made looks like: the schema is in several shapes in the wild."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

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
_SOME_HAVE: Final = {"Assistant": OF_ASSISTANT, "Run": OF_RUN}

#: The labels that are written, of the columns that are enums.
LABELS: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("Message", "role"): frozenset({"USER", "ASSISTANT"}),
    ("Message", "status"): frozenset({"IN_PROGRESS", "INCOMPLETE", "COMPLETED"}),
    ("Run", "status"): frozenset(
        {
            *("QUEUED", "IN_PROGRESS", "REQUIRES_ACTION", "CANCELLING"),
            *("CANCELLED", "FAILED", "COMPLETED", "EXPIRED"),
        }
    ),
    ("RunStep", "type"): frozenset({"MESSAGE_CREATION", "TOOL_CALLS"}),
    ("RunStep", "status"): frozenset({"IN_PROGRESS", "CANCELLED", "FAILED", "COMPLETED", "EXPIRED"}),
}

#: The columns that are NULL at times.
NULLED: Final[Mapping[str, tuple[str, ...]]] = {
    "Message": ("assistantId", "runId", "completedAt", "incompleteAt", "incompleteDetails", "toolCalls"),
    "Run": ("requiredAction", "lastError", "startedAt", "cancelledAt", "failedAt", "completedAt", "usage"),
    "RunStep": ("lastError", "expiredAt", "cancelledAt", "failedAt", "completedAt", "usage"),
}

#: Whose rows every run makes.
OF_RUNS: Final = ("Message", "Run", "RunStep")

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
        unfilled: further columns of assistants and threads that take no NULL and have no default, as
            `"Table"."column"`, each with its table: rows are made by those alone who know what belongs there.
    """

    has_uuids: bool
    has_zones: bool
    tick: int
    of_assistant: tuple[str, ...]
    of_run: tuple[str, ...]
    required: tuple[str, ...]
    needs_assistant: bool
    unfilled: tuple[tuple[str, str], ...] = ()


class Column(NamedTuple):
    """What PostgreSQL says of a column.

    Args:
        precision: digits behind the second, of a moment.
        is_filled: whether it has a value where none is given.
        labels: of an enum.
    """

    type: str
    precision: int | None
    takes_null: bool
    is_filled: bool
    labels: Sequence[str]


Found: TypeAlias = Mapping[str, Mapping[str, Column]]

# Whoever may not read a table finds it all the same: the view of the standard would not show it.
_LOOK: Final = sa.text(
    "SELECT relname, attname, format_type(coalesce(nullif(typbasetype, 0), atttypid), NULL), "
    "CASE WHEN atttypmod < 0 THEN 6 ELSE atttypmod END, NOT (attnotnull OR typnotnull), "
    "atthasdef OR attidentity <> '' OR typdefault IS NOT NULL, "
    "ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = atttypid) "
    "FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid JOIN pg_type ON pg_type.oid = atttypid "
    "WHERE relnamespace = "
    "(SELECT oid FROM pg_namespace WHERE nspname = coalesce(CAST(:schema AS text), current_schema())) "
    "AND relname IN ('Assistant', 'Thread', 'Message', 'Run', 'RunStep') AND relkind IN ('r', 'p', 'v', 'f') "
    "AND attnum > 0 AND NOT attisdropped"
)


def look(connection: sa.Connection, schema: str | None, *, writes: bool = True) -> Flavour:
    """The shape of the database.

    Args:
        schema: the one with Prisma's tables; None for the connection's own.
        writes: whether more is to be done than reading.

    Raises:
        SchemaError: it has no such tables, or they can't be written.
    """
    found: dict[str, dict[str, Column]] = {table: {} for table in COLUMNS}
    for table, column, *kind in connection.execute(_LOOK, {"schema": schema}):
        found[table][column] = Column(*kind)
    _check(found)
    if writes:
        _check_writable(found)
    assistant, thread = found["Assistant"], found["Thread"]
    of_assistant = tuple(name for name in OF_ASSISTANT if name in assistant)
    return Flavour(
        has_uuids=_one({columns["id"].type for columns in found.values()}, _IDS, "ids"),
        has_zones=_one({columns["createdAt"].type for columns in found.values()}, _MOMENTS, "moments"),
        tick=10 ** (6 - min(columns["createdAt"].precision or 0 for columns in found.values())),
        of_assistant=of_assistant,
        of_run=tuple(name for name in OF_RUN if name in found["Run"]),
        required=tuple(name for name in of_assistant if not assistant[name].takes_null),
        needs_assistant=not thread["assistantId"].takes_null,
        unfilled=tuple(_unfilled(found, ("Assistant", "Thread"))),
    )


def _check_writable(found: Found) -> None:
    lacking = [
        f'"{table}"."{column}" lacks {", ".join(sorted(labels - set(found[table][column].labels)))}'
        for (table, column), labels in LABELS.items()
        if found[table][column].labels and not labels <= set(found[table][column].labels)
    ]
    if lacking:
        raise SchemaError(
            f"Enums of the Prisma schema that supercompat documents are not whole: {'; '.join(lacking)}. Add what is "
            "missing to the application's schema."
        )
    strict = [
        f'"{table}"."{name}"'
        for table, columns in NULLED.items()
        for name in columns
        if not found[table][name].takes_null
    ]
    if strict:
        raise SchemaError(f"Columns of the Prisma schema have to take NULL, and do not: {', '.join(strict)}.")
    if unfilled := [name for _, name in _unfilled(found, OF_RUNS)]:
        raise SchemaError(
            f"Nobody here knows what belongs in {', '.join(unfilled)}, and no run can be made without it. Let further "
            "columns of these tables take NULL, or give them a default in the database (dbgenerated())."
        )


def _unfilled(found: Found, tables: Sequence[str]) -> Iterator[tuple[str, str]]:
    for table in tables:
        known = {*COLUMNS[table], *_SOME_HAVE.get(table, ())}
        for name, column in found[table].items():
            if name not in known and not column.takes_null and not column.is_filled:
                yield table, f'"{table}"."{name}"'


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
