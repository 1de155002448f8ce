"""The command `supercompat`."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from supercompat.errors import ConfigurationError, MissingExtraError, SupercompatError
from supercompat.server import imports, keys, serve
from supercompat.server.imports import DATABASE

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command.

    Args:
        argv: what stands behind the command's name; by default what this process was given.

    Returns:
        The exit code: 0 if all went well, 1 if not (one sentence on stderr says why), 130 after Ctrl-C.

    Raises:
        SystemExit: after `--help` and `--version` (code 0), and for arguments that don't fit (code 2).
    """
    _survive_narrow_encodings()
    arguments = _parser().parse_args(argv)
    try:
        return arguments.command(arguments)
    except SupercompatError as error:
        sys.stderr.write(f"supercompat: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nsupercompat: interrupted\n")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="supercompat",
        description="Keeps code written for OpenAI's Assistants API alive, on any AI provider.",
    )
    parser.add_argument("--version", action="version", version=f"supercompat {version('supercompat')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    demo = commands.add_parser(
        "demo",
        help="hold a real conversation with a small local model: no key needed",
        description="Starts a small language model on this machine and talks to it through the Assistants API: "
        "a streamed answer, a function call, and a run that remembers. Then a second process reads it back. "
        "Needs the extra: pip install 'supercompat[demo]'",
    )
    demo.add_argument(
        "--database",
        type=Path,
        metavar="FILE",
        help="the SQLite file that keeps the conversation (default: a new one in a temporary directory)",
    )
    demo.add_argument(
        "--read-back",
        metavar="THREAD",
        help="only print the messages of this thread of --database, one JSON object a line",
    )
    demo.set_defaults(command=_demo)
    serve.add(commands)
    keys.add(commands)
    _add_db(commands)
    imports.add(commands)
    return parser


def _add_db(commands: Any) -> None:
    db: argparse.ArgumentParser = commands.add_parser("db", help="create or upgrade the tables of a database")
    actions = db.add_subparsers(title="commands", metavar="COMMAND", required=True)
    upgrade = actions.add_parser(
        "upgrade",
        help="create the tables, or upgrade them",
        description="Creates the tables, or upgrades them, in one transaction. Several processes may do so at once. "
        "An SQLite file is also upgraded on first use; a PostgreSQL database only by this command.",
    )
    current = actions.add_parser(
        "current",
        help="show the revision of the tables",
        description="Shows which revision the tables have, and which one this release needs. Changes nothing.",
    )
    for action, command in ((upgrade, "upgrade"), (current, "current")):
        action.add_argument(
            "--database",
            metavar="URL",
            default=os.environ.get(DATABASE),
            help=f"'sqlite:///FILE' or 'postgresql://USER:PASSWORD@HOST/NAME' (default: the variable {DATABASE})",
        )
        action.add_argument(
            "--schema",
            metavar="NAME",
            help="the PostgreSQL schema with the tables; created if it is missing",
        )
        action.add_argument(
            "--prisma",
            action="store_true",
            help="the database has the tables of a Node application that uses Prisma: create side tables for them, in "
            "the schema 'supercompat'; --schema then names the schema with Prisma's tables",
        )
        action.set_defaults(command=_db, action=command)


def _db(arguments: argparse.Namespace) -> int:
    if not arguments.database:
        raise ConfigurationError(
            f"Which database? Name it with --database URL, or in the variable {DATABASE}."
        )
    adapter, newest = _tables(arguments)
    # psycopg can't use the loop that is Windows' default.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        found = runner.run(adapter.current())
        if arguments.action == "upgrade":
            runner.run(adapter.upgrade())
    if arguments.action == "current":
        said = f"{found or 'none'} ({'the newest' if found == newest else f'this release needs {newest}'})"
    elif found == newest:
        said = f"The tables already had revision {newest}."
    else:
        said = f"The tables now have revision {newest}{f', instead of {found}' if found else ''}."
    sys.stdout.write(f"{said}\n")
    return 0


def _tables(arguments: argparse.Namespace) -> tuple[Any, str]:
    """The adapter of the database, and the newest revision of its tables."""
    if arguments.prisma:
        from supercompat.storage_adapters.prisma import PrismaStorageAdapter

        prisma = PrismaStorageAdapter(arguments.database, schema=arguments.schema)
        from supercompat.storage_adapters.prisma.tables import RELEASE

        return prisma, RELEASE.head
    from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter
    from supercompat.storage_adapters.sql.schema import HEAD

    return SQLAlchemyStorageAdapter(arguments.database, schema=arguments.schema), HEAD


def _demo(arguments: argparse.Namespace) -> int:
    database: Path | None = arguments.database
    thread_id: str | None = arguments.read_back
    if thread_id is not None:
        if database is None or not database.exists():
            raise ConfigurationError("--read-back needs --database FILE, a file that an earlier demo left.")
        from supercompat.server.read_back import print_thread

        return print_thread(database, thread_id)
    for package in ("rich", "xllamacpp", "platformdirs"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "demo")
    from supercompat.server.demo import run_demo

    return run_demo(database)


def _survive_narrow_encodings() -> None:
    # A model says what it likes; a console of another encoding than UTF-8 must not end the program for it.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(errors="replace")
