"""Requests that the SDK's own methods would not let through, and refusals as the wire has them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias, cast

import openai
import pytest
from openai import OpenAI

Json: TypeAlias = dict[str, Any]


class Refusal(NamedTuple):
    """An error body, and the status that it came with."""

    status: int
    message: str
    param: str | None
    code: str | None


def refused(attempt: Callable[[], object]) -> Refusal:
    """The refusal that a call of the SDK ends with: all of its body, and that it was asked for once."""
    with pytest.raises(openai.APIStatusError) as caught:
        attempt()
    response = caught.value.response
    assert response.headers["content-type"] == "application/json"
    # The SDK counts how often it has asked before.
    assert response.request.headers.get("x-stainless-retry-count") in (None, "0")
    assert response.json().keys() == {"error"}
    error: Json = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    return Refusal(response.status_code, error["message"], error["param"], error["code"])


def post(client: OpenAI, path: str, body: object) -> Json:
    """The object that is answered to any JSON value as a body."""
    return cast(Json, client.post(path, cast_to=object, body=cast(Any, body)))


def get(client: OpenAI, path: str) -> Json:
    return cast(Json, client.get(path, cast_to=object))


def send(
    client: OpenAI, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] | None = None
) -> Any:
    """The response of the SDK's HTTP library to any request, its bytes sent as they are.

    Args:
        path: below `/v1`, with a query if there is one.
    """
    # An asynchronous client comes wrapped.
    inner: Any = getattr(client, "_target", client)
    request = partial(
        inner._client.request,
        method,
        f"{str(inner.base_url).rstrip('/')}{path}",
        content=content,
        headers=headers,
    )
    portal: Any = getattr(client, "_portal", None)
    return request() if portal is None else portal.call(request)


def error_of(response: Any) -> Json:
    """The error in a response."""
    assert response.headers["content-type"] == "application/json"
    [(name, error)] = response.json().items()
    assert name == "error"
    return error
