"""Ids as the API makes them: a prefix and 24 letters and digits (section 5)."""

import secrets
import string
from typing import Final, Protocol

from supercompat.wire.objects import Resource

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 24


class Ids(Protocol):
    """How things are named. The storage decides, for its tables may take no others."""

    def new(self, kind: type[Resource]) -> str:
        """An id for a new thing of this kind."""
        ...

    def could_name(self, kind: type[Resource], id: str) -> bool:
        """Whether a thing of this kind could have this id."""
        ...


class PrefixedIds:
    """Ids such as the API's own."""

    def new(self, kind: type[Resource]) -> str:
        return new_id(kind.prefix)

    def could_name(self, kind: type[Resource], id: str) -> bool:
        return id.startswith(kind.prefix)


PREFIXED: Final[Ids] = PrefixedIds()


def new_id(prefix: str) -> str:
    """A new id such as `asst_0VLdyfoSMFV4tQpzWUT2ywhg`, from the system's secure random source."""
    # One number for all characters: asking the system for each took longer than storing the object.
    number = secrets.randbelow(len(_ALPHABET) ** _LENGTH)
    characters: list[str] = []
    for _ in range(_LENGTH):
        number, place = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[place])
    return f"{prefix}_{''.join(characters)}"
