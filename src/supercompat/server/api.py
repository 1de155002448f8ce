"""From a request on the wire of ASGI to the runtime that answers it, and back."""

import asyncio
import logging
import math
import re
import time
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl, quote

import anyio
from starlette.requests import ClientDisconnect
from starlette.requests import Request as Incoming
from starlette.types import Message, Receive, Scope, Send

from supercompat.api.application import refusal, standard_headers, unavailable
from supercompat.api.exchange import Request, Response, new_request_id
from supercompat.errors import ClosedError, RequestError, StorageError, SupercompatError, internal_error
from supercompat.server.azure import as_openai
from supercompat.server.doors import Doors, Entrance
from supercompat.server.options import ServerOptions
from supercompat.server.rate import RateLimit
from supercompat.server.streams import gone, send_response
from supercompat.transport.async_door import answered

logger = logging.getLogger(__name__)
access = logging.getLogger("supercompat.access")

#: By which a client of the SDK says how many seconds it waits: Python's, and Node's.
_PATIENCE: Final = ("x-stainless-read-timeout", "x-stainless-timeout")

#: Seconds that a caller whose own timeout is over has to leave.
COURTESY: Final = 2.0

#: Characters of a path that are logged: whoever has no key, too, can send long ones.
LOGGED: Final = 500

#: What stands before the path where a whole URL is asked for (RFC 9112, 3.2.2).
_ORIGIN: Final = re.compile(r"^https?://[^/]*", re.IGNORECASE)

_ID: Final = re.compile(r"[\x21-\x7e]{1,200}")


class Api:
    """The API as an ASGI application."""

    def __init__(self, doors: Doors, options: ServerOptions) -> None:
        self._doors = doors
        self._options = options
        self._rate = RateLimit(options.requests_per_minute)
        self.is_stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = _Asked(scope, self._options)
        try:
            await self._respond(asked, receive, send)
        except* ClientDisconnect:
            pass
        finally:
            if self._options.access_log:
                asked.log()

    async def _respond(self, asked: "_Asked", receive: Receive, send: Send) -> None:
        # First of all: whoever has no key is not given the room for a body.
        refused = await _or_error(asked, self._enter(asked))
        refused = refused or await asked.read(receive)
        async with anyio.create_task_group() as group:
            group.start_soon(_leave, receive, group.cancel_scope)
            response = refused or await _or_error(asked, self._answer(asked))
            assert response is not None
            asked.status = response.status
            await send_response(response, _unless_gone(send), keep_alive=self._options.keep_alive)
            group.cancel_scope.cancel()

    async def _enter(self, asked: "_Asked") -> None:
        """Find out where the request goes."""
        if self.is_stopping:
            raise stopping()
        try:
            asked.entrance = await self._doors.entrance(asked.request.headers)
        except StorageError as error:
            logger.exception("Whose request %s is can't be told", asked.request.id)
            raise RequestError(error.outline, status=503, type="server_error", retry_after=1) from None
        self._rate.count(asked.entrance.caller)

    async def _answer(self, asked: "_Asked") -> Response:
        assert asked.entrance is not None
        response = await answered(asked.entrance.runtime, asked.request)
        if response.failure is not None:
            response = _outlined(response.failure, asked.request)
        return replace(response, headers={**standard_headers(asked.request), **response.headers})


async def _or_error(asked: "_Asked", work: Coroutine[Any, Any, Response | None]) -> Response | None:
    """What the work gives, or the answer that says what went wrong with it."""
    request = asked.request
    try:
        async with asyncio.timeout(request.read_timeout):
            return await work
    except RequestError as error:
        return refusal(error, standard_headers(request))
    except TimeoutError:
        if asked.is_impatient:
            # The caller was about to leave by itself, and is to see its own timeout rather than ours.
            await asyncio.sleep(COURTESY)
        late = RequestError("The request took too long.", status=504, type="server_error")
        return refusal(late, standard_headers(request))
    except SupercompatError as error:
        logger.exception("%s %s failed (%s)", request.method, request.path, request.id)
        return _outlined(error, request)
    except Exception:
        logger.exception("%s %s failed (%s)", request.method, request.path, request.id)
        return refusal(internal_error(request.id), standard_headers(request))


