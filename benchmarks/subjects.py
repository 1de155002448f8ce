"""What is measured: the provider's SDK alone, the floor, and supercompat on two storages, through either door."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from supercompat import MemoryStorageAdapter, SQLAlchemyStorageAdapter

FLOOR_URL = "http://floor.invalid/v1"

#: Their titles in the tables.
SUBJECTS = {
    "raw": "raw SDK",
    "floor": "floor",
    "memory": "supercompat, memory",
    "sqlite": "supercompat, SQLite file",
}
DOORS = ("sync", "async")
KINDS = ("streamed", "polled")


class Case(NamedTuple):
    """One row of the tables."""

    kind: str
    door: str
    subject: str


#: A raw call is neither: it stands beside both kinds.
CASES = [
    Case(kind, door, subject)
    for kind in KINDS
    for door in DOORS
    for subject in SUBJECTS
    if subject != "raw" or kind == "streamed"
]


def storage(subject: str, folder: Path) -> "MemoryStorageAdapter | SQLAlchemyStorageAdapter":
    """The storage of supercompat's subjects."""
    from supercompat import MemoryStorageAdapter, SQLAlchemyStorageAdapter

    if subject == "memory":
        return MemoryStorageAdapter()
    return SQLAlchemyStorageAdapter(f"sqlite:///{folder / 'bench.db'}")
