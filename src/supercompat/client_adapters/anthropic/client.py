"""Anthropic, and the clouds that serve Claude."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from supercompat.client_adapters.anthropic.families import family_of
from supercompat.client_adapters.anthropic.request import origin_of, request_body
from supercompat.client_adapters.anthropic.stream import MessageReader
from supercompat.client_adapters.base import ChatAnswer, check_tokens, unknown_client
from supercompat.client_adapters.chat import chat_answer, request_of
from supercompat.client_adapters.errors import provider_errors
from supercompat.client_adapters.fetch import ImageFetcher
from supercompat.client_adapters.stainless import Channel, Resource, close, has_chat, is_stainless
from supercompat.client_adapters.threads import ProviderThreads
from supercompat.errors import ConfigurationError
from supercompat.model.events import ModelEvent
from supercompat.model.families import context_window
from supercompat.model.forced_choice import ForcedCallReader, forced_functions, with_schema
from supercompat.model.request import ModelRequest

if TYPE_CHECKING:
    from anthropic import Anthropic, AsyncAnthropic
    from anthropic.lib.bedrock import (
        AnthropicBedrock,
        AnthropicBedrockMantle,
        AsyncAnthropicBedrock,
        AsyncAnthropicBedrockMantle,
    )
    from anthropic.lib.vertex import AnthropicVertex, AsyncAnthropicVertex

    AnyClient: TypeAlias = (
        Anthropic
        | AsyncAnthropic
        | AnthropicBedrock
        | AsyncAnthropicBedrock
        | AnthropicBedrockMantle
        | AsyncAnthropicBedrockMantle
        | AnthropicVertex
        | AsyncAnthropicVertex
    )

#: The last version of the API that takes a temperature.
_SAMPLING_VERSION = "2023-06-01"
_MOST_MODELS = 1_000

Translate: TypeAlias = Callable[[Iterable[ModelEvent]], Iterable[ModelEvent]]


class AnthropicClientAdapter:
    """Answers with an `anthropic.Anthropic` or `AsyncAnthropic`, or with one of the SDK's clients for a cloud
    (Bedrock, Vertex, Foundry, …).

    Args:
        client: used as it is: its key, headers, timeouts and retries apply, and it is never closed.
        max_tokens: the upper bound of an answer in tokens, if its request sets none: Anthropic requires one. By
            default it depends on the model's family, and is 8,192 for an unknown model.
        sampling: whether to send `temperature` and `top_p` with an SDK that has dropped them (1.0 and newer), using
            the version of Anthropic's own API that takes them. By default they are ignored there.

    Raises:
        ConfigurationError: `max_tokens` is below 1, or `sampling` is used with a client for another cloud.
        UnknownClientError: `client` is something else.
    """

    def __init__(self, client: "AnyClient", *, max_tokens: int | None = None, sampling: bool = False) -> None:
        check_tokens("max_tokens", max_tokens)
        if not is_stainless(client) or has_chat(client):
            raise unknown_client(
                client, "an anthropic.Anthropic or AsyncAnthropic, or the SDK's client for a cloud"
            )
        if sampling and not _lists_models(client):
            raise ConfigurationError("sampling=True needs a client of Anthropic's own API.")
        self._client = client
        self._max_tokens = max_tokens
        self._sampling = sampling

    def connect(
        self, *, own_pool: bool, threads: ProviderThreads | None = None, images: ImageFetcher | None = None
    ) -> "AnthropicConnection":
        sampled = "temperature" in inspect.signature(self._client.messages.create).parameters
        headers = {"anthropic-version": _SAMPLING_VERSION} if self._sampling and not sampled else {}
        resource = Resource(partial(_create, headers), _models, is_last=_is_last)
        channel = Channel(self._client, resource, own_pool=own_pool, threads=threads)
        return AnthropicConnection(
            self._client, channel, self._max_tokens, sampling=self._sampling or sampled
        )


class AnthropicConnection:
    """A `Connection` over an SDK client, for the running event loop."""

    def __init__(self, client: Any, channel: Channel, max_tokens: int | None, *, sampling: bool) -> None:
        self._client = client
        self._channel = channel
        self._max_tokens = max_tokens
        self._sampling = sampling

    def context_window(self, model: str) -> int:
        return context_window(model)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        translate: Translate = iter
        if family_of(request.model).thinking == "always" and (functions := forced_functions(request)):
            request = with_schema(request, functions)
            translate = ForcedCallReader().read
        body = request_body(request, max_tokens=self._max_tokens, sampling=self._sampling)
        async with self._channel.chunks(body) as chunks:
            events = self._events(body, chunks, translate)
            try:
                yield events
            finally:
                await close(events)

    @asynccontextmanager
    async def chat(self, params: Mapping[str, Any]) -> AsyncIterator[ChatAnswer]:
        async with self.stream(request_of(params, stop=True)) as events:
            yield await chat_answer(events, params)

    async def models(self) -> list[dict[str, Any]]:
        if not _lists_models(self._client):
            return []
        return [_model(model) for model in await self._channel.models()]

    async def aclose(self) -> None:
        await self._channel.aclose()

    async def _events(
        self, body: Mapping[str, Any], chunks: AsyncIterator[dict[str, Any]], translate: Translate
    ) -> AsyncGenerator[ModelEvent, None]:
        answer = MessageReader()
        with provider_errors(self._client):
            async for chunk in chunks:
                for event in translate(answer.read(chunk)):
                    yield event
            while answer.is_paused:
                async with self._channel.chunks(answer.continued(body)) as chunks:
                    async for chunk in chunks:
                        for event in translate(answer.read(chunk)):
                            yield event
            for event in translate(answer.finish(origin_of(body))):
                yield event


def _create(headers: Mapping[str, str], client: Any, body: Mapping[str, Any], stream: bool) -> Any:
    """Nearly everything goes as `extra_body`, which takes precedence and is not checked against what this SDK's
    version knows. The clouds' clients want the model itself."""
    extra = {name: value for name, value in body.items() if name not in ("model", "max_tokens")}
    return client.messages.create(
        model=body["model"],
        max_tokens=body["max_tokens"],
        messages=[],
        stream=stream,
        extra_body=extra,
        extra_headers=headers,
    )


def _lists_models(client: Any) -> bool:
    """Anthropic's own API does, the clouds do not."""
    return getattr(client, "models", None) is not None


def _models(client: Any) -> Any:
    return client.models.list(limit=_MOST_MODELS)


def _is_last(chunk: Mapping[str, Any]) -> bool:
    return chunk.get("type") == "message_stop"


def _model(model: Mapping[str, Any]) -> dict[str, Any]:
    created = model.get("created_at")
    if isinstance(created, str):
        created = datetime.fromisoformat(created)
    seconds = int(created.timestamp()) if isinstance(created, datetime) else 0
    return {"id": model["id"], "object": "model", "created": seconds, "owned_by": "anthropic"}
