"""What is made beside Prisma's tables, how, and what is said where something is missing."""

from collections.abc import Callable
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from supercompat import PrismaStorageAdapter
from supercompat.errors import ConfigurationError, SchemaError
from supercompat.server.cli import main
from supercompat.storage_adapters.prisma.tables import RELEASE
from supercompat.storage_adapters.protocol import RunRow, Transaction
from tests.prisma.databases import FLAVOURS, ddl, make_tables
from tests.prisma.node import node
from tests.storage.rows import message, run, step, thread

#: All that Prisma would notice in its schema.
LOOKS: tuple[LiteralString, ...] = (
    """SELECT table_name, column_name, data_type, column_default, is_nullable FROM information_schema.columns
    WHERE table_schema = 'public' ORDER BY 1, 2""",
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    """SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE 'public'::regnamespace IN (connamespace, (SELECT relnamespace FROM pg_class WHERE oid = confrelid))
    ORDER BY 1, 2""",
    "SELECT tgname, tgrelid::regclass::text FROM pg_trigger ORDER BY 1, 2",
    "SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace ORDER BY 1",
)


@pytest.fixture
def first_url(make_prisma_url: Callable[[str], str]) -> str:
    """A database of the first release, which takes any ids."""
    return make_prisma_url("first")


def look(url: str) -> list[object]:
    with psycopg.connect(url) as connection:
        return [connection.execute(statement).fetchall() for statement in LOOKS]


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_nothing_of_prisma_s_is_changed(empty_postgres_url: str, flavour: str) -> None:
    make_tables(empty_postgres_url, flavour)
    before = look(empty_postgres_url)
    adapter = PrismaStorageAdapter(empty_postgres_url)
    await adapter.upgrade()
    await adapter.upgrade()
    assert look(empty_postgres_url) == before
    assert await adapter.current() == RELEASE.head


async def said_by(adapter: PrismaStorageAdapter) -> str:
    store = adapter.open()
    try:
        with pytest.raises(SchemaError) as refused:
            await store.transact(lambda tx: tx.threads.get("thread_1"))
    finally:
        await store.aclose()
    return str(refused.value)


async def test_without_side_tables_it_says_what_to_do(empty_postgres_url: str) -> None:
    make_tables(empty_postgres_url, "uuid")
    adapter = PrismaStorageAdapter(empty_postgres_url)
    said = await said_by(adapter)
    assert f"supercompat db upgrade --prisma --database {empty_postgres_url}" in said
    await adapter.upgrade()
    store = adapter.open()
    assert await store.transact(lambda tx: tx.threads.get("thread_1")) is None
    await store.aclose()


async def test_without_prisma_s_tables_it_says_so(empty_postgres_url: str) -> None:
    adapter = PrismaStorageAdapter(empty_postgres_url)
    assert '"Assistant", "Thread", "Message", "Run", "RunStep"' in await said_by(adapter)
    with pytest.raises(SchemaError, match="npx prisma migrate deploy"):
        await adapter.upgrade()
    make_tables(empty_postgres_url, "uuid")
    with psycopg.connect(empty_postgres_url) as connection:
        connection.execute('ALTER TABLE "Message" DROP COLUMN "toolCalls"')
    with pytest.raises(SchemaError, match=r'"Message"\."toolCalls"'):
        await adapter.upgrade()


async def test_ids_of_several_kinds_are_refused(empty_postgres_url: str) -> None:
    make_tables(empty_postgres_url, "uuid")
    with psycopg.connect(empty_postgres_url) as connection:
        connection.execute('ALTER TABLE "RunStep" ALTER COLUMN id TYPE text')
    with pytest.raises(SchemaError, match="of the types text, uuid"):
        await PrismaStorageAdapter(empty_postgres_url).upgrade()


async def test_side_tables_of_a_newer_release(first_url: str) -> None:
    with psycopg.connect(first_url) as connection:
        connection.execute("UPDATE supercompat.prisma_version SET version_num = '9999'")
    adapter = PrismaStorageAdapter(first_url)
    assert "made by a newer release" in await said_by(adapter)
    with pytest.raises(SchemaError, match="newer release"):
        await adapter.upgrade()


