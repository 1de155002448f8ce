"""What a run says it sent, held against what the provider received."""

from typing import Any

import anthropic
import pytest
from openai import OpenAI

from supercompat import AnthropicClientAdapter, OpenAIClientAdapter, supercompat
from supercompat.testing import (
    AnthropicServer,
    Gate,
    ScriptedServer,
    Usage,
    call,
    error,
    reasoning,
    text,
    tool_calls,
)
from tests.contract.conftest import MakeClient
from tests.contract.conversations import CLOCK, DEADLINE, MODEL, WEATHER, Conversation, Json, conversation
from tests.contract.wire import get, refused

PIXEL = "data:image/png;base64,iVBORw0KGgo="
LAST_TWO: Json = {"type": "last_messages", "last_messages": 2}


def context(asked: Conversation, run_id: str) -> Json:
    return get(asked.client, f"/threads/{asked.thread_id}/runs/{run_id}/context")


def passes(asked: Conversation, run_id: str) -> list[Json]:
    return context(asked, run_id)["passes"]


def as_chat(sent: Json) -> list[Json]:
    """The messages of a pass, as a chat completion has them."""
    system = [{"role": "system", "content": sent["instructions"]}] if sent["instructions"] else []
    return [*system, *(_chat_message(each) for each in sent["messages"])]


def _chat_message(shown: Json) -> Json:
    message = {name: value for name, value in shown.items() if name not in ("message_id", "step_id")}
    parts = message["content"]
    if not parts:
        message["content"] = None
    elif [part["type"] for part in parts] == ["text"]:
        message["content"] = parts[0]["text"]
    return message


def words(sent: Json) -> list[str]:
    """The texts of a pass."""
    return ["".join(part.get("text", "") for part in each["content"]) for each in sent["messages"]]


def left_out(sent: Json) -> tuple[str, int, int]:
    return sent["left_out"]["reason"], sent["left_out"]["limit"], sent["left_out"]["messages"]


