"""Supercompat: code written for the Assistants API, on any model provider, with the data in your own database.

Names are loaded when they are first used, so that the import costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supercompat.client_adapters.anthropic import AnthropicClientAdapter
    from supercompat.client_adapters.google import GoogleClientAdapter
    from supercompat.client_adapters.groq import GroqClientAdapter
    from supercompat.client_adapters.mistral import MistralClientAdapter
    from supercompat.client_adapters.openai import AzureOpenAIClientAdapter, OpenAIClientAdapter
    from supercompat.options import Options
    from supercompat.run_adapters.completions import CompletionsRunAdapter
    from supercompat.run_adapters.responses import ResponsesRunAdapter
    from supercompat.server.mounting import asgi_app
    from supercompat.server.options import ServerOptions
    from supercompat.storage_adapters.memory import MemoryStorageAdapter
    from supercompat.storage_adapters.prisma import PrismaStorageAdapter
    from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter
    from supercompat.transport.sdk import async_supercompat, supercompat

__all__ = [
    "AnthropicClientAdapter",
    "AzureOpenAIClientAdapter",
    "CompletionsRunAdapter",
    "GoogleClientAdapter",
    "GroqClientAdapter",
    "MemoryStorageAdapter",
    "MistralClientAdapter",
    "OpenAIClientAdapter",
    "Options",
    "PrismaStorageAdapter",
    "ResponsesRunAdapter",
    "SQLAlchemyStorageAdapter",
    "ServerOptions",
    "asgi_app",
    "async_supercompat",
    "supercompat",
]

_HOMES = {
    "AnthropicClientAdapter": "client_adapters.anthropic",
    "AzureOpenAIClientAdapter": "client_adapters.openai",
    "CompletionsRunAdapter": "run_adapters.completions",
    "GoogleClientAdapter": "client_adapters.google",
    "GroqClientAdapter": "client_adapters.groq",
    "MemoryStorageAdapter": "storage_adapters.memory",
    "MistralClientAdapter": "client_adapters.mistral",
    "OpenAIClientAdapter": "client_adapters.openai",
    "Options": "options",
    "PrismaStorageAdapter": "storage_adapters.prisma",
    "ResponsesRunAdapter": "run_adapters.responses",
    "SQLAlchemyStorageAdapter": "storage_adapters.sql",
    "ServerOptions": "server.options",
    "asgi_app": "server.mounting",
    "async_supercompat": "transport.sdk",
    "supercompat": "transport.sdk",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
