"""Runs that don't complete: the provider fails, breaks off, or stops the answer early."""

from typing import Any

import pytest
from openai import OpenAI
from openai.types.beta.threads import Run

from supercompat.testing import (
    Failure,
    Gate,
    Reply,
    ScriptedServer,
    Usage,
    call,
    drop,
    error,
    text,
    tool_calls,
)
from tests.contract.conversations import (
    CLOCK,
    DEADLINE,
    Conversation,
    Event,
    Json,
    conversation,
    heard,
    names,
    only,
    texts,
)

PREFIX = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]
OPENED = [
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.delta*",
]
NOTHING_BILLED = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}

BREAKS = {
    "dropped connection": text("Hel", "lo").then_drop(),
    "no finish reason": text("Hel", "lo", finish=None).with_usage(None),
    "malformed chunk": text("Hel", "lo").then_malformed(),
    "error in the stream": text("Hel", "lo").then_error("The engine is overloaded."),
}


def check_free(asked: Conversation) -> None:
    """The thread takes messages and runs at once."""
    asked.ask("Again")
    assert asked.run().status == "completed"


def check_failed(run: Json, started: Json) -> None:
    """All of a failed run but its error."""
    assert run == started | {
        "status": "failed",
        "failed_at": run["failed_at"],
        "expires_at": None,
        "last_error": run["last_error"],
        "usage": run["usage"],
    }
    assert run["failed_at"] >= run["started_at"]


@pytest.mark.conforms("C-110", "C-111", "C-112", "C-118", "C-151")
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (error(401, "Incorrect API key provided."), "server_error"),
        (error(403, "Country not supported."), "server_error"),
        (error(404, "No such model."), "server_error"),
        (error(429, "Rate limit reached for gpt-4o-mini."), "rate_limit_exceeded"),
        (
            error(
                429, "You exceeded your current quota.", type="insufficient_quota", code="insufficient_quota"
            ),
            "rate_limit_exceeded",
        ),
        (error(400, "The prompt was flagged.", code="content_filter"), "invalid_prompt"),
        (error(500, "The server had an error."), "server_error"),
        (error(503, "Overloaded."), "server_error"),
    ],
    ids=["401", "403", "404", "429", "quota", "400", "500", "503"],
)
def test_the_provider_refuses(client: OpenAI, provider: ScriptedServer, answer: Failure, code: str) -> None:
    provider.reply(answer)
    asked = conversation(client)
    events = heard(asked.stream())
    assert names(events) == [*PREFIX, "thread.run.failed"]
    run = only(events, "thread.run.failed")
    check_failed(run, only(events, "thread.run.in_progress"))
    assert run["last_error"] == {"code": code, "message": answer.message}
    assert run["usage"] == NOTHING_BILLED
    assert asked.retrieve(run["id"]).to_dict() == run
    assert (asked.steps(run["id"]), asked.answers()) == ([], [])
    assert len(provider.requests) == 1
    check_free(asked)


@pytest.mark.conforms("C-110")
def test_the_provider_drops_the_connection_before_it_answers(
    client: OpenAI, provider: ScriptedServer
) -> None:
    provider.reply(drop())
    asked = conversation(client)
    run = asked.run()
    assert (run.status, run.last_error and run.last_error.code) == ("failed", "server_error")
    check_free(asked)


@pytest.mark.conforms("C-110")
def test_the_provider_is_not_there(client: OpenAI, provider: ScriptedServer) -> None:
    asked = conversation(client)
    provider.close()
    run = asked.run()
    assert (run.status, run.last_error and run.last_error.code) == ("failed", "server_error")
    assert run.last_error
    assert "Connection error" in run.last_error.message
    asked.ask("Again")


@pytest.mark.core
@pytest.mark.conforms("C-110", "C-118", "C-132", "C-151")
def test_the_answer_breaks_off(client: OpenAI, provider: ScriptedServer) -> None:
    for answer in BREAKS.values():
        provider.reply(answer)
        asked = conversation(client)
        events = heard(asked.stream())
        assert names(events) == [
            *PREFIX,
            *OPENED,
            "thread.message.incomplete",
            "thread.run.step.failed",
            "thread.run.failed",
        ]
        check_broken_parts(events)
        run = only(events, "thread.run.failed")
        check_failed(run, only(events, "thread.run.in_progress"))
        assert run["last_error"]["code"] == "server_error"
        assert run["last_error"]["message"]
        assert asked.retrieve(run["id"]).to_dict() == run
        assert [answer.to_dict() for answer in asked.answers()] == [only(events, "thread.message.incomplete")]
        check_free(asked)


