"""A server that plays Mistral."""

from collections.abc import Iterator

import pytest

from supercompat.testing import MistralServer


@pytest.fixture
def server() -> Iterator[MistralServer]:
    with MistralServer() as server:
        yield server
