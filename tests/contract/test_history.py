"""What the provider is sent: the conversation so far, and what the assistant and the run ask for."""

import json
from typing import Any

import pytest
from openai import OpenAI

from supercompat.testing import Gate, ScriptedServer, call, refusal, text, tool_calls
from tests.contract.conversations import CLOCK, DEADLINE, MODEL, WEATHER, Json, conversation

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def said(provider: ScriptedServer, index: int = -1) -> list[tuple[str, Any]]:
    """Role and content of the messages of a request."""
    return [(each["role"], each.get("content")) for each in provider.requests[index].body["messages"]]


@pytest.mark.core
@pytest.mark.conforms("C-124", "C-133")
def test_a_conversation_with_its_calls(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(
        text("Let me look.")
        + tool_calls(call("get_time", id="call_1"), call("get_weather", "{}", id="call_2")),
        tool_calls(call("get_time", id="call_3")),
        text("Noon, sunny."),
        tool_calls(call("get_time", id="call_4")),
        text("One."),
    )
    asked = conversation(client, "Time?", instructions="Be kind.", tools=[CLOCK, WEATHER])
    run = asked.run()
    run = asked.submit_and_poll(run.id, {"call_1": "12:00", "call_2": "Sunny"})
    asked.submit_and_poll(run.id, {"call_3": "12:01"})
    asked.ask("And now?")
    run = asked.run()
    assert asked.submit_and_poll(run.id, {"call_4": "13:00"}).status == "completed"

    time = {"name": "get_time", "arguments": "{}"}
    weather = {"name": "get_weather", "arguments": "{}"}
    whole = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Time?"},
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": time},
                {"id": "call_2", "type": "function", "function": weather},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "12:00"},
        {"role": "tool", "tool_call_id": "call_2", "content": "Sunny"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_3", "type": "function", "function": time}],
        },
        {"role": "tool", "tool_call_id": "call_3", "content": "12:01"},
        {"role": "assistant", "content": "Noon, sunny."},
        {"role": "user", "content": "And now?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_4", "type": "function", "function": time}],
        },
        {"role": "tool", "tool_call_id": "call_4", "content": "13:00"},
    ]
    sent = [request.body["messages"] for request in provider.requests]
    assert sent == [whole[:2], whole[:5], whole[:7], whole[:9], whole]


@pytest.mark.conforms("C-070")
@pytest.mark.parametrize(
    ("assistant", "settings", "joined"),
    [
        ("Be kind.", {}, "Be kind."),
        ("Be kind.", {"additional_instructions": "Be brief."}, "Be kind.\nBe brief."),
        ("Be kind.", {"instructions": "Be rude."}, "Be rude."),
        (
            "Be kind.",
            {"instructions": "Be rude.", "additional_instructions": "Be brief."},
            "Be rude.\nBe brief.",
        ),
        (None, {"additional_instructions": "Be brief."}, "Be brief."),
        (None, {}, None),
        ("Be kind.", {"additional_instructions": ""}, "Be kind."),
        ("Be kind.", {"instructions": None, "additional_instructions": None}, "Be kind."),
    ],
)
def test_instructions(
    client: OpenAI, provider: ScriptedServer, assistant: str | None, settings: Json, joined: str | None
) -> None:
    run = conversation(client, instructions=assistant).run(**settings)
    assert run.instructions == joined
    assert said(provider) == ([("system", joined)] if joined else []) + [("user", "Hi")]


