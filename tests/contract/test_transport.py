"""What all requests have in common: headers, error bodies, and in which words each mistake is refused."""

import re
from functools import partial
from urllib.parse import quote

import anyio
import openai
import pytest
from openai import OpenAI

from supercompat import MemoryStorageAdapter, OpenAIClientAdapter
from supercompat.storage_adapters.protocol import Row, Transaction
from supercompat.testing import ScriptedServer, call, error, text, tool_calls
from supercompat.wire.objects import Assistant
from tests.contract.conftest import MakeClient
from tests.contract.conversations import conversation
from tests.contract.wire import Json, Refusal, error_of, get, post, refused, send

MALFORMED_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
    "correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have trouble "
    "figuring out how to fix this, please contact us through our help center at help.openai.com.)"
)

ASSISTANT: Json = {"model": "gpt-4o-mini"}
MESSAGE: Json = {"role": "user", "content": "Hi"}
RUN: Json = {"assistant_id": "asst_1"}
RUNS = "/threads/thread_1/runs"


@pytest.mark.core
@pytest.mark.conforms("C-001")
def test_headers_of_every_reply(client: OpenAI) -> None:
    talk = conversation(client)
    stream = talk.stream()
    assert list(stream)
    responses = [
        client.beta.assistants.with_raw_response.create(model="gpt-4o-mini"),
        client.beta.threads.messages.with_raw_response.list(talk.thread_id),
        stream.response,
        send(client, "GET", "/assistants/asst_0"),
        send(client, "GET", "/nothing"),
        send(client, "PUT", "/assistants"),
        send(client, "POST", "/assistants", b"{"),
    ]
    for response in responses:
        assert re.fullmatch("req_[0-9a-f]{32}", response.headers["x-request-id"])
        assert response.headers["openai-version"] == "2020-10-01"
        assert int(response.headers["openai-processing-ms"]) >= 0
    assert len({response.headers["x-request-id"] for response in responses}) == len(responses)


@pytest.mark.conforms("C-002")
def test_bodies_are_indented_json(client: OpenAI) -> None:
    response = send(client, "POST", "/threads", b'{"metadata":{"name":"\xc3\xa9"}}')
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.text.startswith('{\n  "id": "thread_')
    assert '\n  "metadata": {\n    "name": "é"\n  }' in response.text
    refusal = send(client, "GET", "/assistants/asst_0")
    assert refusal.text == (
        '{\n  "error": {\n    "message": "No assistant found with id \'asst_0\'.",\n'
        '    "type": "invalid_request_error",\n    "param": null,\n    "code": null\n  }\n}'
    )


@pytest.mark.conforms("C-002", "C-007")
@pytest.mark.parametrize(
    "body", [b"{", b"{'a': 1}", b"\xff", b'{"model": NaN}', b'{"model": "\\ud800"}', b"[" * 100_000]
)
def test_malformed_json(client: OpenAI, body: bytes) -> None:
    for path in ("/assistants", "/threads/runs", "/chat/completions"):
        response = send(client, "POST", path, body)
        assert response.status_code == 400
        assert error_of(response) == {
            "message": MALFORMED_JSON,
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }


@pytest.mark.conforms("C-011")
@pytest.mark.parametrize(
    ("body", "got"), [(b"[]", "an array"), (b"null", "null"), (b'"{}"', "a string"), (b"1", "an integer")]
)
def test_a_body_that_is_no_object(client: OpenAI, body: bytes, got: str) -> None:
    for path in ("/assistants", "/chat/completions"):
        response = send(client, "POST", path, body)
        assert response.status_code == 400
        refusal = error_of(response)
        assert refusal["message"] == f"Invalid type: expected an object, but got {got} instead."
        assert (refusal["param"], refusal["code"]) == (None, "invalid_type")


@pytest.mark.conforms("C-008")
def test_unknown_url(client: OpenAI, provider: ScriptedServer) -> None:
    for method, path in (("GET", "/nothing"), ("POST", "/threads/thread_1/nothing"), ("GET", "/assistants/")):
        response = send(client, method, path)
        assert response.status_code == 404
        refusal = error_of(response)
        assert refusal["message"].startswith(f"Invalid URL ({method} /v1{path})")
        assert "assistants, chat, files, models, threads" in refusal["message"]
        assert (refusal["type"], refusal["param"], refusal["code"]) == ("invalid_request_error", None, None)
    assert not provider.requests


