"""Runs that each provider answers, through both doors, with its real SDK and a server that enforces its rules."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from openai import APIStatusError, OpenAI

from supercompat import Options, SQLAlchemyStorageAdapter, async_supercompat, supercompat
from supercompat.testing import Reply, Usage, call, drop, error, hang, reasoning, text, tool_calls
from tests.client_adapters.conftest import KEY
from tests.client_adapters.dialects import DIALECTS, Dialect
from tests.contract.blocking import Blocking
from tests.contract.conversations import (
    CLOCK,
    DEADLINE,
    WEATHER,
    Conversation,
    call_ids,
    conversation,
    heard,
    heard_until,
    names,
    texts,
)
from tests.contract.judge import Judge

MakeClient = Callable[[], OpenAI]

PNG = "iVBORw0KGgo="
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
    "additionalProperties": False,
}
FORMATS: list[Any] = [
    "auto",
    {"type": "text"},
    {"type": "json_object"},
    {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA, "strict": True}},
]
FAILURES = [
    (error(400, "Too long."), "invalid_prompt", "Too long."),
    (error(401, f"Wrong key: {KEY}"), "server_error", "Wrong key: "),
    (error(402, "Pay."), "rate_limit_exceeded", "Pay."),
    (error(403, "Not yours."), "server_error", "Not yours."),
    (error(404, "No such model."), "server_error", "No such model."),
    (error(408, "Too slow."), "server_error", "Too slow."),
    (error(409, "Not now."), "server_error", "Not now."),
    (error(413, "Too large."), "invalid_prompt", "Too large."),
    (error(422, "Invalid."), "invalid_prompt", "Invalid."),
    (error(429, "Slow down."), "rate_limit_exceeded", "Slow down."),
    (error(500, "Oh no."), "server_error", "Oh no."),
    (error(529, "Overloaded."), "server_error", "Overloaded."),
    (error(502, raw="<html>Bad gateway</html>"), "server_error", ""),
    (text("Hel").then_error("Oh no."), "server_error", "Oh no."),
    (text("Hel").then_malformed(), "server_error", ""),
    (text("Hel").then_drop(), "server_error", ""),
    (drop(), "server_error", ""),
]

#: A client behind the door of its kind, and, among the slow, behind the other. An asynchronous HTTP client that was
#: given to Mistral's SDK would be used on the loop of the synchronous door, where this test can't close it.
SETUPS = [("async" if name.endswith("-async") else "sync", name) for name in DIALECTS]
CROSSED = [("sync" if door == "async" else "async", name) for door, name in SETUPS if name != "mistral-async"]


@pytest.fixture(
    params=[
        *(pytest.param(setup, id="-".join(setup)) for setup in SETUPS),
        *(pytest.param(setup, id="-".join(setup), marks=pytest.mark.slow) for setup in CROSSED),
    ]
)
def setup(request: pytest.FixtureRequest) -> tuple[str, Dialect]:
    door, name = request.param
    return door, DIALECTS[name]


@pytest.fixture
def model(setup: tuple[str, Dialect]) -> str:
    return setup[1].model


@pytest.fixture
def provider(setup: tuple[str, Dialect]) -> Iterator[Any]:
    with setup[1].server() as server:
        yield server


@pytest.fixture
def make_client(setup: tuple[str, Dialect], provider: Any, tmp_path: Path) -> Iterator[MakeClient]:
    """Makes clients over one file, each with a provider client of its own. Whatever they are answered has to be as
    OpenAI's own document describes it."""
    door, dialect = setup
    judge = Judge()
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))

        def make() -> OpenAI:
            inner = stack.enter_context(
                portal.wrap_async_context_manager(dialect.client(provider.url, False))
            )
            storage = SQLAlchemyStorageAdapter(f"sqlite:///{tmp_path / 'assistants.db'}")
            client = opened(door, portal, judge, {"client": dialect.adapter(inner), "storage": storage})
            stack.callback(client.close)
            return client

        yield make
    assert not judge.problems


def opened(door: str, portal: BlockingPortal, judge: Judge, settings: dict[str, Any]) -> Any:
    client = (supercompat if door == "sync" else async_supercompat)(**settings, options=Options(drain=0))
    judge.watch(client)
    return client if door == "sync" else Blocking(client, portal)


@pytest.fixture
def client(make_client: MakeClient) -> OpenAI:
    return make_client()


def statuses(provider: Any) -> set[int]:
    return {request.status for request in provider.requests}


