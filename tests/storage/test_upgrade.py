"""Upgrades: from every revision, by several at once, beside the tables of others, and by the command line."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql

from supercompat.errors import SchemaError, StorageError
from supercompat.server.cli import main
from supercompat.storage_adapters.protocol import Page, PageQuery, Row, Transaction
from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter, schema
from tests.storage import processes
from tests.storage.rows import assistant, message, run, step, thread
from tests.storage.sessions import session, until_alone, wait_for

CONFIG = Config()
CONFIG.set_main_option("script_location", "supercompat.storage_adapters.sql:migrations")
REVISIONS = [each.revision for each in ScriptDirectory.from_config(CONFIG).walk_revisions()][::-1]
OLDER = REVISIONS[:-1]

ROWS: dict[str, Row[Any]] = {
    "assistants": assistant("asst_1"),
    "threads": Row(thread().object, {"kept": True}),
    "messages": message("msg_1"),
    "runs": run("run_1", "in_progress", owner="me", lease_until=5.0, fence=3),
    "steps": step("step_1", "run_1"),
}
#: What is in a column of that name, in whatever revision and table, if it is not null.
VALUES: dict[str, Any] = {
    "project": "default",
    "created_at": 1,
    "thread_id": "thread_1",
    "run_id": "run_1",
    "status": "in_progress",
    "owner": "me",
    "lease_until": 5.0,
    "fence": 3,
    "role": "user",
    "size": 1,
}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database without tables."""
    if request.param == "postgresql":
        return request.getfixturevalue("empty_postgres_url")
    return f"sqlite:///{request.getfixturevalue('tmp_path') / 'rows.db'}"


