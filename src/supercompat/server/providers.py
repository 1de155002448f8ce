"""The providers that the environment's usual variables speak of."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Any

from supercompat.errors import ConfigurationError, MissingExtraError


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider, and what its variables are called.

    Args:
        client: the class of its SDK, `module:name`.
        extra: what brings the SDK; None if supercompat itself does.
        keys: variables that may hold its key; the first that is set counts.
        needs: others without which the key is of no use, and the SDK's arguments that they are given to.
    """

    name: str
    client: str
    extra: str | None
    keys: tuple[str, ...]
    needs: Mapping[str, str]

    def key(self, environment: Mapping[str, str]) -> str | None:
        return next((environment[name] for name in self.keys if environment.get(name)), None)

    def is_set(self, environment: Mapping[str, str]) -> bool:
        return self.key(environment) is not None

    def connect(self, environment: Mapping[str, str]) -> Any:
        """The SDK's client.

        Raises:
            ConfigurationError: a variable is missing, or the SDK.
        """
        missing = [name for name in self.needs if not environment.get(name)]
        if missing:
            raise ConfigurationError(f"{self.keys[0]} is set, but not {' and '.join(missing)}.")
        if self.extra and not _is_installed(self.client):
            raise MissingExtraError(self.client.partition(":")[0].partition(".client")[0], self.extra)
        given = {argument: environment[name] for name, argument in self.needs.items()}
        return resolve_name(self.client)(api_key=self.key(environment), **given)


PROVIDERS = (
    Provider("openai", "openai:AsyncOpenAI", None, ("OPENAI_API_KEY",), {}),
    Provider(
        "azure",
        "openai:AsyncAzureOpenAI",
        None,
        ("AZURE_OPENAI_API_KEY",),
        {"AZURE_OPENAI_ENDPOINT": "azure_endpoint", "OPENAI_API_VERSION": "api_version"},
    ),
    Provider("groq", "groq:AsyncGroq", "groq", ("GROQ_API_KEY",), {}),
    Provider("anthropic", "anthropic:AsyncAnthropic", "anthropic", ("ANTHROPIC_API_KEY",), {}),
    Provider("mistral", "mistralai.client:Mistral", "mistral", ("MISTRAL_API_KEY",), {}),
    Provider("google", "google.genai:Client", "google", ("GEMINI_API_KEY", "GOOGLE_API_KEY"), {}),
)


def from_environment(environment: Mapping[str, str] = os.environ) -> Any:
    """The SDK client of the one provider whose usual variables are set.

    Raises:
        ConfigurationError: they are those of none, or of several.
    """
    found = [provider for provider in PROVIDERS if provider.is_set(environment)]
    if not found:
        names = ", ".join(provider.keys[0] for provider in PROVIDERS)
        raise ConfigurationError(f"Who is to answer? Set the key of one provider: {names}.")
    if len(found) > 1:
        names = ", ".join(provider.keys[0] for provider in found)
        raise ConfigurationError(f"Which provider is to answer? The keys of several are set: {names}.")
    return found[0].connect(environment)


def _is_installed(path: str) -> bool:
    try:
        return find_spec(path.partition(":")[0]) is not None
    except ModuleNotFoundError:
        return False
