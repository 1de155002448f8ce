"""Whatever a provider does wrong, the run ends, says why, and leaves nothing open: with the real SDKs."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

import openai
import pytest
from groq import Groq
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI

from supercompat import GroqClientAdapter, OpenAIClientAdapter, Options, supercompat
from supercompat.testing import ScriptedServer, call, drop, error, hang, text, tool_calls
from supercompat.testing.openai_server import Answer
from tests.api.bodies import places
from tests.contract.conftest import MakeClient, Setup
from tests.contract.conversations import (
    CLOCK,
    DEADLINE,
    Conversation,
    Json,
    call_ids,
    conversation,
    heard,
    names,
    only,
    texts,
)

HTML = "<html><body>502 Bad Gateway</body></html>"
#: As Gemini's endpoint with OpenAI's wire words it: a list with the error in it.
EXHAUSTED = '[{"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED"}}]'
SAID = text("Hel", "lo")

#: What goes wrong, and the `last_error.code` that it ends in.
FAULTS: Mapping[str, tuple[Answer, str]] = {
    "402": (error(402, "Payment required."), "rate_limit_exceeded"),
    "429": (error(429, "Slow down."), "rate_limit_exceeded"),
    "429 in anthropic's words": (error(429, "Slow.", type="rate_limit_error"), "rate_limit_exceeded"),
    "429 in gemini's words": (error(429, raw=EXHAUSTED), "rate_limit_exceeded"),
    "no quota": (error(400, "No quota.", code="insufficient_quota"), "rate_limit_exceeded"),
    "too many tokens a minute": (error(413, "Too large.", code="rate_limit_exceeded"), "rate_limit_exceeded"),
    "400": (error(400, "Bad image."), "invalid_prompt"),
    "context too long": (error(400, "Too long.", code="context_length_exceeded"), "invalid_prompt"),
    "filtered prompt": (error(400, "Filtered.", code="content_filter"), "invalid_prompt"),
    "413": (error(413, "Too large."), "invalid_prompt"),
    "422": (error(422, "Unprocessable."), "invalid_prompt"),
    "401": (error(401, "Bad key."), "server_error"),
    "bad key in a 400": (error(400, "Bad key.", code="invalid_api_key"), "server_error"),
    "403": (error(403, "Not from here."), "server_error"),
    "404": (error(404, "No such model.", code="model_not_found"), "server_error"),
    "408": (error(408, "Too slow."), "server_error"),
    "409": (error(409, "Conflict."), "server_error"),
    "500": (error(500, "Broken."), "server_error"),
    "502": (error(502, raw=HTML), "server_error"),
    "503": (error(503, "Busy."), "server_error"),
    "529": (error(529, "Overloaded", type="overloaded_error"), "server_error"),
    "no stream": (error(200, raw=HTML), "server_error"),
    "no answer": (drop(), "server_error"),
    "dropped": (SAID.then_drop(), "server_error"),
    "no finish reason": (text("Hel", "lo", finish=None).with_usage(None), "server_error"),
    "finish reason error": (text("Hel", "lo", finish="error"), "server_error"),
    "malformed": (SAID.then_malformed(), "server_error"),
    "error in mid stream": (SAID.then_error("Broken."), "server_error"),
    "overloaded in mid stream": (SAID.then_error("Busy.", type="overloaded_error"), "server_error"),
    "limit in mid stream": (
        SAID.then_error("Slow down.", type="requests", code="rate_limit_exceeded"),
        "rate_limit_exceeded",
    ),
    "filter in mid stream": (SAID.then_error("Filtered.", code="content_filter"), "invalid_prompt"),
}
FAULT = pytest.mark.parametrize(("answer", "code"), FAULTS.values(), ids=FAULTS)


def check_fault(asked: Conversation, code: str) -> None:
    """The next run fails with this code, in order; what it had said is kept, closed; the next but one succeeds."""
    events = heard(asked.stream())
    run = only(events, "thread.run.failed")
    assert run["last_error"]["code"] == code
    assert run["last_error"]["message"]
    assert asked.retrieve(run["id"]).to_dict() == run
    check_closed(asked, run["id"])
    opened = any(event.name == "thread.message.created" for event in events)
    assert names(events)[-3:-1] == (
        ["thread.message.incomplete", "thread.run.step.failed"]
        if opened
        else ["thread.run.queued", "thread.run.in_progress"]
    )
    assert [texts(answer) for answer in asked.answers()] == ([["Hello"]] if opened else [])
    asked.ask("Again")
    assert asked.run().status == "completed"


def check_closed(asked: Conversation, run_id: str) -> None:
    """Nothing of the run is left in progress, and what is not complete says so."""
    assert {step.status for step in asked.steps(run_id)} <= {"failed", "completed"}
    for message in asked.answers():
        whole: Any = message
        assert (message.status, bool(message.completed_at), bool(whole.incomplete_at)) in (
            ("completed", True, False),
            ("incomplete", False, True),
        )


@pytest.mark.conforms("C-110", "C-111", "C-112", "C-118", "C-132", "C-151")
@FAULT
def test_each_fault_has_its_code(client: OpenAI, provider: ScriptedServer, answer: Answer, code: str) -> None:
    provider.reply(answer)
    check_fault(conversation(client), code)


@pytest.mark.conforms("C-110", "C-111", "C-112")
@FAULT
def test_each_fault_has_its_code_with_groq(provider: ScriptedServer, answer: Answer, code: str) -> None:
    provider.reply(answer)
    inner = Groq(base_url=provider.url, api_key="test-key", max_retries=0)
    with inner, supercompat(client=GroqClientAdapter(inner), options=Options(drain=0)) as client:
        check_fault(conversation(client), code)


# A provider that never answers


@pytest.mark.core
@pytest.mark.conforms("C-110", "C-118", "C-132")
def test_the_provider_s_own_timeout_ends_a_run(
    setup: Setup, make_client: MakeClient, provider: ScriptedServer
) -> None:
    """Before it has said anything, and in mid answer."""
    kind: Any = openai.OpenAI if setup.provider == "sync" else openai.AsyncOpenAI
    impatient = kind(base_url=provider.base_url, api_key="test-key", max_retries=0, timeout=0.2)
    client = make_client(client=OpenAIClientAdapter(impatient))
    try:
        for answer in (hang(), SAID.then_hang()):
            provider.reply(answer)
            check_fault(conversation(client), "server_error")
            assert provider.requests[-2].closed.wait(DEADLINE)
    finally:
        client.close()
        close(impatient, portal=getattr(client, "_portal", None))


def close(inner: Any, portal: Any) -> None:
    """Close a provider's client on the loop that it was used on, which is the portal's if there is one."""
    if isinstance(inner, openai.OpenAI):
        inner.close()
    elif portal is not None:
        portal.call(inner.close)
    else:
        asyncio.run(inner.close())


@pytest.mark.conforms("C-103", "C-118")
def test_a_run_that_is_never_answered_expires(make_client: MakeClient, provider: ScriptedServer) -> None:
    provider.reply(hang())
    asked = conversation(make_client(options=Options(drain=0, run_expires_after=2)))
    events = heard(asked.stream())
    assert names(events)[-2:] == ["thread.run.in_progress", "thread.run.expired"]
    assert provider.requests[0].closed.wait(DEADLINE)
    assert asked.steps(events[0].data["id"]) == []
    asked.ask("Again")
    assert asked.run().status == "completed"


# Calls whose arguments are not what they should be


@pytest.mark.conforms("C-092", "C-118")
@pytest.mark.parametrize(
    "said", ['{"zone": ', "noon", "[1]", "NaN", '"UTC"', '{"zone": NaN}', "null", "[" * 5000]
)
def test_arguments_that_are_no_object(client: OpenAI, provider: ScriptedServer, said: str) -> None:
    """The caller sees what the model said. The model is reminded of it as JSON, which every provider takes."""
    provider.reply(tool_calls(call("get_time", said)), text("Noon."))
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    assert run.required_action
    (wanted,) = run.required_action.submit_tool_outputs.tool_calls
    assert wanted.function.arguments == said
    done = asked.submit_and_poll(run.id, {wanted.id: "That is no JSON."})
    assert done.status == "completed"
    _, assistant, output = provider.requests[1].body["messages"]
    (sent,) = assistant["tool_calls"]
    assert json.loads(sent["function"]["arguments"]) == {"arguments": said}
    assert output["content"] == "That is no JSON."


@pytest.mark.conforms("C-100")
@pytest.mark.parametrize("said", ["{}", '{"zone": "UTC"}', ' {"zone":\n1e3} '])
def test_arguments_that_are_an_object_are_sent_as_they_came(
    client: OpenAI, provider: ScriptedServer, said: str
) -> None:
    provider.reply(tool_calls(call("get_time", said)), text("Noon."))
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    asked.submit_and_poll(run.id, dict.fromkeys(call_ids(run), "12:00"))
    (sent,) = provider.requests[1].body["messages"][1]["tool_calls"]
    assert sent["function"]["arguments"] == said


# Chunks that are not what they should be


def chunk(delta: Json, finish: str | None = None) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


def opened(index: int) -> Json:
    function = {"name": "get_time", "arguments": ""}
    return {"index": index, "id": f"call_{index}", "type": "function", "function": function}


CHUNKS: list[Json] = [
    chunk({"role": "assistant", "content": "Hel"}),
    chunk({"content": "lo"}),
    chunk({"tool_calls": [opened(0)]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"zone": 1}'}}]}),
    chunk({"tool_calls": [opened(1)]}),
    chunk({}, "tool_calls"),
    {
        "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
    },
]

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def test_a_name_that_no_provider_takes_is_not_sent_back(client: OpenAI, provider: ScriptedServer) -> None:
    odd = "clock \u00e9" + "x" * 70
    provider.reply(tool_calls(call(odd, "{}", id="call_1")), text("Hello"))
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    assert run.required_action.submit_tool_outputs.tool_calls[0].function.name == odd  # type: ignore[union-attr]
    assert asked.submit_and_poll(run.id, {"call_1": "12:00"}).status == "completed"
    sent = provider.requests[-1].body["messages"][1]["tool_calls"][0]["function"]["name"]
    assert sent == ("clock__" + "x" * 70)[:64]


@st.composite
def tampered(draw: st.DrawFn) -> bytes:
    """A stream in which one thing was replaced, removed, or cut off."""
    chunks: list[Any] = json.loads(json.dumps(CHUNKS))
    spots = [(chunks, index, "") for index in range(len(chunks))]
    spots += [spot for each in chunks for spot in places(each)]
    holder, step, _ = draw(st.sampled_from(spots))
    if draw(st.booleans()):
        holder[step] = draw(json_values)
    else:
        del holder[step]
    body = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in chunks) + b"data: [DONE]\n\n"
    return body[: draw(st.none() | st.integers(0, len(body)))]


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(scope="module")
def any_client(server: ScriptedServer) -> Iterator[OpenAI]:
    """A client for all the examples of a test."""
    inner = OpenAI(base_url=server.base_url, api_key="test-key", max_retries=0)
    with inner, supercompat(client=OpenAIClientAdapter(inner), options=Options(drain=0)) as client:
        yield client


def check_any_stream(client: OpenAI, server: ScriptedServer, body: bytes) -> None:
    server.reply(error(200, raw=body.decode(), headers={"content-type": "text/event-stream"}))
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    assert run.status in ("completed", "failed", "requires_action")
    if run.last_error:
        assert run.last_error.code in ("server_error", "rate_limit_exceeded", "invalid_prompt")
        assert run.last_error.message != "Sorry, something went wrong."
    if run.status == "requires_action":
        run = asked.submit_and_poll(run.id, dict.fromkeys(call_ids(run), "12:00"))
        assert run.status == "completed"
    check_closed(asked, run.id)
    asked.ask("Again")
    assert asked.run().status == "completed"


@pytest.mark.conforms("C-110", "C-118")
@settings(max_examples=40, deadline=None)
@given(body=tampered())
def test_any_tampered_stream_ends_the_run(any_client: OpenAI, server: ScriptedServer, body: bytes) -> None:
    check_any_stream(any_client, server, body)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(body=tampered())
def test_many_tampered_streams_end_the_run(any_client: OpenAI, server: ScriptedServer, body: bytes) -> None:
    check_any_stream(any_client, server, body)
