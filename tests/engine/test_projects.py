"""Many projects in one process: what they share, and that the runs of none are forgotten."""

import asyncio
import logging
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from supercompat import MemoryStorageAdapter, Options, SQLAlchemyStorageAdapter
from supercompat.errors import ClosedError
from supercompat.runtime import Projects
from supercompat.testing import FakeClock, Gate, ScriptedModel, call, text, tool_calls
from supercompat.testing.model import ScriptedConnection
from tests.contract.conversations import DEADLINE
from tests.contract.storages import HeldStorage
from tests.engine.conftest import LEASE
from tests.engine.projects import ask, conversation, created, projects
from tests.storage.sessions import others, session, until_alone, wait_for
from tests.storage.test_statements import statements

MANY = [f"project-{n}" for n in range(50)]

#: The size of a pool, and the connection that listens.
CONNECTIONS = 5 + 1

TOOL = {"type": "function", "function": {"name": "get_time"}}


async def begun(made: Projects, project: str, **more: object) -> str:
    """The id of a run that was created."""
    assistant, thread = await conversation(made, project)
    run = await created(made, project, f"/threads/{thread}/runs", assistant_id=assistant, **more)
    return f"/threads/{thread}/runs/{run['id']}"


async def reaches(made: Projects, project: str, run: str, status: str) -> None:
    """Returns once the run has the status."""
    async with asyncio.timeout(DEADLINE):
        while (await ask(made, project, "GET", run)).body["status"] != status:
            continue


# What they share


async def test_projects_share_the_connections_of_postgresql(postgres_url: str) -> None:
    """While all of them have a run under way."""
    gate = Gate()
    model = ScriptedModel(default=text("Hel", gate, "lo"))
    storage = SQLAlchemyStorageAdapter(postgres_url, pool_size=CONNECTIONS - 1)
    with session(postgres_url) as watcher:
        async with projects(storage, model) as made:
            runs = await asyncio.gather(*(begun(made, project) for project in MANY))
            await asyncio.gather(
                *(reaches(made, project, run, "in_progress") for project, run in zip(MANY, runs, strict=True))
            )
            connected = others(watcher)
            assert len(connected) <= CONNECTIONS
            assert len([each for each in connected if each.startswith("LISTEN")]) == 1
            gate.open()
            await asyncio.gather(
                *(reaches(made, project, run, "completed") for project, run in zip(MANY, runs, strict=True))
            )
        assert until_alone(watcher)


async def test_projects_share_the_thread_of_sqlite(tmp_path: Path) -> None:
    before = threading.active_count()
    async with projects(SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'a.db'}")) as made:
        await asyncio.gather(*(begun(made, project) for project in MANY))
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


class Counted(ScriptedModel):
    """A client adapter that counts its connections."""

    connections = 0

    def connect(self, *, own_pool: bool, threads: object = None, images: object = None) -> ScriptedConnection:
        self.connections += 1
        return super().connect(own_pool=own_pool, threads=threads, images=images)


async def test_projects_share_the_connection_to_the_provider() -> None:
    model = Counted()
    async with projects(MemoryStorageAdapter(), model) as made:
        for project in MANY[:3]:
            await reaches(made, project, await begun(made, project), "completed")
    assert model.connections == 1


async def test_the_last_store_closes_what_they_share(postgres_url: str) -> None:
    adapter = SQLAlchemyStorageAdapter(postgres_url)
    first, last = adapter.open(project="a"), adapter.open(project="b")
    with session(postgres_url) as watcher:
        async with AsyncExitStack() as stack:
            news = [await stack.enter_async_context(store.news()) for store in (first, last)]
            assert len(others(watcher)) == 1
            watcher.execute("SELECT pg_notify('supercompat', 'a:run_1'), pg_notify('supercompat', 'b:run_2')")
            assert [await anext(each) for each in news] == ["run_1", "run_2"]
        await first.transact(lambda tx: None)
        await last.transact(lambda tx: None)
        await first.aclose()
        assert len(others(watcher)) == 1
        await last.aclose()
        assert until_alone(watcher)


