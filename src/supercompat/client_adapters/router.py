"""Several client adapters behind one: the model's name decides."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from supercompat.client_adapters.base import (
    ChatAnswer,
    ClientAdapter,
    Connection,
    Responses,
    ResponsesConnection,
)
from supercompat.client_adapters.fetch import ImageFetcher
from supercompat.client_adapters.threads import ProviderThreads
from supercompat.errors import ProviderError
from supercompat.model.events import ModelEvent
from supercompat.model.families import context_window
from supercompat.model.request import ModelRequest


class ModelRouter:
    """A client adapter that hands each request to the one that serves its model.

    Args:
        routes: patterns such as `claude-*`, and the adapters that serve what they match. The first match wins, in
            the order given. Upper and lower case differ.
        aliases: from the name that is asked for to the one that the provider knows; applied once, before routing.
        threads: how many calls of synchronous clients may be under way at once, over all adapters.
        images: fetches images for the adapters that need it; None for one with default limits.
    """

    def __init__(
        self,
        routes: Mapping[str, ClientAdapter],
        aliases: Mapping[str, str] | None = None,
        *,
        threads: int = 64,
        images: ImageFetcher | None = None,
    ) -> None:
        self._routes = dict(routes)
        self._aliases = dict(aliases or {})
        self._threads = threads
        self._images = images

    def serves(self, model: str) -> bool:
        """Whether an adapter serves the model that is asked for by this name. Uses no network."""
        return self.adapter(self.provider_name(model)) is not None

    def provider_name(self, model: str) -> str:
        """What the provider is asked for."""
        return self._aliases.get(model, model)

    def adapter(self, name: str) -> ClientAdapter | None:
        """The adapter that serves what the provider calls `name`."""
        matches = (adapter for pattern, adapter in self._routes.items() if fnmatchcase(name, pattern))
        return next(matches, None)

    def with_aliases(self, models: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """The models by the names that they can be asked for: an alias hides the model whose name it takes."""
        known = {str(model.get("id")): model for model in models}
        aliases = {alias: known[name] for alias, name in self._aliases.items() if name in known}
        plain = [model for name, model in known.items() if name not in self._aliases]
        return plain + [{**model, "id": alias} for alias, model in aliases.items()]

    def connect(
        self, *, own_pool: bool, threads: ProviderThreads | None = None, images: ImageFetcher | None = None
    ) -> Connection:
        threads = threads or ProviderThreads(self._threads)
        images = images or self._images or ImageFetcher()
        adapters = {id(adapter): adapter for adapter in self._routes.values()}
        connections = {
            key: adapter.connect(own_pool=own_pool, threads=threads, images=images)
            for key, adapter in adapters.items()
        }
        return _RoutedConnection(self, connections)


class _RoutedConnection:
    """Args:
    connections: by the identity of their adapter.
    """

    def __init__(self, router: ModelRouter, connections: Mapping[int, Connection]) -> None:
        self._router = router
        self._connections = connections
        self.responses = _RoutedResponses(self.route, connections.values())

    def context_window(self, model: str) -> int:
        name = self._router.provider_name(model)
        adapter = self._router.adapter(name)
        # One that nobody serves any more is refused when it is asked.
        return (
            context_window(name) if adapter is None else self._connections[id(adapter)].context_window(name)
        )

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        name, connection = self.route(request.model)
        async with connection.stream(replace(request, model=name)) as events:
            yield events

    @asynccontextmanager
    async def chat(self, params: Mapping[str, Any]) -> AsyncIterator[ChatAnswer]:
        asked = str(params.get("model") or "")
        name, connection = self.route(asked)
        if name == asked:
            async with connection.chat(params) as answer:
                yield answer
            return
        async with connection.chat({**params, "model": name}) as answer:
            yield _renamed(answer, asked)

    async def models(self) -> list[dict[str, Any]]:
        """The models of all providers, each listed where it is routed to, then the aliases of these."""
        listed = [
            model
            for key, connection in self._connections.items()
            for model in await connection.models()
            if id(self._router.adapter(str(model.get("id")))) == key
        ]
        return self._router.with_aliases(listed)

    async def aclose(self) -> None:
        async with AsyncExitStack() as stack:
            for connection in self._connections.values():
                stack.push_async_callback(connection.aclose)

    def route(self, model: str) -> tuple[str, Connection]:
        """What the provider of this model calls it, and the connection to it.

        Raises:
            ProviderError: nobody serves it.
        """
        name = self._router.provider_name(model)
        adapter = self._router.adapter(name)
        if adapter is None:
            raise ProviderError(
                f"The model '{model}' does not exist: no client adapter serves it.",
                status=404,
                body={"type": "invalid_request_error", "param": "model", "code": "model_not_found"},
            )
        return name, self._connections[id(adapter)]


class _RoutedResponses:
    def __init__(
        self, route: Callable[[str], tuple[str, Connection]], connections: Iterable[Connection]
    ) -> None:
        self._route = route
        self._connections = list(connections)

    def hosted_tools(self, model: str | None) -> frozenset[str]:
        if model is None:
            known = [each for each in self._connections if isinstance(each, ResponsesConnection)]
            return frozenset[str]().union(*(each.responses.hosted_tools(None) for each in known))
        try:
            name, responses = self._responses(model)
        except ProviderError:
            return frozenset()
        return responses.hosted_tools(name)

    def can_resume(self, model: str, handle: Mapping[str, Any]) -> bool:
        try:
            name, responses = self._responses(model)
        except ProviderError:
            return False
        return responses.can_resume(name, handle)

    @asynccontextmanager
    async def answer(
        self,
        request: ModelRequest,
        *,
        store: bool | None,
        background: bool,
        handle: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        name, responses = self._responses(request.model)
        request = replace(request, model=name)
        async with responses.answer(request, store=store, background=background, handle=handle) as events:
            yield events

    async def cancel(self, model: str, handle: Mapping[str, Any]) -> None:
        name, responses = self._responses(model)
        await responses.cancel(name, handle)

    def _responses(self, model: str) -> tuple[str, Responses]:
        name, connection = self._route(model)
        if not isinstance(connection, ResponsesConnection):
            raise ProviderError(f"The provider of '{model}' has no Responses API.")
        return name, connection.responses


def _renamed(answer: ChatAnswer, model: str) -> ChatAnswer:
    """The answer with the name that was asked for, which is the only one that the caller knows."""
    body = None if answer.body is None else {**answer.body, "model": model}
    chunks = None if answer.chunks is None else _RenamedChunks(answer.chunks, model)
    return ChatAnswer(body=body, chunks=chunks)


class _RenamedChunks:
    """Not a generator: it holds nothing that would have to be closed."""

    def __init__(self, chunks: AsyncIterator[dict[str, Any]], model: str) -> None:
        self._chunks = chunks
        self._model = model

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self

    async def __anext__(self) -> dict[str, Any]:
        chunk = await anext(self._chunks)
        return {**chunk, "model": self._model} if "model" in chunk else chunk
