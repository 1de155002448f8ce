"""Everything that the server can be told about the network side of the API."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from supercompat.errors import ConfigurationError
from supercompat.options import check_values

#: The smallest value of each number.
LEAST = {"max_body": 1, "request_timeout": 1, "requests_per_minute": 0, "keep_alive": 1}

_ORIGIN: Final = re.compile(r"\*|[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Settings of the API over HTTP, frozen.

    Args:
        max_body: the largest request body, in bytes; a larger one gets a 413.
        request_timeout: seconds within which a request's body has to arrive and its answer or stream has to
            begin; a late answer becomes a 504, while the work goes on.
        requests_per_minute: how many requests one API key may make per minute, in each worker process; more get
            a 429 that says when to retry. 0 for no limit. Without keys all callers count as one.
        keep_alive: seconds of silence after which a stream sends a comment, so that no proxy takes it for dead.
        cors_origins: web origins, such as `https://app.example.com`, whose pages may use the API; `*` for all.
            By default none, since everybody can read a key in a web page.
        access_log: whether to log each request: its method, path, status, time and id, never keys or bodies.

    Raises:
        ConfigurationError: a value is of another type, or out of range.
    """

    max_body: int = 16 * 1024 * 1024
    request_timeout: float = 600.0
    requests_per_minute: int = 6000
    keep_alive: float = 15.0
    cors_origins: Sequence[str] = ()
    access_log: bool = True

    def __post_init__(self) -> None:
        check_values(self, LEAST)
        # A text is a sequence too, of letters.
        if isinstance(self.cors_origins, str):
            raise ConfigurationError("ServerOptions(cors_origins=…) takes a list of web origins, not a text.")
        for origin in self.cors_origins:
            if not _ORIGIN.fullmatch(origin):
                raise ConfigurationError(
                    f"ServerOptions(cors_origins=…): {origin!r} is no web origin, as https://app.example.com, which "
                    "has no path and no slash at its end."
                )
