"""The server that the tests bring up."""

import subprocess
import sys
from pathlib import Path

import psycopg

from tests.postgresql import ROOT, Databases
from tests.processes.conftest import until

#: Starts a server, says where its data are, and waits to be killed.
PROGRAM = """
import sys
from tests.postgresql import start_server
server = start_server()
print(server.directory, server.url, flush=True)
sys.stdin.read()
"""


def test_it_ends_with_the_process_that_started_it() -> None:
    """Killed or not: nothing of it stays."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout
        directory, url = program.stdout.readline().split()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert Path(directory).exists()
        program.kill()
    until(lambda: not Path(directory).exists())


def test_each_database_is_new(postgres_databases: Databases, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE mine (id int)")
    other = postgres_databases.create_upgraded()
    with psycopg.connect(postgres_databases.url(other)) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert ("mine",) not in found
    assert len(found) > 5
