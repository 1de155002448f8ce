"""What goes straight through to the client adapter: chat completions and models."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from supercompat.client_adapters.base import Connection
from supercompat.errors import ProviderError, RequestError

DONE = b"data: [DONE]\n\n"


class Chat:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def complete(self, params: Mapping[str, Any]) -> dict[str, Any] | AsyncGenerator[bytes, None]:
        """A chat completion, or its stream of frames, as the provider gives it.

        Raises:
            RequestError: with the provider's status, if it refused.
        """
        stack = AsyncExitStack()
        try:
            answer = await stack.enter_async_context(self._connection.chat(params))
        except ProviderError as error:
            raise as_request_error(error) from error
        if answer.chunks is None:
            await stack.aclose()
            return answer.body or {}
        frames = _frames(stack, answer.chunks)
        # A generator that has not begun would not close the provider's stream when it is closed.
        await anext(frames)
        return frames

    async def models(self) -> list[dict[str, Any]]:
        try:
            return await self._connection.models()
        except ProviderError as error:
            raise as_request_error(error) from error

    async def model(self, model_id: str) -> dict[str, Any]:
        """One of the provider's models, or 404 (C-175)."""
        for model in await self.models():
            if model["id"] == model_id:
                return model
        raise RequestError(
            f"The model '{model_id}' does not exist", status=404, param="model", code="model_not_found"
        )


async def _frames(
    stack: AsyncExitStack, chunks: AsyncIterator[dict[str, Any]]
) -> AsyncGenerator[bytes, None]:
    """Frames of a chat stream: data only, no event names."""
    async with stack:
        yield b""
        try:
            async for chunk in chunks:
                yield _frame(chunk)
        except ProviderError as error:
            yield _frame(as_request_error(error).body())
        yield DONE


def _frame(data: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def as_request_error(error: ProviderError) -> RequestError:
    """The provider's refusal as an answer of ours. A failure without a status is a bad gateway."""
    body = error.body or {}
    fields = {name: body.get(name) for name in ("type", "param", "code")}
    return RequestError(
        error.message,
        status=error.status or 502,
        param=_text(fields["param"]),
        code=_text(fields["code"]),
        type=_text(fields["type"]) or "server_error",
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
