"""What is answered to an attempt that may be refused."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from supercompat.errors import RequestError

T = TypeVar("T")


def answer(attempt: Callable[[], T]) -> T | RequestError:
    """What the attempt gives, or its refusal. Any other exception passes through."""
    try:
        return attempt()
    except RequestError as error:
        return error


def refused(attempt: Callable[[], object]) -> tuple[str, str | None, str | None]:
    """Message, parameter and code of a 400."""
    with pytest.raises(RequestError) as caught:
        attempt()
    error = caught.value
    assert (error.status, error.type) == (400, "invalid_request_error")
    return error.message, error.param, error.code
