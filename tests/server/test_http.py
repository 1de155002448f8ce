"""The API over HTTP, with the SDK's own clients and with bare requests."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest

from supercompat import OpenAIClientAdapter, Options, SQLAlchemyStorageAdapter, asgi_app
from supercompat.testing import ScriptedServer, text
from tests.server.serving import served


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def url(provider: ScriptedServer, tmp_path: Path) -> Iterator[str]:
    with openai.OpenAI(base_url=provider.base_url, api_key="test-key", max_retries=0) as answering:
        app = asgi_app(
            client=OpenAIClientAdapter(answering),
            storage=SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'served.db'}"),
            options=Options(drain=0),
        )
        with served(app) as root:
            yield root


def test_a_run_is_streamed_to_the_sdk(url: str, provider: ScriptedServer) -> None:
    provider.reply(text("Hel", "lo"))
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any") as client:
        assistant = client.beta.assistants.create(model="gpt-4o-mini")
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
        with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
            said = "".join(stream.text_deltas)
        assert said == "Hello"
        assert stream.get_final_run().status == "completed"


def test_a_path_that_is_not_served_is_a_404_of_the_api(url: str) -> None:
    answer = httpx2.get(f"{url}/v1/nothing", trust_env=False)

    assert answer.status_code == 404
    assert answer.json()["error"]["message"].startswith("Invalid URL (GET /v1/nothing)")
    assert answer.headers["x-request-id"].startswith("req_")


def test_health(url: str) -> None:
    assert httpx2.get(f"{url}/healthz", trust_env=False).json() == {"status": "ok"}
    assert httpx2.get(f"{url}/readyz", trust_env=False).json() == {"status": "ok"}
