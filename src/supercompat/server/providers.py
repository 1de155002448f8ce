"""Who answers, by the configuration and by the environment's usual variables."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from supercompat.client_adapters.base import ClientAdapter
from supercompat.client_adapters.registry import adapter_for
from supercompat.errors import ConfigurationError, MissingExtraError

#: What is given as the key to a server that wants none.
NO_KEY = "none"


class ProviderSettings(BaseModel):
    """A table `[providers.NAME]`.

    Args:
        kind: whose SDK is used.
        base_url: where the provider is, if not where its SDK looks for it.
        api_key_env: the variable that has the key, if not the usual one.
        api_key_file: a file that has it.
        api_version: of Azure.
        adapter: more for the client adapter, as `context_window`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Literal["openai", "azure", "groq", "anthropic", "mistral", "google"]
    base_url: str | None = None
    api_key_env: str | None = None
    api_key_file: Path | None = None
    api_version: str | None = None
    adapter: Mapping[str, Any] = Field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Kind:
    """A provider's SDK, and what its usual variables are called.

    Args:
        client: its class, `module:name`, asynchronous if there are two.
        extra: what brings it; None if supercompat itself does.
        keys: variables that may have the key; the first that is set counts.
        base_url: the argument that says where the provider is; behind a dot, a key of the dictionary that it takes.
        needs: variables without which the key is of no use, by the arguments that take them.
    """

    client: str
    extra: str | None
    keys: tuple[str, ...]
    base_url: str = "base_url"
    needs: Mapping[str, str] = field(default_factory=dict[str, str])

    def is_set(self, environment: Mapping[str, str]) -> bool:
        return self.key(environment) is not None

    def key(self, environment: Mapping[str, str]) -> str | None:
        """The key, if a usual variable has it, or names the file that does.

        Raises:
            ConfigurationError: there is no such file.
        """
        for name in self.keys:
            if key := environment.get(name):
                return key
            if file := environment.get(f"{name}_FILE"):
                return read_key(Path(file), f"{name}_FILE")
        return None


KINDS: Mapping[str, Kind] = {
    "openai": Kind("openai:AsyncOpenAI", None, ("OPENAI_API_KEY",)),
    "azure": Kind(
        "openai:AsyncAzureOpenAI",
        None,
        ("AZURE_OPENAI_API_KEY",),
        base_url="azure_endpoint",
        needs={"azure_endpoint": "AZURE_OPENAI_ENDPOINT", "api_version": "OPENAI_API_VERSION"},
    ),
    "groq": Kind("groq:AsyncGroq", "groq", ("GROQ_API_KEY",)),
    "anthropic": Kind("anthropic:AsyncAnthropic", "anthropic", ("ANTHROPIC_API_KEY",)),
    "mistral": Kind("mistralai.client:Mistral", "mistral", ("MISTRAL_API_KEY",), base_url="server_url"),
    "google": Kind(
        "google.genai:Client",
        "google",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        base_url="http_options.base_url",
    ),
}


class Providers:
    """The client adapters of a configuration, each made once.

    Args:
        tables: those of the file.
        environment: where keys are.
    """

    def __init__(
        self, tables: Mapping[str, ProviderSettings], environment: Mapping[str, str] = os.environ
    ) -> None:
        self._tables = tables
        self._environment = environment
        self._adapters: dict[str, ClientAdapter] = {}
        self._clients: list[Any] = []

    def routes(self, routes: Mapping[str, str], provider: str | None) -> dict[str, ClientAdapter]:
        """Who answers for which models, as `supercompat()` takes it.

        Args:
            routes: from model pattern to name; empty if one answers for all.
            provider: its name; None for the only one.

        Raises:
            ConfigurationError: a name is unknown, a key or an SDK is missing, or it is not said who answers.
        """
        names = routes or {"*": provider or self._only()}
        return {pattern: self._adapter(name) for pattern, name in names.items()}

    async def aclose(self) -> None:
        """Close the SDKs' clients."""
        for client in self._clients:
            close = getattr(client, "close", None)
            if asyncio.iscoroutinefunction(close):
                await close()

    def _only(self) -> str:
        if len(self._tables) == 1:
            return next(iter(self._tables))
        if self._tables:
            names = ", ".join(self._tables)
            raise ConfigurationError(f"Which provider answers? Name it with --provider or --routes: {names}.")
        found = [name for name, kind in KINDS.items() if kind.is_set(self._environment)]
        if len(found) == 1:
            return found[0]
        if found:
            names = " and ".join(KINDS[name].keys[0] for name in found)
            raise ConfigurationError(
                f"Which provider answers? {names} are set. Name it with --provider {' or --provider '.join(found)}, or "
                "with --routes."
            )
        names = ", ".join(kind.keys[0] for kind in KINDS.values())
        raise ConfigurationError(
            f"Who answers? Set the API key of a provider, one of {names}; or name one in supercompat.toml; or try "
            "--demo, which needs no key."
        )

    def _adapter(self, name: str) -> ClientAdapter:
        if name not in self._adapters:
            table = self._tables.get(name)
            if table is None and name not in KINDS:
                known = ", ".join([*self._tables, *KINDS])
                raise ConfigurationError(f"There is no provider '{name}'. Known are: {known}.")
            settings = table or ProviderSettings.model_validate({"kind": name})
            client = _client(settings, name, self._environment)
            self._clients.append(client)
            self._adapters[name] = _adapted(client, settings, name)
        return self._adapters[name]


def read_key(file: Path, where: str) -> str:
    """The key that a file has.

    Raises:
        ConfigurationError: it can't be read, or is empty.
    """
    try:
        key = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{where}: {file} can't be read: {type(error).__name__}.") from None
    if not key:
        raise ConfigurationError(f"{where}: {file} is empty.")
    return key


def _client(settings: ProviderSettings, name: str, environment: Mapping[str, str]) -> Any:
    kind = KINDS[settings.kind]
    if kind.extra and not _is_installed(kind.client):
        raise MissingExtraError(kind.client.partition(":")[0].removesuffix(".client"), kind.extra)
    given: dict[str, Any] = {
        argument: environment[variable]
        for argument, variable in kind.needs.items()
        if environment.get(variable)
    }
    if settings.api_version:
        given["api_version"] = settings.api_version
    if settings.base_url:
        argument, _, key = kind.base_url.partition(".")
        given[argument] = {key: settings.base_url} if key else settings.base_url
    missing = [variable for argument, variable in kind.needs.items() if argument not in given]
    if missing:
        raise ConfigurationError(f"The provider '{name}' also needs {' and '.join(missing)}.")
    return resolve_name(kind.client)(api_key=_key(settings, name, environment), **given)


def _key(settings: ProviderSettings, name: str, environment: Mapping[str, str]) -> str:
    if settings.api_key_file:
        return read_key(settings.api_key_file, f"providers.{name}.api_key_file")
    kind = KINDS[settings.kind]
    variable = settings.api_key_env
    key = environment.get(variable) if variable else kind.key(environment)
    if key:
        return key
    if settings.kind == "openai" and settings.base_url and not variable:
        return NO_KEY
    raise ConfigurationError(f"The provider '{name}' has no API key: {variable or kind.keys[0]} is not set.")


def _adapted(client: Any, settings: ProviderSettings, name: str) -> ClientAdapter:
    try:
        return adapter_for(client, **settings.adapter)
    except TypeError as error:
        raise ConfigurationError(f"providers.{name}.adapter: {error}.") from None


def _is_installed(path: str) -> bool:
    try:
        return find_spec(path.partition(":")[0]) is not None
    except ModuleNotFoundError:
        return False
