"""Messages."""

from supercompat.engine.closing import expire_if_due
from supercompat.engine.lifecycle import ACTIVE
from supercompat.errors import RequestError
from supercompat.services.core import Core, existing_thread, given, missing, page_query, read_page
from supercompat.storage_adapters.protocol import Page, Row, RunRow, Transaction
from supercompat.wire.ids import Ids
from supercompat.wire.objects import Deleted, Message
from supercompat.wire.requests import MessageCreate, MessageListQuery, MessageModify


class Messages:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def create(self, thread_id: str, body: MessageCreate) -> Message:
        """Add a message, unless a run is active on the thread (C-116)."""
        message = new_message(body, self._core.ids, thread_id, self._core.now())

        def work(tx: Transaction) -> None:
            existing_thread(tx, thread_id, lock=True)
            active = active_run(tx, thread_id, self._core.clock.now())
            if active is not None:
                raise RequestError(
                    f"Can't add messages to {thread_id} while a run {active.object.id} is active."
                )
            tx.messages.insert(Row(message))

        await self._core.store.transact(work)
        return message

    async def retrieve(self, thread_id: str, message_id: str) -> Message:
        def work(tx: Transaction) -> Message:
            row = _existing(tx, thread_id, message_id)
            if self._is_stale(tx, row.object):
                row = _existing(tx, thread_id, message_id)
            return row.object

        return await self._core.store.transact(work)

    async def modify(self, thread_id: str, message_id: str, body: MessageModify) -> Message:
        """Replace the metadata, if it is given (C-061)."""

        def work(tx: Transaction) -> Message:
            row = _existing(tx, thread_id, message_id, lock=True)
            message = row.object.changed(**given(body))
            tx.messages.put_metadata(message_id, message.metadata)
            return message

        return await self._core.store.transact(work)

    async def delete(self, thread_id: str, message_id: str) -> Deleted:
        """Delete a message. Tool steps that followed it keep their place in the conversation (C-062)."""

        def work(tx: Transaction) -> None:
            _existing(tx, thread_id, message_id, lock=True)
            tx.messages.delete(message_id)

        await self._core.store.transact(work)
        return Deleted(id=message_id, object="thread.message.deleted")

    async def list(self, thread_id: str, query: MessageListQuery) -> Page[Row[Message]]:
        """The thread's messages, or those of one of its runs (C-059)."""
        where = {"thread_id": thread_id}
        if query.run_id is not None:
            where["run_id"] = query.run_id

        def work(tx: Transaction) -> Page[Row[Message]]:
            if query.after is not None or query.before is not None:
                # That there is no thread is said before that there is no such message in it.
                existing_thread(tx, thread_id)
            page = read_page(tx.ids, tx.messages, page_query(query, **where), "message")
            if not page.rows:
                existing_thread(tx, thread_id)
            if any(self._is_stale(tx, row.object) for row in page.rows):
                page = read_page(tx.ids, tx.messages, page_query(query, **where), "message")
            return page

        return await self._core.store.transact(work)

    def _is_stale(self, tx: Transaction, message: Message) -> bool:
        """Whether the message was being written by a run whose time is over, and which is ended now (C-103)."""
        if message.status != "in_progress":
            return False
        return active_run(tx, message.thread_id, self._core.clock.now()) is None


def new_message(body: MessageCreate, ids: Ids, thread_id: str, now: int) -> Message:
    """A message made through the API, not yet stored: complete, and of no run (C-051)."""
    return Message(
        id=ids.new(Message),
        created_at=now,
        thread_id=thread_id,
        role=body.role,
        content=body.parts(),
        metadata=body.metadata or {},
    )


def active_run(tx: Transaction, thread_id: str, now: float) -> RunRow | None:
    """The run that locks the thread. Those whose time is over are ended first."""
    while (row := tx.runs.active(thread_id)) is not None:
        row = expire_if_due(tx, row, now)
        if row.object.status in ACTIVE:
            return row
        # The next one in line may be active now.
    return None


def _existing(tx: Transaction, thread_id: str, message_id: str, *, lock: bool = False) -> Row[Message]:
    row = tx.messages.get(message_id, lock=lock)
    if row is None or row.object.thread_id != thread_id:
        existing_thread(tx, thread_id)
        raise missing(tx.ids, "message", message_id)
    return row