async def test_a_project_that_is_idle_costs_nothing(url: str) -> None:
    """All that is sent is one look for all of them. None is told to the others."""
    async with projects(SQLAlchemyStorageAdapter(url), options=Options(lease=LEASE)) as made:
        runs = await asyncio.gather(*(begun(made, project) for project in MANY))
        for project, run in zip(MANY, runs, strict=True):
            await reaches(made, project, run, "completed")
        with statements() as sent:
            assert await asyncio.to_thread(wait_for, lambda: len(sent) >= 5)
        assert {statement.partition("\n")[0] for statement, _ in sent} == {"SELECT DISTINCT runs.project "}


# What is taken over


@pytest.mark.conforms("C-115")
async def test_runs_of_projects_that_nobody_asks_for(
    url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that can't reach its database any more has left them; the next one knows none of the projects."""
    caplog.set_level(logging.CRITICAL)
    names, lease = MANY[:10], 3 * LEASE
    options = Options(clock=clock, lease=lease)
    model = ScriptedModel(default=text("Hel", Gate(), "lo"))
    held = HeldStorage(SQLAlchemyStorageAdapter(url))
    async with projects(held, model, options) as left:
        runs = [await begun(left, project) for project in names]
        for project, run in zip(names, runs, strict=True):
            await reaches(left, project, run, "in_progress")
        held.fail()
        clock.advance(lease)
        async with projects(SQLAlchemyStorageAdapter(url), model, options):
            assert await rest(url, len(names)) == {"failed"}


@pytest.mark.conforms("C-102", "C-104")
async def test_runs_expire_in_projects_that_nobody_asks_for(url: str, clock: FakeClock) -> None:
    """Those that wait for tool outputs are carried out by nobody, and left by the process that made them."""
    options = Options(clock=clock, lease=LEASE)
    model = ScriptedModel(default=tool_calls(call("get_time")))
    async with projects(SQLAlchemyStorageAdapter(url), model, options) as first:
        for project in MANY[:5]:
            run = await begun(first, project, tools=[TOOL])
            await reaches(first, project, run, "requires_action")
    async with projects(SQLAlchemyStorageAdapter(url), model, options):
        clock.advance(options.run_expires_after)
        assert await rest(url, 5) == {"expired"}


async def test_a_project_whose_runs_cannot_be_taken_over_keeps_no_other_waiting(
    postgres_url: str, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    options = Options(clock=clock, lease=LEASE)
    model = ScriptedModel(default=tool_calls(call("get_time")))
    async with projects(SQLAlchemyStorageAdapter(postgres_url), model, options) as first:
        for project in MANY[:5]:
            await reaches(first, project, await begun(first, project, tools=[TOOL]), "requires_action")
    with session(postgres_url) as database:
        # Whichever of them is looked at first, most of the others come behind one of these.
        database.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE 'not this one'; END $$; "
            "CREATE TRIGGER refuse BEFORE UPDATE ON runs FOR EACH ROW "
            "WHEN (NEW.project IN ('project-0', 'project-2')) EXECUTE FUNCTION refuse()"
        )
        clock.advance(options.run_expires_after)
        left = "SELECT count(*) FROM runs WHERE status <> 'expired'"

        def are_left() -> int:
            [(count,)] = database.execute(left).fetchall()
            return count

        async with projects(SQLAlchemyStorageAdapter(postgres_url), model, options):
            assert await asyncio.to_thread(wait_for, lambda: are_left() == 2)


async def rest(url: str, count: int) -> set[str]:
    """How the runs ended that are stored, once all have."""
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))

    def found() -> list[str]:
        with engine.begin() as connection:
            return list(connection.execute(sa.text("SELECT status FROM runs")).scalars())

    try:
        assert await asyncio.to_thread(wait_for, lambda: set(found()) <= {"completed", "failed", "expired"})
        assert len(found()) == count
        return set(found())
    finally:
        engine.dispose()


# What ends


async def test_closed_projects_answer_nobody() -> None:
    async with projects(MemoryStorageAdapter()) as made:
        await begun(made, "a")
    with pytest.raises(ClosedError):
        await made.runtime("b")
    assert (await ask(made, "a", "GET", "/assistants")).status == 500
