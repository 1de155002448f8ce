"""What the rest of supercompat asks of a client adapter."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from supercompat.client_adapters.fetch import ImageFetcher
from supercompat.client_adapters.threads import ProviderThreads
from supercompat.errors import ConfigurationError, UnknownClientError
from supercompat.model.events import ModelEvent
from supercompat.model.request import ModelRequest


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """The answer to a `chat.completions` request that is passed through.

    Args:
        body: the `chat.completion` object; None for a streamed answer.
        chunks: the `chat.completion.chunk` objects of a streamed answer, to be read inside the context that
            gave this answer; None otherwise.
    """

    body: dict[str, Any] | None = None
    chunks: AsyncIterator[dict[str, Any]] | None = None


class Connection(Protocol):
    """A client adapter at work on one event loop. Made by `ClientAdapter.connect`."""

    def context_window(self, model: str) -> int:
        """How many tokens the model takes, prompt and answer together: what the user said of it, else what is known
        of its family (`model.families`). Asks nobody."""
        ...

    def stream(self, request: ModelRequest) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        """Ask the model. The request is sent on entry; leaving the context closes the provider's stream and its
        socket, whatever was read of it, also while another task or thread waits on it.

        Raises:
            ProviderError: on entry or while iterating.
        """
        ...

    def chat(self, params: Mapping[str, Any]) -> AbstractAsyncContextManager[ChatAnswer]:
        """Pass a chat-completions request through, as unchanged as the provider allows. `params` is its body;
        `params["stream"]` decides the kind of answer.

        Raises:
            ProviderError: on entry or while iterating.
        """
        ...

    async def models(self) -> list[dict[str, Any]]:
        """The provider's models as objects of the API: `id`, `object`, `created`, `owned_by`.

        Raises:
            ProviderError
        """
        ...

    async def aclose(self) -> None:
        """Close what `connect` opened. Never the user's own client."""
        ...


#: All tools of OpenAI's that the provider carries out by itself, or that are no functions.
HOSTED_TOOLS = frozenset(
    {
        "code_interpreter",
        "computer",
        "computer_use_preview",
        "file_search",
        "image_generation",
        "mcp",
        "web_search",
        "web_search_preview",
    }
)


@dataclass(frozen=True, slots=True)
class ResponsesSupport:
    """What a provider's Responses API can do.

    Args:
        hosted_tools: by their `type`.
        stores: whether it keeps its answers unless it is told otherwise.
        can_store: whether it keeps them, and goes on in the background, if it is told to.
    """

    hosted_tools: frozenset[str] = HOSTED_TOOLS
    stores: bool = False
    can_store: bool = True


class Responses(Protocol):
    """A provider's Responses API."""

    def hosted_tools(self, model: str | None) -> frozenset[str]:
        """The tools, by their `type`, that the provider of this model carries out; for None, of any model."""
        ...

    def can_resume(self, model: str, handle: Mapping[str, Any]) -> bool:
        """Whether `answer` can pick up what goes on under this handle. Asks nobody."""
        ...

    def answer(
        self,
        request: ModelRequest,
        *,
        store: bool | None,
        background: bool,
        handle: Mapping[str, Any] | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        """As `Connection.stream`.

        Args:
            store: whether the provider keeps the answer; None for what it does by itself.
            background: whether it goes on when the context is left.
            handle: what a `BackgroundStarted` told: that answer is read again, from its beginning.
        """
        ...

    async def cancel(self, model: str, handle: Mapping[str, Any]) -> None:
        """End what goes on in the background.

        Raises:
            ProviderError
        """
        ...


@runtime_checkable
class ResponsesConnection(Protocol):
    """A connection whose provider has the Responses API."""

    @property
    def responses(self) -> Responses: ...


@runtime_checkable
class ResponsesClientAdapter(Protocol):
    """A client adapter that makes such connections."""

    @property
    def responses(self) -> ResponsesSupport: ...


@runtime_checkable
class ClientAdapter(Protocol):
    """Translates between the neutral model types and one provider, through that provider's own SDK client."""

    def connect(
        self, *, own_pool: bool, threads: ProviderThreads | None = None, images: ImageFetcher | None = None
    ) -> Connection:
        """Prepare for use on the running event loop.

        Args:
            own_pool: the loop is not the one that the user's asynchronous client belongs to. Where its SDK allows,
                a copy with a connection pool of its own is used. Synchronous clients run in threads and ignore it.
            threads: those for the calls of synchronous clients; None for a default number of their own.
            images: fetches those that the provider takes only as bytes; None for one with default limits.
        """
        ...


def check_tokens(option: str, given: object) -> None:
    """Judges what was given for an option that is a number of tokens, and may be None.

    Raises:
        ConfigurationError: it is no whole number, or below 1.
    """
    if given is not None and not (isinstance(given, int) and given >= 1):
        raise ConfigurationError(f"{option}= must be a whole number of tokens, at least 1.")


def unknown_client(client: object, wanted: str) -> UnknownClientError:
    """The error of an adapter that was given something else than `wanted`, such as `a groq.Groq or AsyncGroq`."""
    if isinstance(client, type):
        return UnknownClientError(
            f"This adapter takes {wanted}: an instance, not the class {client.__qualname__}."
        )
    kind = type(client)
    return UnknownClientError(f"This adapter takes {wanted}, not {kind.__module__}.{kind.__qualname__}.")
