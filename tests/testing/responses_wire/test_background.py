"""Responses in the background: they go on without a reader, and are read again, cancelled, deleted."""

import threading
from typing import Any

import openai
import pytest
from openai.types.responses import Response

from supercompat.testing import Gate, Reply, ScriptedServer, error, hang, text


def begin(client: openai.OpenAI, *, stream: bool = False, **more: Any) -> Any:
    """A response in the background."""
    return client.responses.create(model="gpt-4o", input="Hi", background=True, stream=stream, **more)


def ended(client: openai.OpenAI, response_id: str) -> Response:
    """The response, once it is at rest."""
    for _ in range(1000):
        response = client.responses.retrieve(response_id)
        if response.status not in ("queued", "in_progress"):
            return response
    raise AssertionError("it never ended")


def test_it_is_answered_at_once_and_goes_on(server: ScriptedServer, client: openai.OpenAI) -> None:
    gate, start = Gate(), Gate()
    server.reply(text("Hel", gate, "lo").after(start))

    response = begin(client)
    assert (response.status, response.background, response.output) == ("queued", True, [])
    start.open()
    assert gate.reached.wait(10)
    half = client.responses.retrieve(response.id)
    assert (half.status, half.output_text) == ("in_progress", "Hel")
    gate.open()

    whole = ended(client, response.id)
    assert (whole.status, whole.output_text) == ("completed", "Hello")
    assert whole.completed_at
    assert whole.usage


def test_its_events(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("Hello"))

    events = list(begin(client, stream=True))

    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds[:4] == ["created", "queued", "in_progress", "output_item.added"]
    assert kinds[-1] == "completed"
    assert events[0].response.status == "queued"
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_it_goes_on_when_its_reader_leaves(server: ScriptedServer, client: openai.OpenAI) -> None:
    gate = Gate()
    server.reply(text("Hel", gate, "lo"))

    with begin(client, stream=True) as stream:
        seen = [next(stream) for _ in range(6)]
    assert server.requests[0].closed.wait(10)
    response_id = seen[0].response.id
    again = client.responses.retrieve(response_id, stream=True, starting_after=seen[-1].sequence_number)
    gate.open()
    rest = list(again)

    assert seen[-1].type == "response.output_text.delta"
    assert [event.sequence_number for event in rest] == list(range(6, 6 + len(rest)))
    assert rest[0].type == "response.output_text.delta"
    assert rest[0].delta == "lo"
    assert rest[-1].type == "response.completed"


def test_all_events_are_read_again(server: ScriptedServer, client: openai.OpenAI) -> None:
    first = list(begin(client, stream=True))
    response_id = first[0].response.id

    again = list(client.responses.retrieve(response_id, stream=True))
    nothing = list(client.responses.retrieve(response_id, stream=True, starting_after=len(first)))
    accumulated = client.responses.stream(response_id=response_id)

    assert again == first
    assert nothing == []
    with accumulated as stream:
        assert stream.get_final_response().output_text == "Hi"


def test_many_readers_of_one_response(server: ScriptedServer, client: openai.OpenAI) -> None:
    gate = Gate()
    server.reply(text("Hel", gate, "lo").cut(7))
    stream = begin(client, stream=True)
    response_id = next(stream).response.id
    heard: list[list[Any]] = []
    readers = [
        threading.Thread(
            target=lambda: heard.append(list(client.responses.retrieve(response_id, stream=True)))
        )
        for _ in range(3)
    ]
    for reader in readers:
        reader.start()
    gate.open()
    for reader in readers:
        reader.join(10)

    rest = list(stream)
    assert [len(events) for events in heard] == [len(rest) + 1] * 3


