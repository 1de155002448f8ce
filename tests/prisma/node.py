"""The Node application: rows as its library writes them, and what it reads, as the queries that Prisma makes of that.

Its clock is its own: Prisma's engine, not the database, says when a row was created.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, TypeAlias

import psycopg
from psycopg.rows import dict_row

Json: TypeAlias = dict[str, Any]

INSERT_ASSISTANT = """
INSERT INTO "Assistant" ("createdAt", "updatedAt") VALUES (%(now)s, %(now)s) RETURNING id::text
"""
INSERT_THREAD = """
INSERT INTO "Thread" ("assistantId", metadata, "createdAt", "updatedAt")
VALUES (%(assistant)s, %(metadata)s, %(now)s, %(now)s) RETURNING id::text
"""
INSERT_MESSAGE = """
INSERT INTO "Message" ("threadId", role, content, status, "assistantId", "runId", attachments, metadata, "toolCalls",
    "createdAt", "updatedAt")
VALUES (%(thread)s, %(role)s, %(content)s, 'COMPLETED', %(assistant)s, %(run)s, ARRAY[]::jsonb[], %(metadata)s,
    %(calls)s, %(now)s, %(now)s) RETURNING id::text
"""
INSERT_RUN = """
INSERT INTO "Run" ("threadId", "assistantId", status, "requiredAction", "expiresAt", model, instructions, tools,
    metadata, "createdAt", "updatedAt")
VALUES (%(thread)s, %(assistant)s, %(status)s, %(action)s, %(expires)s, 'gpt-4o-mini', '', %(tools)s::jsonb[], NULL,
    %(now)s, %(now)s) RETURNING id::text
"""
INSERT_STEP = """
INSERT INTO "RunStep" ("threadId", "assistantId", "runId", type, status, "stepDetails", "completedAt", "createdAt",
    "updatedAt")
VALUES (%(thread)s, %(assistant)s, %(run)s, 'TOOL_CALLS', %(status)s, %(details)s, %(completed)s, %(now)s, %(now)s)
RETURNING id::text
"""
#: `prisma.message.findMany({ where: { threadId }, orderBy: { createdAt: 'asc' } })`
MESSAGES = """
SELECT "id", "threadId", "role"::text, "content", "status"::text, "assistantId", "runId", "completedAt",
    "incompleteAt", "incompleteDetails", "attachments", "metadata", "toolCalls", "createdAt", "updatedAt"
FROM "Message" WHERE "threadId" = %(id)s ORDER BY "createdAt" ASC
"""
#: `include: { run: { include: { runSteps: true } } }`
STEPS = """
SELECT "id", "runId", "type"::text, "status"::text, "stepDetails", "createdAt" FROM "RunStep"
WHERE "runId"::text = ANY(%(ids)s)
"""
#: `prisma.run.findUnique({ where: { id } })`
RUN = """
SELECT "id", "threadId", "assistantId", "status"::text, "requiredAction", "lastError", "expiresAt", "startedAt",
    "cancelledAt", "failedAt", "completedAt", "model", "instructions", "tools", "metadata", "usage", "updatedAt"
FROM "Run" WHERE "id" = %(id)s
"""
THREAD = (
    'SELECT "id", "assistantId"::text, "metadata", "createdAt", "updatedAt" FROM "Thread" WHERE "id" = %(id)s'
)
#: What its `submit_tool_outputs` reads: `prisma.runStep.findMany({ where: { …, type, status } })`
WAITING_STEPS = """
SELECT "id"::text, "stepDetails" FROM "RunStep" WHERE "threadId" = %(thread)s AND "runId" = %(run)s
    AND "type" = 'TOOL_CALLS' AND "status" = 'IN_PROGRESS' ORDER BY "createdAt" ASC
