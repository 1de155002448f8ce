"""The connection over a `google.genai.Client`: which of its two faces is asked, and how its answers are read."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Protocol

from supercompat.client_adapters.base import ChatAnswer, unknown_client
from supercompat.client_adapters.chat import chat_answer, request_of
from supercompat.client_adapters.errors import provider_errors
from supercompat.client_adapters.fetch import ImageFetcher
from supercompat.client_adapters.google.request import request_params
from supercompat.client_adapters.google.stream import AnswerReader
from supercompat.client_adapters.threads import Call, ProviderThreads, watch
from supercompat.errors import ProviderError
from supercompat.model.events import ModelEvent
from supercompat.model.families import context_window
from supercompat.model.request import ImagePart, ModelRequest, UserTurn

if TYPE_CHECKING:
    from google.genai import Client


class GoogleClientAdapter:
    """Answers with a `google.genai.Client`, of the Gemini API or of Google Cloud.

    Such a client has both asynchronous and blocking methods. On the user's event loop it is called through `.aio`; on
    any other, such as the one behind the synchronous door, through its blocking methods in threads, which belong to no
    loop. Retries and timeouts are the client's own: by default it tries once and waits forever.

    Args:
        client: used as it is, and never closed. The adapter keeps a reference to it for as long as it lives:
            the SDK closes a client that is not referenced any more.

    Raises:
        UnknownClientError: `client` is something else.
    """

    def __init__(self, client: "Client") -> None:
        if not any(_is_whole(kind) for kind in type(client).__mro__):
            raise unknown_client(client, "a google.genai.Client (the client itself, not its .aio)")
        self._client = client

    def connect(
        self, *, own_pool: bool, threads: ProviderThreads | None = None, images: ImageFetcher | None = None
    ) -> "GoogleConnection":
        transfer = (
            _ThreadTransfer(self._client, threads or ProviderThreads())
            if own_pool
            else _LoopTransfer(self._client)
        )
        return GoogleConnection(self._client, transfer, images or ImageFetcher())


class GoogleConnection:
    """A `Connection` for the running event loop."""

    def __init__(self, client: "Client", transfer: "_Transfer", images: ImageFetcher) -> None:
        self._client = client
        self._transfer = transfer
        self._images = images

    def context_window(self, model: str) -> int:
        return context_window(model)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        params = request_params(request, await self._images.images(_image_urls(request)))
        reader = AnswerReader(request.model, one_call=request.parallel_tool_calls is False)
        async with AsyncExitStack() as stack:
            with provider_errors(self._client):
                chunks = await stack.enter_async_context(self._transfer.stream(params))
            yield self._events(chunks, reader)

    @asynccontextmanager
    async def chat(self, params: Mapping[str, Any]) -> AsyncIterator[ChatAnswer]:
        async with self.stream(request_of(params, stop=True)) as events:
            yield await chat_answer(events, params)

    async def models(self) -> list[dict[str, Any]]:
        with provider_errors(self._client):
            return [_model(model) for model in await self._transfer.models() if _answers(model)]

    async def aclose(self) -> None:
        await self._transfer.aclose()

    async def _events(self, chunks: AsyncIterator[Any], reader: AnswerReader) -> AsyncIterator[ModelEvent]:
        with provider_errors(self._client):
            async for chunk in chunks:
                for event in reader.read(_plain(chunk)):
                    yield event
            for event in reader.finish():
                yield event


class _Transfer(Protocol):
    """Sends requests through the SDK. Raises what the SDK raises."""

    def stream(self, params: Mapping[str, Any]) -> AbstractAsyncContextManager[AsyncIterator[Any]]: ...

    async def models(self) -> list[Any]: ...

    async def aclose(self) -> None: ...


class _LoopTransfer:
    """The asynchronous face, on the running loop.

    The SDK's stream is a generator around generators, which sends the request when it is first read. Closing the
    outermost leaves the others, and with them the socket, to the garbage collector. So a task of its own reads it,
    and is cancelled inside of whatever it waits for: each of them ends in its turn.
    """

    def __init__(self, client: Any) -> None:
        self._models = client.aio.models

    @asynccontextmanager
    async def stream(self, params: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[Any]]:
        answer = _Answer()
        reading = asyncio.create_task(self._read(params, answer))
        try:
            await answer.begun()
            yield answer
        finally:
            reading.cancel()
            await asyncio.wait([reading])

    async def _read(self, params: Mapping[str, Any], answer: "_Answer") -> None:
        try:
            async for chunk in await self._models.generate_content_stream(**params):
                answer.put(chunk)
        except asyncio.CancelledError:
            answer.end(ProviderError("The answer was left before it ended."))
            raise
        except Exception as error:
            answer.end(error)
        else:
            answer.end()

    async def models(self) -> list[Any]:
        return [model async for model in await self._models.list()]

    async def aclose(self) -> None:
        """The pool belongs to the user's client, on the user's loop."""


class _ThreadTransfer:
    """The blocking face, in a thread for each request."""

    def __init__(self, client: Any, threads: ProviderThreads) -> None:
        watch(client._api_client._httpx_client)
        self._models = client.models
        self._threads = threads

    def stream(self, params: Mapping[str, Any]) -> AbstractAsyncContextManager[AsyncIterator[Any]]:
        return self._threads.stream(lambda call: self._chunks(params, call))

    async def models(self) -> list[Any]:
        return await self._threads.run(lambda _: list(self._models.list()))

    async def aclose(self) -> None:
        await self._threads.aclose()

    @contextmanager
    def _chunks(self, params: Mapping[str, Any], call: Call) -> Iterator[Iterable[Any]]:
        call.check()
        chunks: Iterator[Any] = iter(self._models.generate_content_stream(**params))
        try:
            # The first step sends the request.
            first = list(islice(chunks, 1))
            call.check()
            yield chain(first, chunks)
        finally:
            # A tracer may have put something else in its place.
            close = getattr(chunks, "close", None)
            if close is not None:
                close()


class _Answer:
    """What one task has read so far, for another. It is not bounded: an answer is."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._news = asyncio.Event()
        self._is_over = False
        self._error: Exception | None = None

    def put(self, item: Any) -> None:
        self._items.append(item)
        self._news.set()

    def end(self, error: Exception | None = None) -> None:
        self._is_over, self._error = True, error
        self._news.set()

    async def begun(self) -> None:
        """Returns when there is something to read, or nothing will be.

        Raises:
            Exception: what the answer ended with, before it began.
        """
        while not (self._items or self._is_over):
            await self._news.wait()
            self._news.clear()
        if self._error is not None and not self._items:
            raise self._error

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        await self.begun()
        if self._items:
            return self._items.popleft()
        raise StopAsyncIteration


def _is_whole(kind: type) -> bool:
    """Whether a class is the SDK's client, and not only its asynchronous half."""
    return kind.__name__ == "Client" and kind.__module__.startswith("google.genai.")


def _image_urls(request: ModelRequest) -> Iterator[str]:
    for turn in request.turns:
        if isinstance(turn, UserTurn):
            yield from (part.url for part in turn.content if isinstance(part, ImagePart))


def _plain(answer: Any) -> dict[str, Any]:
    """An object of the SDK's with the names of the wire."""
    # Answers are not validated, so that what does not fit the types is no reason to warn.
    return answer.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"sdk_http_response"}, warnings=False
    )


def _answers(model: Any) -> bool:
    """Whether a model generates content, as far as is said: others make embeddings, or pictures."""
    actions = getattr(model, "supported_actions", None)
    return not actions or "generateContent" in actions


def _model(model: Any) -> dict[str, Any]:
    name = str(model.name).removeprefix("publishers/google/").removeprefix("models/")
    return {"id": name, "object": "model", "created": 0, "owned_by": "google"}
