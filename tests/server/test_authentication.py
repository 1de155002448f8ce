"""Keys over HTTP: who is let in, who is not, and what they are told."""

import asyncio
import base64
import logging
import socket
import traceback
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from supercompat import MemoryStorageAdapter, SQLAlchemyStorageAdapter
from supercompat.errors import ConfigurationError, RequestError, StorageError
from supercompat.server.api_keys import fits, id_in, masked, new_key
from supercompat.server.authentication import LIFE, REMEMBERED, Authenticator, Principal, check_host
from supercompat.testing import ScriptedModel
from tests.contract.storages import HeldStorage
from tests.server.asked import add_key, application_for, asked, revoke_key
from tests.server.serving import served
from tests.storage.test_statements import statements

NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the "
    "API from your browser and are prompted for a username and password. You can obtain an API key from "
    "https://platform.openai.com/account/api-keys."
)

HERE = "127.0.0.1"


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def storage() -> MemoryStorageAdapter:
    return MemoryStorageAdapter()


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


# Over HTTP


@pytest.mark.conforms("C-003")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": b"Bearer "},
        {"authorization": b"Digest x"},
        {"authorization": b"Basic %"},
        {"authorization": b"Basic \xe9"},
        {"api-key": b""},
    ],
)
async def test_no_key(storage: MemoryStorageAdapter, headers: dict[str, bytes]) -> None:
    await add_key(storage, "a")
    async with asked(application_for(ScriptedModel(), storage)) as client:
        answer = await client.get(
            "/assistants", headers=[(name.encode(), value) for name, value in headers.items()]
        )
    assert answer.status_code == 401
    assert answer.json() == {
        "error": {"message": NO_KEY, "type": "invalid_request_error", "param": None, "code": None}
    }
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.conforms("C-003")
async def test_a_wrong_key(storage: MemoryStorageAdapter) -> None:
    key, _ = await add_key(storage, "a")
    wrong = [
        f"{key[:-1]}{'A' if key[-1] != 'A' else 'B'}",
        f"{key}x",
        "sk-proj-0123456789abcdef",
        new_key("a", "", 1)[0],
    ]
    async with asked(application_for(ScriptedModel(), storage)) as client:
        for each in wrong:
            answer = await client.get("/assistants", headers=bearer(each))
            assert answer.status_code == 401
            assert answer.json()["error"] == {
                "message": f"Incorrect API key provided: {masked(each)}. You can find your API key at "
                "https://platform.openai.com/account/api-keys.",
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_api_key",
            }


def test_whoever_has_no_key_is_answered_before_a_body_is_read(storage: MemoryStorageAdapter) -> None:
    asyncio.run(add_key(storage, "a"))
    with served(application_for(ScriptedModel(), storage)) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"POST /v1/assistants HTTP/1.1\r\nhost: x\r\ncontent-length: 16000000\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


@pytest.mark.conforms("C-003")
async def test_the_sdk_with_a_key_and_without(storage: MemoryStorageAdapter) -> None:
    """As Azure's client sends it, too."""
    key, _ = await add_key(storage, "a")
    async with asked(application_for(ScriptedModel(), storage)) as client:
        options = {"http_client": client, "base_url": "http://127.0.0.1/v1", "max_retries": 0}
        good = openai.AsyncOpenAI(api_key=key, **options)  # pyright: ignore[reportArgumentType]
        assistant = await good.beta.assistants.create(model="gpt-4o")
        bad = openai.AsyncOpenAI(api_key="sk-no", **options)  # pyright: ignore[reportArgumentType]
        with pytest.raises(openai.AuthenticationError) as raised:
            await bad.beta.assistants.retrieve(assistant.id)
        assert raised.value.code == "invalid_api_key"
        for headers in (
            {"api-key": key},
            {"authorization": f"bearer  {key}"},
            {"authorization": f"Basic {base64.b64encode(f':{key}'.encode()).decode()}"},
        ):
            assert (await client.get(f"/assistants/{assistant.id}", headers=headers)).status_code == 200


