"""The doors of one process, on every combination that the contract has, and what they may leave behind: nothing."""

from collections.abc import Iterator

import pytest

from tests.contract.conftest import SETUPS, client, make_client, provider, spread
from tests.doors.leftovers import no_threads

__all__ = ["client", "make_client", "provider"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    spread(metafunc, [each for each in SETUPS if each.over == "process"])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After each test, no thread of ours goes on."""
    yield
    no_threads()
