"""Run steps."""

from dataclasses import replace

from supercompat.engine.tool_calls import with_content
from supercompat.services.core import Core, current_run, missing, page_query, read_page
from supercompat.storage_adapters.protocol import Page, Row, Transaction
from supercompat.wire.objects import RunStep
from supercompat.wire.requests import IncludeQuery, StepListQuery


class Steps:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def retrieve(self, thread_id: str, run_id: str, step_id: str, query: IncludeQuery) -> RunStep:
        def work(tx: Transaction) -> RunStep:
            current_run(tx, thread_id, run_id, now=self._core.clock.now())
            row = tx.steps.get(step_id)
            if row is None or row.object.run_id != run_id:
                raise missing(tx.ids, "run step", step_id)
            return shown(row, query)

        return await self._core.store.transact(work)

    async def list(self, thread_id: str, run_id: str, query: StepListQuery) -> Page[Row[RunStep]]:
        """The run's steps, the newest first unless asked otherwise (C-124, C-131)."""

        def work(tx: Transaction) -> Page[Row[RunStep]]:
            current_run(tx, thread_id, run_id, now=self._core.clock.now())
            page = read_page(tx.ids, tx.steps, page_query(query, run_id=run_id), "run step")
            return replace(page, rows=[replace(row, object=shown(row, query)) for row in page.rows])

        return await self._core.store.transact(work)


def shown(row: Row[RunStep], query: IncludeQuery) -> RunStep:
    """A step that has ended shows no time of expiry (1.4). What searches found is only shown if it is asked for."""
    step = with_content(row.object, row.private) if query.include else row.object
    return step if step.status == "in_progress" else step.changed(expires_at=None)
