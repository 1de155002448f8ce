"""Tables: made at once, made by migrations, upgraded, refused."""

import re
import shutil
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from supercompat.errors import SchemaError
from supercompat.storage_adapters.protocol import Row
from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter, schema
from tests.storage import processes
from tests.storage.rows import thread

MIGRATIONS = Path(schema.__file__).with_name("migrations")

USING = """
import asyncio, sys
from supercompat.storage_adapters.{module} import {name}
from supercompat.storage_adapters.protocol import Row
from supercompat.wire.objects import Thread

def loaded():
    late = (
        "sqlalchemy", "sqlalchemy.orm", "sqlalchemy.ext.asyncio", "sqlalchemy.dialects.postgresql", "psycopg", "alembic"
    )
    return [name for name in late if name in sys.modules]

def work(tx):
    if tx.threads.get("thread_1") is None:
        tx.threads.insert(Row(Thread(id="thread_1", created_at=1)))
    return tx.threads.get("thread_1").object.id

adapter = {name}({url})
store = adapter.open()
print(loaded())
print(asyncio.run(store.transact(work)), loaded())
store.abandon()
"""
ON_FILE = USING.format(module="sql", name="SQLAlchemyStorageAdapter", url="'sqlite:///rows.db'")
IN_MEMORY = USING.format(module="memory", name="MemoryStorageAdapter", url="")

NEXT_REVISION = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade() -> None:
    with op.batch_alter_table("threads", recreate="always") as threads:
        threads.add_column(sa.Column("note", sa.String))
"""


@pytest.fixture
def next_release(tmp_path: Path) -> Path:
    """A copy of the package with one more revision, which copies the table that others refer to."""
    source = tmp_path / "next"
    shutil.copytree(
        processes.SOURCE / "supercompat", source / "supercompat", ignore=shutil.ignore_patterns("__pycache__")
    )
    package = source / "supercompat" / "storage_adapters" / "sql"
    text = (package / "schema.py").read_text()
    changed = text.replace(f'HEAD: Final = "{schema.HEAD}"', 'HEAD: Final = "next"')
    assert changed != text
    (package / "schema.py").write_text(changed)
    revision = package / "migrations" / "versions" / "r9999_next.py"
    revision.write_text(NEXT_REVISION.format(head=schema.HEAD))
    return source


def tables(connection: sa.Connection) -> dict[str, str]:
    """What the database says of its tables and indices, by name."""
    found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {name: _normal(re.sub(r"\s+", " ", sql).replace(" )", ")")) for name, sql in found}


def _normal(sql: str) -> str:
    """A table that a migration has copied is quoted, and has its constraints in any order."""
    columns, *constraints = sql.removesuffix(")").replace('"', "").split(", CONSTRAINT ")
    return ", CONSTRAINT ".join([columns, *sorted(constraints)])


def test_migrations_give_the_same_tables_as_creation() -> None:
    with (
        sa.create_engine("sqlite://").connect() as created,
        sa.create_engine("sqlite://").connect() as migrated,
    ):
        schema.create(created)
        schema.upgrade(migrated)
        assert tables(migrated) == tables(created)
        assert schema.current(migrated) == schema.current(created) == schema.HEAD


def test_the_newest_revision_is_the_one_that_is_named() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


async def test_the_next_release_upgrades_a_file_and_this_one_then_refuses_it(
    tmp_path: Path, next_release: Path
) -> None:
    adapter = SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'rows.db'}")
    store = adapter.open()
    await store.transact(lambda tx: tx.threads.insert(Row(thread().object, {"kept": True})))
    await store.aclose()

    assert "'alembic'" in processes.run(ON_FILE, tmp_path, source=next_release)
    with sqlite3.connect(tmp_path / "rows.db") as file:
        assert file.execute("SELECT id, private, note FROM threads").fetchall() == [
            ("thread_1", '{"kept": true}', None)
        ]
    file.close()

    store = adapter.open()
    with pytest.raises(SchemaError, match="revision next, made by a newer release"):
        await store.transact(lambda tx: None)
    await store.aclose()


def test_two_processes_upgrade_at_once(tmp_path: Path, next_release: Path) -> None:
    processes.run(ON_FILE, tmp_path)
    with processes.running(ON_FILE, tmp_path, count=2, source=next_release) as children:
        assert [processes.output(child).splitlines()[1].split()[0] for child in children] == ["thread_1"] * 2


async def test_tables_of_somebody_else_are_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "rows.db") as file:
        file.execute("CREATE TABLE messages (mine TEXT)")
    file.close()
    store = SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'rows.db'}").open()
    with pytest.raises(SchemaError, match="tables that supercompat did not make, named messages"):
        await store.transact(lambda tx: None)
    await store.aclose()
    with sqlite3.connect(tmp_path / "rows.db") as file:
        assert file.execute("SELECT name FROM sqlite_master").fetchall() == [("messages",)]
    file.close()


@pytest.mark.parametrize("script", [ON_FILE, IN_MEMORY])
def test_libraries_are_imported_when_they_are_needed(script: str, tmp_path: Path) -> None:
    first = processes.run(script, tmp_path)
    again = processes.run(script, tmp_path)
    assert first == again == "[]\nthread_1 ['sqlalchemy']\n"
