"""Connections over the SDKs that Stainless generates (openai, groq, …), whose clients are all of one shape."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
)
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, cast

from supercompat.client_adapters.base import ChatAnswer
from supercompat.client_adapters.chunks import Piece, chunks_of, close
from supercompat.client_adapters.errors import error_in_answer, provider_errors
from supercompat.client_adapters.openai_wire import AnswerReader, MaxTokensField, request_body
from supercompat.client_adapters.threads import Call, ProviderThreads
from supercompat.errors import UnknownClientError
from supercompat.model.events import ModelEvent
from supercompat.model.forced_choice import ForcedCallReader, forced_functions, with_schema
from supercompat.model.request import JsonSchemaFormat, ModelRequest

ForcedToolChoice: TypeAlias = Literal["native", "json_schema"]


@dataclass(frozen=True, slots=True)
class Quirks:
    """How a provider deviates from OpenAI.

    Args:
        max_tokens_field: the name of the field for the upper bound of an answer.
        usage_option: whether a stream has to be asked to report its usage.
        streams_schemas: whether an answer that has to fit a JSON schema can be streamed; else it comes at once.
        forced_tool_choice: whether the server honours a forced tool choice, or has to be held to it by a schema.
        chat_body: makes the body that is sent from that of a chat request which is passed through.
    """

    max_tokens_field: MaxTokensField = "max_completion_tokens"
    usage_option: bool = True
    streams_schemas: bool = True
    forced_tool_choice: ForcedToolChoice = "native"
    chat_body: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict


class StainlessConnection:
    """A `Connection` over an SDK client, for the running event loop.

    Args:
        client: the user's. It is never changed nor closed, and referred to for as long as the connection lives.
        own_pool: whether the loop is not the one that an asynchronous client belongs to.
        threads: those for a synchronous client; None for 64 of its own.
    """

    def __init__(
        self, client: Any, quirks: Quirks, *, own_pool: bool, threads: ProviderThreads | None
    ) -> None:
        self._client = client
        self._quirks = quirks
        self._transfer: _Transfer
        if is_asynchronous(client):
            self._transfer = _LoopTransfer(client, own_pool=own_pool)
        else:
            self._transfer = _ThreadTransfer(client, threads or ProviderThreads())

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
        async with self._one_chunk(body) if at_once else self._chunks(body) as chunks:
            events = self._events(chunks, translate)
            try:
                yield events
            finally:
                await close(events)

    @asynccontextmanager
    async def chat(self, params: Mapping[str, Any]) -> AsyncIterator[ChatAnswer]:
        body = self._quirks.chat_body(params)
        if not body.get("stream"):
            yield ChatAnswer(body=await self._complete(body))
            return
        async with self._chunks(body) as chunks:
            yield ChatAnswer(chunks=chunks)

    async def models(self) -> list[dict[str, Any]]:
        with provider_errors(self._client):
            return await self._transfer.models()

    async def aclose(self) -> None:
        await self._transfer.aclose()

    async def _complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        with provider_errors(self._client):
            return await self._transfer.complete(body)

    @asynccontextmanager
    async def _one_chunk(self, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        async def chunks() -> AsyncIterator[dict[str, Any]]:
            yield answer

        answer = await self._complete(body)
        yield chunks()

    @asynccontextmanager
    async def _chunks(self, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        async with AsyncExitStack() as stack:
            with provider_errors(self._client):
                pieces = await stack.enter_async_context(self._transfer.stream(body))
            yield await stack.enter_async_context(chunks_of(pieces, self._client))

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


def is_asynchronous(client: object) -> bool:
    """Whether the client's methods are to be awaited.

    Raises:
        UnknownClientError: it is no client of such an SDK.
    """
    names = {kind.__name__ for kind in type(client).__mro__}
    if names.isdisjoint(("SyncAPIClient", "AsyncAPIClient")):
        kind = type(client)
        raise UnknownClientError(
            f"{kind.__module__}.{kind.__qualname__} is no SDK client that fits this adapter."
        )
    return "AsyncAPIClient" in names


class _Transfer(Protocol):
    """Sends requests through the SDK. Raises what the SDK raises."""

    def stream(self, body: Mapping[str, Any]) -> AbstractAsyncContextManager[AsyncIterator[Piece]]: ...

    async def complete(self, body: Mapping[str, Any]) -> dict[str, Any]: ...

    async def models(self) -> list[dict[str, Any]]: ...

    async def aclose(self) -> None: ...


class _LoopTransfer:
    """An asynchronous client on the running loop."""

    def __init__(self, client: Any, *, own_pool: bool) -> None:
        self._pool = _new_pool(client) if own_pool else None
        self._client = client if self._pool is None else client.with_options(http_client=self._pool)

    @asynccontextmanager
    async def stream(self, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[Piece]]:
        stream = await _create(self._client, body, stream=True)
        response = _response(stream)
        pieces: AsyncIterator[Piece] = (
            (_plain(chunk) async for chunk in stream) if response is None else response.aiter_bytes()
        )
        try:
            yield pieces
        finally:
            await close(pieces)
            await close(stream if response is None else response)

    async def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return _plain(await _create(self._client, body, stream=False))

    async def models(self) -> list[dict[str, Any]]:
        return _plain(await self._client.models.list())["data"]

    async def aclose(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()


class _ThreadTransfer:
    """A synchronous client, in a thread for each request."""

    def __init__(self, client: Any, threads: ProviderThreads) -> None:
        self._client = client
        self._threads = threads

    def stream(self, body: Mapping[str, Any]) -> AbstractAsyncContextManager[AsyncIterator[Piece]]:
        return self._threads.stream(lambda call: self._pieces(body, call))

    async def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._threads.run(
            lambda call: _plain(_create(self._client, _checked(body, call), stream=False))
        )

    async def models(self) -> list[dict[str, Any]]:
        return await self._threads.run(lambda _: _plain(self._client.models.list())["data"])

    async def aclose(self) -> None:
        await self._threads.aclose()

    @contextmanager
    def _pieces(self, body: Mapping[str, Any], call: Call) -> Iterator[Iterable[Piece]]:
        stream = _create(self._client, _checked(body, call), stream=True)
        response = _response(stream)
        with closing(stream if response is None else response):
            call.check()
            if response is None:
                yield (_plain(chunk) for chunk in stream)
            else:
                call.reading(response)
                yield response.iter_bytes()


class _CheckedMessage(dict[str, Any]):
    """A message that can't be sent for a call that was left.

    An SDK whose socket was shut down before the headers came tries again. It makes JSON of the body anew for that,
    and so asks for the items of this, which is the only word that a caller of it has in the matter.
    """

    def __init__(self, message: dict[str, Any], call: Call) -> None:
        super().__init__(message)
        self._call = call

    def items(self) -> Any:
        self._call.check()
        return super().items()


def _checked(body: Mapping[str, Any], call: Call) -> Mapping[str, Any]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not isinstance(messages[0], dict):
        return body
    first, *others = cast(list[dict[str, Any]], messages)
    return {**body, "messages": [_CheckedMessage(first, call), *others]}


def _create(client: Any, body: Mapping[str, Any], *, stream: bool) -> Any:
    """Everything goes as `extra_body`: it takes precedence, is not checked against what this SDK's version knows,
    and spares the transformation of each message, which for a long conversation takes longer than all else."""
    how: dict[str, Any] = {"stream": True} if stream else {}
    return client.chat.completions.create(model=body.get("model", ""), messages=[], extra_body=body, **how)


def _response(stream: Any) -> Any | None:
    """The httpx response under an SDK's stream, to be read without the SDK; None under anything else."""
    response = getattr(stream, "response", None)
    return response if hasattr(response, "aiter_bytes") else None


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