def check_broken_parts(events: list[Event]) -> None:
    """The message "Hello" and its step, of an answer that broke off."""
    message = only(events, "thread.message.incomplete")
    assert message == only(events, "thread.message.created") | {
        "status": "incomplete",
        "incomplete_details": {"reason": "run_failed"},
        "incomplete_at": message["incomplete_at"],
        "content": [{"type": "text", "text": {"value": "Hello", "annotations": []}}],
    }
    assert message["incomplete_at"]
    step = only(events, "thread.run.step.failed")
    assert step == only(events, "thread.run.step.created") | {
        "status": "failed",
        "failed_at": step["failed_at"],
        "last_error": only(events, "thread.run.failed")["last_error"],
        "usage": NOTHING_BILLED,
    }
    assert step["failed_at"]


@pytest.mark.conforms("C-110")
def test_the_provider_s_words_are_kept(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(
        text("Hel").then_error("The engine is overloaded."), error(401, "Bad key: sk-abcdefghijkl1234")
    )
    first, second = (conversation(client).run().last_error for _ in range(2))
    assert first
    assert first.message == "The engine is overloaded."
    assert second
    assert second.message == "Bad key: sk-…"


@pytest.mark.conforms("C-090", "C-132", "C-151")
def test_a_later_round_fails(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(
        tool_calls(call("get_time", id="call_1")).with_usage(Usage(prompt=10, completion=1)),
        error(500, "The server had an error."),
    )
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    events = heard(asked.submit_stream(run.id, {"call_1": "12:00"}))
    assert names(events) == [
        "thread.run.step.completed",
        "thread.run.queued",
        "thread.run.in_progress",
        "thread.run.failed",
    ]
    failed = only(events, "thread.run.failed")
    check_failed(failed, only(events, "thread.run.in_progress"))
    assert failed["usage"]["total_tokens"] == 11
    assert [step.status for step in asked.steps(run.id)] == ["completed"]
    check_free(asked)


@pytest.mark.conforms("C-132")
def test_a_call_breaks_off(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Let me look.") + tool_calls(call("get_time", '{"zone":', id="call_1")).then_drop())
    asked = conversation(client, tools=[CLOCK])
    events = heard(asked.stream())
    assert names(events)[-2:] == ["thread.run.step.failed", "thread.run.failed"]
    step = only(events, "thread.run.step.failed")
    assert step["type"] == "tool_calls"
    assert step["step_details"]["tool_calls"][0]["function"]["output"] is None
    (answer,) = asked.answers()
    assert (answer.status, texts(answer)) == ("completed", ["Let me look."])
    check_free(asked)
    said = provider.requests[1].body["messages"]
    assert [message["role"] for message in said] == ["user", "assistant", "user"]


# Answers that are stopped early


@pytest.mark.core
@pytest.mark.conforms("C-113", "C-118", "C-153")
@pytest.mark.parametrize(
    ("finish", "run_reason", "message_reason"),
    [
        ("length", "max_completion_tokens", "max_tokens"),
        ("content_filter", "content_filter", "content_filter"),
    ],
)
def test_an_incomplete_answer(
    client: OpenAI, provider: ScriptedServer, finish: str, run_reason: str, message_reason: str
) -> None:
    provider.reply(text("Hel", "lo", finish=finish).with_usage(Usage(prompt=10, completion=16)))
    asked = conversation(client)
    events = heard(asked.stream(max_completion_tokens=16))
    assert names(events) == [
        *PREFIX,
        *OPENED,
        "thread.message.incomplete",
        "thread.run.step.completed",
        "thread.run.incomplete",
    ]
    message = only(events, "thread.message.incomplete")
    assert message == only(events, "thread.message.created") | {
        "status": "incomplete",
        "incomplete_details": {"reason": message_reason},
        "incomplete_at": message["incomplete_at"],
        "content": [{"type": "text", "text": {"value": "Hello", "annotations": []}}],
    }
    assert message["incomplete_at"]
    run = only(events, "thread.run.incomplete")
    assert run == only(events, "thread.run.in_progress") | {
        "status": "incomplete",
        "incomplete_details": {"reason": run_reason},
        "completed_at": run["completed_at"],
        "expires_at": None,
        "usage": run["usage"],
    }
    assert run["completed_at"]
    assert run["usage"]["total_tokens"] == 26
    assert only(events, "thread.run.step.completed")["usage"] == run["usage"]
    assert asked.retrieve(run["id"]).to_dict() == run
    assert [answer.to_dict() for answer in asked.answers()] == [message]
    check_free(asked)


@pytest.mark.conforms("C-113", "C-132")
@pytest.mark.parametrize("finish", ["length", "content_filter"])
@pytest.mark.parametrize(
    "before", [text(), tool_calls(call("get_time", '{"zone":'))], ids=["nothing said", "half a call"]
)
def test_an_incomplete_answer_without_text(
    client: OpenAI, provider: ScriptedServer, before: Reply, finish: str
) -> None:
    """A call that was cut off can't be carried out."""
    provider.reply(before + text(finish=finish))
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    assert (run.status, run.required_action) == ("incomplete", None)
    (step,) = asked.steps(run.id)
    assert step.status == "completed"
    check_free(asked)


@pytest.mark.conforms("C-075", "C-113")
def test_the_completion_limit_is_that_of_the_whole_run(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(
        tool_calls(call("get_time", id="call_1")).with_usage(Usage(prompt=10, completion=30)),
        tool_calls(call("get_time", id="call_2")).with_usage(Usage(prompt=10, completion=50)),
    )
    asked = conversation(client, tools=[CLOCK])
    run = asked.run(max_completion_tokens=80)
    run = asked.submit_and_poll(run.id, {"call_1": "12:00"})
    assert [limit_of(request.body) for request in provider.requests] == [80, 50]
    run = asked.submit_and_poll(run.id, {"call_2": "12:01"})
    check_limited(run, "max_completion_tokens")
    assert len(provider.requests) == 2
    assert [step.status for step in asked.steps(run.id)] == ["completed", "completed"]
    check_free(asked)


def limit_of(body: dict[str, Any]) -> int:
    """The limit of one answer, under either of its names."""
    (limit,) = (body[name] for name in ("max_tokens", "max_completion_tokens") if name in body)
    return limit


def check_limited(run: Run, reason: str) -> None:
    assert run.incomplete_details
    assert (run.status, run.incomplete_details.reason) == ("incomplete", reason)
    assert (bool(run.completed_at), run.expires_at, run.last_error) == (True, None, None)


@pytest.mark.conforms("C-114")
def test_the_prompt_limit(client: OpenAI, provider: ScriptedServer) -> None:
    asked = conversation(client, question="word " * 4000)
    run = asked.run(max_prompt_tokens=256)
    check_limited(run, "max_prompt_tokens")
    assert provider.requests == []
    assert run.usage
    assert run.usage.to_dict() == NOTHING_BILLED
    asked.ask("Short")
    assert asked.run(max_prompt_tokens=256).status == "completed"
    assert [message["content"] for message in provider.requests[0].body["messages"]] == ["Short"]


@pytest.mark.conforms("C-118")
def test_failures_leave_nothing_behind(client: OpenAI, provider: ScriptedServer) -> None:
    """After each of them the next run is told of what was said, and of nothing that was not."""
    gate = Gate()
    provider.reply(*BREAKS.values(), text("Never.").after(gate))
    asked = conversation(client)
    for _ in BREAKS:
        assert asked.run().status == "failed"
    last = asked.start()
    assert gate.reached.wait(DEADLINE)
    asked.cancel(last.id)
    assert asked.poll(last.id).status == "cancelled"
    check_free(asked)
    said = [(each["role"], each["content"]) for each in provider.requests[-1].body["messages"]]
    assert said == [("user", "Hi"), *[("assistant", "Hello")] * len(BREAKS), ("user", "Again")]
