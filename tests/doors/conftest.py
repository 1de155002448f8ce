"""The doors, on every combination that the contract has, and what they may leave behind: nothing."""

from collections.abc import Iterator

import pytest

from tests.contract.conftest import client, make_client, provider, pytest_generate_tests
from tests.doors.leftovers import no_threads

__all__ = ["client", "make_client", "provider", "pytest_generate_tests"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After each test, no thread of ours goes on."""
    yield
    no_threads()