def test_text(client: OpenAI, provider: Any, model: str):
    provider.reply(text("Hel", "lo").with_usage(Usage(12, 7, 3, 2)))
    asked = conversation(client, model=model, instructions="Be kind.")
    said = heard(asked.stream(max_completion_tokens=500))
    assert names(said) == [
        "thread.run.created",
        "thread.run.queued",
        "thread.run.in_progress",
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.message.created",
        "thread.message.in_progress",
        "thread.message.delta*",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
    ]
    usage = said[-1].data["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (12, 7, 19)
    assert usage["prompt_token_details"]["cached_tokens"] == 3
    assert texts(asked.answers()[0]) == ["Hello"]
    sent = json.dumps(provider.requests[0].body)
    assert "Be kind." in sent
    assert "500" in sent


def test_tools_in_several_rounds(client: OpenAI, provider: Any, model: str):
    """Thinking, text before calls, parallel calls whose outputs come in another order, and a second question."""
    provider.reply(
        reasoning("Time first.") + text("Let me look.") + tool_calls(call("get_time")),
        reasoning("Now both.")
        + tool_calls(call("get_weather", '{"city":', '"SF"}'), call("get_weather", '{"city":"LA"}')),
        reasoning("Done.") + text("Sunny."),
        tool_calls(call("get_time")),
        text("One."),
    )
    asked = conversation(client, "Weather?", model=model, tools=[CLOCK, WEATHER])
    run = asked.run()
    (clock,) = call_ids(run)
    run = asked.submit_and_poll(run.id, {clock: "12:00"})
    one, two = call_ids(run)
    run = asked.submit_and_poll(run.id, {two: "cloudy", one: "bright"})
    assert run.status == "completed"
    steps = asked.steps(run.id)
    assert [step.type for step in steps] == [
        "message_creation",
        "tool_calls",
        "tool_calls",
        "message_creation",
    ]
    asked.ask("And now?")
    run = asked.run()
    assert asked.submit_and_poll(run.id, {call_ids(run)[0]: "13:00"}).status == "completed"
    assert [texts(answer) for answer in asked.answers()] == [["Let me look."], ["Sunny."], ["One."]]
    assert statuses(provider) == {200}
    sent = json.dumps(provider.requests[2].body)
    assert sent.index("12:00") < sent.index("bright") < sent.index("cloudy")


def test_a_forced_call(client: OpenAI, provider: Any, model: str):
    asked_as_json = model.startswith("claude")
    forced = text('{"name": "get_weather", "arguments": {"city": "SF"}}')
    natively = tool_calls(call("get_weather", '{"city":"SF"}'))
    provider.reply(forced if asked_as_json else natively, text("Sunny."))
    asked = conversation(client, model=model, tools=[CLOCK, WEATHER])
    run = asked.run(tool_choice={"type": "function", "function": {"name": "get_weather"}})
    (call_id,) = call_ids(run)
    assert asked.submit_and_poll(run.id, {call_id: "bright"}).status == "completed"
    assert statuses(provider) == {200}


def test_images(client: OpenAI, provider: Any, model: str):
    url = f"data:image/png;base64,{PNG}"
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    assert conversation(client, content, model=model).run().status == "completed"
    assert PNG in json.dumps(provider.requests[0].body)


def test_response_formats(client: OpenAI, provider: Any, model: str):
    asked = conversation(client, "1 + 2, as JSON?", model=model)
    for wanted in FORMATS:
        provider.reply(text('{"sum"', ": 3}"))
        assert asked.run(response_format=wanted).status == "completed", wanted
        assert json.loads(texts(asked.answers()[-1])[0]) == {"sum": 3}


@pytest.mark.parametrize("reply", [text("Hel", "lo").then_hang(), hang()], ids=["in mid stream", "before"])
def test_a_cancel_closes_the_socket(client: OpenAI, provider: Any, model: str, reply: Reply):
    arrived = threading.Event()

    def answer(_: object) -> Reply:
        arrived.set()
        return reply

    provider.reply(answer)
    asked = conversation(client, model=model)
    run = asked.start()
    assert arrived.wait(DEADLINE)
    asked.cancel(run.id)
    assert provider.requests[0].closed.wait(DEADLINE)
    assert asked.poll(run.id).status == "cancelled"
    asked.ask("Again")
    assert asked.run().status == "completed"


def test_a_cancel_in_mid_stream_keeps_what_was_said(client: OpenAI, provider: Any, model: str):
    provider.reply(text("Hel", "lo").then_hang())
    asked = conversation(client, model=model)
    events = iter(asked.stream())
    said = heard_until(events, "thread.message.delta") + heard_until(events, "thread.message.delta")
    asked.cancel(said[0].data["id"])
    assert names(heard(events))[-1] == "thread.run.cancelled"
    assert provider.requests[0].closed.wait(DEADLINE)
    assert texts(asked.answers()[0]) == ["Hello"]


def test_failures(client: OpenAI, provider: Any, model: str):
    asked = conversation(client, model=model)
    for reply, code, message in FAILURES:
        provider.reply(reply)
        run = asked.run()
        assert run.last_error, reply
        assert (run.status, run.last_error.code) == ("failed", code), reply
        assert message in run.last_error.message
        assert run.last_error.message
        assert KEY not in run.last_error.message
        assert asked.run().status == "completed"


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_completion_tokens"), ("content_filter", "content_filter")]
)
def test_answers_that_are_cut_off(client: OpenAI, provider: Any, model: str, finish: str, reason: str):
    provider.reply(text("Hel", finish=finish))
    asked = conversation(client, model=model)
    run = asked.run(max_completion_tokens=256)
    assert run.incomplete_details
    assert (run.status, run.incomplete_details.reason) == ("incomplete", reason)
    assert texts(asked.answers()[0]) == ["Hel"]


