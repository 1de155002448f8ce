"""OpenAI, and every server that speaks its wire."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from supercompat.client_adapters.base import ResponsesSupport, check_tokens, unknown_client
from supercompat.client_adapters.completions import CompletionsConnection, ForcedToolChoice, Quirks
from supercompat.client_adapters.fetch import ImageFetcher
from supercompat.client_adapters.openai_wire import MaxTokensField
from supercompat.client_adapters.responses import ResponsesQuirks
from supercompat.client_adapters.stainless import has_chat
from supercompat.client_adapters.threads import ProviderThreads
from supercompat.errors import ConfigurationError

if TYPE_CHECKING:
    from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

#: OpenAI's own, and Azure's. Here `max_tokens` is refused for some models. Elsewhere it is the name that is understood:
#: Ollama, LM Studio and older llama.cpp ignore the new one, Mistral refuses it.
_OPENAI_HOSTS = (
    "openai.com",
    "openai.azure.com",
    "cognitiveservices.azure.com",
    "services.ai.azure.com",
)


class OpenAIClientAdapter:
    """Answers with an `openai.OpenAI` or `AsyncOpenAI`, of any `base_url`.

    Args:
        client: used as it is: its key, headers, timeouts and retries apply, and it is never closed.
        forced_tool_choice: `json_schema` for a server that ignores `tool_choice` but enforces JSON schemas, such
            as llama.cpp: a call that the model has to make is requested as JSON and turned back into a call.
        max_tokens_field: the server's name for the upper bound of an answer. By default
            `max_completion_tokens` for OpenAI and Azure, `max_tokens` for any other host.
        context_window: how many tokens the server's models take, prompt and answer together; threads are shortened
            to fit. By default what is known of the model's family, 8,192 for an unknown one.

    Raises:
        ConfigurationError: an option has another value.
        UnknownClientError: `client` is something else.
    """

    def __init__(
        self,
        client: "OpenAI | AsyncOpenAI",
        *,
        forced_tool_choice: ForcedToolChoice = "native",
        max_tokens_field: MaxTokensField | None = None,
        context_window: int | None = None,
    ) -> None:
        if not has_chat(client):
            raise unknown_client(client, "an openai.OpenAI or AsyncOpenAI")
        if forced_tool_choice not in ("native", "json_schema"):
            raise ConfigurationError("forced_tool_choice= must be 'native' or 'json_schema'.")
        if max_tokens_field not in (None, "max_tokens", "max_completion_tokens"):
            raise ConfigurationError("max_tokens_field= must be 'max_tokens' or 'max_completion_tokens'.")
        check_tokens("context_window", context_window)
        self._context_window = context_window
        self._client = client
        self._forced_tool_choice: ForcedToolChoice = forced_tool_choice
        self._max_tokens_field: MaxTokensField | None = max_tokens_field

    @property
    def responses(self) -> ResponsesSupport:
        """What the server's Responses API can do. That a server keeps its answers is certain only of OpenAI's own."""
        return ResponsesSupport(stores=_is_of_openai(str(self._client.base_url)))

    def connect(
        self, *, own_pool: bool, threads: ProviderThreads | None = None, images: ImageFetcher | None = None
    ) -> CompletionsConnection:
        quirks = Quirks(
            ResponsesQuirks(self.responses),
            max_tokens_field=self._max_tokens_field or _max_tokens_field(str(self._client.base_url)),
            forced_tool_choice=self._forced_tool_choice,
            context_window=self._context_window,
        )
        return CompletionsConnection(self._client, quirks, own_pool=own_pool, threads=threads)


class AzureOpenAIClientAdapter(OpenAIClientAdapter):
    """Answers with an `openai.AzureOpenAI` or `AsyncAzureOpenAI`. A model's name is that of a deployment.

    Args:
        client: used as it is: its key or token, endpoint, timeouts and retries apply, and it is never closed.
        context_window: as for `OpenAIClientAdapter`: deployments often have names that say nothing of their model.

    Raises:
        ConfigurationError: an option is out of range.
        UnknownClientError: `client` is something else.
    """

    def __init__(
        self, client: "AzureOpenAI | AsyncAzureOpenAI", *, context_window: int | None = None
    ) -> None:
        if not any(kind.__name__ == "BaseAzureClient" for kind in type(client).__mro__):
            raise unknown_client(client, "an openai.AzureOpenAI or AsyncAzureOpenAI")
        super().__init__(client, max_tokens_field="max_completion_tokens", context_window=context_window)

    @property
    def responses(self) -> ResponsesSupport:
        """What Azure's Responses API can do."""
        return ResponsesSupport(stores=True)


def _max_tokens_field(base_url: str) -> MaxTokensField:
    return "max_completion_tokens" if _is_of_openai(base_url) else "max_tokens"


def _is_of_openai(base_url: str) -> bool:
    host = f".{urlsplit(base_url).hostname}"
    return any(host.endswith(f".{known}") for known in _OPENAI_HOSTS)
