"""The server's application, asked over ASGI by projects with a key each."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.applications import Starlette

from supercompat import Options
from supercompat.client_adapters.base import ClientAdapter
from supercompat.server.api_keys import new_key
from supercompat.server.asgi import application
from supercompat.server.project_doors import ProjectDoors
from supercompat.storage_adapters.protocol import StorageAdapter
from supercompat.transport.sdk import compose
from tests.engine.projects import Answer


async def add_key(storage: StorageAdapter, project: str) -> tuple[str, str]:
    """A new key, and its id."""
    key, stored = new_key(project, "", int(time.time()))
    store = storage.open()
    await store.transact(lambda tx: tx.keys.insert(stored))
    await store.aclose()
    return key, stored.id


async def revoke_key(storage: StorageAdapter, key_id: str) -> None:
    store = storage.open()
    assert await store.transact(lambda tx: tx.keys.revoke(key_id, int(time.time())))
    await store.aclose()


def application_for(client: ClientAdapter, storage: StorageAdapter, host: str = "127.0.0.1") -> Starlette:
    """What `supercompat serve` serves."""
    return application(ProjectDoors(compose(client, storage, None, None, Options(drain=0)), host=host))


@asynccontextmanager
async def asked(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that was started."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1/v1") as client:
            yield client


class Keyring:
    """Asks as a project, whose key is made when it asks first."""

    def __init__(self, storage: StorageAdapter, client: httpx.AsyncClient) -> None:
        self._storage = storage
        self._client = client
        self._keys: dict[str, str] = {}

    async def ask(
        self,
        project: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Sequence[tuple[str, str]],
    ) -> Answer:
        if project not in self._keys:
            self._keys[project], _ = await add_key(self._storage, project)
        headers = {"authorization": f"Bearer {self._keys[project]}"}
        response = await self._client.request(method, path, params=list(query), json=body, headers=headers)
        if response.headers["content-type"].startswith("text/event-stream"):
            return Answer(response.status_code, {"frames": response.text})
        if response.headers["content-type"].startswith("image/"):
            return Answer(response.status_code, {"image": response.content.hex()})
        return Answer(response.status_code, response.json())
