"""A conversation that the first release stored is told as one that this release stores."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from pydantic import BaseModel

from supercompat.storage_adapters.protocol import HistoryQuery, Parts, Row
from supercompat.storage_adapters.sql import schema
from supercompat.storage_adapters.sql.collections import TableTransaction
from supercompat.wire.objects import (
    Content,
    ImageUrl,
    ImageUrlContent,
    Message,
    RefusalContent,
    RunStep,
    StepCall,
    StepFunction,
    Text,
    TextContent,
    ToolCallsDetails,
)
from tests.storage.rows import ids, run, step, thread

MORE_THAN_AT_ONCE = 600

SAID: dict[str, Content] = {
    "msg_1": TextContent(text=Text(value="What time is it in Zürich? 🎉")),
    "msg_2": ImageUrlContent(image_url=ImageUrl(url="data:image/png;base64," + "A" * 9000)),
    "msg_3": RefusalContent(refusal="I can't say."),
}


def messages() -> list[Row[Message]]:
    return [
        Row(
            Message(
                id=id,
                created_at=1,
                thread_id="thread_1",
                role="assistant" if id == "msg_3" else "user",
                content=[content],
                metadata={"of": id},
            )
        )
        for id, content in SAID.items()
    ]


def calls(id: str, after: str | None, *outputs: str | None) -> Row[RunStep]:
    made = [
        StepCall(
            id=f"call_{output}",
            function=StepFunction(name="get_time", arguments='{"of": "Zürich"}', output=output),
        )
        for output in outputs
    ]
    fields = {"type": "tool_calls", "step_details": ToolCallsDetails(tool_calls=made)}
    return Row(step(id, "run_1").object.changed(**fields), {"after": after, "usage": {"prompt": 1}})


STEPS = [
    calls("step_1", None, "12:00"),
    step("step_2", "run_1"),
    calls("step_3", "msg_2", "12:00", "13:00"),
    calls("step_4", "msg_3", "12:00", None),
    calls("step_5", "msg_3"),
]


@pytest.fixture(params=["sqlite", "postgresql"])
def connection(request: pytest.FixtureRequest) -> Iterator[sa.Connection]:
    url = "sqlite://"
    if request.param == "postgresql":
        url = request.getfixturevalue("empty_postgres_url").replace("postgresql:", "postgresql+psycopg:")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def make_first_release(connection: sa.Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "supercompat.storage_adapters.sql:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")
    add(connection, "threads", thread())
    add(connection, "threads", thread("thread_2"))
    for number in range(MORE_THAN_AT_ONCE):
        message = messages()[0].object.changed(id=f"msg_{number}_of_2")
        add(connection, "messages", Row(message), thread_id="thread_2")
    for row in messages():
        add(connection, "messages", row, thread_id="thread_1")
    values = {"thread_id": "thread_1", "status": "completed", "lease_until": 0.0, "fence": 1}
    add(connection, "runs", run("run_1", "completed"), **values)
    for each in STEPS:
        add(connection, "steps", each, thread_id="thread_1", run_id="run_1")


def add(connection: sa.Connection, table: str, row: Row[Any], **values: Any) -> None:
    shown: BaseModel = row.object
    values |= {"project": "default", "created_at": 1, "id": row.object.id, "object": shown.model_dump_json()}
    values["private"] = json.dumps(dict(row.private)) if row.private else None
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in values]
    connection.execute(sa.insert(sa.table(table, *columns)).values(values))


def columns(connection: sa.Connection) -> list[sa.Row[Any]]:
    """Sizes and places, by id."""
    of_messages = sa.text(
        "SELECT id, role, size, metadata FROM messages WHERE thread_id = 'thread_1' ORDER BY id"
    )
    of_steps = sa.text(
        "SELECT s.id, s.size, s.place = 0, m.id FROM steps s LEFT JOIN messages m ON m.seq = s.place ORDER BY s.id"
    )
    return [*connection.execute(of_messages).all(), *connection.execute(of_steps).all()]


def test_an_older_conversation(connection: sa.Connection) -> None:
    make_first_release(connection)
    schema.upgrade(connection)
    older, everything = columns(connection), HistoryQuery("thread_1", "run_2", None, 10**6)
    tx = TableTransaction(connection, "default")
    found = tx.messages.history(everything)
    assert ids(found.rows) == ["step_1", "msg_1", "msg_2", "step_3", "msg_3"]
    assert list(found.rows[1:3]) == messages()[:2]

    # Now from the start, by this release.
    for table in ("steps", "runs", "messages", "threads"):
        connection.execute(sa.delete(sa.table(table)))
    tx.threads.insert(thread())
    mine = run("run_1", owner="me")
    tx.runs.insert(mine)
    tx.runs.put_parts(mine, Parts(new_steps=STEPS[:1]))
    tx.messages.insert(*messages())
    tx.runs.put_parts(mine, Parts(new_steps=STEPS[1:]))
    assert columns(connection) == older
    # The numbers of messages go on; what they say is the same.
    assert replace(tx.messages.history(everything), places=found.places) == found
