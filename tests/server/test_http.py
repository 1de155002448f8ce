"""The API over HTTP: what every answer has, what is refused, and what asks whether the server works."""

import asyncio
import logging
import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import httpx2
import openai
import pytest

from supercompat import Options, ServerOptions, SQLAlchemyStorageAdapter, asgi_app
from supercompat.errors import ConfigurationError
from supercompat.server.asgi import application
from supercompat.server.connections import Connection
from supercompat.server.project_doors import ProjectDoors
from supercompat.storage_adapters.sql.attempts import ABSENCE
from supercompat.testing import Gate, ScriptedModel, ScriptedServer, text
from supercompat.transport.sdk import compose
from tests.contract.conversations import DEADLINE, conversation
from tests.server.bare import Bare
from tests.server.conftest import Connect, Lines, Serve
from tests.server.serving import served
from tests.storage.sessions import session, terminate, wait_for


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False) as client:
        yield client


def error_of(answer: httpx2.Response) -> dict[str, Any]:
    return answer.json()["error"]


def test_a_run_is_streamed_to_the_sdk(client: openai.OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hel", "lo"))
    asked = conversation(client)
    runs = client.beta.threads.runs
    with runs.stream(thread_id=asked.thread_id, assistant_id=asked.assistant_id) as stream:
        assert "".join(stream.text_deltas) == "Hello"
    assert stream.get_final_run().status == "completed"


@pytest.mark.conforms("C-001", "C-002", "C-008")
def test_a_path_that_is_not_served_is_a_404_of_the_api(http: httpx2.Client, url: str) -> None:
    answer = http.get(f"{url}/v1/nothing")
    assert answer.status_code == 404
    assert error_of(answer)["message"].startswith("Invalid URL (GET /v1/nothing)")
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_the_address_itself(http: httpx2.Client, url: str, path: str) -> None:
    """Which a browser is pointed at first."""
    answer = http.get(f"{url}{path}")
    assert answer.status_code == 404
    assert error_of(answer)["message"].startswith("Invalid URL (GET /v1/). Served here: assistants, ")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://127.0.0.1/v1/assistants", 200),
        ("HTTP://127.0.0.1/openai/assistants?limit=1", 200),
        ("*", 404),
    ],
)
def test_what_is_asked_for_need_not_be_a_path(url: str, target: str, status: int) -> None:
    with Bare(url) as bare:
        bare.ask("GET", target)
        answered, headers = bare.head()
    assert (answered, headers["content-type"]) == (status, "application/json")
    assert headers["x-request-id"]


def test_a_method_that_is_not_served(http: httpx2.Client, url: str) -> None:
    assert http.put(f"{url}/v1/assistants").status_code == 405
    head = http.head(f"{url}/v1/assistants")
    assert (head.status_code, head.content) == (405, b"")


@pytest.mark.parametrize(
    ("given", "is_kept"), [("trace-1/a", True), ("", False), ("two words", False), ("x" * 201, False)]
)
def test_a_request_keeps_the_id_that_it_came_with(
    http: httpx2.Client, url: str, given: str, is_kept: bool
) -> None:
    kept = http.get(f"{url}/v1/assistants", headers={"x-request-id": given}).headers["x-request-id"]
    assert kept == given if is_kept else kept.startswith("req_")


def is_ready(http: httpx2.Client, root: str) -> bool:
    """Whether the server gets ready: on a busy machine its first look at the database may take too long."""
    return wait_for(lambda: http.get(f"{root}/readyz").status_code == 200)


def test_health(http: httpx2.Client, url: str) -> None:
    assert http.get(f"{url}/healthz").json() == {"status": "ok"}
    assert is_ready(http, url)
    assert http.get(f"{url}/readyz").json() == {"status": "ok"}


def test_it_is_not_ready_without_its_database(
    http: httpx2.Client, empty_postgres_url: str, connect: Connect
) -> None:
    app = asgi_app(client=ScriptedModel(), storage=SQLAlchemyStorageAdapter(empty_postgres_url))
    with served(app) as root:
        assert http.get(f"{root}/healthz").status_code == 200
        assert http.get(f"{root}/readyz").status_code == 503
        with pytest.raises(openai.InternalServerError, match="supercompat db upgrade"):
            connect(root).beta.assistants.list()
        asyncio.run(SQLAlchemyStorageAdapter(empty_postgres_url).upgrade())
        assert is_ready(http, root)


@pytest.mark.parametrize("is_stored", [True, False])
def test_where_the_database_is_stays_in_the_log(
    connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture, is_stored: bool
) -> None:
    """One that fails in mid work, and one that could never be used."""
    file = tmp_path / "private" / "of-the-shop.db"
    if is_stored:
        file.parent.mkdir()
    storage = SQLAlchemyStorageAdapter(f"sqlite:///{file}")
    with served(asgi_app(client=ScriptedModel(), storage=storage, options=Options(drain=0))) as root:
        client = connect(root)
        if is_stored:
            client.beta.threads.create()
            with closing(sqlite3.connect(file)) as database:
                database.execute("ALTER TABLE threads RENAME TO hidden")
        with pytest.raises(openai.InternalServerError) as refused:
            client.beta.threads.create()
    assert refused.value.body == {
        "message": "The database can't be used at the moment.",
        "type": "server_error",
        "param": None,
        "code": None,
    }
    assert str(file.parent) in caplog.text
    assert ("no such table: threads" in caplog.text) is is_stored


