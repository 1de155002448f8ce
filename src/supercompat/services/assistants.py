"""Assistants."""

from dataclasses import replace

from supercompat.services.core import Core, given, missing, page_query, read_page
from supercompat.services.hosted import check_resources, check_tools, shown_resources
from supercompat.storage_adapters.protocol import Page, Row, Transaction
from supercompat.wire.objects import Assistant, Deleted
from supercompat.wire.requests import AssistantCreate, AssistantModify, ListQuery

SAMPLING = ("temperature", "top_p")


class Assistants:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def create(self, body: AssistantCreate) -> Assistant:
        """A new assistant (C-019)."""
        self._core.check_model(body.model)
        check_tools(self._core, body.model, body.tools)
        check_resources(self._core, body.tool_resources)
        assistant = Assistant(id=self._core.ids.new(Assistant), created_at=self._core.now(), model=body.model)
        row = apply(Row(assistant), body)
        await self._core.store.transact(lambda tx: tx.assistants.insert(row))
        return row.object

    async def retrieve(self, assistant_id: str) -> Assistant:
        row = await self._core.store.transact(lambda tx: existing_assistant(tx, assistant_id))
        return row.object

    async def modify(self, assistant_id: str, body: AssistantModify) -> Assistant:
        """Change the fields that are given, no others (C-030)."""

        def work(tx: Transaction) -> Assistant:
            row = apply(existing_assistant(tx, assistant_id, lock=True), body)
            if body.model is not None:
                self._core.check_model(body.model)
            if body.tools:
                check_tools(self._core, row.object.model, body.tools)
            check_resources(self._core, body.tool_resources)
            tx.assistants.put(row)
            return row.object

        return await self._core.store.transact(work)

    async def delete(self, assistant_id: str) -> Deleted:
        if not await self._core.store.transact(lambda tx: tx.assistants.delete(assistant_id)):
            raise missing(self._core.ids, "assistant", assistant_id)
        return Deleted(id=assistant_id, object="assistant.deleted")

    async def list(self, query: ListQuery) -> Page[Row[Assistant]]:
        wanted = page_query(query)
        return await self._core.store.transact(
            lambda tx: read_page(tx.ids, tx.assistants, wanted, "assistant")
        )


def existing_assistant(tx: Transaction, assistant_id: str, *, lock: bool = False) -> Row[Assistant]:
    """The assistant, or an error (E4, E10)."""
    row = tx.assistants.get(assistant_id, lock=lock)
    if row is None:
        raise missing(tx.ids, "assistant", assistant_id)
    return row


def apply(row: Row[Assistant], body: AssistantCreate | AssistantModify) -> Row[Assistant]:
    """The assistant with what the request sets.

    What the caller set itself of `temperature` and `top_p` is kept apart: a default that the API merely shows is
    never sent to a provider, whose own default may be another.
    """
    sampling = dict(row.private.get("sampling", {}))
    for name in SAMPLING:
        if name in body.model_fields_set:
            sampling[name] = getattr(body, name)
    sampling = {name: value for name, value in sampling.items() if value is not None}
    private = {"sampling": sampling} if sampling else {}
    changed = row.object.changed(**given(body))
    resources = shown_resources(changed.tool_resources, changed.tools)
    return replace(row, object=changed.changed(tool_resources=resources), private=private)
