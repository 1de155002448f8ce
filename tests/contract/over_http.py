"""A real server on 127.0.0.1 for a whole session of tests: each client's application has a path of its own on it."""

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import count
from typing import Any

import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send


class Network:
    """The server, and the applications that are on it.

    Args:
        portal: to the event loop on which they all work.
    """

    def __init__(self, portal: BlockingPortal, port: int) -> None:
        self.portal = portal
        self._root = f"http://127.0.0.1:{port}"
        self._numbers = count(1)
        self._apps: dict[str, Starlette] = {}

    @contextmanager
    def served(self, app: Starlette) -> Iterator[str]:
        """The base URL of an application, which is stopped in the end."""
        name = f"/{next(self._numbers)}"
        with self.portal.wrap_async_context_manager(app.router.lifespan_context(app)):
            self._apps[name] = app
            yield f"{self._root}{name}/v1"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = f"/{scope['path'].split('/')[1]}"
        await self._apps[name]({**scope, "root_path": name}, receive, send)


@contextmanager
def network() -> Iterator[Network]:
    listener = socket.create_server(("127.0.0.1", 0))
    with start_blocking_portal("asyncio") as portal:
        app = Network(portal, listener.getsockname()[1])
        config = uvicorn.Config(
            app, http="h11", ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=5
        )
        server = uvicorn.Server(config)
        serving: Future[Any] = portal.start_task_soon(server.serve, [listener])
        try:
            yield app
        finally:
            portal.call(_stop, server)
            serving.result(20)


async def _stop(server: uvicorn.Server) -> None:
    server.should_exit = True
    await asyncio.sleep(0)
