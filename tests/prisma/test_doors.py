"""Other ways to Prisma's tables than psycopg and a synchronous client in the same process."""

import asyncio
from typing import Any

import openai
import pytest
import sqlalchemy as sa
from openai import OpenAI
from sqlalchemy import event

from supercompat import Options, PrismaStorageAdapter, SQLAlchemyStorageAdapter, asgi_app, async_supercompat
from supercompat.errors import ConfigurationError
from supercompat.server.cli import main
from supercompat.testing import ScriptedServer, call, text, tool_calls
from tests.contract.conversations import call_ids, outputs
from tests.contract.over_http import network
from tests.prisma.node import Node
from tests.prisma.test_together import WEATHER

MODEL = "gpt-4o-mini"


def test_over_http(url: str, app: Node, provider: ScriptedServer) -> None:
    """From one's own application, as `asgi_app` has it."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "Hello")
    provider.reply(text("Hi."))
    inner = openai.AsyncOpenAI(base_url=provider.base_url, api_key="test-key", max_retries=0)
    served = asgi_app(client=inner, storage=PrismaStorageAdapter(url), options=Options(drain=0))
    with (
        network() as net,
        net.served(served) as base_url,
        OpenAI(base_url=base_url, api_key="any", max_retries=0) as client,
    ):
        run = client.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant, model=MODEL)
        net.portal.call(inner.close)
    assert run.status == "completed"
    assert app.read_run(run.id)["status"] == "COMPLETED"


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_asynchronously_on_one_connection(url: str, provider: ScriptedServer, driver: str) -> None:
    """As Prisma's own URLs have it where there are many processes."""
    place = f"{url.replace('postgresql:', f'postgresql+{driver}:')}?schema=public&connection_limit=1"
    provider.reply(tool_calls(call("get_weather", "{}", id="call_1")), text("It is 18 °C."))
    async with (
        openai.AsyncOpenAI(base_url=provider.base_url, api_key="test-key", max_retries=0) as inner,
        async_supercompat(
            client=inner, storage=PrismaStorageAdapter(place), options=Options(drain=0)
        ) as client,
    ):
        assistant = await client.beta.assistants.create(model=MODEL, tools=[WEATHER])
        thread = await client.beta.threads.create(messages=[{"role": "user", "content": "a\0b"}])
        run = await client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        run = await client.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id, thread_id=thread.id, tool_outputs=outputs(dict.fromkeys(call_ids(run), "18 °C"))
        )
        assert run.status == "completed"
        [step, *_] = (
            await client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc")
        ).data
        assert step.status == "completed"
        assert (await client.beta.assistants.delete(assistant.id)).deleted
        assert (await client.beta.threads.delete(thread.id)).deleted


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("sslmode=require&sslaccept=strict", {"sslmode=verify-full", "sslrootcert=system"}),
        ("sslaccept=strict&sslcert=ca.pem", {"sslmode=verify-full", "sslrootcert=ca.pem"}),
        ("sslaccept=strict&sslmode=disable", {"sslmode=disable"}),
        ("sslmode=require&sslaccept=accept_invalid_certs", {"sslmode=require"}),
        ("sslmode=require&sslcert=ca.pem", {"sslmode=require", "sslrootcert=ca.pem"}),
        ("sslcert=me.pem&sslkey=me.key", {"sslcert=me.pem", "sslkey=me.key"}),
        ("schema=My%20app&connection_limit=3&pool_timeout=0&socket_timeout=9&pgbouncer=true", set[str]()),
        (
            "connect_timeout=3&application_name=a&statement_cache_size=0",
            {"connect_timeout=3", "application_name=a"},
        ),
    ],
)
def test_what_prisma_s_urls_say(said: str, meant: set[str]) -> None:
    shown = repr(PrismaStorageAdapter(f"postgresql://u:hidden@host/db?{said}"))
    assert set(shown.partition("?")[2].removesuffix("')").split("&")) - {""} == meant
    assert "hidden" not in shown


def test_behind_a_pooler_whatever_else_is_given(url: str) -> None:
    """Nothing is prepared."""
    storage = PrismaStorageAdapter(f"{url}?pgbouncer=true", connect_args={"application_name": "mine"})
    connected: list[Any] = []

    def remember(connection: Any, record: object) -> None:
        driver = connection.driver_connection
        connected.append((driver.prepare_threshold, driver.info.get_parameters()["application_name"]))

    event.listen(sa.Pool, "connect", remember)
    try:
        asyncio.run(storage.current())
    finally:
        event.remove(sa.Pool, "connect", remember)
    assert connected == [(None, "mine")]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://u:hidden@host/db?sslidentity=me.p12&sslpassword=hidden", "PKCS #12"),
        ("postgresql+asyncpg://u:hidden@host/db?pgbouncer=true", "served through psycopg"),
        ("prisma+postgres://accelerate.example/?api_key=hidden", "on PostgreSQL"),
    ],
)
def test_urls_that_can_not_be_served(url: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as refused:
        PrismaStorageAdapter(url)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("command", [("serve", "--provider", "openai"), ("db", "upgrade"), ("keys", "list")])
def test_a_url_of_prisma_s_where_our_own_tables_are_meant(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    url = "postgresql://u:hidden@127.0.0.1:1/db?schema=public"
    assert main([*command, "--database", url]) == 1
    said = capsys.readouterr().err
    assert "PrismaStorageAdapter" in said
    assert "hidden" not in said
    with pytest.raises(ConfigurationError, match="--prisma"):
        SQLAlchemyStorageAdapter(url)
