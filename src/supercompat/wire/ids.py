"""Ids as the API makes them: a prefix and 24 letters and digits (section 5)."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 24


def new_id(prefix: str) -> str:
    """A new id such as `asst_0VLdyfoSMFV4tQpzWUT2ywhg`, from the system's secure random source."""
    # One number for all characters: asking the system for each took longer than storing the object.
    number = secrets.randbelow(len(_ALPHABET) ** _LENGTH)
    characters: list[str] = []
    for _ in range(_LENGTH):
        number, place = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[place])
    return f"{prefix}_{''.join(characters)}"
