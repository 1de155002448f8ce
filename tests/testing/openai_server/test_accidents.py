"""How a scripted server waits and fails: gates, pace, errors, drops, silence."""

import json
import threading
import time

import groq
import openai
import pytest

from supercompat.testing.openai_server import (
    Failure,
    Gate,
    Reply,
    ScriptedServer,
    call,
    drop,
    error,
    hang,
    text,
    tool_calls,
)
from tests.testing.openai_server.asking import (
    GROQ_PATH,
    HELLO,
    RawStream,
    ask,
    chunks,
    events,
    question,
    stream,
    streamed_text,
)


def test_a_gate_holds_the_stream_and_lets_it_go(server: ScriptedServer) -> None:
    gate = Gate()
    server.reply(text("one", gate, "two"))

    with RawStream(server) as raw:
        raw.read_until(b'"one"')
        assert gate.reached.wait(10)
        assert raw.nothing_more_came()
        gate.open()
        assert b'"two"' in raw.read_all()


def test_a_gate_before_the_first_piece_lets_only_the_headers_go(server: ScriptedServer) -> None:
    gate = Gate()
    server.reply(text(gate, "one"))

    with RawStream(server) as raw:
        assert raw.read_until(b"\r\n\r\n").endswith(b"\r\n\r\n")
        assert gate.reached.wait(10)
        assert raw.nothing_more_came()
        gate.open()
        assert b'"one"' in raw.read_all()


@pytest.mark.parametrize("sizes", [(1,), (7, 300), (100_000,)], ids=str)
def test_a_stream_is_cut_into_pieces(server: ScriptedServer, sizes: tuple[int, ...]) -> None:
    gate = Gate()
    server.reply(text("one", gate, "two").cut(*sizes), text("one", "two"))

    with RawStream(server) as raw, RawStream(server) as whole:
        raw.read_until(b'"one"' if sizes == (100_000,) else b"\r\n\r\n")
        assert gate.reached.wait(10)
        gate.open()
        pieces = chunks(raw.read_all())
        assert len(b"".join(pieces)) == len(b"".join(chunks(whole.read_all())))
    assert all(len(piece) <= max(sizes) for piece in pieces)
    assert b"".join(pieces).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("answer", [text("one"), error(503)], ids=["reply", "error"])
def test_after_a_gate_not_even_the_headers_go_before_it(
    server: ScriptedServer, answer: Reply | Failure
) -> None:
    gate = Gate()
    server.reply(answer.after(gate))

    with RawStream(server) as raw:
        assert gate.reached.wait(10)
        assert raw.nothing_more_came()
        gate.open()
        assert raw.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 ")


def test_gates_hold_one_body_and_tool_calls_too(server: ScriptedServer, client: openai.OpenAI) -> None:
    gate = Gate()
    server.reply(tool_calls(call("f", '{"a":', gate, "1}")))
    opener = threading.Thread(target=lambda: gate.reached.wait(10) and gate.open())
    opener.start()

    answer = client.chat.completions.create(model="m", messages=HELLO).choices[0].message
    opener.join()

    assert answer.tool_calls
    (made,) = answer.tool_calls
    assert made.type == "function"
    assert made.function.arguments == '{"a":1}'


def test_an_open_gate_holds_nothing(server: ScriptedServer, client: openai.OpenAI) -> None:
    gate = Gate()
    gate.open()
    server.reply(text("a", gate, "b"))

    assert streamed_text(client) == "ab"
    assert gate.reached.is_set()


def test_a_paced_reply_keeps_its_schedule(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text(*"abcde").paced(first=0.05, interval=0.02))

    began = time.monotonic()
    chunks = client.chat.completions.create(model="m", messages=HELLO, stream=True)
    opened = time.monotonic() - began
    arrived = [(chunk.choices[0].delta.content, time.monotonic() - began) for chunk in chunks]

    assert opened < arrived[0][1]
    for number, piece in enumerate("abcde"):
        (at,) = (at for content, at in arrived if content == piece)
        assert at >= 0.05 + number * 0.02


def test_a_paced_body_comes_when_its_last_piece_would(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text(*"abcde").paced(first=0.05, interval=0.02))

    began = time.monotonic()
    client.chat.completions.create(model="m", messages=HELLO)

    assert time.monotonic() - began >= 0.05 + 4 * 0.02


