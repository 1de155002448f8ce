"""Mistral's SDK client in each of its forms, pointed at a server that plays Mistral."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mistralai.client import Mistral

from supercompat.testing import MistralServer

KEY = "0123456789abcdefMISTRALKEYghijkl"

#: The HTTP client that the user gives to the SDK, if any: it decides how the SDK is driven.
KINDS = ("neither", "client", "async_client")


@asynccontextmanager
async def mistral(kind: str, server: MistralServer, **options: Any) -> AsyncIterator[Mistral]:
    """An SDK client; the HTTP client that was given to it is closed in the end."""
    given: dict[str, Any] = {}
    if kind == "client":
        given["client"] = httpx2.Client()
    elif kind == "async_client":
        given["async_client"] = httpx2.AsyncClient()
    try:
        yield Mistral(server_url=server.url, api_key=KEY, timeout_ms=10_000, **given, **options)
    finally:
        if kind == "client":
            given["client"].close()
        elif kind == "async_client":
            await given["async_client"].aclose()
