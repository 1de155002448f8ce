"""Provider error -> ours, for errors of any SDK's shape."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from supercompat.client_adapters.errors import LONGEST_MESSAGE, error_in_answer, mask, provider_errors
from supercompat.errors import ProviderError


class Client:
    """Of the same package as `Failure`, which makes that an error of this client's SDK."""

    def __init__(self, api_key: object = None) -> None:
        self.api_key = api_key


class Failure(Exception):
    def __init__(self, text: str = "Error code: 400 - {'error': …}", **attributes: object) -> None:
        super().__init__(text)
        for name, value in attributes.items():
            setattr(self, name, value)


def translated(error: Exception, client: Client | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as caught, provider_errors(client or Client()):
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "invalid_prompt"),
        (401, "server_error"),
        (402, "rate_limit_exceeded"),
        (403, "server_error"),
        (404, "server_error"),
        (408, "server_error"),
        (409, "server_error"),
        (413, "invalid_prompt"),
        (422, "invalid_prompt"),
        (429, "rate_limit_exceeded"),
        (500, "server_error"),
        (503, "server_error"),
        (529, "server_error"),
    ],
)
def test_statuses(status: int, code: str):
    """C-110, C-111, C-112."""
    assert (found := translated(Failure(status_code=status))).code == code
    assert found.status == status


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "insufficient_quota"}, "rate_limit_exceeded"),
        ({"type": "rate_limit_error"}, "rate_limit_exceeded"),
        ({"type": "rate_limited", "code": "1300"}, "rate_limit_exceeded"),
        ({"status": "RESOURCE_EXHAUSTED", "code": 429}, "rate_limit_exceeded"),
        ({"code": "context_length_exceeded"}, "invalid_prompt"),
        ({"code": "content_filter"}, "invalid_prompt"),
        ({"type": "overloaded_error"}, "server_error"),
        ({"code": "something_new"}, "server_error"),
        ({"code": 400}, "invalid_prompt"),
    ],
)
def test_words_in_an_answer_that_began_well(error: dict[str, object], code: str):
    assert error_in_answer({"message": "No.", **error}).code == code


@pytest.mark.parametrize(
    ("status", "word", "code"),
    [(413, "rate_limit_exceeded", "rate_limit_exceeded"), (400, "tool_use_failed", "server_error")],
)
def test_words_come_before_statuses(status: int, word: str, code: str):
    assert translated(Failure(status_code=status, body={"error": {"code": word}})).code == code


INNER = {"message": "Say less.", "type": "invalid_request_error", "param": "messages", "code": None}


@pytest.mark.parametrize("body", [INNER, {"error": INNER}, json.dumps(INNER), json.dumps({"error": INNER})])
def test_the_body_may_be_the_error_or_hold_it_or_be_json(body: object):
    found = translated(Failure(status_code=400, body=body))
    assert (found.message, found.body) == ("Say less.", INNER)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "model not loaded"}, "model not loaded"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"detail": [{"loc": ["body"], "msg": "bad"}]}, '[{"loc": ["body"], "msg": "bad"}]'),
        ("<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        ({}, "Error code: 400 - {'error': …}"),
        (None, "Error code: 400 - {'error': …}"),
        ("x" * 2 * LONGEST_MESSAGE, "x" * LONGEST_MESSAGE),
    ],
)
def test_the_message_is_the_provider_s(body: object, message: str):
    assert translated(Failure(status_code=400, body=body)).message == message


def test_a_status_by_another_name():
    assert translated(Failure(code=429)).status == 429
    assert translated(Failure(code="429")).status is None
    assert translated(Failure(status_code=200, body={"error": {"type": "overloaded_error"}})).status is None


def test_a_cause_is_told():
    error = Failure("Connection error.")
    error.__cause__ = ConnectionRefusedError("refused")
    assert translated(error).message == "Connection error: refused"


@pytest.mark.parametrize(
    "error", [ConnectionResetError("reset"), TimeoutError(), json.JSONDecodeError("no", "", 0)]
)
def test_accidents_on_the_way(error: Exception):
    assert (found := translated(error)).code == "server_error"
    assert found.message


@pytest.mark.parametrize("error", [TypeError("a defect"), KeyError("another"), AssertionError()])
def test_a_defect_stays_what_it_is(error: Exception):
    with pytest.raises(type(error)), provider_errors(Client()):
        raise error


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Incorrect API key provided: sk-proj-abc***********wxyz.", "Incorrect API key provided: sk-…."),
        ("gsk_0123456789abcdefghij is revoked", "gsk_… is revoked"),
        ("Authorization: Bearer abcdef.ghi-jkl", "Authorization: Bearer …"),
        ("key AIzaSyA-0123456789abcdefghijk", "key AIza…"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.c2ln!", "token eyJ…!"),
        ("GET https://host/v1?key=0123&alt=sse", "GET https://host/v1?key=…&alt=sse"),
        ("proxy http://me:secret@host:80/", "proxy http://…@host:80/"),
        (
            "a task-force, sk-learn and a risk-free desk-job",
            "a task-force, sk-learn and a risk-free desk-job",
        ),
        ("the-client-s-own", "the-…"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, masked: str):
    assert mask(text, ["the-client-s-own"]) == masked


def test_the_client_s_own_key_is_masked_everywhere():
    key = "0123-local-secret"
    body = {"message": f"{key} is wrong", "details": [{"seen": f"<{key}>"}], "count": 1}
    found = translated(Failure(f"Error: {key}", status_code=401, body={"error": body}), Client(key))
    assert found.message == "… is wrong"
    assert found.body == {"message": "… is wrong", "details": [{"seen": "<…>"}], "count": 1}
    assert found.__cause__ is None
    assert found.__suppress_context__


def test_a_key_in_another_make_of_sdk_is_masked_too():
    client = Client()
    client.sdk_configuration = SimpleNamespace(security=SimpleNamespace(api_key="0123-local-secret"))  # type: ignore[attr-defined]
    assert translated(Failure("0123-local-secret is wrong"), client).message == "… is wrong"


@pytest.mark.parametrize("key", ["ollama", "", None, 7])
def test_a_key_that_is_a_word_hides_nothing(key: Any):
    assert translated(Failure("ask ollama", status_code=500), Client(key)).message == "ask ollama"
