"""The API as one function from a request to a response. Doors open on it; it knows none of them."""

import logging
import time
from dataclasses import replace

from supercompat.api.codec import JSON, decode, encode, encode_json
from supercompat.api.exchange import Frames, Request, Response
from supercompat.api.router import Router
from supercompat.api.routes import ROUTES, Call, Services
from supercompat.api.strictness import demand_beta, demand_limits
from supercompat.errors import ClosedError, RequestError, StorageError, SupercompatError, internal_error
from supercompat.services.runs import wait_for_poll

logger = logging.getLogger(__name__)


class Application:
    """Answers requests. Whatever goes wrong becomes an error body: `handle` raises nothing but cancellation.

    Args:
        strict: whether to refuse what only the hosted API refused.
    """

    def __init__(self, services: Services, *, strict: bool = False) -> None:
        self._services = services
        self._strict = strict
        self._router = Router(ROUTES)

    async def handle(self, request: Request) -> Response:
        started = time.perf_counter()
        headers = standard_headers(request)
        try:
            headers["content-type"], body = await self._answer(request, headers)
            response = Response(200, headers, body)
        except RequestError as error:
            response = refusal(error, headers)
        except ClosedError as error:
            response = unavailable(error, headers)
        except StorageError as error:
            logger.exception("%s %s failed (%s)", request.method, request.path, request.id)
            response = unavailable(error, headers)
        except Exception:
            logger.exception("%s %s failed (%s)", request.method, request.path, request.id)
            response = refusal(internal_error(request.id), headers)
        headers["openai-processing-ms"] = str(round((time.perf_counter() - started) * 1000))
        return response

    async def _answer(self, request: Request, headers: dict[str, str]) -> tuple[str, bytes | Frames]:
        if self._strict:
            demand_beta(request)
        route, ids = self._router.match(request.method, request.path)
        body, query = decode(route, request)
        if self._strict:
            demand_limits(body)
        polled = request.headers.get("x-stainless-poll-helper") == "true"
        wait = wait_for_poll(request.read_timeout) if polled else 0.0
        return encode(await route.handler(self._services, Call(request, ids, body, query, wait, headers)))


def standard_headers(request: Request) -> dict[str, str]:
    """What every answer carries beside its content (C-001)."""
    return {"x-request-id": request.id, "openai-version": "2020-10-01"}


def refusal(error: RequestError, headers: dict[str, str] | None = None) -> Response:
    """An error body. Nothing gets better by asking again, unless the error says when: a provider's SDK has done its
    retries."""
    headers = {} if headers is None else headers
    headers |= {"content-type": JSON, "x-should-retry": "false"}
    if error.retry_after is not None:
        headers |= {"x-should-retry": "true", "retry-after": str(error.retry_after)}
    return Response(error.status, headers, encode_json(error.body()))


def unavailable(error: SupercompatError, headers: dict[str, str] | None = None) -> Response:
    """What a caller reads when we can't work at all: our own words say what to do."""
    answer = refusal(RequestError(str(error), status=500, type="server_error"), headers)
    return replace(answer, failure=error)
