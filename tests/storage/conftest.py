"""Every test of this folder that asks for `adapter` or `store` runs on each storage; with `local_adapter` or
`local_store` on those that work in a thread of this process."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from supercompat.storage_adapters.memory import MemoryStorageAdapter
from supercompat.storage_adapters.prisma import PrismaStorageAdapter
from supercompat.storage_adapters.protocol import StorageAdapter, Store
from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter
from tests.storage.rows import ASSISTANT

#: What Prisma's tables can't keep. These tests have to fail there.
NO_PROJECTS = "Prisma's tables know no projects"
NO_KEYS = "nothing beside Prisma's tables holds API keys"
NOT_WITH_PRISMA = {
    "test_projects_do_not_see_each_other": NO_PROJECTS,
    "test_what_stands_between_two_places": NO_PROJECTS,
    "test_any_page_is_a_slice": NO_PROJECTS,
    "test_a_walk_meets_every_row_once": NO_PROJECTS,
    "test_each_call_is_one_statement": "a row stands in two tables",
    "test_the_projects_that_claim_finds_something_in": NO_PROJECTS,
    "test_keys_come_back_in_the_order_of_creation": NO_KEYS,
    "test_keys_are_those_of_all_projects": NO_KEYS,
    "test_a_revoked_key_stays_revoked": NO_KEYS,
    "test_a_key_is_found_by_one_statement": NO_KEYS,
    "test_names_are_kept_as_they_are": NO_KEYS,
}


@pytest.fixture(params=["memory", "sqlite", "postgresql", pytest.param("prisma", marks=pytest.mark.slow)])
def adapter(request: pytest.FixtureRequest) -> StorageAdapter:
    if request.param == "prisma":
        return _prisma(request)
    if request.param == "postgresql":
        return SQLAlchemyStorageAdapter(request.getfixturevalue("postgres_url"))
    return _local(request.param, request.getfixturevalue("tmp_path"))


@pytest.fixture
def store(adapter: StorageAdapter) -> Iterator[Store]:
    store = adapter.open()
    yield store
    store.abandon()


@pytest.fixture(params=["memory", "sqlite"])
def local_adapter(request: pytest.FixtureRequest, tmp_path: Path) -> StorageAdapter:
    return _local(request.param, tmp_path)


@pytest.fixture
def local_store(local_adapter: StorageAdapter) -> Iterator[Store]:
    store = local_adapter.open()
    yield store
    store.abandon()


def _prisma(request: pytest.FixtureRequest) -> StorageAdapter:
    """Prisma's tables with ids that are text, so that any will do, and the assistant of all runs, which nobody sees."""
    if reason := NOT_WITH_PRISMA.get(request.node.originalname):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    url = request.getfixturevalue("make_prisma_url")("first")
    with psycopg.connect(url) as connection:
        connection.execute('INSERT INTO "Assistant" (id, "updatedAt") VALUES (%s, now())', [ASSISTANT])
        side = "INSERT INTO supercompat.prisma_assistants (id, object, hidden) VALUES (%s, '{}', true)"
        connection.execute(side, [ASSISTANT])
    return PrismaStorageAdapter(url)


def _local(name: str, folder: Path) -> StorageAdapter:
    if name == "memory":
        return MemoryStorageAdapter()
    return SQLAlchemyStorageAdapter(f"sqlite:///{folder / 'rows.db'}")