@pytest.mark.conforms("C-008")
def test_what_is_not_served_never_leaves_the_process(client: OpenAI, provider: ScriptedServer) -> None:
    unserved = [
        lambda: client.embeddings.create(model="m", input="Hi"),
        lambda: client.files.list().data,
        lambda: client.models.delete("m"),
        lambda: client.images.generate(prompt="A cat"),
    ]
    for attempt in unserved:
        with pytest.raises(openai.APIStatusError) as caught:
            attempt()
        assert caught.value.status_code in (404, 405)
    assert not provider.requests


@pytest.mark.conforms("C-009")
def test_wrong_method(client: OpenAI) -> None:
    for method, path in (
        ("PUT", "/assistants"),
        ("DELETE", "/threads/thread_1/runs"),
        ("PATCH", "/assistants/a"),
    ):
        response = send(client, method, path)
        assert response.status_code == 405
        assert error_of(response) == {
            "message": f"Not allowed to {method} on /v1{path}. "
            "(HINT: Perhaps you meant to use a different HTTP method?)",
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        }


UNKNOWN_PARAMETERS: list[tuple[str, Json, str]] = [
    ("/assistants", ASSISTANT | {"foo": 1}, "foo"),
    ("/assistants", ASSISTANT | {"tools": [{"type": "function", "foo": 1}]}, "tools[0].foo"),
    ("/threads", {"messages": [MESSAGE, MESSAGE | {"foo": None}]}, "messages[1].foo"),
    (
        "/threads/thread_1/messages",
        MESSAGE | {"content": [{"type": "text", "text": "Hi", "foo": 1}]},
        "content[0].foo",
    ),
    (RUNS, RUN | {"truncation_strategy": {"type": "auto", "foo": 1}}, "truncation_strategy.foo"),
    ("/threads/runs", RUN | {"thread": {"messages": [MESSAGE | {"a": 1}]}}, "thread.messages[0].a"),
    (f"{RUNS}/run_1", {"status": "completed"}, "status"),
]


@pytest.mark.conforms("C-010")
def test_unknown_parameter(client: OpenAI) -> None:
    for path, body, param in UNKNOWN_PARAMETERS:
        if "tools" in body:
            body["tools"][0]["function"] = {"name": "f"}
        assert refused(partial(post, client, path, body)) == Refusal(
            400, f"Unknown parameter: '{param}'.", param, "unknown_parameter"
        )


@pytest.mark.conforms("C-010")
def test_unknown_query_keys_are_ignored(client: OpenAI) -> None:
    assert client.beta.assistants.list(extra_query={"foo": "bar", "Limit": "x"}).data == []
    assert get(client, "/assistants?foo=1&foo=2&limit=1")["data"] == []


WRONG_TYPES: list[tuple[str, Json, str, str]] = [
    ("/assistants", {"model": 1}, "model", "a string, but got an integer"),
    ("/assistants", {"model": None}, "model", "a string, but got null"),
    (
        "/assistants",
        ASSISTANT | {"metadata": {"modified": True}},
        "metadata.modified",
        "a string, but got a boolean",
    ),
    ("/assistants", ASSISTANT | {"metadata": {"k": None}}, "metadata.k", "a string, but got null"),
    ("/assistants", ASSISTANT | {"metadata": "k"}, "metadata", "an object, but got a string"),
    (
        "/assistants",
        ASSISTANT | {"temperature": "1"},
        "temperature",
        "a decimal, but got a string",
    ),
    ("/assistants", ASSISTANT | {"tools": {}}, "tools", "an array of objects, but got an object"),
    ("/assistants", ASSISTANT | {"tools": [1]}, "tools[0]", "an object, but got an integer"),
    (
        "/assistants",
        ASSISTANT | {"response_format": []},
        "response_format",
        "one of a string or object, but got an array",
    ),
    (
        "/threads/thread_1/messages",
        MESSAGE | {"content": 1},
        "content",
        "one of a string or array of objects, but got an integer",
    ),
    (RUNS, RUN | {"max_prompt_tokens": 256.5}, "max_prompt_tokens", "an integer, but got a decimal number"),
    (RUNS, RUN | {"parallel_tool_calls": 1}, "parallel_tool_calls", "a boolean, but got an integer"),
    (RUNS, RUN | {"stream": "true"}, "stream", "a boolean, but got a string"),
    (
        f"{RUNS}/run_1/submit_tool_outputs",
        {"tool_outputs": [{"tool_call_id": "call_1", "output": 1}]},
        "tool_outputs[0].output",
        "a string, but got an integer",
    ),
]


