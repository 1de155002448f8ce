"""API keys as rows, on each storage."""

from dataclasses import replace

import pytest

from supercompat.storage_adapters.protocol import ApiKey, StorageAdapter, Store
from tests.storage.test_statements import count

ONE = ApiKey("key_1", "a", "the app's", "d1" * 32, "sk-1…wxyz", 10)
TWO = ApiKey("key_2", "b", "", "d2" * 32, "sk-2…abcd", 9)


async def test_keys_come_back_in_the_order_of_creation(store: Store) -> None:
    assert await store.transact(lambda tx: (tx.keys.all(), tx.keys.exist())) == ([], False)
    await store.transact(lambda tx: tx.keys.insert(ONE))
    await store.transact(lambda tx: tx.keys.insert(TWO))
    assert await store.transact(lambda tx: (tx.keys.all(), tx.keys.exist())) == ([ONE, TWO], True)
    assert await store.transact(lambda tx: tx.keys.get("key_2")) == TWO
    assert await store.transact(lambda tx: tx.keys.get("key_3")) is None
    assert await store.transact(lambda tx: tx.keys.get("key_\0")) is None


async def test_keys_are_those_of_all_projects(adapter: StorageAdapter) -> None:
    here, there = adapter.open(project="a"), adapter.open(project="b")
    await here.transact(lambda tx: tx.keys.insert(ONE))
    assert await there.transact(lambda tx: tx.keys.get("key_1")) == ONE
    await here.aclose()
    await there.aclose()


async def test_a_revoked_key_stays_revoked(store: Store) -> None:
    await store.transact(lambda tx: tx.keys.insert(ONE))
    revoked = replace(ONE, revoked_at=20)
    assert await store.transact(lambda tx: tx.keys.revoke("key_1", 20)) == revoked
    assert await store.transact(lambda tx: tx.keys.revoke("key_1", 30)) == revoked
    assert await store.transact(lambda tx: (tx.keys.all(), tx.keys.exist())) == ([revoked], True)
    assert await store.transact(lambda tx: tx.keys.revoke("key_3", 30)) is None


async def test_a_key_is_found_by_one_statement(store: Store) -> None:
    await store.transact(lambda tx: tx.keys.insert(ONE))
    assert await count(store, lambda tx: tx.keys.get("key_1")) == 1


def test_a_digest_is_in_no_repr() -> None:
    assert ONE.digest not in repr(ONE)


@pytest.mark.parametrize("text", ["", "a'b\"c", "ÄÖ 你好"])
async def test_names_are_kept_as_they_are(store: Store, text: str) -> None:
    await store.transact(lambda tx: tx.keys.insert(replace(ONE, name=text)))
    found = await store.transact(lambda tx: tx.keys.get("key_1"))
    assert found is not None
    assert found.name == text
