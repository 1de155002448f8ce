"""Between bytes and what the operations take and give."""

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, SerializeAsAny

from supercompat.api.exchange import Frames, Request
from supercompat.api.routes import Answer, Route
from supercompat.api.validation import parse_json, parse_query, validate
from supercompat.services.images import Image
from supercompat.storage_adapters.protocol import Page
from supercompat.wire.objects import Resource, WireObject

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"


class ListObject(WireObject):
    """The envelope of a list (1.3)."""

    object: Literal["list"] = "list"
    data: list[SerializeAsAny[Resource]]
    first_id: str | None
    last_id: str | None
    has_more: bool


def decode(route: Route, request: Request) -> tuple[BaseModel | None, BaseModel | None]:
    """The body and the query that the route asks for.

    Raises:
        RequestError: a 400 that names the parameter. JSON is judged before the query, the query before the body.
    """
    raw = None if route.body is None else parse_json(request.body)
    query = None if route.query is None else parse_query(route.query, request.query)
    return (None if route.body is None else validate(route.body, raw)), query


def encode(answer: Answer) -> tuple[str, bytes | Frames]:
    """Content type and body of a successful answer. JSON is indented by two spaces, as on the wire."""
    if isinstance(answer, AsyncGenerator):
        return EVENTS, answer
    if isinstance(answer, Image):
        return answer.type, answer.data
    if isinstance(answer, Page):
        answer = _list_object(answer)
    if isinstance(answer, WireObject):
        return JSON, answer.model_dump_json(indent=2).encode()
    return JSON, encode_json(answer)


def encode_json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, indent=2).encode()


def _list_object(page: Page[Any]) -> ListObject:
    data: list[Resource] = [row.object for row in page.rows]
    return ListObject(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=page.has_more,
    )
