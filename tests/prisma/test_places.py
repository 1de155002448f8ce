"""Where Prisma's tables are, who may do what there, and what they look like where somebody changed them."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar
from urllib.parse import quote
from uuid import uuid4

import openai
import psycopg
import pytest
from psycopg import sql

from supercompat import PrismaStorageAdapter
from supercompat.errors import SchemaError, StorageError
from supercompat.server.cli import main
from supercompat.storage_adapters.prisma.tables import RELEASE
from supercompat.storage_adapters.protocol import RunRow, Transaction
from supercompat.testing import ScriptedServer, text
from tests.prisma.conftest import MakeClient
from tests.prisma.databases import ddl, make_tables
from tests.prisma.node import Node
from tests.storage.rows import message, run, thread

T = TypeVar("T")

#: A name with all that makes trouble.
ODD_SCHEMA = """My "ápp".v2 100%s's"""

UUID = "6e1c5b62-1f5c-4d53-8a3a-1f1a7c3f0d1"


def make_schema(url: str, name: str, flavour: str) -> None:
    with psycopg.connect(url) as connection:
        schema = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
        connection.execute(sql.SQL("SET search_path TO {}").format(schema))
        connection.execute(ddl(flavour))


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]


async def used(adapter: PrismaStorageAdapter, work: Callable[[Transaction], T]) -> T:
    store = adapter.open()
    try:
        return await store.transact(work)
    finally:
        await store.aclose()


async def metadata(adapter: PrismaStorageAdapter, id: str) -> dict[str, str] | None:
    row = await used(adapter, lambda tx: tx.threads.get(id))
    return None if row is None else row.object.metadata


@pytest.fixture
def role(empty_postgres_url: str) -> Iterator[str]:
    """Somebody who may do nothing yet, as an identifier of SQL. All databases of a server have the same roles."""
    name = f"Odd app {uuid4().hex}"
    with psycopg.connect(empty_postgres_url) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
    yield f'"{name}"'
    with psycopg.connect(empty_postgres_url) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def as_role(url: str, role: str) -> str:
    name = role.strip('"').replace(" ", "\\ ")
    return f"{url}?options={quote(f'-c role={name}')}"


# Schemas


async def test_a_schema_with_an_odd_name(empty_postgres_url: str) -> None:
    make_schema(empty_postgres_url, ODD_SCHEMA, "uuid")
    adapter = PrismaStorageAdapter(empty_postgres_url, schema=ODD_SCHEMA)
    await adapter.upgrade()
    ids = [f"{UUID}{number}" for number in range(2)]

    def work(tx: Transaction) -> None:
        tx.threads.insert(thread(ids[0]))
        tx.messages.insert(message(ids[1], ids[0]))

    await used(adapter, work)
    await adapter.upgrade()
    assert await used(adapter, lambda tx: tx.messages.get(ids[1])) == message(ids[1], ids[0])


@pytest.mark.parametrize(
    "flavours",
    [("first", "uuid"), *(pytest.param((one, "first"), marks=pytest.mark.slow) for one in ("first", "uuid"))],
)
async def test_two_schemas_of_one_database(empty_postgres_url: str, flavours: tuple[str, str]) -> None:
    """They share the side tables: an upgrade for one forgets nothing of the other, and each finds its own runs."""
    adapters = [PrismaStorageAdapter(empty_postgres_url, schema=name) for name in ("one", "two")]
    ids = [f"{UUID}{place}" if flavour == "uuid" else f"id_{place}" for place, flavour in enumerate(flavours)]
    for id, name, flavour, adapter in zip(ids, ("one", "two"), flavours, adapters, strict=True):
        make_schema(empty_postgres_url, name, flavour)
        execute(
            empty_postgres_url, f"""INSERT INTO {name}."Assistant" (id, "updatedAt") VALUES ('{id}', now())"""
        )
        await adapter.upgrade()
        await used(adapter, partial(begin, id))
    for id, adapter in zip(ids, adapters, strict=True):
        await adapter.upgrade()
        assert await metadata(adapter, id) == {"k": "v\0"}
        assert await used(adapter, lambda tx: tx.runs.claim("me", 20.0, now=10.0, limit=5)) == {id: 1}


def begin(id: str, tx: Transaction) -> None:
    """A thread, and a run that nobody carries out."""
    tx.threads.insert(thread(id, k="v\0"))
    tx.runs.insert(RunRow(run(id, thread_id=id).object.changed(assistant_id=id)))


async def test_a_schema_of_the_search_path(empty_postgres_url: str) -> None:
    """What it is called is said nowhere else."""
    make_schema(empty_postgres_url, "Myapp", "uuid")
    path = quote('-c search_path="Myapp"')
    adapter = PrismaStorageAdapter(f"{empty_postgres_url}?options={path}")
    await adapter.upgrade()
    id = str(uuid4())
    await used(adapter, lambda tx: tx.threads.insert(thread(id, k="v\0")))
    await adapter.upgrade()
    assert await metadata(adapter, id) == {"k": "v\0"}
    with pytest.raises(SchemaError, match="lacks tables"):
        await metadata(PrismaStorageAdapter(empty_postgres_url), id)


async def test_nothing_is_forgotten_of_a_schema_that_can_not_be_read(
    empty_postgres_url: str, role: str
) -> None:
    for name in ("one", "two"):
        make_schema(empty_postgres_url, name, "first")
    adapter = PrismaStorageAdapter(empty_postgres_url, schema="one")
    await adapter.upgrade()
    await used(adapter, lambda tx: tx.threads.insert(thread("thread_1", k="v\0")))
    for schema in ("supercompat", "two"):
        execute(
            empty_postgres_url,
            f"GRANT USAGE ON SCHEMA {schema} TO {role}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}",
        )
    await PrismaStorageAdapter(as_role(empty_postgres_url, role), schema="two").upgrade()
    assert await metadata(adapter, "thread_1") == {"k": "v\0"}


