"""What every service works with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from supercompat.clock import Clock
from supercompat.engine.closing import expire_if_due
from supercompat.engine.supervisor import Supervisor
from supercompat.errors import NotFoundError, RequestError
from supercompat.options import Options
from supercompat.storage_adapters.protocol import (
    CursorError,
    Page,
    PageQuery,
    Row,
    RunRow,
    Store,
    Transaction,
)
from supercompat.wire.ids import Ids
from supercompat.wire.objects import Assistant, Message, Resource, Run, RunStep, Thread
from supercompat.wire.requests import ListQuery

T = TypeVar("T")

#: What the API calls each resource, when it speaks of one.
KINDS: Mapping[str, type[Resource]] = {
    "assistant": Assistant,
    "thread": Thread,
    "message": Message,
    "run": Run,
    "run step": RunStep,
}

#: What the API shows for a field that nobody set, where that is not null.
UNSET: Mapping[str, Any] = {
    "tools": [],
    "tool_resources": {},
    "metadata": {},
    "temperature": 1.0,
    "top_p": 1.0,
    "response_format": "auto",
}


@dataclass(frozen=True, slots=True)
class Core:
    """The store, the engine, and the settings of one runtime.

    Args:
        serves: whether a client adapter answers for this model.
    """

    store: Store
    supervisor: Supervisor
    options: Options
    serves: Callable[[str], bool]

    @property
    def clock(self) -> Clock:
        return self.options.clock

    def now(self) -> int:
        """Unix seconds, as the API shows times."""
        return int(self.clock.now())

    @property
    def ids(self) -> Ids:
        """How new things are named, and what ids look like."""
        return self.store.ids

    def check_model(self, model: str) -> None:
        """Refuse a model that no client adapter answers for, without asking any (C-042). A stored assistant may have
        none, if somebody else's application made it."""
        if not model or not self.serves(model):
            raise RequestError(
                f"The requested model '{model}' does not exist.", param="model", code="model_not_found"
            )


def given(body: BaseModel) -> dict[str, Any]:
    """The fields that a request names. Null gives a field its unset value: nothing else changes (C-030 to C-032)."""
    fields = {name: getattr(body, name) for name in body.model_fields_set}
    return {name: UNSET.get(name) if value is None else value for name, value in fields.items()}


def page_query(query: ListQuery, **where: str) -> PageQuery:
    return PageQuery(where, query.order, query.limit, query.after, query.before)


def missing(ids: Ids, kind: str, id: str, *, param: str | None = None) -> RequestError:
    """The answer to a lookup that found nothing: 404, or 400 where no such thing could have this id (E4 to E10).

    Imported ids have any shape, so that an id's own is judged only now.

    Args:
        ids: what ids look like.
        kind: a key of `KINDS`.
        param: where the id stood, if not in its kind's own parameter.
    """
    if ids.could_name(KINDS[kind], id):
        return NotFoundError(kind, id)
    prefix = KINDS[kind].prefix
    param = param or f"{kind.rsplit(maxsplit=1)[-1]}_id"
    return RequestError(
        f"Invalid '{param}': '{id}'. Expected an ID that begins with '{prefix}'.",
        param=param,
        code="invalid_value",
    )


class Paged(Protocol[T]):
    """What gives its rows page by page."""

    def page(self, query: PageQuery) -> Page[T]: ...


def read_page(ids: Ids, rows: Paged[T], query: PageQuery, kind: str) -> Page[T]:
    """One page; a cursor that is not in the list is not found (E23)."""
    try:
        return rows.page(query)
    except CursorError as error:
        cursor, id = error.args
        raise missing(ids, kind, id, param=cursor) from None


def existing_thread(tx: Transaction, thread_id: str, *, lock: bool = False) -> Row[Thread]:
    """The thread, or an error (E5, E9)."""
    row = tx.threads.get(thread_id, lock=lock)
    if row is None:
        raise missing(tx.ids, "thread", thread_id)
    return row


def current_run(tx: Transaction, thread_id: str, run_id: str, *, now: float, lock: bool = False) -> RunRow:
    """The run of this thread, ended first if its time is over (C-102), or an error (E5, E7, E9)."""
    row = tx.runs.get(run_id, lock=lock)
    if row is None or row.object.thread_id != thread_id:
        existing_thread(tx, thread_id)
        raise missing(tx.ids, "run", run_id)
    return expire_if_due(tx, row, now)
