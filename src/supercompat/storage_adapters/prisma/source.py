"""Prisma's tables as a place to copy from: read in one transaction that changes nothing."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from heapq import merge
from typing import Any, Final, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from supercompat.errors import ConfigurationError, SchemaError
from supercompat.storage_adapters.prisma import readings
from supercompat.storage_adapters.prisma.collections import PROJECT
from supercompat.storage_adapters.prisma.flavour import look
from supercompat.storage_adapters.prisma.rows import Kind, Kinds, UnreadableRowError, kinds_of, read_run
from supercompat.storage_adapters.prisma.tables import RELEASE, SCHEMA, tables_of
from supercompat.storage_adapters.prisma.url import for_driver, schema_of
from supercompat.storage_adapters.protocol import PageQuery, Row, RunRow
from supercompat.storage_adapters.source import Unreadable
from supercompat.storage_adapters.sql import engines
from supercompat.storage_adapters.sql.attempts import translated
from supercompat.storage_adapters.sql.pages import read_page
from supercompat.storage_adapters.sql.schema import current
from supercompat.wire.objects import Assistant, Message, RunStep, Thread

T = TypeVar("T")

Columns = Mapping[str, Any]

#: Rows that are read at once.
PORTION: Final = 500

#: What a row that Node wrote may do to whoever reads it.
_UNFIT: Final = (ValueError, TypeError, LookupError, AttributeError)

_PREPARE: Final = (
    # As long as whatever this is copied to takes.
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)


class PrismaSource:
    """A database whose tables Prisma made, as it was when this context was entered. Used by one thread at a time.

    Side tables are not needed: what they would say is read as by default.

    Args:
        url: as for `PrismaStorageAdapter`; the driver is psycopg.
        tell: is given a line on each part of a row that the API can't show, as often as that is read.

    Raises:
        ConfigurationError: the URL can't be served.
        MissingExtraError: what PostgreSQL needs is not installed.
        StorageError: on entry, the database can't be used.
        SchemaError: likewise, there are no such tables, or the side tables are of another release.
    """

    def __init__(self, url: str, tell: Callable[[str], None]) -> None:
        if not url.startswith(("postgresql", "postgres")):
            raise ConfigurationError("Prisma's tables are read from 'postgresql://user@host/database'.")
        self._url = engines.parse(url)
        if self._url.get_driver_name() != "psycopg":
            raise ConfigurationError("The source is read through psycopg. Write 'postgresql://'.")
        self._schema = schema_of(self._url)
        self._engine = engines.reader(for_driver(self._url))
        self._losses = _Losses(tell)
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        try:
            with self._translated():
                self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.close()
        self._engine.dispose()

    def is_at(self, url: str, schema: str | None) -> bool:
        """Whether a URL of PostgreSQL, and a schema there, mean these tables' own place."""
        other = engines.parse(url)
        return engines.same_database(self._url, other) and (self._schema or "public") == (schema or "public")

    def assistants(self) -> Iterator[Row[Assistant] | Unreadable]:
        """In the order in which they were created, without those that are hidden."""
        kind = self._kinds.assistants
        return (row for _, row in self._rows(kind, kind.row))

    def threads(self) -> Iterator[Row[Thread] | Unreadable]:
        """In the order in which they were created."""
        kind = self._kinds.threads
        return (row for _, row in self._rows(kind, kind.row))

    def runs(self, thread_id: str) -> Iterator[RunRow | Unreadable]:
        """Those of a thread, likewise."""
        kind = self._kinds.runs
        return (row for _, row in self._rows(kind, lambda values: read_run(kind, values), thread_id))

    def conversation(self, thread_id: str) -> Iterator[Row[Message] | Row[RunStep] | Unreadable]:
        """Messages and steps of a thread; a step that Node wrote stands where it was written."""
        kinds = self._kinds
        messages = self._rows(kinds.messages, kinds.messages.row, thread_id)
        steps = self._rows(kinds.steps, kinds.steps.row, thread_id)
        # Those of one moment as in the history: messages first.
        return (row for _, row in merge(messages, steps, key=lambda placed: placed[0]))

    def _begin(self) -> None:
        readings.logger.addHandler(self._losses)
        self._closing.callback(readings.logger.removeHandler, self._losses)
        options: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        if self._schema:
            options["schema_translate_map"] = {None: self._schema}
        connection = self._closing.enter_context(self._engine.connect()).execution_options(**options)
        self._closing.enter_context(connection.begin())
        for statement in _PREPARE:
            connection.execute(sa.text(statement))
        has_sides = _has_sides(connection)
        self._connection = connection
        self._kinds: Kinds = kinds_of(
            tables_of(look(connection, self._schema, writes=False), has_sides=has_sides)
        )

    def _rows(
        self, kind: Kind[Any], read: Callable[[Columns], T], thread_id: str | None = None
    ) -> Iterator[tuple[int, T | Unreadable]]:
        """Rows, each with the microsecond at which it stands among those of other kinds."""
        where = {} if thread_id is None else {"thread_id": thread_id}
        last: str | None = None
        more = True
        while more:
            query = PageQuery(where, order="asc", limit=PORTION, after=last)
            with self._translated():
                found, more = read_page(self._connection, kind.view, kind.columns, PROJECT, query)
            for columns in map(kind.named, found):
                last = str(columns["id"])
                self._losses.row = f"{kind.table.name} {last}"
                yield _place(columns), _read(kind, read, columns)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            raise translated(error, self._engine) from error


class _Losses(logging.Handler):
    """Hears what is left out of the row that is being read.

    Attributes:
        row: its table and id.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self.row = ""
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(f"{self.row}: {record.getMessage()}")


def _has_sides(connection: sa.Connection) -> bool:
    found = current(connection, SCHEMA, RELEASE)
    if found not in (None, RELEASE.head):
        raise SchemaError(
            f"The side tables of the source are of revision {found}, this release of supercompat reads {RELEASE.head}."
        )
    return found is not None


def _place(columns: Columns) -> int:
    # Behind the message that a step followed, even if that came with a later moment.
    return max(columns["createdAt"], columns.get("side_place") or 0)


def _read(kind: Kind[Any], read: Callable[[Columns], T], columns: Columns) -> T | Unreadable:
    try:
        return read(columns)
    except UnreadableRowError as error:
        return Unreadable(kind.table.name, str(columns["id"]), error.reason)
    except _UNFIT as error:
        # Without the value, which is somebody's.
        return Unreadable(kind.table.name, str(columns["id"]), f"it can't be read ({type(error).__name__})")