@pytest.mark.conforms("C-071")
def test_additional_messages(client: OpenAI, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Hello").after(gate))
    asked = conversation(client)
    added: Any = [
        {"role": "assistant", "content": "What?"},
        {"role": "user", "content": [{"type": "text", "text": "This."}], "metadata": {"k": "v"}},
        {"role": "user", "content": "And this."},
    ]
    run = asked.start(additional_messages=added)
    messages = asked.messages()
    assert [message.role for message in messages[:4]] == ["user", "assistant", "user", "user"]
    assert [message.run_id for message in messages[:4]] == [None] * 4
    assert messages[2].metadata == {"k": "v"}
    assert gate.reached.wait(DEADLINE)
    gate.open()
    assert asked.poll(run.id).status == "completed"
    assert said(provider) == [
        ("user", "Hi"),
        ("assistant", "What?"),
        ("user", "This."),
        ("user", "And this."),
    ]


@pytest.mark.conforms("C-076")
def test_the_last_messages(client: OpenAI, provider: ScriptedServer) -> None:
    asked = conversation(client, "one", instructions="Be kind.")
    for word in ("two", "three", "four"):
        asked.ask(word)
    run = asked.run(truncation_strategy={"type": "last_messages", "last_messages": 2})
    assert said(provider) == [("system", "Be kind."), ("user", "three"), ("user", "four")]
    assert run.to_dict()["truncation_strategy"] == {"type": "last_messages", "last_messages": 2}
    run = asked.run(
        truncation_strategy={"type": "last_messages", "last_messages": 2},
        additional_messages=[{"role": "user", "content": "five"}],
    )
    assert said(provider) == [("system", "Be kind."), ("assistant", "four"), ("user", "five")]
    assert len(asked.messages()) == 7
    run = asked.run()
    assert run.to_dict()["truncation_strategy"] == {"type": "auto", "last_messages": None}
    assert len(said(provider)) == 8


@pytest.mark.conforms("C-076")
def test_the_last_messages_leave_the_run_s_own_calls(client: OpenAI, provider: ScriptedServer) -> None:
    """What the run itself said and was told does not count, and what came before the window is gone with its calls."""
    provider.reply(
        tool_calls(call("get_time", id="call_1")),
        text("Noon."),
        text("Let me look.") + tool_calls(call("get_time", id="call_2")),
        tool_calls(call("get_time", id="call_3")),
        text("One."),
    )
    asked = conversation(client, "Time?", tools=[CLOCK])
    run = asked.run()
    asked.submit_and_poll(run.id, {"call_1": "12:00"})
    asked.ask("And now?")
    run = asked.run(truncation_strategy={"type": "last_messages", "last_messages": 1})
    assert said(provider) == [("user", "And now?")]
    asked.submit_and_poll(run.id, {"call_2": "13:00"})
    asked.submit_and_poll(run.id, {"call_3": "13:01"})
    assert said(provider) == [
        ("user", "And now?"),
        ("assistant", "Let me look."),
        ("tool", "13:00"),
        ("assistant", None),
        ("tool", "13:01"),
    ]


@pytest.mark.conforms("C-081")
@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "json_object"},
        {
            "type": "json_schema",
            "json_schema": {
                "name": "city",
                "description": "A city",
                "schema": {"type": "object", "properties": {"name": {"type": "string"}}},
                "strict": False,
            },
        },
    ],
    ids=["object", "schema"],
)
@pytest.mark.parametrize("place", ["assistant", "run"])
def test_response_format(client: OpenAI, provider: ScriptedServer, place: str, wanted: Json) -> None:
    provider.reply(text('{"name":', ' "Rome"}'))
    settings = {"response_format": wanted}
    asked = conversation(client, "A city, as JSON", **(settings if place == "assistant" else {}))
    run = asked.run(**(settings if place == "run" else {}))
    assert run.to_dict()["response_format"] == wanted
    assert provider.requests[0].body["response_format"] == wanted
    (part,) = asked.answers()[0].content
    assert part.type == "text"
    assert json.loads(part.text.value) == {"name": "Rome"}


