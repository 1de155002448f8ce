"""The application as an ASGI application: for `supercompat serve`, and to be mounted in one's own."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import anyio
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as Incoming
from starlette.responses import PlainTextResponse
from starlette.responses import Response as Answer
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from supercompat.api.application import refusal, standard_headers, unavailable
from supercompat.api.exchange import Request, Response
from supercompat.errors import RequestError, StorageError
from supercompat.options import Options
from supercompat.run_adapters.base import RunAdapter
from supercompat.server.doors import Doors, OneDoor
from supercompat.server.streams import KEEP_ALIVE, gone, send_response
from supercompat.storage_adapters.protocol import StorageAdapter
from supercompat.transport.core import DoorTimeoutError
from supercompat.transport.sdk import compose

logger = logging.getLogger(__name__)


def asgi_app(
    *,
    client: object,
    storage: StorageAdapter | None = None,
    run_adapter: RunAdapter | None = None,
    models: Mapping[str, str] | None = None,
    options: Options | None = None,
) -> Starlette:
    """The API as an ASGI application, by itself or mounted in one of Starlette or FastAPI.

    Nothing is started before the first request, since a mounted application is not told when the server starts.
    Nobody is asked for a key: that is the business of the application in which this one is mounted.

    Args:
        The arguments are those of `supercompat()`.

    Raises:
        ConfigurationError: something given can't work.
    """
    return application(OneDoor(compose(client, storage, run_adapter, models, options)))


def application(doors: Doors) -> Starlette:
    """The API behind these doors. They are closed when the server stops."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await doors.start()
        yield
        await doors.close()

    return Starlette(
        routes=[
            Route("/healthz", _healthz),
            Route("/{path:path}", Api(doors)),
        ],
        lifespan=lifespan,
    )


async def _healthz(_: Incoming) -> Answer:
    return PlainTextResponse("ok\n")


class Api:
    """Brings requests to a door, and answers back."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive)
        try:
            request = _request(incoming, await incoming.body())
        except ClientDisconnect:
            return
        async with anyio.create_task_group() as group:

            async def leave() -> None:
                await gone(receive)
                group.cancel_scope.cancel()

            group.start_soon(leave)
            await send_response(await self._answer(request), send, keep_alive=KEEP_ALIVE)
            group.cancel_scope.cancel()

    async def _answer(self, request: Request) -> Response:
        try:
            door = await self._doors.door(request.headers)
            response = await door.handle(request)
            return replace(response, headers={**standard_headers(request), **response.headers})
        except RequestError as error:
            return refusal(error, standard_headers(request))
        except DoorTimeoutError:
            late = RequestError("The request took too long.", status=504, type="server_error")
            return refusal(late, standard_headers(request))
        except StorageError as error:
            logger.exception("The project of %s could not be found", request.id)
            return unavailable(error, standard_headers(request))


def _request(incoming: Incoming, body: bytes) -> Request:
    scope: Any = incoming.scope
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    return Request(
        method=incoming.method,
        path=path.partition("?")[0],
        query=parse_qsl(incoming.url.query, keep_blank_values=True),
        headers=dict(incoming.headers),
        body=body,
    )
