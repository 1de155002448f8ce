"""What a database URL means."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from supercompat.errors import ConfigurationError
from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter


async def made(url: str) -> None:
    store = SQLAlchemyStorageAdapter(url).open()
    await store.transact(lambda tx: None)
    await store.aclose()


async def test_an_absolute_path(tmp_path: Path) -> None:
    await made(f"sqlite:///{tmp_path}/a b%20c.db")
    assert (tmp_path / "a b%20c.db").is_file()


async def test_the_driver_that_is_used_may_be_named(tmp_path: Path) -> None:
    await made(f"sqlite+pysqlite:///{tmp_path}/a.db")
    assert (tmp_path / "a.db").is_file()


async def test_a_relative_path_is_that_of_construction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "later").mkdir()
    monkeypatch.chdir(tmp_path)
    adapter = SQLAlchemyStorageAdapter("sqlite:///a.db")
    monkeypatch.chdir(tmp_path / "later")
    store = adapter.open()
    await store.transact(lambda tx: None)
    await store.aclose()
    assert (tmp_path / "a.db").is_file()
    assert repr(adapter) == f"SQLAlchemyStorageAdapter('sqlite:///{tmp_path}/a.db')"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_memory(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asyncio.run(made(url))
    adapter = SQLAlchemyStorageAdapter(url)
    assert not adapter.open().durable
    assert list(tmp_path.iterdir()) == []
    assert repr(adapter) == "SQLAlchemyStorageAdapter('sqlite://')"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://me:secret@host/db", "'mysql' are not served"),
        ("sqlite+aiosqlite:///a.db", "'sqlite\\+aiosqlite' names an asynchronous driver"),
        ("sqlite+pysqlcipher:///a.db", "driver 'pysqlcipher' is not served"),
        ("sqlite://host/a.db", "no host"),
        ("sqlite:///a.db?mode=ro", "no option but"),
        ("a.db", "takes a database URL"),
        ("", "takes a database URL"),
        (Path("a.db"), "takes a database URL"),
        (None, "takes a database URL"),
    ],
)
def test_what_is_not_served_is_refused(url: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        SQLAlchemyStorageAdapter(url)
    assert "secret" not in str(raised.value)
