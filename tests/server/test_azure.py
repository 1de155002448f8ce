"""Azure's shape of the API: its clients need nothing but another endpoint."""

from typing import Any

import httpx2
import openai
import pytest

from supercompat.server.azure import as_openai
from supercompat.testing import ScriptedServer, text
from tests.contract.conversations import conversation, texts


@pytest.mark.parametrize("deployment", [None, "gpt-4o-mini"])
def test_azures_client_has_threads_and_runs(
    url: str, provider: ScriptedServer, deployment: str | None
) -> None:
    provider.reply(text("Hello"), text("Streamed"))
    # mypy can't tell which of its constructors is meant, and neither can pyright.
    settings: dict[str, Any] = {"azure_endpoint": url, "azure_deployment": deployment}
    with openai.AzureOpenAI(**settings, api_version="2024-05-01-preview", api_key="any") as client:
        asked = conversation(client)
        run = asked.run()
        assert run.status == "completed"
        [answer, _] = client.beta.threads.messages.list(asked.thread_id)
        assert texts(answer) == ["Hello"]
        runs = client.beta.threads.runs
        with runs.stream(thread_id=asked.thread_id, assistant_id=asked.assistant_id) as stream:
            assert "".join(stream.text_deltas) == "Streamed"
        assert client.beta.threads.runs.steps.list(run.id, thread_id=asked.thread_id).data


def test_azures_client_has_chat(url: str, provider: ScriptedServer) -> None:
    provider.reply(text("Hello"))
    with openai.AzureOpenAI(azure_endpoint=url, api_version="1", api_key="any") as client:
        answer = client.chat.completions.create(model="my gpt", messages=[{"role": "user", "content": "Hi"}])
    assert answer.choices[0].message.content == "Hello"
    assert provider.requests[-1].body["model"] == "my gpt"


def test_the_deployment_is_the_model(url: str, provider: ScriptedServer) -> None:
    provider.reply(text("Hello"))
    httpx2.post(
        f"{url}/openai/deployments/gpt-4o/chat/completions",
        params={"api-version": "2024-10-21"},
        headers={"api-key": "any"},
        json={"messages": [{"role": "user", "content": "Hi"}]},
        trust_env=False,
    ).raise_for_status()
    assert provider.requests[-1].body["model"] == "gpt-4o"


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("/openai/threads/thread_1", "/v1/threads/thread_1"),
        ("/openai/v1/threads", "/openai/v1/threads"),
        ("/v1/threads", "/v1/threads"),
        ("/openai/deployments/gpt-4o/chat/completions", "/v1/chat/completions"),
        ("/openai", "/openai"),
    ],
)
def test_paths(path: str, below: str) -> None:
    assert as_openai(path, b"")[0] == below


@pytest.mark.conforms("C-007")
@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000], ids=["cut", "no text", "deep"])
def test_a_body_that_is_no_json(url: str, body: bytes) -> None:
    path = f"{url}/openai/deployments/gpt-4o/chat/completions"
    answer = httpx2.post(path, content=body, trust_env=False)
    assert answer.status_code == 400
    assert "could not parse the JSON body" in answer.json()["error"]["message"]