def test_the_commands(empty_postgres_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_tables(empty_postgres_url, "text")
    words = ["--prisma", "--database", empty_postgres_url]
    for command, said in (
        ("current", f"none (this release needs {RELEASE.head})"),
        ("upgrade", f"The tables now have revision {RELEASE.head}."),
        ("upgrade", f"The tables already had revision {RELEASE.head}."),
        ("current", f"{RELEASE.head} (the newest)"),
    ):
        assert main(["db", command, *words]) == 0
        assert capsys.readouterr().out == f"{said}\n"


@pytest.mark.parametrize("how", ["url", "argument"])
async def test_prisma_s_tables_in_another_schema(empty_postgres_url: str, how: str) -> None:
    """As Prisma's own URLs name it."""
    with psycopg.connect(empty_postgres_url) as connection:
        connection.execute('CREATE SCHEMA "My app"')
        connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier("My app")))
        connection.execute(ddl("uuid"))
    if how == "url":
        adapter = PrismaStorageAdapter(
            f"{empty_postgres_url}?schema=My%20app&connection_limit=3&pgbouncer=true"
        )
    else:
        adapter = PrismaStorageAdapter(empty_postgres_url, schema="My app")
    assert "--schema 'My app'" in await said_by(adapter)
    await adapter.upgrade()
    store = adapter.open()
    id = store.ids.new(type(thread().object))
    await store.transact(lambda tx: tx.threads.insert(thread(id)))
    assert await store.transact(lambda tx: tx.threads.get(id)) == thread(id)
    await store.aclose()
    with psycopg.connect(empty_postgres_url) as connection:
        found = connection.execute('SELECT id::text FROM "My app"."Thread"').fetchall()
    assert found == [(id,)]


def test_what_can_not_be_served(empty_postgres_url: str) -> None:
    adapter = PrismaStorageAdapter(empty_postgres_url.replace("postgres@", "postgres:secret@"))
    assert "secret" not in repr(adapter)
    with pytest.raises(ConfigurationError, match="know no projects"):
        adapter.open(project="other")
    with pytest.raises(ConfigurationError, match="'connection_limit' in the URL"):
        PrismaStorageAdapter(f"{empty_postgres_url}?connection_limit=many")
    for url in ("sqlite:///a.db", "mysql://localhost/a"):
        with pytest.raises(ConfigurationError, match="on PostgreSQL"):
            PrismaStorageAdapter(url)


async def test_what_belongs_to_rows_that_are_gone_is_forgotten(first_url: str) -> None:
    """Node deletes rows of its own tables. An upgrade clears what was beside them."""
    adapter = PrismaStorageAdapter(first_url)
    store = adapter.open()
    with psycopg.connect(first_url) as connection:
        connection.execute("""INSERT INTO "Assistant" (id, "updatedAt") VALUES ('asst_of_runs', now())""")

    def work(tx: Transaction) -> None:
        for name in ("1", "2"):
            tx.threads.insert(thread(f"thread_{name}"))
            tx.runs.insert(run(f"run_{name}", thread_id=f"thread_{name}"))
            tx.messages.insert(message(f"msg_{name}", f"thread_{name}"))
            tx.steps.insert(step(f"step_{name}", f"run_{name}", f"thread_{name}"))

    await store.transact(work)
    await store.aclose()
    with psycopg.connect(first_url) as connection:
        connection.execute("""DELETE FROM "Thread" WHERE id = 'thread_1'""")
    await adapter.upgrade()
    with psycopg.connect(first_url) as connection:
        for name in ("threads", "runs", "messages", "steps"):
            table = sql.Identifier("supercompat", f"prisma_{name}")
            left = connection.execute(sql.SQL("SELECT id FROM {}").format(table)).fetchall()
            assert [id for (id,) in left] == [f"{name.rstrip('s').replace('message', 'msg')}_2"]


async def test_a_run_that_node_has_moved_is_not_claimed(first_url: str) -> None:
    with node(first_url) as app:
        store = PrismaStorageAdapter(first_url).open()
        assistant = app.assistant()
        free = run("run_1", thread_id="thread_1").object.changed(assistant_id=assistant)

        def work(tx: Transaction) -> None:
            tx.threads.insert(thread("thread_1"))
            tx.runs.insert(RunRow(free))

        await store.transact(work)
        for status, claimed in (("IN_PROGRESS", {}), ("QUEUED", {"run_1": 1})):
            app.set("Run", "run_1", "status", status)
            found = await store.transact(lambda tx: tx.runs.claim("me", 20.0, now=10.0, limit=1))
            assert found == claimed
        await store.aclose()