def test_a_dropped_line_does_not_end_it(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("Hel", "lo").then_drop())
    seen: list[Any] = []

    with pytest.raises(openai.APIConnectionError) as caught:
        seen.extend(begin(client, stream=True))
    assert not isinstance(caught.value, openai.APITimeoutError)
    last = seen[-1]
    rest = list(
        client.responses.retrieve(seen[0].response.id, stream=True, starting_after=last.sequence_number)
    )

    assert (last.type, last.delta) == ("response.output_text.delta", "lo")
    assert [rest[0].type, rest[-1].type] == ["response.output_text.done", "response.completed"]


def test_cancelling(server: ScriptedServer, client: openai.OpenAI) -> None:
    gate = Gate()
    server.reply(text("Hel", gate, "lo"))
    stream = begin(client, stream=True)
    response_id = next(stream).response.id
    assert gate.reached.wait(10)

    cancelled = client.responses.cancel(response_id)
    gate.open()
    *_, last = stream

    assert (cancelled.status, cancelled.output) == ("cancelled", [])
    assert (last.type, last.response.status) == ("response.failed", "cancelled")
    assert client.responses.cancel(response_id).status == "cancelled"
    assert client.responses.retrieve(response_id).status == "cancelled"
    assert list(client.responses.retrieve(response_id, stream=True))[-1] == last


def test_cancelling_what_has_not_begun(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(hang())

    response = begin(client)

    assert client.responses.cancel(response.id).status == "cancelled"


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (text("a"), "completed"),
        (text("a", finish="length"), "incomplete"),
        (text("a").then_fail("Broken."), "failed"),
        (text("a").then_error("Broken."), "failed"),
    ],
)
def test_what_has_ended_is_not_cancelled(
    server: ScriptedServer, client: openai.OpenAI, reply: Reply, status: str
) -> None:
    server.reply(reply)
    response = ended(client, begin(client).id)

    assert response.status == status
    with pytest.raises(openai.BadRequestError, match=f"Cannot cancel an? {status} response"):
        client.responses.cancel(response.id)


def test_an_error_fails_it_with_an_event(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("Hel").then_error("Overloaded", code="server_error"))

    *_, told, last = begin(client, stream=True)

    assert (told.type, told.message) == ("error", "Overloaded")
    assert last.type == "response.failed"
    assert last.response.error.message == "Overloaded"


def test_an_answer_that_is_an_error_begins_nothing(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(error(429))

    with pytest.raises(openai.RateLimitError):
        begin(client)


def test_only_the_background_is_cancelled_and_streamed_again(
    server: ScriptedServer, client: openai.OpenAI
) -> None:
    front = client.responses.create(model="gpt-4o", input="Hi")
    unstreamed = begin(client)

    with pytest.raises(openai.BadRequestError, match="synchronous"):
        client.responses.cancel(front.id)
    with pytest.raises(openai.BadRequestError, match="background=true"):
        client.responses.retrieve(front.id, stream=True)
    with pytest.raises(openai.BadRequestError, match="stream=true") as caught:
        client.responses.retrieve(unstreamed.id, stream=True)
    assert caught.value.param == "stream"


def test_it_has_to_be_stored(server: ScriptedServer, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        begin(client, store=False)

    assert (caught.value.param, caught.value.code) == ("background", "unsupported_parameter")


def test_what_is_under_way_is_not_deleted(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(hang())
    response = begin(client)

    with pytest.raises(openai.BadRequestError, match="in-flight"):
        client.responses.delete(response.id)
    client.responses.cancel(response.id)
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_closing_the_server_ends_it() -> None:
    before = set(threading.enumerate())
    with (
        ScriptedServer(default=hang()) as server,
        openai.OpenAI(base_url=server.base_url, api_key="k") as sdk,
    ):
        begin(sdk)
        stream = begin(sdk, stream=True)
        next(stream)
        server.close()
        with pytest.raises(openai.APIConnectionError):
            list(stream)
    assert set(threading.enumerate()) == before


def test_a_pace_is_kept(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("a", "b").paced(first=0.01, interval=0.01))

    assert ended(client, begin(client).id).output_text == "ab"
