"""Every test of this folder that asks for `adapter` or `store` runs on each storage; with `local_adapter` or
`local_store` on those that work in a thread of this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from supercompat.storage_adapters.memory import MemoryStorageAdapter
from supercompat.storage_adapters.protocol import StorageAdapter, Store
from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def adapter(request: pytest.FixtureRequest) -> StorageAdapter:
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


def _local(name: str, folder: Path) -> StorageAdapter:
    if name == "memory":
        return MemoryStorageAdapter()
    return SQLAlchemyStorageAdapter(f"sqlite:///{folder / 'rows.db'}")