def test_another_client_goes_on_where_the_first_left(make_client: MakeClient, provider: Any, model: str):
    """As after a restart. What was thought goes back to a server that wants it, and is shown to nobody."""
    provider.reply(
        reasoning("Secretly.") + tool_calls(call("get_time")), reasoning("Secretly.") + text("Noon.")
    )
    first = make_client()
    asked = conversation(first, "When?", model=model, tools=[CLOCK])
    run = asked.run()
    first.close()
    second = Conversation(make_client(), asked.assistant_id, asked.thread_id)
    assert second.submit_and_poll(run.id, dict.fromkeys(call_ids(run), "12:00")).status == "completed"
    second.ask("And now?")
    assert second.run().status == "completed"
    assert statuses(provider) == {200}
    shown = [message.to_json() for message in second.messages()]
    shown += [step.to_json() for step in second.steps(run.id)]
    assert not any("Secretly" in each for each in shown)


def test_the_assistant_speaks_first_and_last(client: OpenAI, provider: Any, model: str):
    asked = conversation(client, None, model=model, instructions="Be kind.")
    client.beta.threads.messages.create(asked.thread_id, role="assistant", content="Welcome.")
    assert asked.run().status == "completed"
    assert asked.run().status == "completed"
    assert statuses(provider) == {200}


def test_a_question_behind_outputs_that_were_never_answered(client: OpenAI, provider: Any, model: str):
    provider.reply(tool_calls(call("get_time")), error(500, "Oh no."), text("Hello"))
    asked = conversation(client, model=model, tools=[CLOCK])
    run = asked.run()
    assert asked.submit_and_poll(run.id, dict.fromkeys(call_ids(run), "12:00")).status == "failed"
    asked.ask("Still there?")
    assert asked.run().status == "completed"


def test_chat(client: OpenAI, provider: Any, model: str):
    provider.reply(text("Hel", "lo"), text("Hel", "lo"), error(400, "No."))
    ask: Any = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    create: Any = client.chat.completions.create
    assert create(**ask).choices[0].message.content == "Hello"
    chunks = create(**ask, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello"
    with pytest.raises(APIStatusError, match=r"No\.") as caught:
        create(**ask)
    assert caught.value.status_code == 400


def test_a_thread_that_goes_round_all_providers():
    """Twice, with thinking and calls in each part: what one kept disturbs no other, and is still there after them."""
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        servers: dict[str, Any] = {}
        adapters: dict[str, Any] = {}
        for name in ("groq", "anthropic", "mistral", "google", "openai"):
            dialect = DIALECTS[name]
            servers[dialect.model] = stack.enter_context(dialect.server())
            sdk = dialect.client(servers[dialect.model].url, False)
            adapters[dialect.model] = dialect.adapter(
                stack.enter_context(portal.wrap_async_context_manager(sdk))
            )
        client = stack.enter_context(supercompat(client=adapters))
        asked = conversation(client, None, model=next(iter(servers)), tools=[CLOCK])
        for model in [*servers, *servers]:
            servers[model].reply(
                reasoning("Hm.") + text("Let me look.") + tool_calls(call("get_time"), call("get_time")),
                reasoning("Ah.") + text("Noon."),
            )
            asked.ask("When?")
            run = asked.run(model=model)
            run = asked.submit_and_poll(run.id, dict.fromkeys(call_ids(run), "12:00"))
            assert (run.status, run.last_error) == ("completed", None)
        assert len(asked.answers()) == 2 * 2 * len(servers)
        assert [statuses(server) for server in servers.values()] == [{200}] * len(servers)
