"""Ids as the API makes them: a prefix and 24 letters and digits (section 5)."""

import secrets
import string

ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    """A new id such as `asst_0VLdyfoSMFV4tQpzWUT2ywhg`, from the system's secure random source."""
    return f"{prefix}_{''.join(secrets.choice(ALPHABET) for _ in range(24))}"
