"""`supercompat import`: conversations from elsewhere, into our own tables."""

import argparse
import asyncio
import os
import sys
from collections import Counter
from contextlib import AsyncExitStack
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from supercompat.errors import ConfigurationError

if TYPE_CHECKING:
    from supercompat.server.copying import Copy, Summary
    from supercompat.storage_adapters.prisma.source import PrismaSource
    from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter

DATABASE = "SUPERCOMPAT_DATABASE_URL"

#: Where Prisma itself looks.
PRISMAS_DATABASE = "DATABASE_URL"

#: Seconds between two lines on how far the import is.
INTERVAL = 2.0


def add(commands: Any) -> None:
    """Add the command to those of `supercompat`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "import",
        help="copy conversations from another system, keeping every id",
        description="Copies assistants, threads, messages, runs and steps into the tables of a database, with their "
        "ids. The source is only read. What is already in the copy stays as it is, so an interrupted import "
        "continues when it is run again. The exit code is 0 if the copy matches the source, else 1: each line on "
        "stderr then says what is missing or different.",
    )
    sources = parser.add_mutually_exclusive_group(required=True)
    sources.add_argument(
        "--from-prisma",
        metavar="URL",
        nargs="?",
        const="",
        help="the PostgreSQL database with the tables that Prisma made; add '?schema=NAME' if they are not in the "
        f"connection's default schema (without a URL: the variable {PRISMAS_DATABASE})",
    )
    parser.add_argument(
        "--database",
        metavar="URL",
        default=os.environ.get(DATABASE),
        help=f"target: 'sqlite:///FILE' or 'postgresql://USER:PASSWORD@HOST/NAME' (default: the variable {DATABASE})",
    )
    parser.add_argument("--schema", metavar="NAME", help="the PostgreSQL schema with the tables")
    parser.add_argument(
        "--project", metavar="NAME", default="default", help="the project to copy to (default: default)"
    )
    parser.add_argument(
        "--end-runs",
        action="store_true",
        help="copy runs in progress as failed; without it their threads are left out",
    )
    parser.set_defaults(command=_import)


def _import(arguments: argparse.Namespace) -> int:
    if not arguments.database:
        raise ConfigurationError(
            f"Import into which database? Name it with --database URL, or in the variable {DATABASE}."
        )
    if arguments.database.partition(":")[2] in ("//", "///", "///:memory:"):
        raise ConfigurationError(
            "A copy in memory would end with the command. Write 'sqlite:///' and a file."
        )
    source = _prisma(arguments)
    from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter

    # A transaction pauses while the source is read.
    adapter = SQLAlchemyStorageAdapter(arguments.database, schema=arguments.schema, statement_timeout=0)
    # psycopg can't use the loop that is Windows' default.
    with source, asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(_copy(source, adapter, arguments))


def _prisma(arguments: argparse.Namespace) -> "PrismaSource":
    url = arguments.from_prisma or os.environ.get(PRISMAS_DATABASE)
    if not url:
        raise ConfigurationError(
            f"Import from which database? Name it with --from-prisma URL, or in the variable {PRISMAS_DATABASE}."
        )
    from supercompat.storage_adapters.prisma.source import PrismaSource

    source = PrismaSource(url, _say)
    is_server = arguments.database.startswith(("postgresql", "postgres"))
    if is_server and source.is_at(arguments.database, arguments.schema):
        raise ConfigurationError(
            "The copy would be made among the tables that it is made of. Name another schema with --schema, "
            "or another database."
        )
    return source


async def _copy(
    source: "PrismaSource", adapter: "SQLAlchemyStorageAdapter", arguments: argparse.Namespace
) -> int:
    from supercompat.server.copying import Copy

    progress = _Progress()
    async with AsyncExitStack() as stack:
        store = adapter.open(project=arguments.project)
        stack.push_async_callback(store.aclose)
        copy = Copy(
            source,
            store,
            end_runs=arguments.end_runs,
            now=int(time()),
            tell=_say,
            progress=progress,
        )
        await _run(copy)
    sys.stdout.write("\n".join(_told(copy.summary)) + "\n")
    return 0 if copy.summary.is_whole else 1


async def _run(copy: "Copy") -> None:
    try:
        await copy.run()
    except BaseException:
        _say(f"stopped after {_counts(copy.summary.imported)}; the same command goes on from there")
        raise


class _Progress:
    """Says now and then how far it is."""

    def __init__(self) -> None:
        self._next = monotonic() + INTERVAL

    def __call__(self, summary: "Summary") -> None:
        if monotonic() >= self._next:
            self._next = monotonic() + INTERVAL
            known = summary.there + summary.changed
            _say(f"{_counts(summary.imported)}; there already: threads {known['threads']}")


def _told(summary: "Summary") -> list[str]:
    lines = [f"imported: {_counts(summary.imported)}"]
    if summary.ended:
        lines.append(f"ended: runs {summary.ended}")
    for what, counts in (
        ("there already", summary.there),
        ("not as at the source", summary.changed),
        ("left out", summary.left_out),
    ):
        if counts.total():
            lines.append(f"{what}: assistants {counts['assistants']}, threads {counts['threads']}")
    return lines


def _counts(counts: Counter[str]) -> str:
    from supercompat.server.copying import KINDS

    return ", ".join(f"{kind} {counts[kind]}" for kind in KINDS)


def _say(text: str) -> None:
    sys.stderr.write(f"supercompat import: {text}\n")