def test_it_is_soon_not_ready_when_its_database_goes(http: httpx2.Client, postgres_url: str) -> None:
    """Whoever needs the database waits for it longer."""
    doors = ProjectDoors(
        compose(ScriptedModel(), SQLAlchemyStorageAdapter(postgres_url), None, None, Options(drain=0)),
        host="127.0.0.1",
    )
    allow = "UPDATE pg_database SET datallowconn = %s WHERE datname = current_database()"
    with session(postgres_url) as database, served(application(doors)) as root:
        assert is_ready(http, root)
        database.execute(allow, [False])
        terminate(database)
        assert http.get(f"{root}/readyz", timeout=ABSENCE / 2).status_code == 503
        database.execute(allow, [True])
        assert is_ready(http, root)


# Limits


def test_a_body_that_is_too_large(http: httpx2.Client, serve: Serve) -> None:
    root = serve(max_body=100)
    assert http.post(f"{root}/v1/threads", json={"metadata": {"a": "b"}}).status_code == 200
    answer = http.post(f"{root}/v1/threads", content=b"x" * 101)
    assert answer.status_code == 413
    assert error_of(answer)["message"] == "The request's body is too large: at most 100 bytes are taken."
    with Bare(root) as bare:
        bare.socket.sendall(b"POST /v1/threads HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        bare.socket.sendall(b"80\r\n" + b"x" * 128 + b"\r\n")
        status, headers = bare.head()
    # The rest of it is not waited for.
    assert (status, headers["connection"]) == (413, "close")


def test_a_body_that_never_comes(serve: Serve) -> None:
    with Bare(serve(request_timeout=1)) as bare:
        bare.socket.sendall(b"POST /v1/threads HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{")
        assert bare.head()[0] == 408


def test_a_request_that_never_begins(make_app: Callable[..., Any]) -> None:
    with (
        served(make_app(), http=Connection, timeout_keep_alive=1) as root,
        Bare(root) as silent,
        Bare(root) as half,
        Bare(root) as kept,
    ):
        kept.ask("GET", "/healthz")
        assert kept.head()[0] == 200
        for bare in (half, kept):
            bare.socket.sendall(b"GET /v1/assistants HTTP/1.1\r\nho")
        assert [bare.rest() for bare in (silent, half, kept)] == [b"", b"", b'{"status":"ok"}']


def test_an_answer_that_takes_too_long(http: httpx2.Client, serve: Serve, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hello").after(gate))
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
    answer = http.post(f"{serve(request_timeout=1)}/v1/chat/completions", json=body)
    assert answer.status_code == 504
    assert error_of(answer)["type"] == "server_error"
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.conforms("C-017")
def test_too_many_requests(http: httpx2.Client, serve: Serve) -> None:
    root = serve(requests_per_minute=2)
    answers = [http.get(f"{root}/v1/assistants") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert error_of(answers[2]) == {
        "message": "Rate limit reached on requests per min (RPM): Limit 2. Please try again in 30s.",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert answers[2].headers["retry-after"] == "30"
    assert answers[2].headers["x-should-retry"] == "true"
    assert http.get(f"{root}/healthz").status_code == 200


def test_too_many_runs_at_once(serve: Serve, connect: Connect, provider: ScriptedServer) -> None:
    client = connect(serve(Options(drain=0, max_concurrent_runs=1)))
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"), text("Second"))
    first, second = conversation(client), conversation(client)
    run = first.start()
    assert gate.reached.wait(DEADLINE)
    with pytest.raises(openai.RateLimitError, match="Too many runs at once: Limit 1") as refused:
        second.start()
    assert refused.value.response.headers["retry-after"] == "2"
    with pytest.raises(openai.RateLimitError):
        client.beta.threads.create_and_run(assistant_id=first.assistant_id)
    gate.open()
    assert first.poll(run.id).status == "completed"
    assert second.run().status == "completed"


def test_the_sdk_comes_back_when_it_is_told_to(
    serve: Serve, connect: Connect, provider: ScriptedServer
) -> None:
    client = connect(serve(Options(drain=0, max_concurrent_runs=1)), max_retries=2)
    gate = Gate()
    provider.reply(text("Hel", gate, "lo"), text("Second"))
    first, second = conversation(client), conversation(client)
    first.start()
    assert gate.reached.wait(DEADLINE)
    refusals: list[int] = []

    def open_at_first(response: Any) -> None:
        if response.status_code == 429:
            refusals.append(response.status_code)
            gate.open()

    http: Any = client._client  # pyright: ignore[reportPrivateUsage]
    http.event_hooks = {"response": [open_at_first]}
    assert second.run().status == "completed"
    assert refusals == [429]


@pytest.mark.parametrize("value", [-1, math.inf, math.nan])
@pytest.mark.parametrize("name", ["max_body", "request_timeout", "requests_per_minute", "keep_alive"])
def test_limits_that_make_no_sense(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=name):
        ServerOptions(**cast("dict[str, Any]", {name: value}))


# Web pages


def test_no_web_page_is_allowed_by_default(http: httpx2.Client, url: str) -> None:
    answer = http.get(f"{url}/v1/assistants", headers={"origin": "https://app.example.com"})
    assert "access-control-allow-origin" not in answer.headers


def test_a_web_page_that_is_allowed(http: httpx2.Client, serve: Serve) -> None:
    root = serve(cors_origins=["https://app.example.com"])
    asked = {
        "origin": "https://app.example.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,openai-beta",
    }
    allowed = http.options(f"{root}/v1/threads", headers=asked)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "authorization" in allowed.headers["access-control-allow-headers"]
    assert http.options(f"{root}/v1/threads", headers={**asked, "origin": "https://b.c"}).status_code == 400


@pytest.mark.parametrize("origin", ["app.example.com", "https://app.example.com/", "null", ""])
def test_an_origin_that_no_page_has(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="is no web origin"):
        ServerOptions(cors_origins=[origin])


def test_a_web_page_sees_whether_to_ask_again(http: httpx2.Client, serve: Serve) -> None:
    root = serve(cors_origins=["https://app.example.com"])
    answer = http.get(f"{root}/v1/nothing", headers={"origin": "https://app.example.com"})
    assert "x-should-retry" in answer.headers["access-control-expose-headers"]


# The log


def test_the_log_has_neither_keys_nor_bodies(
    serve: Serve, connect: Connect, lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(serve(), api_key="sk-very-secret")
    thread = client.beta.threads.create(
        messages=[{"role": "user", "content": "a private matter"}], extra_query={"api-key": "also-secret"}
    )
    assert lines.next().startswith("POST /v1/threads 200 ")
    with pytest.raises(openai.BadRequestError):
        client.beta.threads.messages.create(thread.id, role="user", content=3)  # pyright: ignore[reportArgumentType]
    assert lines.next().startswith(f"POST /v1/threads/{thread.id}/messages 400 ")
    for secret in ("very-secret", "also-secret", "private"):
        assert secret not in caplog.text


def test_the_log_has_no_more_than_the_beginning_of_a_path(
    http: httpx2.Client, url: str, lines: Lines
) -> None:
    assert http.get(f"{url}/v1/{'x' * 10_000}").status_code == 404
    assert len(lines.next()) < 1000


def test_the_log_has_a_request_whose_client_left_too_early(url: str, lines: Lines) -> None:
    with Bare(url) as bare:
        bare.socket.sendall(b"POST /v1/threads HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 10\r\n\r\n{")
    assert lines.next().startswith("POST /v1/threads 0 ")


@pytest.mark.parametrize("access_log", [True, False])
def test_the_log_can_be_left_out(
    make_app: Callable[..., Any], access_log: bool, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="supercompat")
    with served(make_app(access_log=access_log)) as root:
        connect(root).beta.threads.create()
    assert ("/v1/threads" in caplog.text) is access_log


def test_mounting_needs_no_start(make_app: Callable[..., Any], connect: Connect, tmp_path: Path) -> None:
    """An application that is mounted is not told that the server has started."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    with served(Starlette(routes=[Mount("/ai/assistants", make_app())])) as root:
        client = connect(f"{root}/ai/assistants")
        assistant = client.beta.assistants.create(model="gpt-4o")
        assert client.beta.assistants.retrieve(assistant.id) == assistant
        azure = openai.AzureOpenAI(azure_endpoint=f"{root}/ai/assistants", api_version="1", api_key="any")
        with azure:
            assert [each.id for each in azure.beta.assistants.list()] == [assistant.id]


def test_an_application_that_is_started_again(
    make_app: Callable[..., Any], provider: ScriptedServer, connect: Connect
) -> None:
    """As a test client does with that of a module, each time on a new event loop."""
    provider.reply(text("One"), text("Two"))
    app = make_app()
    for known in (0, 1):
        with served(app) as root:
            client = connect(root)
            assert len(client.beta.assistants.list().data) == known
            assert conversation(client).run().status == "completed"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_other_servers_say_by_an_error_that_a_client_has_gone(
    make_app: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    messages = iter([{"type": "http.request"}])

    async def receive() -> Any:
        for message in messages:
            return message
        return await asyncio.Event().wait()

    async def send(_: Any) -> None:
        raise ConnectionResetError

    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/v1/assistants",
        "query_string": b"",
        "headers": [],
    }
    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