@pytest.mark.conforms("C-018")
async def test_headers_that_name_an_organization_or_a_project(storage: MemoryStorageAdapter) -> None:
    key, _ = await add_key(storage, "a")
    async with asked(application_for(ScriptedModel(), storage)) as client:

        async def status(**headers: str) -> int:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return (await client.get("/assistants", headers={**bearer(key), **named})).status_code

        assert await status(OpenAI_Organization="org-1", OpenAI_Project="a") == 200
        assert await status(OpenAI_Project="b") == 401
        answer = await client.get("/assistants", headers={**bearer(key), "OpenAI-Project": "b"})
        assert answer.json()["error"] == {
            "message": "OpenAI-Project header should match project for API key",
            "type": "invalid_request_error",
            "param": None,
            "code": "mismatched_project",
        }


def test_over_a_socket(storage: MemoryStorageAdapter) -> None:
    """A server that has no keys serves its own machine; the first key closes it to all who have none."""
    with served(application_for(ScriptedModel(), storage)) as url:
        assert httpx.get(f"{url}/v1/assistants").status_code == 200
        assert httpx.get(f"{url}/v1/assistants", headers={"OpenAI-Project": "proj_1"}).status_code == 200
        assert httpx.get(f"{url}/healthz").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:8000"}, 200),
        ({"host": "[::1]:8000", "origin": "http://localhost:3000"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "127.0.0.1:8000"}, 200),
    ],
)
async def test_without_keys_no_web_page_gets_in(
    storage: MemoryStorageAdapter, headers: dict[str, str], status: int
) -> None:
    """Neither one that makes a browser ask, nor one whose name means this machine."""
    async with asked(application_for(ScriptedModel(), storage)) as client:
        answer = await client.post("/assistants", json={"model": "gpt-4o"}, headers=headers)
        assert answer.status_code == status
        if status != 200:
            assert "supercompat keys create" in answer.json()["error"]["message"]
    await add_key(storage, "a")
    async with asked(application_for(ScriptedModel(), storage)) as client:
        key, _ = await add_key(storage, "a")
        assert (await client.get("/assistants", headers={**headers, **bearer(key)})).status_code == 200


# Where it listens


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", "localhost.example.org"])
async def test_without_keys_it_listens_on_its_own_machine_only(
    storage: MemoryStorageAdapter, host: str
) -> None:
    store = storage.open()
    with pytest.raises(ConfigurationError, match=f"reach {host} .*supercompat keys create --project NAME"):
        await check_host(store, host)
    # Nobody gets in there, whatever is looked at when.
    async with asked(application_for(ScriptedModel(), storage, host=host)) as client:
        assert (await client.get("/assistants")).status_code == 401
    await add_key(storage, "a")
    await check_host(store, host)
    await store.aclose()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
async def test_its_own_machine(storage: MemoryStorageAdapter, host: str) -> None:
    store = storage.open()
    await check_host(store, host)
    await store.aclose()
    async with asked(application_for(ScriptedModel(), storage, host=host)) as client:
        assert (await client.get("/assistants")).status_code == 200


# How soon, and at what cost


async def who(authenticator: Authenticator, key: str | None) -> Principal | None:
    """Who is let in with a key; None if nobody."""
    try:
        return await authenticator.principal({} if key is None else bearer(key))
    except RequestError:
        return None


async def test_a_request_costs_no_statement(storage: MemoryStorageAdapter) -> None:
    time = Time()
    key, id = await add_key(storage, "a")
    store = storage.open()
    authenticator = Authenticator(store, host=HERE, clock=time)
    assert await who(authenticator, key) == Principal("a", id)
    with statements() as sent:
        for _ in range(100):
            assert await who(authenticator, key) == Principal("a", id)
            assert await who(authenticator, f"sk-sc-{'0' * 99}") is None
        assert sent == []
        time.now += LIFE
        assert await who(authenticator, key) == Principal("a", id)
        assert len(sent) == 1
    await store.aclose()


async def test_a_revoked_key_opens_nothing_within_seconds(storage: MemoryStorageAdapter) -> None:
    """In every process: what each remembers has the same short life."""
    time = Time()
    key, id = await add_key(storage, "a")
    store = storage.open()
    processes = [Authenticator(store, host=HERE, clock=time) for _ in range(2)]
    for each in processes:
        assert await who(each, key)
    await revoke_key(storage, id)
    time.now += LIFE
    assert [await who(each, key) for each in processes] == [None, None]
    # Nobody is let in without one, since there were keys once.
    assert await who(Authenticator(store, host=HERE), None) is None
    await store.aclose()


