"""Pages against what slicing a list gives (C-037 to C-041)."""

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supercompat.storage_adapters.memory import MemoryStorageAdapter
from supercompat.storage_adapters.protocol import CursorError, Page, PageQuery, Store, Transaction
from tests.storage.rows import ids, message, run, step, thread

Listed = Page[object]
HERE = {"thread_id": "thread_1"}


def stored(owners: list[bool]) -> Store:
    """A store with one message for each entry: in thread_1 if it is true, else in another one."""

    def fill(tx: Transaction) -> None:
        tx.threads.insert(thread("thread_1"), thread("thread_2"))
        tx.messages.insert(
            *(message(f"msg_{n}", "thread_1" if here else "thread_2") for n, here in enumerate(owners))
        )

    return _Filled(fill).store


class _Filled:
    def __init__(self, fill: object) -> None: ...
