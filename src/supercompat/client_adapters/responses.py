"""The Responses API through an SDK client: also of an SDK that has no such resource, by its raw `post` and `get`."""

import asyncio
import re
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import anyio

from supercompat.client_adapters.base import ResponsesSupport
from supercompat.client_adapters.chunks import close
from supercompat.client_adapters.errors import provider_errors
from supercompat.client_adapters.openai_responses import (
    Recall,
    ResponseReader,
    Way,
    handle_of,
    included,
    is_last,
    request_body,
)
from supercompat.client_adapters.stainless import Channel, Resource, is_asynchronous
from supercompat.errors import ProviderError
from supercompat.model.events import ModelEvent
from supercompat.model.families import is_reasoning, may_reason
from supercompat.model.request import JsonSchemaFormat, ModelRequest

#: Seconds between two looks at a response that is not streamed.
POLL_EVERY = 1.0

#: How often in a row a stream of a background response is opened again without having said anything.
MOST_TRIES = 5

#: Seconds for which the cancellation of a background response waits to hear what the provider calls it.
KNOWN_WITHIN = 5.0

#: What a provider answers that has the response, but does not stream what it says in the background.
NOT_STREAMED = (400, 405, 422, 501)

#: How a provider speaks of an answer that it does not keep.
_OF_AN_ANSWER = re.compile(r"previous.response|\bresp_|response with id", re.IGNORECASE)

#: How it says that a model's reasoning does not come encrypted.
_OF_SEALS = re.compile(r"encrypted.content is not supported", re.IGNORECASE)

#: How it speaks of an item that it does not know or can't read, or of one that misses another.
_OF_AN_ITEM = re.compile(
    r"encrypted.content|\bitem\b.{0,12}\b[a-z]{2,4}_|reasoning.{0,6} item", re.IGNORECASE
)