async def test_the_first_key_closes_the_door_within_seconds(storage: MemoryStorageAdapter) -> None:
    time = Time()
    store = storage.open()
    authenticator = Authenticator(store, host=HERE, clock=time)
    assert await who(authenticator, None) == Principal("default")
    with statements() as sent:
        for _ in range(100):
            assert await who(authenticator, None) == Principal("default")
        assert sent == []
    key, id = await add_key(storage, "a")
    time.now += LIFE
    assert await who(authenticator, None) is None
    assert await who(authenticator, key) == Principal("a", id)
    await store.aclose()


async def test_what_is_remembered_is_bounded(storage: MemoryStorageAdapter) -> None:
    await add_key(storage, "a")
    store = storage.open()
    authenticator = Authenticator(store, host=HERE)
    for number in range(REMEMBERED + 100):
        assert await who(authenticator, f"sk-sc-{number:016x}-{'x' * 43}") is None
    assert len(authenticator._keys) == REMEMBERED  # pyright: ignore[reportPrivateUsage]
    await store.aclose()


async def test_a_database_that_is_away_lets_nobody_in() -> None:
    held = HeldStorage()
    key, id = await add_key(held, "a")
    store = held.open()
    authenticator = Authenticator(store, host=HERE)
    assert await who(authenticator, key) == Principal("a", id)
    other, other_id = await add_key(held, "b")
    held.fail()
    with pytest.raises(StorageError):
        await authenticator.principal(bearer(other))
    assert await who(authenticator, key) == Principal("a", id)
    held.mend()
    assert await who(authenticator, other) == Principal("b", other_id)
    await store.aclose()


async def test_over_http_a_database_that_is_away_is_an_error() -> None:
    held = HeldStorage()
    key, _ = await add_key(held, "a")
    async with asked(application_for(ScriptedModel(), held)) as client:
        held.fail()
        answer = await client.get("/assistants", headers=bearer(key))
        held.mend()
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "server_error")
    assert (answer.headers["x-should-retry"], answer.headers["retry-after"]) == ("true", "1")


async def test_who_has_no_key_is_not_told_where_the_database_is(
    empty_postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    storage = SQLAlchemyStorageAdapter(empty_postgres_url)
    async with asked(application_for(ScriptedModel(), storage)) as client:
        answer = await client.get("/assistants")
    where = urlsplit(empty_postgres_url)
    assert where.path[1:] not in answer.text
    assert str(where.port) not in answer.text
    assert where.path[1:] in caplog.text


# What is shown of a key


def test_a_key_is_random_and_kept_as_a_hash() -> None:
    (one, stored), (other, _) = new_key("a", "app", 1), new_key("a", "app", 1)
    assert one != other
    assert id_in(one) == stored.id
    assert (fits(one, stored), fits(other, stored)) == (True, False)
    assert one.startswith(stored.hint.partition("…")[0])
    secret = one.rpartition(stored.id.removeprefix("key_"))[2]
    assert len(secret) == 44
    assert secret not in f"{stored!r}{stored.digest}{stored.hint}"


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("sk-proj-0123456789abcdefWXYZ", f"sk-proj-{'*' * 16}WXYZ"),
        ("sk-abcdexyz", "sk-ab***yz"),
        ("sk-no", "*****"),
        ("", ""),
    ],
)
def test_how_a_refused_key_is_shown(key: str, shown: str) -> None:
    assert masked(key) == shown


def test_a_long_key_makes_no_long_error() -> None:
    assert len(masked("x" * 100_000)) < 250


@pytest.mark.parametrize("project", ["", " ", "a b", "-a", "a/b", "a:b", "ä", "x" * 65])
def test_names_that_no_project_has(project: str) -> None:
    with pytest.raises(ConfigurationError, match="can't be a project's name"):
        new_key(project, "", 1)


async def test_no_key_in_logs_and_errors(
    storage: MemoryStorageAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key, _ = await add_key(storage, "a")
    wrong, _ = new_key("a", "", 1)
    async with asked(application_for(ScriptedModel(), storage)) as client:
        for each in (key, wrong):
            await client.get("/assistants", headers=bearer(each))
            await client.get("/assistants", headers={"api-key": each})
    store = storage.open()
    with pytest.raises(RequestError) as raised:
        await Authenticator(store, host=HERE).principal(bearer(wrong))
    shown = "".join(traceback.format_exception(raised.value)) + caplog.text + repr(raised.value)
    await store.aclose()
    for each in (key, wrong):
        assert each not in shown
        assert each[-43:] not in shown
