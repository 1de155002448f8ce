"""`supercompat keys`: who may use the server, and which project is theirs."""

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from supercompat.errors import ConfigurationError
from supercompat.server.api_keys import new_key
from supercompat.server.authentication import DEFAULT, LIFE
from supercompat.server.serve import add_settings, configured
from supercompat.storage_adapters.protocol import ApiKey, Transaction

T = TypeVar("T")


def add(commands: Any) -> None:
    """Add the command and its own commands to the parser's."""
    keys: argparse.ArgumentParser = commands.add_parser("keys", help="make, list and revoke API keys")
    actions = keys.add_subparsers(title="commands", metavar="COMMAND", required=True)
    create = actions.add_parser(
        "create",
        help="make a key for a project",
        description="Makes an API key and prints it, this once: only its SHA-256 is stored. It gives access to what "
        "belongs to the project, and to nothing else. The first key closes the server to everybody without one.",
    )
    create.add_argument("--project", metavar="NAME", default=DEFAULT, help=f"(default: {DEFAULT})")
    create.add_argument("--name", metavar="TEXT", default="", help="what the key is for; shown by 'list'")
    create.set_defaults(command=_create)
    listing = actions.add_parser("list", help="show which keys there are, and which were revoked")
    listing.set_defaults(command=_list)
    revoke = actions.add_parser(
        "revoke",
        help="revoke a key",
        description=f"Revokes a key, within {LIFE:.0f} seconds on all servers that use this database. Runs and "
        "streams that it started go on.",
    )
    revoke.add_argument("id", metavar="ID", help="as 'list' shows it: key_…")
    revoke.set_defaults(command=_revoke)
    for action in (create, listing, revoke):
        add_settings(action, ["database_url", "database_schema"])


def _create(arguments: argparse.Namespace) -> int:
    key, stored = new_key(arguments.project, arguments.name, int(time.time()))
    _carry_out(arguments, lambda tx: tx.keys.insert(stored))
    sys.stdout.write(f"{key}\n")
    sys.stderr.write(f"{stored.id} opens the project {stored.project}. It is not shown again.\n")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    for row in _table(_carry_out(arguments, lambda tx: tx.keys.all())):
        sys.stdout.write(f"{row}\n")
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    now = int(time.time())
    key = _carry_out(arguments, lambda tx: tx.keys.revoke(arguments.id, now))
    if key is None:
        raise ConfigurationError(
            f"There is no key {arguments.id}. 'supercompat keys list' shows those there are."
        )
    assert key.revoked_at is not None
    sys.stdout.write(
        f"{key.id} of the project {key.project} is revoked since {_time(key.revoked_at)}. Servers notice it within "
        f"{LIFE:.0f} seconds.\n"
    )
    return 0


def _carry_out(arguments: argparse.Namespace, work: Callable[[Transaction], T]) -> T:
    from supercompat.server.settings import storage_of

    adapter = storage_of(configured(arguments))

    async def transact() -> T:
        store = adapter.open()
        try:
            return await store.transact(work)
        finally:
            await store.aclose()

    # psycopg can't use the loop that is Windows' default.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(transact())


def _table(keys: Any) -> list[str]:
    rows = [("ID", "KEY", "PROJECT", "CREATED", "REVOKED", "NAME"), *map(_row, keys)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _row(key: ApiKey) -> tuple[str, ...]:
    revoked = "" if key.revoked_at is None else _time(key.revoked_at)
    # A name may hold anything, which must not move the terminal's cursor.
    name = "".join(each if each.isprintable() else "?" for each in key.name)
    return key.id, key.hint, key.project, _time(key.created_at), revoked, name


def _time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}Z"
