"""Connections over the SDKs of the providers that speak OpenAI's chat completions."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from supercompat.client_adapters.base import ChatAnswer
from supercompat.client_adapters.chunks import close
from supercompat.client_adapters.errors import provider_errors
from supercompat.client_adapters.openai_wire import AnswerReader, MaxTokensField, request_body
from supercompat.client_adapters.responses import ResponsesQuirks, StainlessResponses
from supercompat.client_adapters.stainless import Channel, Resource
from supercompat.client_adapters.threads import ProviderThreads
from supercompat.model.events import ModelEvent
from supercompat.model.families import context_window
from supercompat.model.forced_choice import ForcedCallReader, forced_functions, with_schema
from supercompat.model.request import JsonSchemaFormat, ModelRequest

ForcedToolChoice: TypeAlias = Literal["native", "json_schema"]


@dataclass(frozen=True, slots=True)
class Quirks:
    """How a provider deviates from OpenAI.

    Args:
        responses: how its Responses API does.
        max_tokens_field: the name of the field for the upper bound of an answer.
        usage_option: whether a stream has to be asked to report its usage.
        streams_schemas: whether an answer that has to fit a JSON schema can be streamed; else it comes at once.
        forced_tool_choice: whether the server honours a forced tool choice, or has to be held to it by a schema.
        context_window: how many tokens its models take, prompt and answer together; None for what is known of each.
        chat_body: makes the body that is sent from that of a chat request which is passed through.
    """

    responses: ResponsesQuirks
    max_tokens_field: MaxTokensField = "max_completion_tokens"
    usage_option: bool = True
    streams_schemas: bool = True
    forced_tool_choice: ForcedToolChoice = "native"
    context_window: int | None = None
    chat_body: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict


class CompletionsConnection:
    """A `Connection` over an SDK client, for the running event loop.

    Args:
        client: the user's. It is never closed, and referred to for as long as the connection lives.
        own_pool: whether the loop is not the one that an asynchronous client belongs to.
        threads: those for a synchronous client; None for 64 of its own.

    Attributes:
        responses: the client's Responses API.
    """

    def __init__(
        self, client: Any, quirks: Quirks, *, own_pool: bool, threads: ProviderThreads | None
    ) -> None:
        self._client = client
        self._quirks = quirks
        self._channel = Channel(client, _RESOURCE, own_pool=own_pool, threads=threads)
        self.responses = StainlessResponses(client, self._channel, quirks.responses)

    def context_window(self, model: str) -> int:
        return self._quirks.context_window or context_window(model)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        translate: Callable[[Iterable[ModelEvent]], Iterable[ModelEvent]] = iter
        if self._quirks.forced_tool_choice == "json_schema" and (functions := forced_functions(request)):
            request = with_schema(request, functions)
            translate = ForcedCallReader().read
        at_once = isinstance(request.response_format, JsonSchemaFormat) and not self._quirks.streams_schemas
        body = request_body(
            request,
            max_tokens_field=self._quirks.max_tokens_field,
            usage_option=self._quirks.usage_option,
            stream=not at_once,
        )
        async with self._one_chunk(body) if at_once else self._channel.chunks(body) as chunks:
            events = self._events(chunks, translate)
            try:
                yield events
            finally:
                await close(events)

    @asynccontextmanager
    async def chat(self, params: Mapping[str, Any]) -> AsyncIterator[ChatAnswer]:
        body = self._quirks.chat_body(params)
        if not body.get("stream"):
            yield ChatAnswer(body=await self._channel.complete(body))
            return
        async with self._channel.chunks(body) as chunks:
            yield ChatAnswer(chunks=chunks)

    async def models(self) -> list[dict[str, Any]]:
        return await self._channel.models()

    async def aclose(self) -> None:
        await self._channel.aclose()

    @asynccontextmanager
    async def _one_chunk(self, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        async def chunks() -> AsyncIterator[dict[str, Any]]:
            yield answer

        answer = await self._channel.complete(body)
        yield chunks()

    async def _events(
        self,
        chunks: AsyncIterator[dict[str, Any]],
        translate: Callable[[Iterable[ModelEvent]], Iterable[ModelEvent]],
    ) -> AsyncGenerator[ModelEvent, None]:
        answer = AnswerReader()
        with provider_errors(self._client):
            async for chunk in chunks:
                for event in translate(answer.read(chunk)):
                    yield event
            for event in translate(answer.finish()):
                yield event


def _create(client: Any, body: Mapping[str, Any], stream: bool) -> Any:
    """Everything goes as `extra_body`: it takes precedence, is not checked against what this SDK's version knows,
    and spares the transformation of each message, which for a long conversation takes longer than all else."""
    how: dict[str, Any] = {"stream": True} if stream else {}
    return client.chat.completions.create(model=body.get("model", ""), messages=[], extra_body=body, **how)


def _models(client: Any) -> Any:
    return client.models.list()


_RESOURCE = Resource(_create, _models)
