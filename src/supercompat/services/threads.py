"""Threads."""

from collections.abc import Sequence
from dataclasses import replace

from supercompat.services.core import Core, existing_thread, given, missing
from supercompat.services.hosted import check_resources
from supercompat.services.messages import new_message
from supercompat.storage_adapters.protocol import Row, Transaction
from supercompat.wire.ids import Ids
from supercompat.wire.objects import Deleted, Message, Thread
from supercompat.wire.requests import ThreadCreate, ThreadModify


class Threads:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def create(self, body: ThreadCreate) -> Thread:
        """A new thread, with its first messages in the order given (C-043, C-044)."""
        check_resources(self._core, body.tool_resources)
        thread, messages = new_thread(body, self._core.ids, self._core.now())
        await self._core.store.transact(lambda tx: insert_thread(tx, thread, messages))
        return thread

    async def retrieve(self, thread_id: str) -> Thread:
        row = await self._core.store.transact(lambda tx: existing_thread(tx, thread_id))
        return shown_later(row.object)

    async def modify(self, thread_id: str, body: ThreadModify) -> Thread:
        """Replace what is given (C-046)."""

        def work(tx: Transaction) -> Thread:
            row = existing_thread(tx, thread_id, lock=True)
            check_resources(self._core, body.tool_resources)
            row = replace(row, object=row.object.changed(**given(body)))
            tx.threads.put(row)
            return row.object

        return await self._core.store.transact(work)

    async def delete(self, thread_id: str) -> Deleted:
        """Delete the thread and all that is in it. A run that is active stops (C-047, C-121)."""
        if not await self._core.store.transact(lambda tx: tx.threads.delete(thread_id)):
            raise missing(self._core.ids, "thread", thread_id)
        self._core.supervisor.forget(thread_id)
        return Deleted(id=thread_id, object="thread.deleted")


def new_thread(body: ThreadCreate, ids: Ids, now: int) -> tuple[Thread, list[Message]]:
    """A thread and its first messages, not yet stored."""
    thread = Thread(
        id=ids.new(Thread),
        created_at=now,
        metadata=body.metadata or {},
        tool_resources=body.tool_resources or {},
    )
    return thread, [new_message(message, ids, thread.id, now) for message in body.messages]


def shown_later(thread: Thread) -> Thread:
    """The thread as it is shown anywhere but in the answers that create and modify it (C-045)."""
    return thread.changed(tool_resources=thread.tool_resources or {"code_interpreter": {"file_ids": []}})


def insert_thread(tx: Transaction, thread: Thread, messages: Sequence[Message] = ()) -> None:
    tx.threads.insert(Row(thread))
    if messages:
        tx.messages.insert(*(Row(message) for message in messages))
