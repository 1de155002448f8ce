"""The ASGI application, for `supercompat serve` and for `asgi_app()`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import cache
from typing import TypeAlias

import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request as Incoming
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from supercompat.server.api import Api
from supercompat.server.doors import Doors
from supercompat.server.options import ServerOptions

#: Makes the application stop: new requests are refused, and the task ends when runs were waited for or handed over.
#: Cancelled, it hands them over at once.
Stop: TypeAlias = Callable[[], asyncio.Task[None]]

#: Seconds within which the database has to answer: Kubernetes, for one, waits no longer.
PROBED_WITHIN = 0.9


def application(
    doors: Doors,
    options: ServerOptions | None = None,
    *,
    around: Callable[[Stop], AbstractAsyncContextManager[None]] | None = None,
) -> Starlette:
    """The API behind these doors, which are closed when the server stops.

    Args:
        around: entered when the server starts, left when it has stopped. It is given what makes the application
            stop, if that is known before the server says so.
    """
    options = options or ServerOptions()
    api = Api(doors, options)
    health = Health(doors, api)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        # An application may be started again, as test clients do.
        doors.open()
        api.is_stopping = False

        @cache
        def stop() -> asyncio.Task[None]:
            api.is_stopping = True
            return asyncio.create_task(doors.close())

        async with around(stop) if around else nullcontext():
            yield
            closing = stop()
            await asyncio.wait([closing])
            if not closing.cancelled():
                closing.result()

    app = Starlette(
        routes=[Route("/healthz", health.alive), Route("/readyz", health.ready), Route("/{path:path}", api)],
        middleware=_middleware(options),
        lifespan=lifespan,
    )
    otherwise = app.router.default

    async def default(scope: Scope, receive: Receive, send: Send) -> None:
        # What is asked for need not begin with a slash: a whole URL, as proxies send it, or "*".
        await (api if scope["type"] == "http" else otherwise)(scope, receive, send)

    app.router.default = default
    return app


class Health:
    """What asks whether the server works: the process, then also its database."""

    def __init__(self, doors: Doors, api: Api) -> None:
        self._doors = doors
        self._api = api

    async def alive(self, _: Incoming) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Incoming) -> JSONResponse:
        """Whether requests can be answered: 200, or 503."""
        if self._api.is_stopping:
            return JSONResponse({"status": "stopping"}, 503)
        with anyio.move_on_after(PROBED_WITHIN):
            if await self._doors.probe():
                return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "the database can't be used"}, 503)


def _middleware(options: ServerOptions) -> list[Middleware]:
    if not options.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(options.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=[
                "x-request-id",
                "x-should-retry",
                "retry-after",
                "openai-processing-ms",
                "openai-version",
                "openai-poll-after-ms",
            ],
        )
    ]
