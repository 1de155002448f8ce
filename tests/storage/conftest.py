"""Every test of this folder that asks for `adapter` or `store` runs on each storage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from supercompat.storage_adapters.memory import MemoryStorageAdapter
from supercompat.storage_adapters.protocol import StorageAdapter, Store
from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter


@pytest.fixture(params=["memory", "sqlite"])
def adapter(request: pytest.FixtureRequest, tmp_path: Path) -> StorageAdapter:
    if request.param == "memory":
        return MemoryStorageAdapter()
    return SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'rows.db'}")


@pytest.fixture
def store(adapter: StorageAdapter) -> Iterator[Store]:
    store = adapter.open()
    yield store
    store.close()