@pytest.mark.core
def test_several_passes_with_their_calls(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(
        text("Hello."),
        text("Let me look.")
        + tool_calls(call("get_time", id="call_1"), call("get_weather", "{}", id="call_2")),
        tool_calls(call("get_time", id="call_3")),
        text("Noon, sunny."),
    )
    asked = conversation(client, "Hi", instructions="Be kind.", tools=[CLOCK, WEATHER], temperature=0.5)
    asked.run()
    asked.ask("Time?")
    run = asked.run(tool_choice="required", parallel_tool_calls=False)
    run = asked.submit_and_poll(run.id, {"call_1": "12:00", "call_2": "Sunny"})
    assert asked.submit_and_poll(run.id, {"call_3": "12:01"}).status == "completed"

    shown = context(asked, run.id)
    assert (shown["object"], shown["run_id"], shown["thread_id"]) == (
        "thread.run.context",
        run.id,
        asked.thread_id,
    )
    assert len(shown["passes"]) == 3
    for sent, request in zip(shown["passes"], provider.requests[1:], strict=True):
        assert as_chat(sent) == request.body["messages"]
        parameters = {"temperature", "tool_choice", "parallel_tool_calls"} & request.body.keys()
        assert sent["parameters"] == {name: request.body[name] for name in parameters}
        assert sent["model"] == MODEL
        assert [tool["function"]["name"] for tool in sent["tools"]] == ["get_time", "get_weather"]
        assert (sent["left_out"], sent["deleted_messages"]) == (None, 0)
        assert sent["context_window"] == 128_000
    assert [sent["parameters"].get("tool_choice") for sent in shown["passes"]] == ["required", None, None]
    tokens = [sent["estimated_tokens"] for sent in shown["passes"]]
    assert tokens == sorted(set(tokens))


def test_where_each_part_is_from(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Let me look.") + tool_calls(call("get_time", id="call_1")), text("Noon."))
    asked = conversation(client, "Time?", tools=[CLOCK])
    run = asked.run()
    asked.submit_and_poll(run.id, {"call_1": "12:00"})
    question, said, _ = asked.messages()
    step = next(each.id for each in asked.steps(run.id) if each.type == "tool_calls")
    sent = passes(asked, run.id)[1]["messages"]
    assert [(each.get("message_id"), each.get("step_id"), each["role"]) for each in sent] == [
        (question.id, None, "user"),
        (said.id, step, "assistant"),
        (None, step, "tool"),
    ]


@pytest.mark.core
def test_the_last_messages(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(tool_calls(call("get_time", id="call_1")), text("Noon."))
    asked = conversation(client, "one", tools=[CLOCK])
    for word in ("two", "three", "four"):
        asked.ask(word)
    run = asked.run(truncation_strategy=LAST_TWO)
    asked.submit_and_poll(run.id, {"call_1": "12:00"})
    asked.ask("five")
    first, second = passes(asked, run.id)
    assert words(first) == ["three", "four"]
    assert words(second) == ["three", "four", "", "12:00"]
    assert left_out(first) == left_out(second) == ("last_messages", 2, 2)


def test_all_that_fit_in_the_last_messages(client: OpenAI) -> None:
    asked = conversation(client, "one")
    asked.ask("two")
    (sent,) = passes(asked, asked.run(truncation_strategy=LAST_TWO).id)
    assert (words(sent), sent["left_out"]) == (["one", "two"], None)


def test_the_prompt_budget(client: OpenAI, provider: ScriptedServer) -> None:
    long = "word " * 120
    asked = conversation(client, long)
    asked.ask(long)
    asked.ask(long)
    asked.ask("Well?")
    run = asked.run(max_prompt_tokens=256)
    (sent,) = passes(asked, run.id)
    assert as_chat(sent) == provider.requests[0].body["messages"]
    assert left_out(sent) == ("max_prompt_tokens", 256, 4 - len(sent["messages"]))
    assert 0 < sent["estimated_tokens"] <= 256


def test_the_context_window() -> None:
    with ScriptedServer() as server:
        server.reply(text("Hello"))
        provider = OpenAI(base_url=server.base_url, api_key="key")
        with provider, supercompat(client=OpenAIClientAdapter(provider, context_window=1_000)) as client:
            asked = conversation(client, "word " * 80)
            for _ in range(9):
                asked.ask("word " * 80)
            (sent,) = passes(asked, asked.run().id)
        assert as_chat(sent) == server.requests[0].body["messages"]
    assert left_out(sent) == ("context_window", 1_000, 4)
    assert sent["context_window"] == 1_000


def test_what_is_left_out_between_the_question_and_the_end() -> None:
    """Text of the run itself, and its calls: the question is sent in any case."""
    with ScriptedServer() as server:
        looked = [
            text(f"Look {number}.") + tool_calls(call("get_time", id=f"call_{number}")) for number in range(3)
        ]
        server.reply(*looked, text("Noon."))
        provider = OpenAI(base_url=server.base_url, api_key="key")
        with provider, supercompat(client=OpenAIClientAdapter(provider, context_window=1_000)) as client:
            asked = conversation(client, "Hi", tools=[CLOCK])
            asked.ask("Time?")
            run = asked.run()
            for number in range(3):
                asked.submit_and_poll(run.id, {f"call_{number}": "noon " * 400})
            shown = passes(asked, run.id)
            received = [request.body["messages"] for request in server.requests]
        assert [as_chat(sent) for sent in shown] == received
    assert [each["role"] for each in shown[-1]["messages"]] == ["user", "assistant", "tool"]
    assert left_out(shown[-1]) == ("context_window", 1_000, 3)


def test_what_was_left_of_the_answer_s_tokens(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(
        tool_calls(call("get_time", id="call_1")).with_usage(Usage(prompt=10, completion=30)),
        tool_calls(call("get_time", id="call_2")).with_usage(Usage(prompt=10, completion=50)),
    )
    asked = conversation(client, tools=[CLOCK])
    run = asked.run(max_completion_tokens=80)
    asked.submit_and_poll(run.id, {"call_1": "12:00"})
    assert asked.submit_and_poll(run.id, {"call_2": "12:01"}).status == "incomplete"
    # The third pass had nothing left to ask with.
    shown = [sent["parameters"]["max_completion_tokens"] for sent in passes(asked, run.id)]
    assert shown == [80, 50]


def test_a_named_function_and_a_format(client: OpenAI, provider: ScriptedServer) -> None:
    named = {"type": "function", "function": {"name": "get_time"}}
    wanted: Json = {"type": "json_schema", "json_schema": {"name": "city", "schema": {"type": "object"}}}
    provider.reply(tool_calls(call("get_time", id="call_1")))
    asked = conversation(client, tools=[CLOCK], response_format=wanted, reasoning_effort="low", top_p=0.5)
    run = asked.run(tool_choice=named)
    (sent,) = passes(asked, run.id)
    assert sent["parameters"] == {
        "top_p": 0.5,
        "reasoning_effort": "low",
        "response_format": wanted,
        "tool_choice": named,
        "parallel_tool_calls": True,
    }


@pytest.mark.core
def test_a_run_in_progress(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(tool_calls(call("get_time", id="call_1")), text("No", gate, "on."))
    asked = conversation(client, "Time?", tools=[CLOCK])
    run = asked.run()
    assert [words(sent) for sent in passes(asked, run.id)] == [["Time?"]]
    asked.submit(run.id, {"call_1": "12:00"})
    assert gate.reached.wait(DEADLINE)
    running = passes(asked, run.id)
    assert [words(sent) for sent in running] == [["Time?"], ["Time?", "", "12:00"]]
    gate.open()
    asked.poll(run.id)
    assert passes(asked, run.id) == running


def test_a_run_that_failed(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(error(400, "No."))
    asked = conversation(client)
    run = asked.run()
    assert run.status == "failed"
    assert [words(sent) for sent in passes(asked, run.id)] == [["Hi"]]


def test_a_run_that_sent_nothing(client: OpenAI) -> None:
    asked = conversation(client, "word " * 400)
    run = asked.run(max_prompt_tokens=256)
    assert run.status == "incomplete"
    assert passes(asked, run.id) == []


@pytest.mark.core
@pytest.mark.parametrize("deleted", [(1,), (2,), (3,), (1, 2), (2, 3), (1, 2, 3), (0, 1)])
def test_what_was_deleted_since(client: OpenAI, deleted: tuple[int, ...]) -> None:
    asked = conversation(client, "0")
    ids = [asked.messages()[0].id, *(asked.ask(word).id for word in ("1", "2", "3"))]
    run = asked.run(truncation_strategy={"type": "last_messages", "last_messages": 3})
    for number in deleted:
        client.beta.threads.messages.delete(ids[number], thread_id=asked.thread_id)
    asked.ask("4")
    (sent,) = passes(asked, run.id)
    assert words(sent) == [word for word in ("1", "2", "3") if int(word) not in deleted]
    assert sent["deleted_messages"] == len([number for number in deleted if number])
    assert left_out(sent) == ("last_messages", 3, 0 if 0 in deleted else 1)


@pytest.mark.core
def test_the_question_is_deleted_before_its_answer(client: OpenAI, provider: ScriptedServer) -> None:
    """What comes then may take its place in the storage; it was not sent."""
    gate = Gate()
    provider.reply(tool_calls(call("get_time", id="call_1")).after(gate), text("Noon."))
    asked = conversation(client, "one", tools=[CLOCK])
    two = asked.ask("two")
    run = asked.start()
    assert gate.reached.wait(DEADLINE)
    client.beta.threads.messages.delete(two.id, thread_id=asked.thread_id)
    gate.open()
    asked.poll(run.id)
    asked.submit_and_poll(run.id, {"call_1": "12:00"})
    asked.ask("three")
    first, second = passes(asked, run.id)
    assert (words(first), first["deleted_messages"]) == (["one"], 1)
    assert (words(second), second["deleted_messages"]) == (["one", "", "12:00"], 0)
    assert as_chat(second) == provider.requests[1].body["messages"]


def test_text_that_was_deleted_leaves_its_calls(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Let me look.") + tool_calls(call("get_time", id="call_1")), text("Noon."))
    asked = conversation(client, "Time?", tools=[CLOCK])
    run = asked.run()
    asked.submit_and_poll(run.id, {"call_1": "12:00"})
    client.beta.threads.messages.delete(asked.messages()[1].id, thread_id=asked.thread_id)
    first, second = passes(asked, run.id)
    assert (words(first), words(second)) == (["Time?"], ["Time?", "", "12:00"])
    assert (first["deleted_messages"], second["deleted_messages"]) == (0, 1)


def test_images(client: OpenAI, provider: ScriptedServer) -> None:
    content: list[Json] = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
    ]
    asked = conversation(client, content)
    (sent,) = passes(asked, asked.run().id)
    assert sent["messages"][0]["content"] == content
    assert as_chat(sent) == provider.requests[0].body["messages"]


def test_what_a_provider_signed_is_not_shown() -> None:
    with AnthropicServer() as server:
        server.reply(reasoning("A secret.") + tool_calls(call("get_time", id="call_1")), text("Noon."))
        provider = anthropic.Anthropic(base_url=server.url, api_key="test")
        with provider, supercompat(client=AnthropicClientAdapter(provider)) as client:
            asked = conversation(client, "Time?", tools=[CLOCK], model="claude-opus-5-5")
            run = asked.run()
            assert asked.submit_and_poll(run.id, {"call_1": "12:00"}).status == "completed"
            shown = context(asked, run.id)
        assert "A secret." in str(server.requests[1].body)
    assert "A secret." not in str(shown)
    assert [each["role"] for each in shown["passes"][1]["messages"]] == ["user", "assistant", "tool"]


def test_another_client_on_the_storage(make_client: MakeClient) -> None:
    asked = conversation(make_client())
    run = asked.run()
    other: Any = Conversation(make_client(), asked.assistant_id, asked.thread_id)
    assert context(other, run.id) == context(asked, run.id)


@pytest.mark.core
def test_what_is_not_there(client: OpenAI) -> None:
    asked, elsewhere = conversation(client), conversation(client)
    run_id = asked.run().id

    def at(thread_id: str, run_id: str) -> tuple[int, str]:
        return refused(lambda: get(client, f"/threads/{thread_id}/runs/{run_id}/context"))[:2]

    assert at("thread_no", run_id) == (404, "No thread found with id 'thread_no'.")
    assert at(asked.thread_id, "run_no") == (404, "No run found with id 'run_no'.")
    assert at(elsewhere.thread_id, run_id) == (404, f"No run found with id '{run_id}'.")
    client.beta.threads.delete(asked.thread_id)
    assert at(asked.thread_id, run_id) == (404, f"No thread found with id '{asked.thread_id}'.")
