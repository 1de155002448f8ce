"""What all tests share: a PostgreSQL server that is started when the first test asks for one."""

from collections.abc import Callable, Iterator

import pytest

from tests.postgresql import Databases, databases
from tests.prisma.databases import copies, templates

pytest_plugins = ["pytester", "tests.conformance.plugin", "tests.contract.against"]


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator[Databases]:
    """Makes databases on the server of this session. Without a server the test fails, and says what was tried."""
    with databases() as made:
        yield made


@pytest.fixture(scope="session")
def upgraded_database(postgres_databases: Databases) -> str:
    """The name of a database with our tables, to be copied."""
    return postgres_databases.create_upgraded()


@pytest.fixture
def postgres_url(postgres_databases: Databases, upgraded_database: str) -> Iterator[str]:
    """The URL of a new PostgreSQL database with our tables in it."""
    name = postgres_databases.create(template=upgraded_database)
    yield postgres_databases.url(name)
    postgres_databases.drop(name)


@pytest.fixture
def empty_postgres_url(postgres_databases: Databases) -> Iterator[str]:
    """The URL of a new PostgreSQL database without any table."""
    name = postgres_databases.create()
    yield postgres_databases.url(name)
    postgres_databases.drop(name)


@pytest.fixture(scope="session")
def prisma_template(postgres_databases: Databases) -> Callable[[str], str]:
    """Gives names of databases with the tables that Prisma makes, and our side tables, to be copied."""
    return templates(postgres_databases)


@pytest.fixture
def make_prisma_url(
    postgres_databases: Databases, prisma_template: Callable[[str], str]
) -> Iterator[Callable[[str], str]]:
    """Makes such databases, by flavour, and gives their URLs."""
    with copies(postgres_databases, prisma_template) as make:
        yield make
