"""Requests through the SDKs that Stainless generates (openai, anthropic, …), whose clients are all of one shape."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
)
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol, cast

from supercompat.client_adapters.chunks import Piece, chunks_of, close
from supercompat.client_adapters.errors import error_in_answer, provider_errors
from supercompat.client_adapters.threads import Call, ProviderThreads, watch


@dataclass(frozen=True, slots=True)
class Resource:
    """What is called of an SDK. Both functions return what the SDK does: an awaitable, for an asynchronous client.

    Args:
        create: sends a request: takes the client, the body, and whether the answer is to be streamed.
        models: asks for a list of models.
        is_last: whether nothing follows a chunk, for a wire that does not end with `[DONE]`.
    """

    create: Callable[[Any, Mapping[str, Any], bool], Any]
    models: Callable[[Any], Any]
    is_last: Callable[[Mapping[str, Any]], bool] = lambda _: False


class Channel:
    """Requests through an SDK client, for the running event loop. Raises `ProviderError` for what the SDK raises.

    Args:
        client: the user's. It is never closed, and referred to for as long as the channel lives.
        own_pool: whether the loop is not the one that an asynchronous client belongs to.
        threads: those for a synchronous client; None for 64 of its own.
    """

    def __init__(
        self, client: Any, resource: Resource, *, own_pool: bool, threads: ProviderThreads | None
    ) -> None:
        self._client = client
        self._resource = resource
        self._transfer: _Transfer
        if is_asynchronous(client):
            self._transfer = _LoopTransfer(client, own_pool=own_pool)
        else:
            self._transfer = _ThreadTransfer(client, threads or ProviderThreads())

    def speaking(self, resource: Resource) -> "Channel":
        """Another resource of the same client, over the same connections. Only the first channel is to be closed."""
        other = copy(self)
        other._resource = resource
        return other

    @asynccontextmanager
    async def chunks(self, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The chunks of a streamed answer. Leaving the context closes the provider's stream."""
        async with AsyncExitStack() as stack:
            with provider_errors(self._client):
                pieces = await stack.enter_async_context(self._transfer.stream(self._resource, body))
            chunks = chunks_of(pieces, self._client, is_last=self._resource.is_last)
            yield await stack.enter_async_context(chunks)

    async def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """An answer that is not streamed."""
        with provider_errors(self._client):
            return await self._transfer.complete(self._resource, body)

    async def models(self) -> list[dict[str, Any]]:
        """The models, as the provider describes them."""
        with provider_errors(self._client):
            return await self._transfer.models(self._resource)

    async def aclose(self) -> None:
        """Close what was opened here; never the client."""
        await self._transfer.aclose()


def is_stainless(client: object) -> bool:
    """Whether it is a client of such an SDK, synchronous or asynchronous."""
    return any(kind.__name__ in ("SyncAPIClient", "AsyncAPIClient") for kind in type(client).__mro__)


def is_asynchronous(client: object) -> bool:
    """Whether the client's methods are to be awaited."""
    return any(kind.__name__ == "AsyncAPIClient" for kind in type(client).__mro__)


def has_chat(client: object) -> bool:
    """Whether it is a client of such an SDK that has chat completions. Looks without loading them: the attribute is a
    property of the class, or, in the oldest releases, a member of the client."""
    return is_stainless(client) and (hasattr(type(client), "chat") or "chat" in vars(client))


class _Transfer(Protocol):
    """Sends requests through the SDK. Raises what the SDK raises."""

    def stream(
        self, resource: Resource, body: Mapping[str, Any]
    ) -> AbstractAsyncContextManager[AsyncIterator[Piece]]: ...

    async def complete(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]: ...

    async def models(self, resource: Resource) -> list[dict[str, Any]]: ...

    async def aclose(self) -> None: ...


class _LoopTransfer:
    """An asynchronous client on the running loop."""

    def __init__(self, client: Any, *, own_pool: bool) -> None:
        self._pool = _new_pool(client) if own_pool else None
        self._client = client if self._pool is None else client.with_options(http_client=self._pool)

    @asynccontextmanager
    async def stream(
        self, resource: Resource, body: Mapping[str, Any]
    ) -> AsyncIterator[AsyncIterator[Piece]]:
        stream = await resource.create(self._client, body, True)
        response = _response(stream)
        pieces: AsyncIterator[Piece] = (
            (_plain(chunk) async for chunk in stream) if response is None else response.aiter_bytes()
        )
        try:
            yield pieces
        finally:
            await close(pieces)
            await close(stream if response is None else response)

    async def complete(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        return _plain(await resource.create(self._client, body, False))

    async def models(self, resource: Resource) -> list[dict[str, Any]]:
        return _plain(await resource.models(self._client))["data"]

    async def aclose(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()


class _ThreadTransfer:
    """A synchronous client, in a thread for each request."""

    def __init__(self, client: Any, threads: ProviderThreads) -> None:
        watch(client._client)
        self._client = client
        self._threads = threads

    def stream(
        self, resource: Resource, body: Mapping[str, Any]
    ) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        return self._threads.stream(lambda call: self._pieces(resource, body, call))

    async def complete(self, resource: Resource, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._threads.run(lambda call: _plain(resource.create(self._client, body, False)))

    async def models(self, resource: Resource) -> list[dict[str, Any]]:
        return await self._threads.run(lambda _: _plain(resource.models(self._client))["data"])

    async def aclose(self) -> None:
        await self._threads.aclose()

    @contextmanager
    def _pieces(self, resource: Resource, body: Mapping[str, Any], call: Call) -> Iterator[Iterable[Piece]]:
        stream = resource.create(self._client, body, True)
        response = _response(stream)
        with closing(stream if response is None else response):
            call.check()
            if response is None:
                yield (_plain(chunk) for chunk in stream)
            else:
                yield response.iter_bytes()


def _response(stream: Any) -> Any | None:
    """The httpx response under an SDK's stream, to be read without the SDK. None under anything else, for a wire
    that is no text, as Bedrock's, and where the SDK itself traces what it reads."""
    response: Any = getattr(stream, "response", None)
    if not hasattr(response, "aiter_bytes"):
        return None
    is_binary = "amazon.eventstream" in response.headers.get("content-type", "")
    is_traced = getattr(response.stream, "stream_observer", None) is not None
    return None if is_binary or is_traced else response


def _new_pool(client: Any) -> Any | None:
    """An httpx client such as the SDK makes for itself; None if the user gave one of their own, whose proxies or
    transports must not be lost."""
    kind = cast(Callable[..., Any], type(getattr(client, "_client", None)))
    return kind(timeout=client.timeout) if kind.__name__ == "AsyncHttpxClientWrapper" else None


def _plain(answer: Any) -> dict[str, Any]:
    """An object of the SDK's as the provider sent it. A page of HTML, which a wrong `base_url` gives, is a text."""
    if isinstance(answer, dict):
        return cast(dict[str, Any], answer)
    if isinstance(answer, str):
        raise error_in_answer(f"The provider sent no JSON, but: {answer[:200]}")
    # Answers are not validated, so that what does not fit the types is no reason to warn.
    return answer.model_dump(by_alias=True, exclude_unset=True, warnings=False)