_ENDED = ("completed", "incomplete", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class ResponsesQuirks:
    """How a provider's Responses API deviates from OpenAI's.

    Args:
        path: of the resource, below the client's base URL.
        streams_schemas: whether an answer that has to fit a JSON schema can be streamed.
        has_extras: whether it knows `store`, `include`, `truncation` and `metadata`.
    """

    support: ResponsesSupport
    path: str = "/responses"
    streams_schemas: bool = True
    has_extras: bool = True


class StainlessResponses:
    """The `Responses` of a connection.

    Args:
        channel: any of the client's; it is left open.
    """

    def __init__(self, client: Any, channel: Channel, quirks: ResponsesQuirks) -> None:
        self._client = client
        self._channel = channel.speaking(_RESOURCE)
        self._quirks = quirks
        self._server = urlsplit(str(client.base_url)).netloc
        # Models that were found to have no reasoning to encrypt.
        self._unsealed: set[str] = set()

    def hosted_tools(self, model: str | None) -> frozenset[str]:
        return self._quirks.support.hosted_tools

    def can_resume(self, model: str, handle: Mapping[str, Any]) -> bool:
        return handle_of(handle, self._server) is not None

    @asynccontextmanager
    async def answer(
        self,
        request: ModelRequest,
        *,
        store: bool | None,
        background: bool,
        handle: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        way = self._way(request, store, background)
        reader = ResponseReader(way, request.model)
        async with AsyncExitStack() as stack:
            if response_id := handle_of(handle, self._server):
                reader.id = response_id
                chunks = await self._again(request, reader, stack)
                events = self._events(request, chunks, reader, way, stack)
            else:
                events = await self._begin(request, reader, way, stack)
            try:
                yield events
            finally:
                await close(events)

    async def _begin(
        self, request: ModelRequest, reader: ResponseReader, way: Way, stack: AsyncExitStack
    ) -> AsyncGenerator[ModelEvent, None]:
        """Ask. What goes on in the background has to be known before it can be cancelled: a cancellation waits for
        that, if it does not take too long."""
        if not way.background:
            chunks = await self._ask(request, way, stack)
            return self._events(request, chunks, reader, way, stack)
        with anyio.CancelScope(shield=True) as scope:
            waiting = asyncio.get_running_loop().call_later(KNOWN_WITHIN, _lift, scope)
            try:
                chunks = await self._ask(request, way, stack)
                events = self._events(request, chunks, reader, way, stack)
                first = await anext(events, None)
            finally:
                waiting.cancel()
            return _from(first, events)
        raise AssertionError("unreachable")

    async def cancel(self, model: str, handle: Mapping[str, Any]) -> None:
        if response_id := handle_of(handle, self._server):
            await self._channel.complete(self._post(f"/{response_id}/cancel"))

    def _way(self, request: ModelRequest, store: bool | None, background: bool) -> Way:
        has_schema = isinstance(request.response_format, JsonSchemaFormat)
        return Way(
            server=self._server,
            store=background or (self._quirks.support.stores if store is None else store),
            background=background,
            seals=self._seals(request.model),
            stream=self._quirks.streams_schemas or not has_schema,
            has_extras=self._quirks.has_extras,
        )

    def _seals(self, model: str) -> bool:
        """Whether to ask for encrypted reasoning. Only of OpenAI's own servers it is known how they refuse that."""
        is_possible = is_reasoning(model) or (self._quirks.support.stores and may_reason(model))
        return is_possible and model not in self._unsealed

    async def _ask(
        self, request: ModelRequest, way: Way, stack: AsyncExitStack
    ) -> AsyncIterator[dict[str, Any]]:
        """Ask. What the provider does not know any more, or does not trust, is asked in another way: the thread is the
        truth, and all of it is here."""
        while True:
            body = request_body(request, way)
            try:
                return await self._opened(body, way, stack)
            except ProviderError as error:
                way = self._other_way(error, request, body, way)

    def _other_way(
        self, error: ProviderError, request: ModelRequest, body: Mapping[str, Any], way: Way
    ) -> Way:
        """The way to ask again.

        Raises:
            ProviderError: the one that is given, if there is none.
        """
        if way.seals and error.status == 400 and _OF_SEALS.search(error.message):
            self._unsealed.add(request.model)
            return replace(way, seals=False)
        recall = _other_recall(error, body)
        if recall is None or recall == way.recall:
            raise error
        return replace(way, recall=recall)

    async def _opened(
        self, body: Mapping[str, Any], way: Way, stack: AsyncExitStack
    ) -> AsyncIterator[dict[str, Any]]:
        if way.stream:
            return await stack.enter_async_context(self._channel.chunks(self._post(body=body)))
        return _one(await self._channel.complete(self._post(body=body)))

    async def _again(
        self, request: ModelRequest, reader: ResponseReader, stack: AsyncExitStack
    ) -> AsyncIterator[dict[str, Any]]:
        """What a response in the background has said since, or all of it where the provider does not stream that."""
        include = included(request)
        query: dict[str, Any] = {"include": include} if include else {}
        ask = {"method": "GET", "path": f"{self._quirks.path}/{reader.id}", "query": query}
        streamed: dict[str, Any] = {"stream": "true"}
        if reader.number >= 0:
            streamed["starting_after"] = reader.number
        try:
            chunks = self._channel.chunks({**ask, "query": {**query, **streamed}})
            return await stack.enter_async_context(chunks)
        except ProviderError as error:
            if error.status not in NOT_STREAMED:
                raise
            return self._poll(ask)

    async def _poll(self, ask: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        response = await self._channel.complete(ask)
        while response.get("status") not in _ENDED:
            await asyncio.sleep(POLL_EVERY)
            response = await self._channel.complete(ask)
        yield response

    async def _events(
        self,
        request: ModelRequest,
        chunks: AsyncIterator[dict[str, Any]] | None,
        reader: ResponseReader,
        way: Way,
        stack: AsyncExitStack,
    ) -> AsyncGenerator[ModelEvent, None]:
        tries = 0
        with provider_errors(self._client):
            while True:
                before = reader.number
                try:
                    if chunks is None:
                        chunks = await self._again(request, reader, stack)
                    async for chunk in chunks:
                        is_whole = chunk.get("object") == "response"
                        for event in reader.read_whole(chunk) if is_whole else reader.read(chunk):
                            yield event
                except ProviderError as error:
                    if not _is_broken(error) or not _can_go_on(reader, way, tries):
                        raise
                if reader.is_over or not _can_go_on(reader, way, tries):
                    return
                await stack.aclose()
                tries = 0 if reader.number > before else tries + 1
                await asyncio.sleep(POLL_EVERY * tries)
                chunks = None

    def _post(self, below: str = "", body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return {"method": "POST", "path": f"{self._quirks.path}{below}", "body": body}


def _can_go_on(reader: ResponseReader, way: Way, tries: int) -> bool:
    return way.background and bool(reader.id) and not reader.is_over and tries < MOST_TRIES


def _is_broken(error: ProviderError) -> bool:
    """Whether the way to the provider failed, or the provider for a moment, not the answer."""
    if error.status is None:
        return error.body is None
    return error.status in (408, 429) or error.status >= 500


def _other_recall(error: ProviderError, body: Mapping[str, Any]) -> Recall | None:
    """How to remind a provider that refused how it was reminded; None if it refused something else."""
    if error.status not in (400, 404):
        return None
    # Not all say the code, nor each the same one.
    said = f"{(error.body or {}).get('code')} {error.message}"
    if "previous_response_id" in body:
        return "items" if _OF_AN_ANSWER.search(said) else None
    return "words" if _OF_AN_ITEM.search(said) else None


def _lift(scope: anyio.CancelScope) -> None:
    scope.shield = False


async def _from(
    first: ModelEvent | None, others: AsyncGenerator[ModelEvent, None]
) -> AsyncGenerator[ModelEvent, None]:
    async with aclosing(others):
        if first is not None:
            yield first
        async for event in others:
            yield event


async def _one(answer: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    yield answer


def _send(client: Any, ask: Mapping[str, Any], stream: bool) -> Any:
    how: dict[str, Any] = {"cast_to": object, "stream": stream}
    if stream:
        how["stream_cls"] = _stream_class(client)
    if ask["method"] == "GET":
        return client.get(ask["path"], options={"params": ask.get("query") or {}}, **how)
    return client.post(ask["path"], body=ask["body"], **how)


def _stream_class(client: Any) -> Any:
    """What the client's SDK reads a stream with, which its resources say and its raw methods have to be told."""
    name = "AsyncStream" if is_asynchronous(client) else "Stream"
    kind = next(kind for kind in type(client).__mro__ if kind.__name__ in ("SyncAPIClient", "AsyncAPIClient"))
    # Not the package of a subclass, which may be the user's.
    return getattr(sys.modules[kind.__module__.partition(".")[0]], name)[object]


def _models(client: Any) -> Any:
    return client.models.list()


_RESOURCE = Resource(_send, _models, is_last)
