"""The adapter around a real `google.genai.Client` that is pointed at a server of ours."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from google import genai

from supercompat.client_adapters.base import Connection
from supercompat.client_adapters.fetch import ImageFetcher
from supercompat.client_adapters.google import GoogleClientAdapter
from supercompat.model.request import ModelRequest
from tests.client_adapters import asking
from tests.client_adapters.conftest import no_tasks, no_threads

KEY = "AIzaSyDoNotShowThis0123456789"

#: Which signs its thoughts, and one that does not.
SIGNS = "gemini-3.1-pro-preview"
PLAIN = "gemini-2.5-flash"

#: On the user's loop through `.aio`, or on any other through the blocking methods.
FACES = {"loop": False, "threads": True}

LOOPBACK = ImageFetcher(allows=lambda address: address.is_loopback)


def client_of(url: str, **options: Any) -> genai.Client:
    http_options: Any = {"base_url": url, "timeout": 10_000, **options}
    return genai.Client(api_key=KEY, http_options=http_options)


@asynccontextmanager
async def connected(url: str, face: str, **options: Any) -> AsyncIterator[Connection]:
    """A connection; afterwards, no thread and no task may be left, and the client is still open."""
    client = client_of(url, **options)
    connection = GoogleClientAdapter(client).connect(own_pool=FACES[face], images=LOOPBACK)
    yield connection
    await connection.aclose()
    await no_threads()
    await no_tasks()
    await client.aio.aclose()
    client.close()


def ask(text: str = "Hi there", **more: Any) -> ModelRequest:
    return replace(asking.ask(text), **{"model": SIGNS, **more})


def parts(body: Mapping[str, Any], index: int = -1) -> list[dict[str, Any]]:
    """The parts of one of the contents of a request."""
    return body["contents"][index]["parts"]
