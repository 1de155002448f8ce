"""What tells how much of a thread a run needs: sizes, roles, and the places of tool steps as numbers."""

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ROWS_AT_ONCE = 500
IMAGE = 3_060
FRAME = 16

FROM_USER = sa.text("role = 'user'")
OF_TOOLS = sa.text("place IS NOT NULL")

MESSAGES = sa.table("messages", *map(sa.column, ("seq", "project", "id", "object", "role", "size")))
STEPS = sa.table("steps", *map(sa.column, ("seq", "project", "object", "private", "size", "place")))


def upgrade() -> None:
    add(
        "messages",
        sa.Column("role", sa.String),
        sa.Column("size", sa.Integer),
        sa.Column("metadata", sa.Text),
    )
    add("steps", sa.Column("size", sa.Integer), sa.Column("place", sa.BigInteger))
    fill(MESSAGES, of_message)
    fill(STEPS, of_step)
    op.drop_index("ix_steps_project_thread_id_seq", "steps")
    op.drop_index("ix_runs_claimable", "runs")
    settle("messages", ("run_id", "role", "size", "metadata", "object", "private"), "role", "size")
    settle("steps", ("run_id", "size", "place", "object", "private"), "size")
    create_index("ix_messages_of_user", "messages", ["project", "thread_id", "seq"], where=FROM_USER)
    create_index("ix_steps_of_tools", "steps", ["project", "thread_id", "place", "seq"], where=OF_TOOLS)


def add(table: str, *columns: sa.Column[Any]) -> None:
    for column in columns:
        op.add_column(table, column)


def settle(table: str, order: tuple[str, ...], *required: str) -> None:
    """Every row has these by now. Where the table is copied for it, in SQLite, they come before the object."""
    with op.batch_alter_table(table, partial_reordering=[order]) as batch:
        for name in required:
            batch.alter_column(name, nullable=False)


def create_index(name: str, table: str, columns: list[str], *, where: sa.TextClause) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def fill(table: sa.TableClause, values_of: Callable[[sa.RowMapping], dict[str, Any]]) -> None:
    """Set what can be told from the objects: a few rows at a time, in the order of creation."""
    connection = op.get_bind()
    newer = (
        sa.select(table).where(table.c.seq > sa.bindparam("last")).order_by(table.c.seq).limit(ROWS_AT_ONCE)
    )
    change = sa.update(table).where(table.c.seq == sa.bindparam("its_seq"))
    last = 0
    while found := connection.execute(newer, {"last": last}).mappings().all():
        last = found[-1]["seq"]
        values = [{"its_seq": row["seq"], **values_of(row)} for row in found]
        connection.execute(
            change.values({name: sa.bindparam(name) for name in values[0].keys() - {"its_seq"}}), values
        )


def of_message(row: sa.RowMapping) -> dict[str, Any]:
    message = json.loads(row["object"])
    return {"role": message["role"], "size": FRAME + sum(map(size_of, message["content"]))}


def size_of(content: dict[str, Any]) -> int:
    if content["type"] == "text":
        return length(content["text"]["value"])
    return length(content["refusal"]) if content["type"] == "refusal" else IMAGE


def of_step(row: sa.RowMapping) -> dict[str, Any]:
    step = json.loads(row["object"])
    if step["type"] != "tool_calls":
        return {"size": 0, "place": None}
    functions = [call["function"] for call in step["step_details"]["tool_calls"]]
    is_answered = all(each["output"] is not None for each in functions)
    size = sum(
        FRAME + length(each["name"] + each["arguments"] + (each["output"] or "")) for each in functions
    )
    return {"size": size if is_answered else 0, "place": place_of(row)}


def place_of(row: sa.RowMapping) -> int:
    """The number of the message that the step follows; that stood beside it by its id."""
    after = json.loads(row["private"] or "{}").get("after")
    message = sa.select(MESSAGES.c.seq).where(MESSAGES.c.project == row["project"], MESSAGES.c.id == after)
    return op.get_bind().execute(message).scalar() or 0


def length(text: str) -> int:
    return len(text.encode(errors="replace"))
