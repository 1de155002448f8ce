"""Databases as Prisma makes them from the schema, in the shapes that are in the wild."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql

from supercompat import PrismaStorageAdapter
from tests.postgresql import Databases

#: What `prisma migrate` makes: of the documented schema; with ids that are text; with fields of the assistant and
#: threads without one; of the first release.
FLAVOURS = ("uuid", "text", "named", "first")


def ddl(flavour: str) -> sql.SQL:
    """The statements that make the tables."""
    text = (Path(__file__).parent / "schemas" / f"{flavour}.sql").read_text()
    return sql.SQL(text)  # pyright: ignore[reportArgumentType]


def make_tables(url: str, flavour: str) -> None:
    """What Prisma does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(ddl(flavour))


def templates(databases: Databases) -> Callable[[str], str]:
    """Gives names of databases to be copied, with Prisma's tables and the side tables, by flavour."""

    @cache
    def template(flavour: str) -> str:
        name = databases.create()
        make_tables(databases.url(name), flavour)
        asyncio.run(PrismaStorageAdapter(databases.url(name)).upgrade())
        return name

    return template


@contextmanager
def copies(databases: Databases, template: Callable[[str], str]) -> Iterator[Callable[[str], str]]:
    """Makes databases by flavour; what is given is their URL. All are dropped in the end."""
    made: list[str] = []

    def make(flavour: str) -> str:
        made.append(databases.create(template=template(flavour)))
        return databases.url(made[-1])

    try:
        yield make
    finally:
        for name in made:
            databases.drop(name)