# Roles


def test_a_role_that_may_not_make_the_side_tables(
    empty_postgres_url: str, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_tables(empty_postgres_url, "first")
    execute(empty_postgres_url, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    theirs = as_role(empty_postgres_url, role)
    adapter = PrismaStorageAdapter(theirs)
    command = ["db", "upgrade", "--prisma", "--database"]
    assert main([*command, theirs]) == 1
    assert f"CREATE SCHEMA supercompat AUTHORIZATION {role};" in capsys.readouterr().err
    assert main([*command, empty_postgres_url]) == 0
    with pytest.raises(SchemaError, match="Let it: GRANT") as refused:
        asyncio.run(metadata(adapter, "thread_1"))
    execute(empty_postgres_url, *str(refused.value).partition("Let it: ")[2].split("; "))
    assert asyncio.run(metadata(adapter, "thread_1")) is None
    capsys.readouterr()
    assert main([*command, theirs]) == 0
    assert f"already had revision {RELEASE.head}" in capsys.readouterr().out
    execute(empty_postgres_url, f'REVOKE SELECT ON "Thread" FROM {role}')
    with pytest.raises(StorageError, match="permission denied for table Thread"):
        asyncio.run(metadata(adapter, "thread_1"))


async def test_several_upgrade_at_once(empty_postgres_url: str) -> None:
    make_tables(empty_postgres_url, "uuid")
    for _ in range(2):
        await asyncio.gather(*(PrismaStorageAdapter(empty_postgres_url).upgrade() for _ in range(4)))
    assert await PrismaStorageAdapter(empty_postgres_url).current() == RELEASE.head


# Tables that somebody changed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("""ALTER TABLE "Message" ADD "tenantId" text NOT NULL""", r'"Message"\."tenantId"'),
        ("""ALTER TABLE "RunStep" ADD "n" int NOT NULL""", r'"RunStep"\."n"'),
        (
            """CREATE TYPE small AS ENUM ('QUEUED', 'IN_PROGRESS', 'COMPLETED', 'FAILED');
            ALTER TABLE "Run" ALTER status TYPE small USING 'QUEUED'""",
            r'"Run"\."status" lacks CANCELLED, CANCELLING, EXPIRED, REQUIRES_ACTION',
        ),
        ("""ALTER TABLE "Message" ALTER "runId" SET NOT NULL""", r'have to take NULL, .*"Message"\."runId"'),
        ("""ALTER TABLE "Run" DROP "usage" """, r'lacks tables or columns .*"Run"\."usage"'),
    ],
)
def test_tables_that_no_run_can_be_stored_in(
    url: str, make_client: MakeClient, provider: ScriptedServer, change: str, said: str
) -> None:
    """It is said before anything is written, or asked of anybody."""
    execute(url, change)
    with pytest.raises(openai.InternalServerError, match=said.replace('"', r'\\?"')):
        make_client().beta.threads.create()
    with pytest.raises(SchemaError, match=said):
        asyncio.run(PrismaStorageAdapter(url).upgrade())


def test_columns_that_users_added(
    url: str, app: Node, make_client: MakeClient, provider: ScriptedServer
) -> None:
    """Those that take NULL, or have a value of their own, do no harm."""
    for table in ("Assistant", "Thread", "Message", "Run", "RunStep"):
        execute(
            url,
            f"""ALTER TABLE "{table}" ADD a text, ADD "B" int NOT NULL DEFAULT 7,
            ADD c int NOT NULL GENERATED ALWAYS AS (1) STORED, ADD d int GENERATED ALWAYS AS IDENTITY""",
        )
    client = make_client()
    assistant = client.beta.assistants.create(model="gpt-4o-mini")
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hello"}])
    app.set("Thread", thread.id, "a", "Node's")
    provider.reply(text("Hi."))
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    client.beta.threads.update(thread.id, metadata={"k": "v"})
    assert run.status == "completed"
    assert app.rows('SELECT a, "B", c, d FROM "Thread"') == [{"a": "Node's", "B": 7, "c": 1, "d": 1}]


def test_things_that_only_the_application_can_make(
    url: str, app: Node, make_client: MakeClient, provider: ScriptedServer
) -> None:
    """What is on its threads goes on here."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    execute(
        url,
        'ALTER TABLE "Assistant" ADD "workspaceId" text NOT NULL DEFAULT 1',
        'ALTER TABLE "Assistant" ALTER "workspaceId" DROP DEFAULT',
        'ALTER TABLE "Thread" ADD "name" text NOT NULL DEFAULT 1',
        'ALTER TABLE "Thread" ALTER "name" DROP DEFAULT',
    )
    client = make_client()
    with pytest.raises(openai.InternalServerError, match=r"No assistant can be made here.*workspaceId"):
        client.beta.assistants.create(model="gpt-4o-mini")
    with pytest.raises(openai.InternalServerError, match=r"No thread can be made here.*name"):
        client.beta.threads.create(metadata={"assistantId": assistant})
    client.beta.threads.messages.create(thread, role="user", content="Hello")
    provider.reply(text("Hi."))
    run = client.beta.threads.runs.create_and_poll(
        thread_id=thread, assistant_id=assistant, model="gpt-4o-mini"
    )
    assert run.status == "completed"
