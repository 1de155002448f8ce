"""Makes the openai clients whose calls are answered in process."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import partial
from itertools import chain
from typing import Any, cast

import openai

from supercompat.client_adapters.base import ClientAdapter
from supercompat.client_adapters.fetch import ImageFetcher
from supercompat.client_adapters.registry import adapter_for
from supercompat.client_adapters.router import ModelRouter
from supercompat.errors import ConfigurationError
from supercompat.options import Options
from supercompat.run_adapters.base import RunAdapter
from supercompat.run_adapters.completions import CompletionsRunAdapter
from supercompat.runtime import Composition, start
from supercompat.storage_adapters.memory import MemoryStorageAdapter
from supercompat.storage_adapters.protocol import StorageAdapter
from supercompat.transport.async_door import AsyncDoor
from supercompat.transport.binding import Binding
from supercompat.transport.sync_door import SyncDoor

#: Never asked for: requests to it don't leave the process.
BASE_URL = "http://supercompat.invalid/v1"


def supercompat(
    *,
    client: object,
    storage: StorageAdapter | None = None,
    run_adapter: RunAdapter | None = None,
    models: Mapping[str, str] | None = None,
    options: Options | None = None,
    **openai_options: Any,
) -> openai.OpenAI:
    """A real `openai.OpenAI` whose Assistants API is answered in this process.

    Args:
        client: who answers: a client adapter, a provider's own SDK client, or a mapping from model pattern
            (`"claude-*"`) to one of these; the first match wins.
        storage: who remembers; memory by default.
        run_adapter: how runs are carried out; chat completions by default.
        models: model aliases, from the name that assistants use to the one that the provider knows.
        options: everything else.
        openai_options: for the `openai` client: `timeout`, `max_retries`, `default_headers`, …

    Raises:
        ConfigurationError: something given can't work.
    """
    composition = compose(client, storage, run_adapter, models, options)
    door = SyncDoor(partial(start, composition), drain=composition.options.drain)
    return openai.OpenAI(**_sdk_options(openai_options), http_client=_binding().client(door))


def async_supercompat(
    *,
    client: object,
    storage: StorageAdapter | None = None,
    run_adapter: RunAdapter | None = None,
    models: Mapping[str, str] | None = None,
    options: Options | None = None,
    **openai_options: Any,
) -> openai.AsyncOpenAI:
    """A real `openai.AsyncOpenAI` whose Assistants API is answered in this process, on the caller's event loop.

    The arguments are those of `supercompat()`.
    """
    composition = compose(client, storage, run_adapter, models, options)
    door = AsyncDoor(partial(start, composition), drain=composition.options.drain)
    return openai.AsyncOpenAI(**_sdk_options(openai_options), http_client=_binding().async_client(door))


def compose(
    client: object,
    storage: StorageAdapter | None,
    run_adapter: RunAdapter | None,
    models: Mapping[str, str] | None,
    options: Options | None,
) -> Composition:
    """What the user chose, checked. The arguments are those of `supercompat()`.

    Raises:
        ConfigurationError: something given can't work.
    """
    _check("storage", storage, StorageAdapter, "a storage adapter such as MemoryStorageAdapter()")
    _check("run_adapter", run_adapter, RunAdapter, "a run adapter such as CompletionsRunAdapter()")
    _check("models", models, Mapping, "a mapping such as {'gpt-4o': 'llama-3.3-70b-versatile'}")
    _check("options", options, Options, "Options(…)")
    _check_names("models", chain(models or (), (models or {}).values()))
    options = options or Options()
    routes, run_adapter = _routes(client), run_adapter or CompletionsRunAdapter()
    run_adapter.check(routes)
    return Composition(
        client=ModelRouter(
            routes,
            models or {},
            threads=options.provider_threads,
            images=ImageFetcher(enabled=options.fetch_images),
        ),
        storage=storage or MemoryStorageAdapter(),
        run_adapter=run_adapter,
        options=options,
    )


def _check(name: str, given: object, kind: type, wanted: str) -> None:
    # Of a class, too, a protocol says that it has the methods.
    if given is not None and (isinstance(given, type) or not isinstance(given, kind)):
        shown = f"the class {given.__name__}" if isinstance(given, type) else f"a {type(given).__name__}"
        raise ConfigurationError(f"{name}= takes {wanted}, not {shown}.")


def _check_names(name: str, models: Iterable[object]) -> None:
    for each in models:
        if not isinstance(each, str):
            raise ConfigurationError(f"{name}= has {each!r} where the name of a model belongs.")


def _routes(client: object) -> dict[str, ClientAdapter]:
    if isinstance(client, Mapping):
        chosen = cast("Mapping[str, object]", client)
        if not chosen:
            raise ConfigurationError("client= is an empty mapping: nobody would answer for any model.")
        _check_names("client", chosen)
        return {pattern: adapter_for(each) for pattern, each in chosen.items()}
    return {"*": adapter_for(client)}


def _sdk_options(given: dict[str, Any]) -> dict[str, Any]:
    if "http_client" in given:
        raise ConfigurationError(
            "supercompat() makes the http_client itself: it is where calls are answered."
        )
    for name in given.keys() & {each.name for each in fields(Options)}:
        raise ConfigurationError(f"{name}= is one of the options: give options=Options({name}=…).")
    return {"api_key": "supercompat", "base_url": BASE_URL, **given}


def _binding() -> Binding:
    if int(openai.__version__.partition(".")[0]) >= 3:
        from supercompat.transport.httpx2 import BINDING
    else:
        from supercompat.transport.httpx1 import BINDING
    return BINDING
