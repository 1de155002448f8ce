"""A request and its response, as far as any door knows them."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import uuid4

from supercompat.errors import SupercompatError
from supercompat.services.turns import Caller

Frames: TypeAlias = AsyncGenerator[bytes, None]


def new_request_id() -> str:
    """An id of the API's shape (C-001)."""
    return f"req_{uuid4().hex}"


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
        id: how the answer, and what is logged about it, names the request.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    read_timeout: float | None = None
    caller: Caller = field(default_factory=Caller)
    id: str = field(default_factory=new_request_id)


@dataclass(frozen=True, slots=True)
class Response:
    """What a door answers: a whole body, or frames as they come. Frames have to be read or closed.

    Args:
        failure: why we could not work at all. The body has its words, which are for whoever runs this process.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | Frames
    failure: SupercompatError | None = None
