"""Each provider's SDK in each of its forms, with the server that plays the provider: for what holds for all of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anthropic
import groq
import httpx2
import openai
from mistralai.client import Mistral
from mistralai.client.utils import BackoffStrategy, RetryConfig

from supercompat import (
    AnthropicClientAdapter,
    AzureOpenAIClientAdapter,
    GoogleClientAdapter,
    GroqClientAdapter,
    MistralClientAdapter,
    OpenAIClientAdapter,
)
from supercompat.testing import AnthropicServer, GoogleServer, MistralServer, ScriptedServer
from tests.client_adapters.conftest import KEY, closed
from tests.client_adapters.on_google import client_of

#: As long as a test lets it, and as fast as the SDK can.
_RETRIES = RetryConfig("backoff", BackoffStrategy(1, 1, 1, 60_000, jitter_ms=0), retry_connection_errors=True)


@dataclass(frozen=True)
class Dialect:
    """
    Args:
        server: makes the server; it has a `url` and takes the script that all servers take.
        client: takes the server's URL and whether to retry, and gives an SDK client, closed in the end.
        model: what the server answers as, with all that the provider has.
        own_pool: that the connection is for another event loop than the client's.
    """

    server: Callable[[], Any]
    client: Callable[[str, bool], AbstractAsyncContextManager[Any]]
    adapter: type[Any]
    model: str
    own_pool: bool = False


@asynccontextmanager
async def _stainless(make: Callable[..., Any], path: str, url: str, retries: bool) -> AsyncIterator[Any]:
    client = make(base_url=url + path, api_key=KEY, timeout=10, max_retries=2 if retries else 0)
    yield client
    await closed(client)


@asynccontextmanager
async def _mistral(given: str, url: str, retries: bool) -> AsyncIterator[Any]:
    """`given` is the HTTP client that the user gives to the SDK, if any: it decides how the SDK is driven."""
    settings: dict[str, Any] = {"retry_config": _RETRIES} if retries else {}
    if given == "client":
        settings[given] = httpx2.Client()
    elif given == "async_client":
        settings[given] = httpx2.AsyncClient()
    yield Mistral(server_url=url, api_key=KEY, timeout_ms=10_000, **settings)
    if given == "client":
        settings[given].close()
    elif given == "async_client":
        await settings[given].aclose()


@asynccontextmanager
async def _google(url: str, _retries: bool) -> AsyncIterator[Any]:
    """Never with retries: a blocking call begins the next try before it is cut off."""
    client = client_of(url)
    yield client
    await client.aio.aclose()
    client.close()


def _on_openai(make: Callable[..., Any]) -> Dialect:
    return Dialect(ScriptedServer, partial(_stainless, make, "/v1"), OpenAIClientAdapter, "gpt-5")


@asynccontextmanager
async def _azure(make: Callable[..., Any], url: str, retries: bool) -> AsyncIterator[Any]:
    client = make(
        azure_endpoint=url,
        api_key=KEY,
        api_version="2025-04-01-preview",
        timeout=10,
        max_retries=2 if retries else 0,
    )
    yield client
    await closed(client)


def _on_azure(make: Callable[..., Any]) -> Dialect:
    return Dialect(ScriptedServer, partial(_azure, make), AzureOpenAIClientAdapter, "gpt-5")


def _on_groq(make: Callable[..., Any]) -> Dialect:
    return Dialect(ScriptedServer, partial(_stainless, make, ""), GroqClientAdapter, "openai/gpt-oss-120b")


def _on_anthropic(make: Callable[..., Any]) -> Dialect:
    return Dialect(AnthropicServer, partial(_stainless, make, ""), AnthropicClientAdapter, "claude-opus-5-5")


def _on_mistral(given: str) -> Dialect:
    return Dialect(MistralServer, partial(_mistral, given), MistralClientAdapter, "mistral-medium-latest")


def _on_google(own_pool: bool) -> Dialect:
    return Dialect(GoogleServer, _google, GoogleClientAdapter, "gemini-3.1-pro-preview", own_pool)


DIALECTS = {
    "openai": _on_openai(openai.OpenAI),
    "openai-async": _on_openai(openai.AsyncOpenAI),
    "azure": _on_azure(openai.AzureOpenAI),
    "azure-async": _on_azure(openai.AsyncAzureOpenAI),
    "groq": _on_groq(groq.Groq),
    "groq-async": _on_groq(groq.AsyncGroq),
    "anthropic": _on_anthropic(anthropic.Anthropic),
    "anthropic-async": _on_anthropic(anthropic.AsyncAnthropic),
    "mistral": _on_mistral("client"),
    "mistral-async": _on_mistral("async_client"),
    "mistral-bare": _on_mistral("neither"),
    "google": _on_google(own_pool=True),
    "google-async": _on_google(own_pool=False),
}