@pytest.mark.conforms("C-011")
def test_wrong_type(client: OpenAI) -> None:
    for path, body, param, words in WRONG_TYPES:
        assert refused(partial(post, client, path, body)) == Refusal(
            400, f"Invalid type for '{param}': expected {words} instead.", param, "invalid_type"
        )


MISSING_PARAMETERS: list[tuple[str, Json, str]] = [
    ("/assistants", {}, "model"),
    ("/assistants", ASSISTANT | {"tools": [{"type": "function"}]}, "tools[0].function"),
    ("/assistants", {"model": "m", "tools": [{}]}, "tools[0].type"),
    ("/assistants", ASSISTANT | {"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ("/chat/completions", {"model": "m"}, "messages"),
    # What is missing comes before what is wrong.
    ("/threads", {"metadata": 1, "messages": [{"role": "user"}]}, "messages[0].content"),
    ("/threads", {"messages": [MESSAGE, {"content": "Hi"}]}, "messages[1].role"),
    ("/threads/thread_1/messages", {"role": "user"}, "content"),
    (RUNS, {}, "assistant_id"),
    ("/threads/runs", RUN | {"thread": {"messages": [{"role": "user"}]}}, "thread.messages[0].content"),
    (RUNS, RUN | {"additional_messages": [{"content": "Hi"}]}, "additional_messages[0].role"),
    (f"{RUNS}/run_1/submit_tool_outputs", {}, "tool_outputs"),
    (
        f"{RUNS}/run_1/submit_tool_outputs",
        {"tool_outputs": [{"output": "1"}]},
        "tool_outputs[0].tool_call_id",
    ),
]


@pytest.mark.conforms("C-012", "C-020")
def test_missing_parameter(client: OpenAI) -> None:
    for path, body, param in MISSING_PARAMETERS:
        assert refused(partial(post, client, path, body)) == Refusal(
            400, f"Missing required parameter: '{param}'.", param, "missing_required_parameter"
        )


UNSUPPORTED_VALUES: list[tuple[str, Json, str, str]] = [
    ("/threads/thread_1/messages", MESSAGE | {"role": "bogus"}, "role", "'user' and 'assistant'"),
    ("/threads", {"messages": [MESSAGE | {"role": "bogus"}]}, "messages[0].role", "'user' and 'assistant'"),
    (
        "/assistants",
        ASSISTANT | {"tools": [{"type": "bogus"}]},
        "tools[0].type",
        "'code_interpreter', 'function', and 'file_search'",
    ),
    ("/assistants", ASSISTANT | {"response_format": "bogus"}, "response_format", "'auto'"),
    (
        "/assistants",
        ASSISTANT | {"response_format": {"type": "bogus"}},
        "response_format.type",
        "'json_object', 'json_schema', and 'text'",
    ),
    (RUNS, RUN | {"tool_choice": "bogus"}, "tool_choice", "'none', 'auto', and 'required'"),
    (
        RUNS,
        RUN | {"truncation_strategy": {"type": "bogus"}},
        "truncation_strategy.type",
        "'auto' and 'last_messages'",
    ),
]


@pytest.mark.conforms("C-013")
def test_unsupported_value(client: OpenAI) -> None:
    for path, body, param, supported in UNSUPPORTED_VALUES:
        assert refused(partial(post, client, path, body)) == Refusal(
            400, f"Invalid value: 'bogus'. Supported values are: {supported}.", param, "invalid_value"
        )


NUMBERS_OUT_OF_RANGE: list[tuple[str, str, float, str, str]] = [
    ("/assistants", "temperature", 3, "decimal above maximum value. Expected a value <= 2", "above_max"),
    ("/assistants", "temperature", -2.5, "decimal below minimum value. Expected a value >= 0", "below_min"),
    ("/assistants", "top_p", 1.5, "decimal above maximum value. Expected a value <= 1", "above_max"),
    ("/assistants", "top_p", -1, "decimal below minimum value. Expected a value >= 0", "below_min"),
    (
        RUNS,
        "max_completion_tokens",
        15,
        "integer below minimum value. Expected a value >= 16",
        "below_min",
    ),
    (RUNS, "max_prompt_tokens", 0, "integer below minimum value. Expected a value >= 1", "below_min"),
]


@pytest.mark.conforms("C-014")
def test_number_out_of_range(client: OpenAI) -> None:
    for path, field, value, words, code in NUMBERS_OUT_OF_RANGE:
        body = {**(ASSISTANT if path == "/assistants" else RUN), field: value}
        kind = words.partition(" ")[0]
        assert refused(partial(post, client, path, body)) == Refusal(
            400, f"Invalid '{field}': {words}, but got {value} instead.", field, f"{kind}_{code}_value"
        )


STRINGS_TOO_LONG: list[tuple[Json, str, int]] = [
    ({"name": "é" * 257}, "name", 256),
    ({"description": "d" * 513}, "description", 512),
    ({"metadata": {"k": "v" * 513}}, "metadata.k", 512),
    (
        {"tools": [{"type": "function", "function": {"name": "f" * 65}}]},
        "tools[0].function.name",
        64,
    ),
]


@pytest.mark.conforms("C-015")
def test_string_too_long(client: OpenAI) -> None:
    for body, param, longest in STRINGS_TOO_LONG:
        assert refused(partial(post, client, "/assistants", ASSISTANT | body)) == Refusal(
            400,
            f"Invalid '{param}': string too long. Expected a string with maximum length {longest}, "
            f"but got a string with length {longest + 1} instead.",
            param,
            "string_above_max_length",
        )


@pytest.mark.core
@pytest.mark.conforms("C-016")
def test_id_with_a_wrong_prefix(client: OpenAI) -> None:
    threads, runs = client.beta.threads, client.beta.threads.runs
    thread = threads.create()
    assistant = client.beta.assistants.create(model="gpt-4o-mini")
    talk = conversation(client)
    run = talk.run()
    attempts = [
        ("assistant_id", "asst", lambda: client.beta.assistants.retrieve("undefined")),
        ("assistant_id", "asst", lambda: client.beta.assistants.update("undefined", name="n")),
        ("assistant_id", "asst", lambda: client.beta.assistants.delete("undefined")),
        ("thread_id", "thread", lambda: threads.retrieve("undefined")),
        ("thread_id", "thread", lambda: threads.delete("undefined")),
        ("thread_id", "thread", lambda: threads.messages.create("undefined", role="user", content="Hi")),
        ("thread_id", "thread", lambda: threads.messages.list("undefined", after="undefined").data),
        ("thread_id", "thread", lambda: runs.create("undefined", assistant_id=assistant.id)),
        ("assistant_id", "asst", lambda: runs.create(thread.id, assistant_id="undefined")),
        ("assistant_id", "asst", lambda: threads.create_and_run(assistant_id="undefined")),
        ("message_id", "msg", lambda: threads.messages.retrieve("undefined", thread_id=thread.id)),
        ("run_id", "run", lambda: runs.retrieve("undefined", thread_id=thread.id)),
        ("run_id", "run", lambda: runs.cancel("undefined", thread_id=thread.id)),
        ("run_id", "run", lambda: runs.steps.list("undefined", thread_id=thread.id).data),
        (
            "step_id",
            "step",
            lambda: runs.steps.retrieve("undefined", thread_id=talk.thread_id, run_id=run.id),
        ),
    ]
    for param, prefix, attempt in attempts:
        assert refused(attempt) == Refusal(
            400,
            f"Invalid '{param}': 'undefined'. Expected an ID that begins with '{prefix}'.",
            param,
            "invalid_value",
        )


@pytest.mark.conforms("C-016")
def test_an_id_of_another_shape_is_looked_up_first(make_client: MakeClient) -> None:
    storage = MemoryStorageAdapter()
    imported = Assistant(id="6f9619ff-8b86-d011-b42d-00cf4fc964ff", created_at=1, model="gpt-4o-mini")

    async def put() -> None:
        def work(tx: Transaction) -> None:
            tx.assistants.insert(Row(imported))

        store = storage.open()
        await store.transact(work)
        await store.aclose()

    anyio.run(put)
    client = make_client(storage=storage)
    assert client.beta.assistants.retrieve(imported.id).id == imported.id
    run = client.beta.threads.create_and_run(
        assistant_id=imported.id, thread={"messages": [{"role": "user", "content": "Hi"}]}
    )
    assert run.assistant_id == imported.id


@pytest.mark.conforms("C-016")
@pytest.mark.parametrize("id", ["asst/1", "asst_1?x=1", "asst_é", "asst_%2F", "asst_\x00", "asst_#"])
def test_an_id_is_what_the_caller_meant(client: OpenAI, id: str) -> None:
    """Nothing in an id is read as a part of the path."""
    response = send(client, "GET", f"/assistants/{quote(id, safe='')}")
    assert response.status_code == 404
    assert error_of(response)["message"] == f"No assistant found with id '{id}'."


@pytest.mark.core
def test_an_id_with_a_nul_names_nothing(client: OpenAI) -> None:
    """Not every database takes it in a text."""
    thread = post(client, "/threads", {})["id"]
    odd = quote("_\0", safe="")
    for path in (
        "",
        "/messages/msg" + odd,
        "/messages?after=msg" + odd,
        "/runs/run" + odd,
        "/runs/run" + odd + "/steps",
    ):
        assert send(client, "GET", f"/threads/{thread}{path or odd}").status_code == 404
    assert send(client, "DELETE", f"/threads/{thread}{odd}").status_code == 404
    assert get(client, f"/threads/{thread}/messages?run_id=run{odd}")["data"] == []
    response = send(client, "POST", f"/threads/{thread}/runs", b'{"assistant_id": "asst_\\u0000"}')
    assert response.status_code == 404


@pytest.mark.conforms("C-017")
def test_only_the_providers_sdk_retries(make_client: MakeClient, provider: ScriptedServer) -> None:
    busy = error(429, headers={"retry-after-ms": "1"})
    asking = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
    with openai.OpenAI(base_url=provider.base_url, api_key="test") as inner:
        client = make_client(client=OpenAIClientAdapter(inner))
        provider.reply(busy, busy, text("Hello"))
        assert post(client, "/chat/completions", asking)["choices"][0]["message"]["content"] == "Hello"
        assert len(provider.requests) == 3
        provider.reply(busy, busy, busy, text("Too late"))
        with pytest.raises(openai.RateLimitError) as caught:
            post(client, "/chat/completions", asking)
        assert caught.value.response.headers["x-should-retry"] == "false"
        assert len(provider.requests) == 6


@pytest.mark.conforms("C-017")
def test_a_lock_error_is_not_retried(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(tool_calls(call("f")))
    talk = conversation(client, tools=[{"type": "function", "function": {"name": "f"}}])
    run = talk.run()
    assert run.status == "requires_action"
    # `refused` looks at the number of the attempt.
    assert refused(talk.start) == Refusal(
        400, f"Thread {talk.thread_id} already has an active run {run.id}.", None, None
    )


def test_order_of_judgement(client: OpenAI) -> None:
    """JSON, then the query with its limit first, then the body, then what exists: section 4."""
    path = f"{RUNS}?include[]=bogus"
    assert error_of(send(client, "POST", path, b"{"))["message"] == MALFORMED_JSON
    assert error_of(send(client, "POST", path, b"{}"))["param"] == "include[0]"
    assert error_of(send(client, "POST", RUNS, b"{}"))["param"] == "assistant_id"
    missing = error_of(send(client, "POST", RUNS, b'{"assistant_id": "asst_1"}'))
    assert missing["message"] == "No thread found with id 'thread_1'."
    listed = error_of(send(client, "GET", "/threads/thread_1/messages?order=up&after=x&limit=0"))
    assert listed["param"] == "limit"
    listed = error_of(send(client, "GET", "/threads/thread_1/messages?after=x&order=up"))
    assert listed["param"] == "order"
    listed = error_of(send(client, "GET", "/threads/thread_1/messages?after=x"))
    assert listed["message"] == "No thread found with id 'thread_1'."


def test_the_first_mistake_in_the_body_is_named(client: OpenAI) -> None:
    refusal = refused(partial(post, client, "/assistants", {"name": 1, "model": 2, "foo": 3}))
    assert refusal.param == "name"
    # Fields that are missing come before fields that are wrong.
    refusal = refused(partial(post, client, "/assistants", {"name": 1, "foo": 3}))
    assert refusal.param == "model"
