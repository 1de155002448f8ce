"""The client of Mistral's SDK: one object with both a synchronous and an asynchronous HTTP client in it."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
)
from copy import copy
from typing import TYPE_CHECKING, Any, Protocol, cast

from supercompat.client_adapters.base import ChatAnswer, unknown_client
from supercompat.client_adapters.chat import chat_answer, request_of
from supercompat.client_adapters.chunks import Piece, chunks_of, close
from supercompat.client_adapters.errors import provider_errors
from supercompat.client_adapters.fetch import ImageFetcher
from supercompat.client_adapters.mistral.request import chat_knobs, mistral_body
from supercompat.client_adapters.mistral.stream import MistralAnswerReader
from supercompat.client_adapters.threads import Call, ProviderThreads, watch
from supercompat.model.events import ModelEvent
from supercompat.model.families import context_window
from supercompat.model.request import ModelRequest

if TYPE_CHECKING:
    from mistralai.azure.client import MistralAzure
    from mistralai.client import Mistral
    from mistralai.gcp.client import MistralGCP

_NAMES = frozenset(("Mistral", "MistralAzure", "MistralGCP"))


class MistralClientAdapter:
    """Answers with a `mistralai.client.Mistral`, or with its siblings for Azure and for Google Cloud.

    If the SDK was given an HTTP client, that is used: its `async_client` on its own event loop, else its `client`, in
    threads. If it was given none, connections are opened, which are closed together with supercompat's client.

    Args:
        client: used as it is: its key, server, retries and timeouts apply, and it is never closed.

    Raises:
        UnknownClientError: `client` is something else.
    """

    def __init__(self, client: "Mistral | MistralAzure | MistralGCP") -> None:
        if not any(
            kind.__name__ in _NAMES and kind.__module__.startswith("mistralai.")
            for kind in type(client).__mro__
        ):
            raise unknown_client(
                client, "a mistralai.client.Mistral, or the SDK's client for Azure or Google Cloud"
            )
        self._client = client

    def connect(
        self, *, own_pool: bool, threads: ProviderThreads | None = None, images: ImageFetcher | None = None
    ) -> "MistralConnection":
        return MistralConnection(self._client, own_pool=own_pool, threads=threads)


class MistralConnection:
    """A `Connection` over Mistral's SDK, for the running event loop.

    Args:
        client: the user's, referred to for as long as the connection lives: it closes when it is forgotten.
        own_pool: whether the loop is not the one that an asynchronous HTTP client of the user's belongs to.
        threads: those for a synchronous HTTP client of the user's; None for 64 of its own.
    """

    def __init__(self, client: Any, *, own_pool: bool, threads: ProviderThreads | None) -> None:
        self._client = client
        self._transfer: _Transfer
        config = client.sdk_configuration
        if config.client_supplied and (own_pool or not config.async_client_supplied):
            self._transfer = _ThreadTransfer(client, threads or ProviderThreads())
        else:
            self._transfer = _LoopTransfer(client)

    def context_window(self, model: str) -> int:
        return context_window(model)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        async with self._answer(mistral_body(request), request.model) as events:
            yield events

    @asynccontextmanager
    async def chat(self, params: Mapping[str, Any]) -> AsyncIterator[ChatAnswer]:
        request = request_of(params, stop=True)
        async with self._answer(mistral_body(request) | chat_knobs(params), request.model) as events:
            yield await chat_answer(events, params)

    async def models(self) -> list[dict[str, Any]]:
        """None for the SDK's clients for Azure and Google Cloud, which can't list them."""
        if not hasattr(self._client, "models"):
            return []
        with provider_errors(self._client):
            listed = await self._transfer.models()
        # Some stand in the list once for each of their names.
        return list({model["id"]: model for model in map(_model, listed)}.values())

    async def aclose(self) -> None:
        await self._transfer.aclose()

    @asynccontextmanager
    async def _answer(self, body: Mapping[str, Any], model: str) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        async with AsyncExitStack() as stack:
            with provider_errors(self._client):
                pieces = await stack.enter_async_context(self._transfer.stream(body))
            chunks = await stack.enter_async_context(chunks_of(pieces, self._client))
            events = self._events(chunks, MistralAnswerReader(model))
            try:
                yield events
            finally:
                await close(events)

    async def _events(
        self, chunks: AsyncIterator[dict[str, Any]], answer: MistralAnswerReader
    ) -> AsyncGenerator[ModelEvent, None]:
        with provider_errors(self._client):
            async for chunk in chunks:
                for event in answer.read(chunk):
                    yield event
            for event in answer.finish():
                yield event


class _Transfer(Protocol):
    """Sends requests through the SDK. Raises what the SDK raises."""

    def stream(self, body: Mapping[str, Any]) -> AbstractAsyncContextManager[AsyncIterator[Piece]]: ...

    async def models(self) -> Iterable[Any]: ...

    async def aclose(self) -> None: ...


class _LoopTransfer:
    """The SDK's asynchronous methods on the running loop."""

    def __init__(self, client: Any) -> None:
        config = client.sdk_configuration
        self._client = client
        self._own = None if config.async_client_supplied else _new_pool(config.async_client)
        self._pool = config.async_client if self._own is None else self._own

    @asynccontextmanager
    async def stream(self, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[Piece]]:
        http = _LoopHttp(self._pool, body)
        try:
            chat = _resource(self._client, "chat", {"async_client": http})
            stream = await chat.stream_async(model=body["model"], messages=[])
            response = getattr(stream, "response", None)
            pieces: AsyncIterator[Piece] = (
                (_plain(event.data) async for event in stream) if response is None else response.aiter_bytes()
            )
            try:
                yield pieces
            finally:
                await close(pieces)
                # Not every release of the SDK's has a way to close its own stream but the response.
                if response is None:
                    await close(stream)
        finally:
            # The SDK forgets a response that came while it was cancelled.
            if http.response is not None:
                await close(http.response)

    async def models(self) -> Iterable[Any]:
        models = _resource(self._client, "models", {"async_client": self._pool})
        return (await models.list_async()).data or ()

    async def aclose(self) -> None:
        if self._own is not None:
            await self._own.aclose()


