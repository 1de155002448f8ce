"""Which adapter fits a provider's SDK client. One row for each provider, whose adapter is loaded when it is needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from supercompat.client_adapters.base import ClientAdapter
from supercompat.errors import UnknownClientError


@dataclass(frozen=True, slots=True)
class Row:
    """A client fits if a class that it is made of has one of the names, and is of the package.

    Args:
        adapter: `module:class`, the module below this package.
        extra: what brings the SDK, `supercompat[extra]`; None if supercompat itself does.
    """

    package: str
    names: tuple[str, ...]
    adapter: str
    extra: str | None

    def fits(self, client: object) -> bool:
        return any(
            kind.__name__ in self.names and f"{kind.__module__}.".startswith(f"{self.package}.")
            for kind in type(client).__mro__
        )

    def wrap(self, client: object, options: Mapping[str, Any]) -> ClientAdapter:
        return resolve_name(f"supercompat.client_adapters.{self.adapter}")(client, **options)

    def __str__(self) -> str:
        names = ", ".join(f"{self.package}.{name}" for name in self.names)
        return f"{names} (pip install 'supercompat[{self.extra}]')" if self.extra else names


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
    Row("anthropic", _CLAUDES, "anthropic:AnthropicClientAdapter", "anthropic"),
    Row("google.genai", ("Client",), "google:GoogleClientAdapter", "google"),
    Row("groq", ("Groq", "AsyncGroq"), "groq:GroqClientAdapter", "groq"),
    Row("mistralai", ("Mistral", "MistralAzure", "MistralGCP"), "mistral:MistralClientAdapter", "mistral"),
    # Before its bases, of which it is a client too.
    Row("openai", ("AzureOpenAI", "AsyncAzureOpenAI"), "openai:AzureOpenAIClientAdapter", None),
    Row("openai", ("OpenAI", "AsyncOpenAI"), "openai:OpenAIClientAdapter", None),
)


def adapter_for(client: object, **options: Any) -> ClientAdapter:
    """The adapter for what was given as `client=`: itself, or one around a provider's SDK client.

    Args:
        options: for the adapter that is made.

    Raises:
        TypeError: it does not take them.
        UnknownClientError: there is none.
    """
    if isinstance(client, type):
        raise UnknownClientError(f"client= was given the class {client.__qualname__}: give it an instance.")
    if isinstance(client, ClientAdapter):
        return client
    for row in REGISTRY:
        if row.fits(client):
            return row.wrap(client, options)
    kind = type(client)
    known = "; ".join(map(str, REGISTRY))
    raise UnknownClientError(
        f"client= can't be a {kind.__module__}.{kind.__qualname__}. It takes a client adapter, a mapping from model "
        f"pattern to client adapter, or one of these SDK clients: {known}."
    )
