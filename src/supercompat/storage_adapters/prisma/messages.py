"""The messages and the steps, with what Node looks for in them: the calls of a step stand in a message."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from supercompat.storage_adapters.prisma import readings
from supercompat.storage_adapters.prisma.collections import PrismaCollection
from supercompat.storage_adapters.prisma.fields import MESSAGE, plain
from supercompat.storage_adapters.prisma.history import count_until, read_history, read_stretch
from supercompat.storage_adapters.prisma.ids import BARE
from supercompat.storage_adapters.prisma.rows import Kinds
from supercompat.storage_adapters.prisma.tables import micros, side_messages
from supercompat.storage_adapters.protocol import History, HistoryQuery, Row
from supercompat.wire.objects import Message, RunStep, StepCall, ToolCallsDetails


class PrismaMessages(PrismaCollection[Message]):
    """The messages."""

    def put_metadata(self, id: str, metadata: Mapping[str, str]) -> bool:
        if not self.lock(id):
            return False
        row = self.get(id)
        if row is None:
            return False
        table = self._kind.table
        stored = self._connection.execute(sa.select(table.c.metadata).where(table.c.id == id)).scalar()
        kept = readings.calls_in_metadata(stored)
        self._change(id, {"metadata": {**MESSAGE["metadata"].write(dict(metadata)), **kept}})
        self._put_side(Row(row.object.changed(metadata=dict(metadata)), row.private))
        return True

    def history(self, query: HistoryQuery) -> History:
        return read_history(self._connection, self._kinds, query)

    def stretch(self, thread_id: str, first: int, last: int) -> History:
        return read_stretch(self._connection, self._kinds, thread_id, first, last)

    def count_until(self, thread_id: str, place: int) -> int:
        return count_until(self._connection, self._kinds, thread_id, place)

    def show_calls(self, id: str, calls: Sequence[Any] | None, *, in_metadata: bool) -> None:
        """Store what Node takes for the calls of a message; None for no calls."""
        stored = None if calls is None else plain(list(calls))
        values: dict[str, Any] = {"toolCalls": stored}
        if in_metadata:
            known = sa.func.coalesce(self._kind.table.c.metadata, sa.cast({}, JSONB)).op("-")(readings.CALLS)
            values["metadata"] = (
                known if stored is None else known.op("||")(sa.cast({readings.CALLS: stored}, JSONB))
            )
        self._change(id, values)

    def _values(self, row: Row[Message]) -> dict[str, Any]:
        # The metadata can be changed while the message is written, by us and by Node.
        return {name: value for name, value in super()._values(row).items() if name != "metadata"}

    def _side(self, row: Row[Message]) -> dict[str, Any]:
        return {**super()._side(row), "thread_id": row.object.thread_id}


class PrismaSteps(PrismaCollection[RunStep]):
    """The steps.

    Args:
        names_calls: whether a message's metadata has its calls too.
    """

    def __init__(self, connection: sa.Connection, kinds: Kinds, *, names_calls: bool) -> None:
        super().__init__(connection, kinds, kinds.steps)
        self._names_calls = names_calls
        self._messages = PrismaMessages(connection, kinds, kinds.messages)

    def delete(self, id: str) -> bool:
        carrier = self._carrier(id)
        if carrier is not None:
            self._forget(*carrier)
        return super().delete(id)

    def _store(self, row: Row[RunStep], written: Mapping[str, Any]) -> bool:
        if not super()._store(row, written):
            return False
        self._carry(row)
        return True

    def _add(self, rows: Sequence[Row[RunStep]], *, again: bool) -> None:
        super()._add(rows, again=again)
        for row in rows:
            self._carry(row)

    def _side(self, row: Row[RunStep]) -> dict[str, Any]:
        return {**super()._side(row), "thread_id": row.object.thread_id, "place": self._place(row)}

    def _change(self, id: str, values: Mapping[str, Any]) -> bool:
        expired = {"expiredAt": sa.cast(sa.func.extract("epoch", sa.func.now()), sa.Integer)}
        return super()._change(id, {**values, **(expired if values.get("status") == "EXPIRED" else {})})

    def _place(self, row: Row[RunStep]) -> int | None:
        """The moment of the message that a tool step follows, of the thread's newest one if that is gone."""
        if row.object.type != "tool_calls":
            return None
        values = {"follows": row.private.get("after") or "", "named": row.object.id}
        statement = _place(self._kinds)
        return self._connection.execute(statement, {**values, "of_thread": row.object.thread_id}).scalar()

    # Calls, for Node

    def _carry(self, row: Row[RunStep]) -> None:
        """Let a message have the step's calls: the one that they follow in their run, else one of their own."""
        details = row.object.step_details
        if not isinstance(details, ToolCallsDetails):
            return
        # What a provider carried out by itself nobody is to answer.
        hosted = row.private.get("hosted", ())
        functions = [call for call in details.tool_calls if isinstance(call, StepCall)]
        calls = [_call(call) for call in functions if call.id not in hosted]
        if not calls:
            return
        carrier = self._carrier(row.object.id)
        if carrier is None:
            followed = self._followed(row)
            id = self._new_carrier(row.object) if followed is None else followed
            side = sa.update(side_messages).where(side_messages.c.id == id)
            self._connection.execute(side.values(step_id=row.object.id))
        else:
            id, _ = carrier
        self._messages.show_calls(id, calls, in_metadata=self._names_calls)

    def _carrier(self, step_id: str) -> tuple[str, bool] | None:
        """The message that has the step's calls, and whether it has nothing else."""
        side = side_messages
        found = self._connection.execute(sa.select(side.c.id, side.c.hidden).where(side.c.step_id == step_id))
        columns = found.first()
        return None if columns is None else (columns[0], columns[1])

    def _followed(self, row: Row[RunStep]) -> str | None:
        """The message that the step follows, if it is its own run's and has no other calls."""
        after = row.private.get("after")
        message = self._messages.get(after) if after else None
        if message is None or message.object.run_id != row.object.run_id:
            return None
        side = side_messages
        taken = sa.select(side.c.step_id).where(side.c.id == after)
        return after if self._connection.execute(taken).scalar() is None else None

    def _new_carrier(self, step: RunStep) -> str:
        message = Message(
            id=BARE.new(Message),
            created_at=step.created_at,
            completed_at=step.created_at,
            thread_id=step.thread_id,
            run_id=step.run_id,
            assistant_id=step.assistant_id,
            role="assistant",
        )
        self._messages.insert(Row(message))
        hidden = sa.update(side_messages).where(side_messages.c.id == message.id).values(hidden=True)
        self._connection.execute(hidden)
        return message.id

    def _forget(self, id: str, is_own: bool) -> None:
        if is_own:
            self._messages.delete(id)
            return
        self._messages.show_calls(id, None, in_metadata=self._names_calls)
        side = sa.update(side_messages).where(side_messages.c.id == id).values(step_id=None)
        self._connection.execute(side)


def _call(call: StepCall) -> dict[str, Any]:
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {"id": call.id, "type": call.type, "function": function}


@cache
def _place(kinds: Kinds) -> sa.Select[Any]:
    messages, side = kinds.tables.messages, kinds.steps.side
    followed = sa.select(messages.c.createdAt).where(messages.c.id == sa.bindparam("follows"))
    newest = sa.select(sa.func.max(messages.c.createdAt)).where(
        messages.c.threadId == sa.bindparam("of_thread")
    )
    stored = sa.select(side.c.place).where(side.c.id == sa.bindparam("named", type_=sa.Text))
    return sa.select(
        sa.func.coalesce(
            micros(followed.scalar_subquery()),
            stored.scalar_subquery(),
            micros(newest.scalar_subquery()),
            sa.literal_column("0", sa.BigInteger),
        )
    )