def _outlined(error: SupercompatError, request: Request) -> Response:
    """What is said to the network when we can't work at all: where the database is, is nobody's business there."""
    headers = standard_headers(request)
    if isinstance(error, StorageError):
        return refusal(RequestError(error.outline, status=500, type="server_error"), headers)
    if isinstance(error, ClosedError):
        # Nobody knows how far it got; to read again does no harm.
        return refusal(stopping(1 if request.method == "GET" else None), headers)
    return unavailable(error, headers)


def stopping(retry_after: int | None = 1) -> RequestError:
    """The answer of a server that stops."""
    return RequestError("The server is stopping.", status=503, type="server_error", retry_after=retry_after)


class _Asked:
    """A request on its way in, and what became of it."""

    def __init__(self, scope: Scope, options: ServerOptions) -> None:
        self._began = time.perf_counter()
        self._incoming = Incoming(scope)
        self._options = options
        self.status = 0
        self.entrance: Entrance | None = None
        headers = dict(self._incoming.headers)
        self.request = Request(
            method=self._incoming.method,
            path=_path(scope),
            query=parse_qsl(self._incoming.url.query, keep_blank_values=True),
            headers=headers,
            read_timeout=_patience(headers, options.request_timeout),
            id=_id(headers),
        )

    @property
    def is_impatient(self) -> bool:
        """Whether the caller waits for a shorter time than the server would let it."""
        return self.request.read_timeout != self._options.request_timeout

    async def read(self, receive: Receive) -> Response | None:
        """Read the body. Gives the answer, if that is too large or too slow: the rest of it is not waited for.

        Raises:
            ClientDisconnect: before it was there.
        """
        try:
            async with asyncio.timeout(self._options.request_timeout):
                body = await self._body(receive)
        except RequestError as error:
            return refusal(error, {**standard_headers(self.request), "connection": "close"})
        except TimeoutError:
            slow = RequestError("The request's body did not arrive in time.", status=408)
            return refusal(slow, {**standard_headers(self.request), "connection": "close"})
        path, body = as_openai(self.request.path, body)
        self.request = replace(self.request, path=path, body=body)
        return None

    async def _body(self, receive: Receive) -> bytes:
        announced = self.request.headers.get("content-length", "0")
        self._limit(int(announced) if announced.isdecimal() else 0)
        body = bytearray()
        more = True
        while more:
            message: Message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            self._limit(len(body))
            more = message.get("more_body", False)
        return bytes(body)

    def _limit(self, size: int) -> None:
        if size > self._options.max_body:
            raise RequestError(
                f"The request's body is too large: at most {self._options.max_body} bytes are taken.",
                status=413,
            )

    def log(self) -> None:
        took = round((time.perf_counter() - self._began) * 1000)
        # A status of 0: the client left before there was one.
        access.info(
            "%s %s %d %d ms %s",
            self.request.method,
            self.request.path[:LOGGED],
            self.status,
            took,
            self.request.id,
        )


async def _leave(receive: Receive, scope: anyio.CancelScope) -> None:
    await gone(receive)
    scope.cancel()


def _unless_gone(send: Send) -> Send:
    """Some servers say by an error that the client has gone (ASGI 2.4), uvicorn by a message alone."""

    async def checked(message: Message) -> None:
        try:
            await send(message)
        except OSError:
            raise ClientDisconnect from None

    return checked


def _path(scope: Scope) -> str:
    """The path as it was sent, without what leads to an application in which this one is mounted."""
    sent: Any = scope.get("raw_path") or quote(scope["path"]).encode()
    path = _ORIGIN.sub("", sent.decode("latin-1").partition("?")[0])
    return path.removeprefix(quote(scope.get("root_path", "").rstrip("/")))


def _patience(headers: Mapping[str, str], longest: float) -> float:
    for name in _PATIENCE:
        try:
            seconds = float(headers.get(name, ""))
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds > 0:
            return min(seconds, longest)
    return longest


def _id(headers: Mapping[str, str]) -> str:
    given = headers.get("x-request-id", "")
    return given if _ID.fullmatch(given) else new_request_id()
