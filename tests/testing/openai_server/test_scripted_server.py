"""The server around the replies: its log, its script, other resources, connections, its end."""

import json
import statistics
import threading
import time
from contextlib import closing
from typing import Any

import groq
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from supercompat.testing.openai_server import (
    Gate,
    Received,
    Reply,
    ScriptedServer,
    text,
)
from tests.testing.openai_server.asking import (
    HELLO,
    KEY,
    OPENAI_PATH,
    RawStream,
    ask,
    connect,
    question,
    stream,
    streamed_text,
)


def test_the_log_shows_what_was_asked(server: ScriptedServer, client: openai.OpenAI) -> None:
    stream(client, temperature=0.5, extra_headers={"X-Mine": "1"})

    (received,) = server.requests
    assert (received.method, received.path, received.status) == ("POST", "/v1/chat/completions", 200)
    assert (received.headers["authorization"], received.headers["x-mine"]) == ("Bearer test", "1")
    assert received.body == {"model": "m", "messages": HELLO, "stream": True, "temperature": 0.5}


def test_a_stream_that_the_client_closes_is_seen_at_once(
    server: ScriptedServer, client: openai.OpenAI, groq_client: groq.Groq
) -> None:
    gates = [Gate(), Gate()]
    server.reply(*(text("Hel", gate, "lo") for gate in gates))

    openais = client.chat.completions.create(model="m", messages=HELLO, stream=True)
    groqs = groq_client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    assert all(gate.reached.wait(10) for gate in gates)
    assert not any(received.closed.is_set() for received in server.requests)
    openais.close()
    groqs.close()

    assert all(received.closed.wait(10) for received in server.requests)
    assert not any(received.finished.is_set() for received in server.requests)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_whole_answer_is_finished_and_never_closed(server: ScriptedServer, streamed: bool) -> None:
    with openai.OpenAI(base_url=server.base_url, api_key="test") as client:
        answer: Any = client.chat.completions.create(model="m", messages=HELLO, stream=streamed)
        list(answer)
        assert server.requests[0].finished.wait(10)

    server.close()
    assert not server.requests[0].closed.is_set()


def test_an_answer_that_nobody_reads_is_not_finished(server: ScriptedServer) -> None:
    server.reply(text(*["x" * 1_000_000] * 20))

    with RawStream(server) as raw:
        raw.read_until(b"xxx")
    assert server.requests[0].closed.wait(10)

    assert not server.requests[0].finished.is_set()


def test_replies_are_taken_in_order_and_refused_requests_take_none(
    server: ScriptedServer, client: openai.OpenAI
) -> None:
    server.reply(text("one"))
    server.reply(text("two"), lambda received: text(received.body["model"]))

    assert streamed_text(client) == "one"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="m", messages=[])
    assert server.pending == 2
    assert [streamed_text(client), streamed_text(client)] == ["two", "m"]


def test_what_nobody_scripted_echoes_the_user(server: ScriptedServer, client: openai.OpenAI) -> None:
    said = [chunk.choices[0].delta.content for chunk in stream(client)]
    parts: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": [{"type": "text", "text": "In"}, {"type": "text", "text": "parts"}]},
        {"role": "system", "content": "Be brief"},
    ]
    answer = client.chat.completions.create(model="m", messages=parts)

    assert said == ["", "Hi", " there", None]
    assert answer.choices[0].message.content == "In parts"


@pytest.mark.parametrize("default", [text("mine"), lambda _: text("mine")], ids=["reply", "function"])  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
def test_another_default_may_be_given(default: Any) -> None:
    with (
        ScriptedServer(default=default) as server,
        openai.OpenAI(base_url=server.base_url, api_key="test") as client,
    ):
        assert [streamed_text(client), streamed_text(client)] == ["mine", "mine"]


def test_a_scripted_function_that_fails_is_told_to_the_client(
    server: ScriptedServer, client: openai.OpenAI
) -> None:
    def broken(received: Received) -> Reply:
        return text(received.body["nonsense"])

    server.reply(broken)

    with pytest.raises(openai.InternalServerError, match="KeyError"):
        client.with_options(max_retries=2).chat.completions.create(model="m", messages=HELLO)
    assert len(server.requests) == 1


