"""What an API key is made of: `sk-sc-<id>-<secret>`."""

import re
import secrets
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from supercompat.errors import ConfigurationError
from supercompat.storage_adapters.protocol import ApiKey

PROJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_KEY: Final = re.compile(r"sk-sc-(?P<id>[0-9a-f]{16})-[A-Za-z0-9_-]{43}")

#: How long a key is at least whose ends are shown as the API shows them, and at most how many stars.
_LONG: Final = 20
_STARS: Final = 200


def new_key(project: str, name: str, now: int) -> tuple[str, ApiKey]:
    """A new key, and what is to be stored of it.

    Raises:
        ConfigurationError: the project's name is none.
    """
    if not PROJECT.fullmatch(project):
        raise ConfigurationError(
            f"{project!r} can't be a project's name: that is 1 to 64 letters, digits, '.', '_' or '-', and begins with "
            "a letter or digit."
        )
    id = secrets.token_hex(8)
    key = f"sk-sc-{id}-{secrets.token_urlsafe(32)}"
    return key, ApiKey(f"key_{id}", project, name, _digest(key), f"sk-sc-{id}-…{key[-4:]}", now)


def id_in(key: str) -> str | None:
    """The id of a key; None if it is not one of ours."""
    found = _KEY.fullmatch(key)
    return f"key_{found['id']}" if found else None


def fits(key: str, stored: ApiKey) -> bool:
    """Whether it is this key. Takes as long whatever the difference is.

    One round of SHA-256 is enough: there are no likelier keys to be tried first among 2^256.
    """
    return compare_digest(_digest(key), stored.digest)


def masked(key: str) -> str:
    """As the API shows a key that it refuses (E2): both ends of it, less of a short one."""
    if len(key) >= _LONG:
        return f"{key[:8]}{'*' * min(len(key) - 12, _STARS)}{key[-4:]}"
    return f"{key[:5]}***{key[-2:]}" if len(key) >= _LONG // 2 else "*" * len(key)


def _digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()
