"""Several runtimes on one database, of which a test may stop one."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from supercompat import Options, SQLAlchemyStorageAdapter
from supercompat.storage_adapters.protocol import StorageAdapter
from supercompat.testing import FakeClock, ScriptedModel
from tests.engine.processes import MakeProcess, Process

#: Real seconds between two looks for runs that nobody carries out: a sixth of it. When leases end, the clock says.
LEASE = 1.0


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The database that the processes share."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path / 'assistants.db'}"


@pytest.fixture
def clock() -> FakeClock:
    """The time, for all processes."""
    return FakeClock()


@pytest.fixture
def model() -> ScriptedModel:
    """The model, for all processes."""
    return ScriptedModel()


@pytest.fixture
def process(url: str, clock: FakeClock, model: ScriptedModel) -> Iterator[MakeProcess]:
    """Makes processes. Options are those of `Options`."""
    with ExitStack() as stack:

        def make(storage: StorageAdapter | None = None, **options: object) -> Process:
            given = Options(**{"clock": clock, "lease": LEASE, "drain": 0, **options})  # pyright: ignore[reportArgumentType]
            made = Process(storage or SQLAlchemyStorageAdapter(url), model, given)
            stack.callback(made.close)
            return made

        yield make
