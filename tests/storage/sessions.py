"""Who is connected to a PostgreSQL database, and ways to disturb them."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import psycopg

OTHERS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' "
    "AND pid <> pg_backend_pid()"
)


@contextmanager
def session(url: str) -> Iterator["psycopg.Connection[Any]"]:
    """A connection of the test's own."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def others(connection: "psycopg.Connection[Any]") -> list[str]:
    """The last statements of everybody else's connections."""
    return [query for (query,) in connection.execute(f"SELECT query {OTHERS}")]


def blocked(connection: "psycopg.Connection[Any]", count: int = 1) -> bool:
    """Whether so many others come to wait for locks."""
    waiting = f"SELECT {OTHERS} AND wait_event_type = 'Lock'"
    return wait_for(lambda: connection.execute(waiting).rowcount >= count)


def terminate(connection: "psycopg.Connection[Any]") -> int:
    """End everybody else's connections; how many there were. They are gone when this returns."""
    ended = connection.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}").rowcount
    assert until_alone(connection)
    return ended


def until_alone(connection: "psycopg.Connection[Any]") -> bool:
    """Whether the others leave within some seconds: the server notices a connection's end a little later."""
    return wait_for(lambda: not others(connection))


def wait_for(condition: Any, seconds: float = 10) -> bool:
    """Whether something that can only be looked at becomes true in time."""
    deadline = monotonic() + seconds
    while not condition():
        if monotonic() > deadline:
            return False
        sleep(0.01)
    return True
