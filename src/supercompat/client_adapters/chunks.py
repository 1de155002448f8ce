"""The chunks of a streamed chat completion, out of the response that an SDK opened: the SDKs' own reading of it
takes as long as everything else that happens to a chunk on its way."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias, cast

from supercompat.client_adapters.errors import error_in_answer, provider_errors
from supercompat.client_adapters.openai_wire import FrameReader

#: A piece of a streamed answer: bytes as the socket gave them, or a chunk where something of the user's, such as a
#: tracer, stands between the SDK's stream and us.
Piece: TypeAlias = bytes | dict[str, Any]

#: Seconds that a provider gets to end its response after it said that nothing follows. The end has to be read, or
#: the connection can't be used again.
LINGER = 0.1


@asynccontextmanager
async def chunks_of(
    pieces: AsyncIterator[Piece],
    client: object,
    *,
    is_last: Callable[[Mapping[str, Any]], bool] = lambda _: False,
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Read the pieces as chunks. Whoever opened the response closes it, after this.

    Args:
        client: the SDK client whose errors are to be known, and whose key is to be masked.
        is_last: whether nothing follows a chunk, for a wire that does not end with `[DONE]`.

    Raises:
        ProviderError: while iterating.
    """
    frames = FrameReader()
    chunks = _read(pieces, frames, client, is_last)
    try:
        yield chunks
    finally:
        await close(chunks)
        if frames.done:
            await _read_to_end(pieces)


async def close(closable: Any) -> None:
    """Close a generator, a stream or a response. If another task is inside of a generator, that it can't be closed
    does not matter: what it reads from is closed next."""
    closing = getattr(closable, "aclose", None) or closable.close
    with suppress(RuntimeError):
        await closing()


async def _read(
    pieces: AsyncIterator[Piece],
    frames: FrameReader,
    client: object,
    is_last: Callable[[Mapping[str, Any]], bool],
) -> AsyncGenerator[dict[str, Any], None]:
    first: Piece = b""
    with provider_errors(client):
        async for piece in pieces:
            first = first or piece
            for chunk in [piece] if isinstance(piece, dict) else map(_chunk, frames.read(piece)):
                yield chunk
                frames.done = frames.done or is_last(chunk)
            if frames.done:
                return
        for data in frames.finish():
            yield _chunk(data)
        if isinstance(first, bytes) and not frames.count:
            raise error_in_answer(f"The provider sent no events, but: {first[:200].decode(errors='replace')}")


def _chunk(data: bytes) -> dict[str, Any]:
    chunk = json.loads(data)
    if not isinstance(chunk, dict):
        return {}
    members = cast(dict[str, Any], chunk)
    if members.get("error"):
        raise error_in_answer(members["error"])
    return members


async def _read_to_end(pieces: AsyncIterator[Piece]) -> None:
    with suppress(Exception):
        async with asyncio.timeout(LINGER):
            async for _ in pieces:
                pass
