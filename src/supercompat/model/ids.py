"""Ids that we give to what a model did not name."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits


def new_call_id() -> str:
    """An id for a tool call, in OpenAI's shape: `call_` and 24 letters and digits."""
    return f"call_{''.join(secrets.choice(_ALPHABET) for _ in range(24))}"