def test_an_error_has_openais_shape_and_headers(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(error(429, "Slow down", headers={"retry-after": "7"}))

    with pytest.raises(openai.RateLimitError) as caught:
        stream(client)

    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.response.headers["x-request-id"].startswith("req_")
    assert caught.value.body == {
        "message": "Slow down",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert server.requests[0].status == 429


def test_an_error_is_repeated_by_the_sdk_and_takes_one_reply(
    server: ScriptedServer, client: openai.OpenAI
) -> None:
    server.reply(error(503, headers={"retry-after-ms": "1"}), text("late"))

    assert streamed_text(client.with_options(max_retries=1)) == "late"
    assert [received.status for received in server.requests] == [503, 200]
    assert server.pending == 0


def test_groqs_errors_leave_out_what_is_null(server: ScriptedServer) -> None:
    server.reply(error(400, "No", code="tool_use_failed"))

    status, body = ask(server, question(), path=GROQ_PATH)

    assert (status, body) == (
        400,
        {"error": {"message": "No", "type": "invalid_request_error", "code": "tool_use_failed"}},
    )


def test_an_error_may_be_no_json_and_of_any_status(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(error(529, raw="<h1>Overloaded</h1>"))

    with pytest.raises(openai.InternalServerError) as caught:
        stream(client)

    assert (caught.value.status_code, caught.value.response.text) == (529, "<h1>Overloaded</h1>")
    assert caught.value.response.headers["content-type"] == "text/html"


def test_an_error_in_mid_stream(
    server: ScriptedServer, client: openai.OpenAI, groq_client: groq.Groq
) -> None:
    server.reply(*[text("Hel").then_error("Overloaded", code="overloaded")] * 2)

    chunks = client.chat.completions.create(model="m", messages=HELLO, stream=True)
    said = [next(chunks).choices[0].delta.content for _ in range(2)]
    with pytest.raises(openai.APIError, match="Overloaded") as caught:
        next(chunks)
    with pytest.raises(groq.APIError, match="Overloaded"):
        list(
            groq_client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
            )
        )

    assert said == ["", "Hel"]
    assert caught.value.code == "overloaded"
    assert server.requests[0].finished.wait(10)


def test_an_error_in_mid_stream_is_a_500_in_one_body(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("Hel").then_error("Overloaded"))

    with pytest.raises(openai.InternalServerError, match="Overloaded"):
        client.chat.completions.create(model="m", messages=HELLO)


def test_a_drop_in_mid_stream_ends_the_connection_not_the_body(server: ScriptedServer) -> None:
    server.reply(text("Hel").then_drop())

    with RawStream(server) as raw:
        received = raw.read_all()

    assert [event["choices"][0]["delta"].get("content") for event in events(received)] == ["", "Hel"]
    assert not received.endswith(b"0\r\n\r\n")
    assert not server.requests[0].finished.is_set()
    assert not server.requests[0].closed.is_set()


@pytest.mark.parametrize("answer", [drop(), text("Hel").then_drop()], ids=["at once", "half a body"])
def test_a_drop_instead_of_a_body(server: ScriptedServer, client: openai.OpenAI, answer: Reply) -> None:
    server.reply(answer)

    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="m", messages=HELLO)

    assert not server.requests[0].finished.is_set()


def test_malformed_json(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(*[text("Hel").then_malformed()] * 2)

    with pytest.raises(json.JSONDecodeError):
        stream(client)
    with pytest.raises(json.JSONDecodeError):
        ask(server, question())


def test_a_hanging_reply_ends_with_the_clients_patience(
    server: ScriptedServer, client: openai.OpenAI
) -> None:
    server.reply(hang(), text("Hel").then_hang())
    hasty = client.with_options(timeout=0.2)

    with pytest.raises(openai.APITimeoutError):
        hasty.chat.completions.create(model="m", messages=HELLO)
    with pytest.raises(openai.APITimeoutError):
        hasty.chat.completions.create(model="m", messages=HELLO)

    assert [received.closed.wait(10) for received in server.requests] == [True, True]


def test_a_hanging_stream_may_be_let_go(server: ScriptedServer) -> None:
    gate = Gate()
    server.reply(text("Hel").then_hang(gate))

    with RawStream(server) as raw:
        assert gate.reached.wait(10)
        gate.open()
        assert raw.read_all().endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