@pytest.mark.conforms("C-067", "C-068")
def test_only_what_was_set_is_sent(client: OpenAI, provider: ScriptedServer) -> None:
    """The API shows a temperature of 1 where there is none; providers have defaults of their own."""
    asked = conversation(client)
    run = asked.run()
    assert (run.temperature, run.top_p, run.parallel_tool_calls) == (1.0, 1.0, True)
    sent = provider.requests[0].body
    assert set(sent) == {"model", "messages", "stream", "stream_options"}
    assert sent["model"] == MODEL

    asked = conversation(client, temperature=0, top_p=0, reasoning_effort="low")
    asked.run()
    sent = provider.requests[1].body
    assert (sent["temperature"], sent["top_p"], sent["reasoning_effort"]) == (0, 0, "low")
    asked.run(temperature=1, top_p=1)
    sent = provider.requests[2].body
    assert (sent["temperature"], sent["top_p"], sent["reasoning_effort"]) == (1, 1, "low")


@pytest.mark.conforms("C-069")
def test_no_tools_for_this_run(client: OpenAI, provider: ScriptedServer) -> None:
    asked = conversation(client, tools=[CLOCK])
    run = asked.run(tools=[])
    assert run.tools == []
    assert "tools" not in provider.requests[0].body
    asked.run()
    assert [tool["function"]["name"] for tool in provider.requests[1].body["tools"]] == ["get_time"]


@pytest.mark.conforms("C-068")
def test_tools(client: OpenAI, provider: ScriptedServer) -> None:
    schema: Json = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    strict = {"type": "function", "function": {"name": "f", "strict": True, "parameters": schema}}
    asked = conversation(client, tools=[CLOCK])
    asked.run(tools=[WEATHER, strict])
    assert provider.requests[0].body["tools"] == [WEATHER, strict]


def test_images_and_texts(client: OpenAI, provider: ScriptedServer) -> None:
    content: list[Json] = [
        {"type": "text", "text": "What"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "text", "text": "is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    asked = conversation(client, content)
    assert asked.run().status == "completed"
    ((role, sent),) = said(provider)
    assert role == "user"
    content[3]["image_url"] = {"url": "https://example.com/a.png", "detail": "auto"}
    assert sent == content


def test_several_texts_are_one_message(client: OpenAI, provider: ScriptedServer) -> None:
    asked = conversation(client, [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}])
    asked.run()
    ((_, sent),) = said(provider)
    assert [part["text"] for part in sent] == ["One", "two"]


def test_a_refusal_is_remembered(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(refusal("I can't."))
    asked = conversation(client)
    asked.run()
    asked.ask("Please")
    asked.run()
    assert said(provider) == [("user", "Hi"), ("assistant", "I can't."), ("user", "Please")]


def test_calls_that_were_never_answered_are_left_out(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Let me look.") + tool_calls(call("get_time", id="call_1")))
    asked = conversation(client, tools=[CLOCK])
    run = asked.run()
    asked.cancel(run.id)
    asked.ask("Well?")
    assert asked.run().status == "completed"
    assert provider.requests[1].body["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Let me look."},
        {"role": "user", "content": "Well?"},
    ]


@pytest.mark.conforms("C-062")
def test_a_deleted_message_is_forgotten(client: OpenAI, provider: ScriptedServer) -> None:
    asked = conversation(client, "one")
    deleted = asked.ask("two")
    asked.ask("three")
    client.beta.threads.messages.delete(deleted.id, thread_id=asked.thread_id)
    asked.run()
    assert said(provider) == [("user", "one"), ("user", "three")]


def test_a_message_that_is_deleted_leaves_its_calls_in_place(
    client: OpenAI, provider: ScriptedServer
) -> None:
    provider.reply(text("Hello"), tool_calls(call("get_time", id="call_1")), text("Noon."))
    asked = conversation(client, "one", tools=[CLOCK])
    asked.run()
    question = asked.ask("Time?")
    run = asked.run()
    asked.submit_and_poll(run.id, {"call_1": "12:00"})
    client.beta.threads.messages.delete(question.id, thread_id=asked.thread_id)
    asked.ask("Thanks")
    asked.run()
    assert said(provider) == [
        ("user", "one"),
        ("assistant", "Hello"),
        ("assistant", None),
        ("tool", "12:00"),
        ("assistant", "Noon."),
        ("user", "Thanks"),
    ]
