"""A run's stream over HTTP, cut again and again, and continued at another server on the same database."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import openai
import pytest

from supercompat import OpenAIClientAdapter, Options, SQLAlchemyStorageAdapter, asgi_app
from supercompat.testing import Gate, ScriptedServer, text
from tests.contract.conversations import Conversation, conversation
from tests.contract.resuming import DONE, IDS, Frame, check_kept, frames_of
from tests.server.processes import Served
from tests.server.serving import served

IN_TIME = 30.0


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@contextmanager
def threads(provider: ScriptedServer, database: str) -> Iterator[list[str]]:
    """Two servers in this process."""
    with ExitStack() as stack:
        answering = openai.OpenAI(base_url=provider.base_url, api_key="test-key", max_retries=0)
        stack.enter_context(answering)
        apps = [
            asgi_app(
                client=OpenAIClientAdapter(answering),
                storage=SQLAlchemyStorageAdapter(database),
                options=Options(drain=0),
            )
            for _ in range(2)
        ]
        yield [stack.enter_context(served(app)) for app in apps]


@contextmanager
def processes(provider: ScriptedServer, database: str, folder: Path) -> Iterator[list[str]]:
    """Two processes of `supercompat serve`."""
    with serving(provider, database, folder) as one, serving(provider, database, folder) as two:
        yield [one.root, two.root]


def serving(provider: ScriptedServer, database: str, folder: Path) -> Served:
    return Served(
        folder,
        "--drain=0",
        f"--database={database}",
        OPENAI_BASE_URL=provider.base_url,
        OPENAI_API_KEY="test-key",
    )


def read(url: str, path: str, last_id: str | None, until: bytes) -> bytes:
    """What a connection brings, up to an event with these bytes in it."""
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    seen = b""
    with httpx2.stream("GET", f"{url}{path}", headers=headers, timeout=IN_TIME, trust_env=False) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        for chunk in response.iter_bytes():
            seen += chunk
            if until in seen:
                break
    return seen


@contextmanager
def creating(url: str, asked: Conversation) -> Iterator[httpx2.Response]:
    """The stream of a new run, with ids."""
    with httpx2.stream(
        "POST",
        f"{url}/v1/threads/{asked.thread_id}/runs",
        json={"assistant_id": asked.assistant_id, "stream": True},
        headers=IDS,
        timeout=IN_TIME,
        trust_env=False,
    ) as response:
        yield response


def begin(url: str, asked: Conversation, until: bytes) -> bytes:
    """What a new run's stream brings, up to an event with these bytes in it."""
    seen = b""
    with creating(url, asked) as response:
        for chunk in response.iter_bytes():
            seen += chunk
            if until in seen:
                break
    return seen


def cut_and_go_on(urls: list[str], provider: ScriptedServer, cuts: int, random: Random) -> None:
    """The answer goes on between any two connections; each of them breaks somewhere in what came."""
    gates = [Gate() for _ in range(cuts)]
    pieces: list[Any] = ["Begin. "]
    for number, gate in enumerate(gates):
        pieces += [gate, f"Grüße 🎉 {number}. ", "And ", f"so on, {number}; "]
    provider.reply(text(*pieces, "the end."))
    with openai.OpenAI(base_url=f"{urls[0]}/v1", api_key="any", timeout=IN_TIME) as client:
        asked = conversation(client)
        frames = complete(begin(urls[0], asked, b"Begin. ")[: random.randrange(150, 2000)])
        run_id = client.beta.threads.runs.list(asked.thread_id).data[0].id
        path = f"/v1/threads/{asked.thread_id}/runs/{run_id}/events"
        for number, gate in enumerate(gates):
            gate.open()
            last_id = frames[-1].id if frames else None
            raw = read(random.choice(urls), path, last_id, f"so on, {number}; ".encode())
            frames += complete(raw[: random.randrange(len(raw) + 1)])
        raw = read(urls[1], path, frames[-1].id if frames else None, DONE)
        assert raw.endswith(DONE)
        frames += complete(raw)
        check_kept(asked, run_id, frames)
        [answer] = asked.answers()
        whole = "".join(piece for piece in pieces if isinstance(piece, str)) + "the end."
        assert answer.to_dict()["content"][0]["text"]["value"] == whole  # type: ignore[index,call-overload]


def complete(raw: bytes) -> list[Frame]:
    return [frame for frame in frames_of([raw]) if frame.id]


def test_a_stream_goes_on_at_another_server(provider: ScriptedServer, tmp_path: Path) -> None:
    with threads(provider, f"sqlite:///{tmp_path / 'served.db'}") as urls:
        cut_and_go_on(urls, provider, 5, Random(1))


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_stream_that_is_cut_twenty_times(
    provider: ScriptedServer, tmp_path: Path, request: pytest.FixtureRequest, database: str, seed: int
) -> None:
    """In two processes of `supercompat serve`."""
    url = f"sqlite:///{tmp_path / 'served.db'}"
    if database == "postgresql":
        url = request.getfixturevalue("postgres_url")
    with processes(provider, url, tmp_path) as urls:
        cut_and_go_on(urls, provider, 20, Random(seed))


@pytest.mark.slow
def test_a_server_that_is_stopped_cuts_its_streams(provider: ScriptedServer, tmp_path: Path) -> None:
    """In mid answer, as when a new version is rolled out. The other one says how the run ended."""
    provider.reply(text("Once", Gate()))
    database = f"sqlite:///{tmp_path / 'served.db'}"
    with (
        serving(provider, database, tmp_path) as other,
        serving(provider, database, tmp_path) as stopped,
        openai.OpenAI(base_url=f"{other.root}/v1", api_key="any", timeout=IN_TIME) as client,
    ):
        asked = conversation(client)
        with creating(stopped.root, asked) as response:
            chunks = response.iter_bytes()
            raw = next(chunks)
            while b"Once" not in raw:
                raw += next(chunks)
            stopped.stop()
            raw += b"".join(chunks)
        frames = list(frames_of([raw]))
        assert frames[-1].name == "thread.message.delta"
        run_id = frames[0].event.data["id"]
        path = f"/v1/threads/{asked.thread_id}/runs/{run_id}/events"
        frames += complete(read(other.root, path, frames[-1].id, DONE))
        assert frames[-1].name == "thread.run.failed"
        check_kept(asked, run_id, frames)


def test_a_refusal_is_plain_json(provider: ScriptedServer, tmp_path: Path) -> None:
    with threads(provider, f"sqlite:///{tmp_path / 'served.db'}") as urls:
        answer = httpx2.get(f"{urls[0]}/v1/threads/thread_1/runs/run_1/events", trust_env=False)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "No thread found with id 'thread_1'."
