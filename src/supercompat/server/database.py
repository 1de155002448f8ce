"""Which database a command of the server means."""

import argparse
import os

from supercompat.storage_adapters.sql.adapter import SQLAlchemyStorageAdapter

VARIABLE = "SUPERCOMPAT_DATABASE_URL"
FILE = "sqlite:///supercompat.db"


def add_database(parser: argparse.ArgumentParser) -> None:
    """Add the option `--database`."""
    parser.add_argument(
        "--database",
        metavar="URL",
        default=os.environ.get(VARIABLE, FILE),
        help=f"(default: the variable {VARIABLE}, else {FILE})",
    )


def storage_of(arguments: argparse.Namespace) -> SQLAlchemyStorageAdapter:
    """The storage that the options name.

    Raises:
        ConfigurationError: they name none.
    """
    return SQLAlchemyStorageAdapter(arguments.database)