def test_models() -> None:
    with (
        ScriptedServer(models=["small", "vendor/large"]) as server,
        openai.OpenAI(base_url=server.base_url, api_key="test") as client,
        groq.Groq(base_url=server.url, api_key="test") as groq_client,
    ):
        assert [model.id for model in client.models.list()] == ["small", "vendor/large"]
        assert client.models.retrieve("vendor/large").id == "vendor/large"
        assert groq_client.models.retrieve("small").object == "model"
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve("huge")
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="huge", messages=HELLO)

    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/embeddings"),
        ("PUT", "/v1/responses"),
        ("GET", "/v1/responses/resp_1/nothing"),
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/models"),
        ("POST", "/chat/completions"),
        ("POST", "/v1chat/completions"),
        ("GET", "/"),
    ],
)
def test_what_is_not_served_is_a_404(server: ScriptedServer, method: str, path: str) -> None:
    status, body = ask(server, question(), method=method, path=path)

    assert (status, body["error"]["code"]) == (404, "unknown_url")
    assert path in body["error"]["message"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic abc"}])
def test_a_key_is_needed(server: ScriptedServer, headers: dict[str, str]) -> None:
    status, body = ask(server, question(), headers=headers)

    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    assert server.requests[0].status == 401


def test_a_query_does_not_hide_the_path(server: ScriptedServer) -> None:
    assert ask(server, question(), path=OPENAI_PATH + "?api-version=1")[0] == 200


def test_a_connection_is_kept_for_the_next_request(server: ScriptedServer) -> None:
    with closing(connect(server)) as connection:
        addresses: list[Any] = []
        for streamed in (True, False, True):
            connection.request("POST", OPENAI_PATH, json.dumps(question(stream=streamed)), KEY)
            connection.getresponse().read()
            addresses.append(connection.sock.getsockname())

    assert len(set(addresses)) == 1
    assert len(server.requests) == 3


def test_events_do_not_wait_for_acknowledgements(server: ScriptedServer) -> None:
    server.reply(*[text(*"abcdefgh")] * 40)
    took: list[float] = []

    with closing(connect(server)) as connection:
        for _ in range(40):
            began = time.monotonic()
            connection.request("POST", OPENAI_PATH, json.dumps(question(stream=True)), KEY)
            connection.getresponse().read()
            took.append(time.monotonic() - began)

    # The kernel acknowledges late by 40 ms, for which Nagle's algorithm would wait in most answers: a busy
    # machine delays some, no quarter of all is quick then.
    assert statistics.quantiles(took)[0] < 0.035


def test_a_connection_is_closed_when_the_client_asks_for_it(server: ScriptedServer) -> None:
    with closing(connect(server)) as connection:
        connection.request("POST", OPENAI_PATH, json.dumps(question()), KEY | {"Connection": "close"})
        connection.getresponse().read()
        connection.sock.settimeout(10)
        assert connection.sock.recv(1) == b""


@pytest.mark.parametrize(
    "first", [b"nonsense", b"POST / HTTP/1.0", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked"]
)
def test_what_is_not_http_is_refused(server: ScriptedServer, first: bytes) -> None:
    with closing(connect(server)) as connection:
        connection.connect()
        connection.sock.sendall(first + b"\r\n\r\n")
        assert connection.sock.recv(65536).startswith(b"HTTP/1.1 400 ")
        assert connection.sock.recv(1) == b""


def test_a_request_may_come_byte_by_byte(server: ScriptedServer) -> None:
    body = json.dumps(question()).encode()
    head = f"POST {OPENAI_PATH} HTTP/1.1\r\nAuthorization: Bearer test\r\nContent-Length: {len(body)}\r\n\r\n"
    with closing(connect(server)) as connection:
        connection.connect()
        for byte in head.encode() + body:
            connection.sock.sendall(bytes([byte]))
        assert connection.sock.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_closing_ends_thread_socket_and_hanging_replies() -> None:
    before = set(threading.enumerate())
    gate = Gate()
    server = ScriptedServer()
    server.reply(text("Hel", gate, "lo"))

    with RawStream(server) as raw, closing(connect(server)) as idle:
        idle.connect()
        assert gate.reached.wait(10)
        server.close()
        server.close()
        assert not raw.read_all().endswith(b"0\r\n\r\n")
        with pytest.raises(ConnectionRefusedError), closing(connect(server)) as late:
            late.connect()
    gate.open()

    assert set(threading.enumerate()) == before
    assert not server.requests[0].closed.is_set()


def test_a_server_that_was_never_asked_closes_too() -> None:
    before = set(threading.enumerate())
    for _ in range(20):
        with ScriptedServer():
            pass
    assert set(threading.enumerate()) == before


def test_closing_while_a_connection_is_accepted() -> None:
    before = set(threading.enumerate())
    for _ in range(100):
        with ScriptedServer() as server, closing(connect(server)) as connection:
            connection.connect()
            server.close()
    assert set(threading.enumerate()) == before


def test_the_port_may_be_chosen(server: ScriptedServer) -> None:
    port = int(server.url.rpartition(":")[2])
    server.close()

    with ScriptedServer(port=port) as again:
        assert again.url == server.url
        assert ask(again, question())[0] == 200
