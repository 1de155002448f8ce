"""Leaving an answer of Anthropic's: what holds for the other SDKs holds here, test for test."""

from collections.abc import Iterator

import anthropic
import pytest

from supercompat import AnthropicClientAdapter
from supercompat.testing import AnthropicServer
from tests.client_adapters.conftest import Kind
from tests.client_adapters.test_leaving import (
    test_a_chat_stream,
    test_a_chat_that_is_not_streamed,
    test_a_task_that_waits_for_the_next_event,
    test_before_the_headers,
    test_in_mid_stream,
    test_many_at_once,
    test_the_client_goes_on_working,
    test_while_another_task_reads,
    test_with_events_unread,
)

__all__ = [
    "test_a_chat_stream",
    "test_a_chat_that_is_not_streamed",
    "test_a_task_that_waits_for_the_next_event",
    "test_before_the_headers",
    "test_in_mid_stream",
    "test_many_at_once",
    "test_the_client_goes_on_working",
    "test_while_another_task_reads",
    "test_with_events_unread",
]

KINDS = {
    "sync": Kind(anthropic.Anthropic, AnthropicClientAdapter),
    "async": Kind(anthropic.AsyncAnthropic, AnthropicClientAdapter),
}


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer() as server:
        yield server


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]
