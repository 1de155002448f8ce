"""Which adapter fits a provider's SDK client. One row for each provider."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from supercompat.client_adapters.anthropic import AnthropicClientAdapter
from supercompat.client_adapters.base import ClientAdapter
from supercompat.client_adapters.google import GoogleClientAdapter
from supercompat.client_adapters.groq import GroqClientAdapter
from supercompat.client_adapters.mistral import MistralClientAdapter
from supercompat.client_adapters.openai import OpenAIClientAdapter
from supercompat.errors import UnknownClientError


@dataclass(frozen=True, slots=True)
class Row:
    """A client fits if a class that it is made of has one of the names, and is of the package."""

    package: str
    names: tuple[str, ...]
    adapter: Callable[[Any], ClientAdapter]

    def fits(self, client: object) -> bool:
        return any(
            kind.__name__ in self.names and f"{kind.__module__}.".startswith(f"{self.package}.")
            for kind in type(client).__mro__
        )


#: The SDK's other clients for clouds are made of the first two.
_CLAUDES = (
    "Anthropic",
    "AsyncAnthropic",
    "AnthropicBedrock",
    "AsyncAnthropicBedrock",
    "AnthropicBedrockMantle",
    "AsyncAnthropicBedrockMantle",
    "AnthropicVertex",
    "AsyncAnthropicVertex",
)

REGISTRY = (
    Row("anthropic", _CLAUDES, AnthropicClientAdapter),
    Row("google.genai", ("Client",), GoogleClientAdapter),
    Row("groq", ("Groq", "AsyncGroq"), GroqClientAdapter),
    Row("mistralai", ("Mistral", "MistralAzure", "MistralGCP"), MistralClientAdapter),
    Row("openai", ("OpenAI", "AsyncOpenAI"), OpenAIClientAdapter),
)


def adapter_for(client: object) -> ClientAdapter:
    """The adapter for what was given as `client=`: itself, or one around a provider's SDK client.

    Raises:
        UnknownClientError: there is none.
    """
    if isinstance(client, type):
        raise UnknownClientError(f"client= was given the class {client.__qualname__}: give it an instance.")
    if isinstance(client, ClientAdapter):
        return client
    for row in REGISTRY:
        if row.fits(client):
            return row.adapter(client)
    kind = type(client)
    known = ", ".join(f"{row.package}.{name}" for row in REGISTRY for name in row.names)
    raise UnknownClientError(
        f"client= can't be a {kind.__module__}.{kind.__qualname__}. It takes a client adapter, a mapping from model "
        f"pattern to client adapter, or one of these SDK clients: {known}."
    )
