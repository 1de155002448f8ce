"""What one project owns is invisible to every other, proven for every operation of the route table."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from supercompat import MemoryStorageAdapter, SQLAlchemyStorageAdapter
from supercompat.api.routes import ROUTES
from supercompat.model.events import HostedCallDone, HostedCallStarted, ModelEvent
from supercompat.model.request import ModelRequest
from supercompat.storage_adapters.protocol import PageQuery, StorageAdapter, Transaction
from supercompat.testing import Reply, ScriptedModel, call, text, tool_calls
from supercompat.testing.model import ScriptedConnection
from tests.server.asked import Keyring, add_key, application_for, asked
from tests.server.isolation import (
    CASES,
    PAGE,
    Asking,
    asked_ids,
    attempts,
    operation,
    refusal,
    table,
    unknown,
    without,
)


class Provider(ScriptedModel):
    """A provider that has a model."""

    def connect(self, *, own_pool: bool, threads: object = None, images: object = None) -> ScriptedConnection:
        return Connected(self)


class Connected(ScriptedConnection):
    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        async with super().stream(request) as said:
            yield said if request.tools else _drawn(said)

    async def models(self) -> list[dict[str, Any]]:
        return [{"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "me"}]


async def _drawn(said: AsyncIterator[ModelEvent]) -> AsyncIterator[ModelEvent]:
    """An image, and what is said of it."""
    yield HostedCallStarted("ig_1", "function", "image_generation")
    yield HostedCallDone("ig_1", image="data:image/png;base64,AAAA")
    async for event in said:
        yield event


def reply(request: ModelRequest) -> Reply:
    return tool_calls(call("get_time")) if request.tools else text("Hello")


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest) -> StorageAdapter:
    if request.param == "postgresql":
        return SQLAlchemyStorageAdapter(request.getfixturevalue("postgres_url"))
    if request.param == "memory":
        return MemoryStorageAdapter()
    return SQLAlchemyStorageAdapter(f"sqlite:///{request.getfixturevalue('tmp_path') / 'rows.db'}")


@pytest.fixture
async def asking(storage: StorageAdapter) -> AsyncIterator[Asking]:
    await add_key(storage, "first")
    async with asked(application_for(Provider(default=reply), storage)) as client:
        yield Asking(Keyring(storage, client).ask)


def test_every_operation_has_its_case() -> None:
    assert set(CASES) == {operation(route) for route in ROUTES}


async def test_another_projects_ids_are_those_of_nothing(storage: StorageAdapter, asking: Asking) -> None:
    """Byte for byte, but for the id. What they belong to has not changed."""
    other, own = await asking.seed("other"), await asking.seed("own")
    before = await rows(storage, "other")
    shown = ""
    for attempt in attempts():
        if not attempt.foreign:
            continue
        ids = asked_ids(attempt, own.of(attempt.case), other.of(attempt.case))
        nothing = asked_ids(attempt, own.of(attempt.case), unknown())
        found = without(await asking.attempt("own", attempt, ids), ids)
        assert found == without(await asking.attempt("own", attempt, nothing), nothing), attempt
        assert found[0] == refusal(attempt), attempt
        shown += found[1]
    assert not [id for id in other.all() if id in shown]
    assert await rows(storage, "other") == before


async def test_nothing_of_others_is_in_any_answer(asking: Asking) -> None:
    """Each operation succeeds for whoever owns what it names, and tells of nothing else."""
    other = await asking.seed("other")
    different = {(attempt.operation, attempt.query): attempt for attempt in attempts()}
    for number, attempt in enumerate(different.values()):
        project = f"own-{number}"
        own = await asking.seed(project)
        ids = own.of(attempt.case)
        answer = await asking.attempt(project, attempt, asked_ids(attempt, ids, ids))
        assert answer.status == 200, (attempt, answer)
        assert not [id for id in other.all() if id in str(answer.body)], attempt


async def test_the_lists_of_a_new_project_are_empty(asking: Asking) -> None:
    await asking.seed("other")
    answer = await asking.ask("new", "GET", "/assistants", None, ())
    assert answer.body == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    thread = await asking.ask("new", "POST", "/threads", {}, ())
    for path in ("messages", "runs"):
        answer = await asking.ask("new", "GET", f"/threads/{thread.body['id']}/{path}", None, ())
        assert answer.body["data"] == []


def test_the_page_has_the_table() -> None:
    """`python -m tests.server.isolation` writes it."""
    assert table() in PAGE.read_text(encoding="utf-8")


async def rows(storage: StorageAdapter, project: str) -> dict[str, Any]:
    """All that is stored of a project."""

    def read(tx: Transaction) -> dict[str, Any]:
        everything = PageQuery(limit=None)
        names = ("assistants", "threads", "messages", "runs", "steps")
        return {name: getattr(tx, name).page(everything).rows for name in names}

    store = storage.open(project=project)
    try:
        return await store.transact(read)
    finally:
        await store.aclose()