class _ThreadTransfer:
    """The SDK's synchronous methods, in a thread for each request."""

    def __init__(self, client: Any, threads: ProviderThreads) -> None:
        watch(client.sdk_configuration.client)
        self._client = client
        self._threads = threads

    def stream(self, body: Mapping[str, Any]) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        return self._threads.stream(lambda call: self._pieces(body, call))

    async def models(self) -> Iterable[Any]:
        return await self._threads.run(lambda _: self._client.models.list().data or ())

    async def aclose(self) -> None:
        await self._threads.aclose()

    @contextmanager
    def _pieces(self, body: Mapping[str, Any], call: Call) -> Iterator[Iterable[Piece]]:
        http = _ThreadHttp(self._client.sdk_configuration.client, body)
        try:
            chat = _resource(self._client, "chat", {"client": http})
            stream = chat.stream(model=body["model"], messages=[])
            response = getattr(stream, "response", None)
            with closing(stream if response is None else response):
                call.check()
                yield (_plain(event.data) for event in stream) if response is None else response.iter_bytes()
        finally:
            if http.response is not None:
                http.response.close()


class _Http:
    """What the SDK sends one request through: the HTTP client that it has, and the body as it was made here.

    The SDK itself would make objects of pydantic's of the whole conversation, without what its release does not
    know, and without each null in a schema.

    Attributes:
        response: the last one that came.
    """

    def __init__(self, client: Any, body: Mapping[str, Any]) -> None:
        self._client = client
        self._content = json.dumps(body)
        self.response: Any = None

    def build_request(self, method: str, url: Any, **parts: Any) -> Any:
        return self._client.build_request(method, url, **{**parts, "content": self._content})


class _LoopHttp(_Http):
    async def send(self, request: Any, **how: Any) -> Any:
        self.response = await self._client.send(request, **how)
        return self.response


class _ThreadHttp(_Http):
    def send(self, request: Any, **how: Any) -> Any:
        self.response = self._client.send(request, **how)
        return self.response


def _resource(client: Any, name: str, http: Mapping[str, Any]) -> Any:
    """A resource of the client, such as `chat`, that sends through another HTTP client than its own."""
    config = copy(client.sdk_configuration)
    for field, value in http.items():
        setattr(config, field, value)
    return type(getattr(client, name))(config)


def _new_pool(client: Any) -> Any:
    """An HTTP client such as the SDK makes for itself."""
    return type(client)(follow_redirects=client.follow_redirects, params=client.params)


def _plain(chunk: Any) -> dict[str, Any]:
    """A chunk of the SDK's, where something of the user's, such as a tracer, hides the response under it."""
    return chunk.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)


def _model(listed: Any) -> dict[str, Any]:
    raw = getattr(listed, "raw", None)
    members = cast(dict[str, Any], raw) if isinstance(raw, dict) else _plain(listed)
    return {
        "id": str(members.get("id")),
        "object": "model",
        "created": members.get("created") or 0,
        "owned_by": members.get("owned_by") or "mistralai",
    }