@contextmanager
def transaction(url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def make(url: str, revision: str) -> None:
    """Make the tables of an older revision, with rows in them."""
    with transaction(url) as connection:
        config = Config()
        config.set_main_option("script_location", "supercompat.storage_adapters.sql:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        found = sa.MetaData()
        found.reflect(connection)
        for name, row in ROWS.items():
            columns = found.tables[name].columns
            values = {each.name: VALUES[each.name] for each in columns if needs_value(each, row)}
            values |= {"id": row.object.id, "object": row.object.model_dump_json()}
            values["private"] = '{"kept": true}' if row.private else None
            connection.execute(sa.insert(found.tables[name]).values(values))


def needs_value(column: sa.Column[Any], row: Row[Any]) -> bool:
    if column.name in {"seq", "id", "object", "private"}:
        return False
    kept = getattr(row, column.name, getattr(row.object, column.name, None))
    return not column.nullable or (column.name in VALUES and kept is not None)


def read(tx: Transaction) -> dict[str, Row[Any]]:
    pages: dict[str, Page[Any]] = {name: getattr(tx, name).page(PageQuery()) for name in ROWS}
    return {name: page.rows[0] for name, page in pages.items()}


def conditions(index: Any) -> dict[str, str]:
    options: dict[str, Any] = index.get("dialect_options", {})
    return {name: str(value) for name, value in options.items() if name.endswith("_where")}


def fingerprint(url: str, within: str | None = None) -> dict[str, Any]:
    """What the database says of our tables."""
    with transaction(url) as connection:
        inspector = sa.inspect(connection)
        return {
            table: {
                "columns": [
                    (each["name"], str(each["type"]), each["nullable"], each["default"])
                    for each in sorted(inspector.get_columns(table, within), key=lambda each: each["name"])
                ],
                "indices": sorted(
                    (str(each["name"]), each["column_names"], conditions(each))
                    for each in inspector.get_indexes(table, within)
                ),
                "key": inspector.get_pk_constraint(table, within),
                "unique": inspector.get_unique_constraints(table, within),
                "references": [
                    (each["name"], each["constrained_columns"], each["referred_columns"], each.get("options"))
                    for each in inspector.get_foreign_keys(table, within)
                ],
            }
            for table in (*ROWS, "supercompat_keys")
        }


@pytest.mark.parametrize("revision", REVISIONS)
async def test_every_revision_is_upgraded_with_its_rows(empty_url: str, revision: str) -> None:
    make(empty_url, revision)
    adapter = SQLAlchemyStorageAdapter(empty_url)
    assert await adapter.current() == revision
    await adapter.upgrade()
    assert await adapter.current() == schema.HEAD
    store = adapter.open()
    assert await store.transact(read) == ROWS
    await store.transact(lambda tx: tx.messages.insert(message("msg_2")))
    await store.aclose()


@pytest.mark.parametrize("revision", REVISIONS)
async def test_upgraded_tables_are_those_that_are_made_at_once(
    empty_url: str, revision: str, postgres_url: str, tmp_path: Path
) -> None:
    make(empty_url, revision)
    await SQLAlchemyStorageAdapter(empty_url).upgrade()
    made_at_once = postgres_url if empty_url.startswith("postgresql") else f"sqlite:///{tmp_path / 'new.db'}"
    await SQLAlchemyStorageAdapter(made_at_once).upgrade()
    assert fingerprint(empty_url) == fingerprint(made_at_once)


@pytest.mark.parametrize("revision", OLDER)
async def test_an_older_revision_of_postgresql_says_what_to_run(
    empty_postgres_url: str, revision: str
) -> None:
    make(empty_postgres_url, revision)
    store = SQLAlchemyStorageAdapter(empty_postgres_url).open()
    with pytest.raises(SchemaError) as raised:
        await store.transact(lambda tx: None)
    assert str(raised.value) == (
        f"The tables have revision {revision}, but this release of supercompat needs {schema.HEAD}. "
        f"Run: supercompat db upgrade --database {empty_postgres_url}"
    )
    await store.aclose()


async def test_a_newer_revision_is_refused(postgres_url: str) -> None:
    with session(postgres_url) as connection:
        connection.execute("UPDATE supercompat_version SET version_num = '9999'")
    adapter = SQLAlchemyStorageAdapter(postgres_url)
    store = adapter.open()
    for refused in (store.transact(lambda tx: None), adapter.upgrade()):
        with pytest.raises(SchemaError, match=r"revision 9999, made by a newer release.*Upgrade supercompat"):
            await refused
    await store.aclose()


async def test_an_upgrade_that_fails_changes_nothing(empty_postgres_url: str) -> None:
    """The user's own tables have one of our names."""
    with session(empty_postgres_url) as connection:
        connection.execute("CREATE TABLE messages (mine TEXT)")
    adapter = SQLAlchemyStorageAdapter(empty_postgres_url)
    with pytest.raises(SchemaError, match="tables that supercompat did not make, named messages"):
        await adapter.upgrade()
    with session(empty_postgres_url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert found == [("messages",)]
    assert await adapter.current() is None


async def test_a_schema_beside_the_tables_of_others(empty_postgres_url: str) -> None:
    with session(empty_postgres_url) as connection:
        for name in (*ROWS, schema.VERSION_TABLE):
            connection.execute(sql.SQL("CREATE TABLE {} (mine TEXT)").format(sql.Identifier(name)))
    url = f"{empty_postgres_url}?options=-csearch_path%3Dpublic"
    adapter = SQLAlchemyStorageAdapter(url, schema='Our "own"')
    assert await adapter.current() is None
    await adapter.upgrade()
    await adapter.upgrade()
    assert await adapter.current() == schema.HEAD
    store = adapter.open()

    def fill(tx: Transaction) -> None:
        tx.assistants.insert(ROWS["assistants"])
        tx.threads.insert(ROWS["threads"])
        tx.messages.insert(ROWS["messages"])
        tx.runs.insert(run("run_1", "in_progress", owner="me", lease_until=5.0, fence=3))
        tx.steps.insert(ROWS["steps"])

    await store.transact(fill)
    assert await store.transact(read) == ROWS
    assert await store.transact(lambda tx: tx.threads.delete("thread_1"))
    await store.aclose()
    with session(empty_postgres_url) as connection:
        for name in ROWS:
            table = sql.Identifier(name)
            assert connection.execute(sql.SQL("SELECT FROM {}").format(table)).rowcount == 0
    assert fingerprint(empty_postgres_url, 'Our "own"')


@pytest.mark.parametrize("revision", OLDER)
async def test_a_schema_is_upgraded_where_it_is(empty_postgres_url: str, revision: str) -> None:
    inside = f"{empty_postgres_url}?options=-csearch_path%3Down"
    with session(empty_postgres_url) as connection:
        connection.execute("CREATE SCHEMA own")
    make(inside, revision)
    adapter = SQLAlchemyStorageAdapter(empty_postgres_url, schema="own")
    assert await adapter.current() == revision
    await adapter.upgrade()
    store = adapter.open()
    assert await store.transact(read) == ROWS
    await store.aclose()
    assert await SQLAlchemyStorageAdapter(empty_postgres_url).current() is None


async def test_a_user_who_may_not_make_schemas(empty_postgres_url: str) -> None:
    with session(empty_postgres_url) as connection:
        connection.execute("CREATE ROLE supercompat_reader LOGIN")
        connection.execute("CREATE SCHEMA given AUTHORIZATION supercompat_reader")
    url = empty_postgres_url.replace("postgres@", "supercompat_reader@")
    try:
        with pytest.raises(StorageError, match="permission denied for database"):
            await SQLAlchemyStorageAdapter(url, schema="other").upgrade()
        await SQLAlchemyStorageAdapter(url, schema="given").upgrade()
    finally:
        with session(empty_postgres_url) as connection:
            connection.execute("DROP OWNED BY supercompat_reader CASCADE")
            connection.execute("DROP ROLE supercompat_reader")


# Several at once

UPGRADING = """
import logging, sys
from supercompat.server.cli import main
from supercompat.storage_adapters.sql import engines, postgresql

# In Python's development mode asyncio speaks of what takes long.
logging.getLogger("asyncio").setLevel(logging.ERROR)
print("ready", flush=True)
sys.stdin.readline()
sys.exit(main(["db", "upgrade", "--database", sys.argv[1]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("revision", [None, *OLDER])
def test_processes_upgrade_at_once(empty_url: str, revision: str | None, tmp_path: Path) -> None:
    if revision is not None:
        make(empty_url, revision)
    with processes.running(UPGRADING, tmp_path, empty_url, count=3) as children:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        for child in children:
            assert f"revision {schema.HEAD}" in processes.output(child)


async def test_an_upgrade_waits_for_another_and_goes_on_when_that_dies(empty_postgres_url: str) -> None:
    adapter = SQLAlchemyStorageAdapter(empty_postgres_url)
    with session(empty_postgres_url) as watching:
        with session(empty_postgres_url) as other, other.transaction(force_rollback=True):
            other.execute("SELECT pg_advisory_xact_lock(%s)", [schema.UPGRADE_LOCK])
            upgrading = asyncio.create_task(adapter.upgrade())
            waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            assert await asyncio.to_thread(wait_for, lambda: watching.execute(waiting).rowcount == 1)
            assert not upgrading.done()
        await upgrading
        assert until_alone(watching)
    assert await adapter.current() == schema.HEAD


# The command line


def test_the_commands(empty_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    def said(action: str) -> str:
        assert main(["db", action, "--database", empty_url]) == 0
        return capsys.readouterr().out

    assert said("current") == f"none (this release needs {schema.HEAD})\n"
    assert said("upgrade") == f"The tables now have revision {schema.HEAD}.\n"
    assert said("upgrade") == f"The tables already had revision {schema.HEAD}.\n"
    assert said("current") == f"{schema.HEAD} (the newest)\n"


@pytest.mark.parametrize("revision", OLDER)
def test_the_commands_on_an_older_revision(
    empty_url: str, revision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make(empty_url, revision)
    assert main(["db", "current", "--database", empty_url]) == 0
    assert main(["db", "upgrade", "--database", empty_url]) == 0
    assert capsys.readouterr().out == (
        f"{revision} (this release needs {schema.HEAD})\n"
        f"The tables now have revision {schema.HEAD}, instead of {revision}.\n"
    )


def test_the_database_of_the_environment(
    empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SUPERCOMPAT_DATABASE_URL", empty_postgres_url)
    assert main(["db", "upgrade", "--schema", "own"]) == 0
    assert main(["db", "current", "--schema", "own"]) == 0
    assert main(["db", "current"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"{schema.HEAD} (the newest)",
        f"none (this release needs {schema.HEAD})",
    ]


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ([], "Which database? Name it with --database URL"),
        (["--database", "postgresql://me:s3cret@127.0.0.1:1/db"], "database db at 127.0.0.1:1: "),
        (["--database", "mysql://me:s3cret@127.0.0.1:1/db"], "'mysql' are not served"),
        (["--database", "sqlite:///no/such/folder/a.db", "--schema", "x"], "no such options for SQLite"),
    ],
)
@pytest.mark.parametrize("action", ["upgrade", "current"])
def test_what_the_commands_can_not_do(
    action: str,
    database: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("SUPERCOMPAT_DATABASE_URL", raising=False)
    assert main(["db", action, *database]) == 1
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.startswith("supercompat: ")
    assert "s3cret" not in said.err + said.out


def test_looking_makes_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["db", "current", "--database", f"sqlite:///{tmp_path / 'a.db'}"]) == 0
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.db").write_bytes(b"no database at all " * 100)
    assert main(["db", "current", "--database", f"sqlite:///{tmp_path / 'a.db'}"]) == 1
    assert "not a database" in capsys.readouterr().err
