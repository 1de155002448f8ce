"""A request and its response, as far as any door knows them."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from supercompat.services.turns import Caller

Frames: TypeAlias = AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class Request:
    """What a door was asked.

    Args:
        method: in capitals.
        path: as it was sent, percent-encoded, with whatever stands before `/v1`.
        query: pairs in their order, decoded.
        headers: names in lower case.
        read_timeout: seconds that the caller waits for the next byte; None if for ever.
        caller: to be told when nobody waits for the answer any more.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    read_timeout: float | None = None
    caller: Caller = field(default_factory=Caller)


@dataclass(frozen=True, slots=True)
class Response:
    """What a door answers: a whole body, or frames as they come. Frames have to be read or closed."""

    status: int
    headers: Mapping[str, str]
    body: bytes | Frames