"""


def text(value: str) -> list[Json]:
    return [{"type": "text", "text": {"value": value, "annotations": []}}]


class Node:
    """One application, connected."""

    def __init__(self, connection: "psycopg.Connection[Json]") -> None:
        self._connection = connection
        # Behind the moment at which it says something, for those who come later.
        self.now = datetime.now(UTC) - timedelta(minutes=1)
        self.tick = timedelta(milliseconds=250)

    # Writing

    def assistant(self, **columns: str) -> str:
        id = self._one(INSERT_ASSISTANT)
        for name, value in columns.items():
            self.set("Assistant", id, name, value)
        return id

    def thread(self, assistant: str, **metadata: str) -> str:
        return self._one(
            INSERT_THREAD, assistant=assistant, metadata=_json({"assistantId": assistant, **metadata})
        )

    def message(self, thread: str, content: Any, role: str = "USER", **given: Any) -> str:
        stored = text(content) if isinstance(content, str) else content
        values: Json = {"assistant": None, "run": None, "metadata": {}, "calls": None, **given}
        for name in ("metadata", "calls"):
            values[name] = None if values[name] is None else _json(values[name])
        return self._one(INSERT_MESSAGE, thread=thread, role=role, content=_json(stored), **values)

    def run(self, thread: str, assistant: str, status: str = "QUEUED", **given: Any) -> str:
        expires = given.pop("expires", int((self.now + timedelta(hours=1)).timestamp()))
        action = given.pop("action", None)
        tools = [_json(tool) for tool in given.pop("tools", ())]
        values = {"expires": expires, "action": action and _json(action), "tools": tools}
        return self._one(INSERT_RUN, thread=thread, assistant=assistant, status=status, **values)

    def step(self, thread: str, assistant: str, run: str, calls: Sequence[Json]) -> str:
        is_done = all("output" in call["function"] for call in calls)
        details = _json({"type": "tool_calls", "tool_calls": list(calls)})
        status, completed = ("COMPLETED", int(self.now.timestamp())) if is_done else ("IN_PROGRESS", None)
        given = {"status": status, "completed": completed, "details": details}
        return self._one(INSERT_STEP, thread=thread, assistant=assistant, run=run, **given)

    def set(self, table: str, id: str, column: str, value: Any) -> None:
        """Change one column, as `prisma.x.update({ data })` does, which says when."""
        statement = f'UPDATE "{table}" SET "{column}" = %(value)s, "updatedAt" = %(now)s WHERE id = %(id)s'
        stored = _json(value) if isinstance(value, dict | list) else value
        self._connection.execute(statement, {"value": stored, "now": self._moment(), "id": id})  # pyright: ignore[reportArgumentType]

    def set_json(self, table: str, id: str, column: str, value: Any) -> None:
        """The same with any JSON."""
        self.set(table, id, column, _json(value))

    def delete(self, table: str, id: str) -> None:
        self._connection.execute(f'DELETE FROM "{table}" WHERE id = %(id)s', {"id": id})  # pyright: ignore[reportArgumentType]

    def submit(self, thread: str, run: str, outputs: dict[str, str]) -> None:
        """Give tool outputs: each waiting step has them, and the run is queued, to be carried out by Node."""
        for step in self._all(WAITING_STEPS, thread=thread, run=run):
            calls = step["stepDetails"]["tool_calls"]
            done = [
                {**call, "function": {**call["function"], "output": outputs[call["id"]]}} for call in calls
            ]
            self.set("RunStep", step["id"], "stepDetails", {"type": "tool_calls", "tool_calls": done})
            self.set("RunStep", step["id"], "status", "COMPLETED")
        self.set("Run", run, "status", "QUEUED")

    # Reading

    def messages(self, thread: str) -> list[Json]:
        return self._all(MESSAGES, id=thread)

    def read_run(self, run: str) -> Json:
        return self._all(RUN, id=run)[0]

    def read_thread(self, thread: str) -> Json:
        return self._all(THREAD, id=thread)[0]

    def prompt(self, thread: str) -> list[tuple[str, Any]]:
        """What its run adapter makes of a thread: each message, with the calls in it and their outputs behind it."""
        messages = self.messages(thread)
        runs = list({str(message["runId"]) for message in messages if message["runId"]})
        steps = self._all(STEPS, ids=runs)
        said: list[tuple[str, Any]] = []
        for message in messages:
            words = "".join(part["text"]["value"] for part in message["content"])
            said += [(message["role"].lower(), words)] if words else []
            for call in message["toolCalls"] or ():
                said.append(("assistant", call["function"]))
                said += [("tool", output) for output in _outputs(steps, call["id"])]
        return said

    def rows(self, statement: LiteralString, **values: Any) -> list[Json]:
        """What any other query gives."""
        return self._all(statement, **values)

    def _all(self, statement: LiteralString, **values: Any) -> list[Json]:
        return self._connection.execute(statement, values).fetchall()

    def _one(self, statement: LiteralString, **values: Any) -> str:
        (row,) = self._all(statement, now=self._moment(), **values)
        return row["id"]

    def _moment(self) -> datetime:
        self.now += self.tick
        # In both kinds of column it is UTC.
        return self.now.replace(tzinfo=None)


def _outputs(steps: Sequence[Json], call_id: str) -> Iterator[str]:
    for step in steps:
        if step["type"] == "TOOL_CALLS":
            calls = step["stepDetails"]["tool_calls"]
            yield from (each["function"].get("output", "") for each in calls if each["id"] == call_id)


def _json(value: Any) -> str:
    return json.dumps(value)


@contextmanager
def node(url: str) -> Iterator[Node]:
    """An application on this database."""
    connection: psycopg.Connection[Json] = psycopg.Connection[Json].connect(
        url, autocommit=True, row_factory=dict_row, options="-c timezone=UTC"
    )
    with connection:
        yield Node(connection)
