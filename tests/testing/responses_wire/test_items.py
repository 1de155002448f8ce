"""Every kind of output item: its events, as the SDK's types have them, and the item in the end."""

from collections.abc import Sequence
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseIncludable

from supercompat.testing import (
    Gate,
    Reply,
    ScriptedServer,
    call,
    code_interpreter,
    computer_call,
    container_file_citation,
    file_citation,
    file_path,
    file_search,
    image_generation,
    mcp_approval,
    mcp_call,
    mcp_tools,
    reasoning,
    refusal,
    text,
    tool_calls,
    url_citation,
    web_search,
)
from tests.testing.responses_wire.strict import parsed, unknown_fields

CLICK = {"type": "click", "button": "left", "x": 1, "y": 2}
FOUND: dict[str, Any] = {
    "file_id": "file-1",
    "filename": "a.txt",
    "score": 0.5,
    "text": "42",
    "attributes": {},
}

#: A reply of one item, the events between the item's first and its last, and what it is in the end.
ITEMS: dict[str, tuple[Reply, list[str], dict[str, Any]]] = {
    "message": (
        text("Hel", "lo"),
        [
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
        ],
        {
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
        },
    ),
    "refusal": (
        refusal("I won't."),
        ["content_part.added", "refusal.delta", "refusal.done", "content_part.done"],
        {
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "refusal", "refusal": "I won't."}],
        },
    ),
    "function_call": (
        tool_calls(call("add", '{"a":', "1}", id="call_1")),
        [
            "function_call_arguments.delta",
            "function_call_arguments.delta",
            "function_call_arguments.done",
        ],
        {
            "type": "function_call",
            "name": "add",
            "arguments": '{"a":1}',
            "call_id": "call_1",
            "status": "completed",
        },
    ),
    "reasoning": (
        reasoning("Hm, ", "well."),
        [
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
        ],
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm, well."}]},
    ),
    "file_search": (
        file_search("budget", results=[FOUND]),
        ["file_search_call.in_progress", "file_search_call.searching", "file_search_call.completed"],
        {"type": "file_search_call", "queries": ["budget"], "results": None, "status": "completed"},
    ),
    "file_search failed": (
        file_search("budget", status="failed"),
        ["file_search_call.in_progress", "file_search_call.searching"],
        {"type": "file_search_call", "queries": ["budget"], "results": None, "status": "failed"},
    ),
    "code_interpreter": (
        code_interpreter("print(", "1)", logs="1\n"),
        [
            "code_interpreter_call.in_progress",
            "code_interpreter_call_code.delta",
            "code_interpreter_call_code.delta",
            "code_interpreter_call_code.done",
            "code_interpreter_call.interpreting",
            "code_interpreter_call.completed",
        ],
        {
            "type": "code_interpreter_call",
            "code": "print(1)",
            "container_id": "cntr_scripted",
            "outputs": None,
            "status": "completed",
        },
    ),
    "web_search": (
        web_search("news", sources=["https://a.example"]),
        ["web_search_call.in_progress", "web_search_call.searching", "web_search_call.completed"],
        {
            "type": "web_search_call",
            "action": {"type": "search", "query": "news", "queries": ["news"]},
            "status": "completed",
        },
    ),
    "web_search of a page": (
        web_search(action={"type": "open_page", "url": "https://a.example"}),
        ["web_search_call.in_progress", "web_search_call.searching", "web_search_call.completed"],
        {
            "type": "web_search_call",
            "action": {"type": "open_page", "url": "https://a.example"},
            "status": "completed",
        },
    ),
    "mcp_list_tools": (
        mcp_tools("docs", {"name": "ask", "description": "Asks.", "input_schema": {"type": "object"}}),
        ["mcp_list_tools.in_progress", "mcp_list_tools.completed"],
        {
            "type": "mcp_list_tools",
            "server_label": "docs",
            "tools": [
                {
                    "name": "ask",
                    "description": "Asks.",
                    "input_schema": {"type": "object"},
                    "annotations": None,
                }
            ],
            "error": None,
        },
    ),
    "mcp_list_tools failed": (
        mcp_tools("docs", error="Gone."),
        ["mcp_list_tools.in_progress", "mcp_list_tools.failed"],
        {"type": "mcp_list_tools", "server_label": "docs", "tools": [], "error": "Gone."},
    ),
    "mcp_call": (
        mcp_call("docs", "ask", '{"q":', '"a"}', output="42"),
        [
            "mcp_call.in_progress",
            "mcp_call_arguments.delta",
            "mcp_call_arguments.delta",
            "mcp_call_arguments.done",
            "mcp_call.completed",
        ],
        {
            "type": "mcp_call",
            "server_label": "docs",
            "name": "ask",
            "arguments": '{"q":"a"}',
            "output": "42",
            "error": None,
            "approval_request_id": None,
            "status": "completed",
        },
    ),
    "mcp_call failed": (
        mcp_call("docs", "ask", "{}", error="No."),
        [
            "mcp_call.in_progress",
            "mcp_call_arguments.delta",
            "mcp_call_arguments.done",
            "mcp_call.failed",
        ],
        {
            "type": "mcp_call",
            "server_label": "docs",
            "name": "ask",
            "arguments": "{}",
            "output": None,
            "error": {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": "No."}]},
            "approval_request_id": None,
            "status": "failed",
        },
    ),
    "mcp_approval_request": (
        mcp_approval("docs", "ask", '{"q":"a"}'),
        [],
        {
            "type": "mcp_approval_request",
            "server_label": "docs",
            "name": "ask",
            "arguments": '{"q":"a"}',
        },
    ),
    "image_generation": (
        image_generation("bytes", "by", revised_prompt="A cat."),
        [
            "image_generation_call.in_progress",
            "image_generation_call.generating",
            "image_generation_call.partial_image",
            "image_generation_call.completed",
        ],
        {
            "type": "image_generation_call",
            "result": "bytes",
            "revised_prompt": "A cat.",
            "size": "1024x1024",
            "quality": "high",
            "background": "opaque",
            "output_format": "png",
            "status": "completed",
        },
    ),
    "computer_call": (
        computer_call(CLICK, call_id="call_1", safety_checks=[{"id": "c", "code": "x", "message": "?"}]),
        [],
        {
            "type": "computer_call",
            "call_id": "call_1",
            "action": CLICK,
            "pending_safety_checks": [{"id": "c", "code": "x", "message": "?"}],
            "status": "completed",
        },
    ),
}

INCLUDE: Sequence[ResponseIncludable] = [
    "file_search_call.results",
    "code_interpreter_call.outputs",
    "web_search_call.action.sources",
    "reasoning.encrypted_content",
]


def ask(client: openai.OpenAI, *, stream: bool, **more: Any) -> Any:
    """An answer of a model that reasons, its thoughts summed up."""
    request: dict[str, Any] = {"model": "o3", "input": "Hi", "reasoning": {"summary": "auto"}, **more}
    return client.responses.create(stream=stream, **request)


@pytest.mark.parametrize("name", ITEMS)
def test_an_item_and_its_events(server: ScriptedServer, client: openai.OpenAI, name: str) -> None:
    reply, between, item = ITEMS[name]
    server.reply(reply, reply)

    events = list(ask(client, stream=True))
    whole = ask(client, stream=False)

    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds[:3] == ["created", "in_progress", "output_item.added"]
    assert kinds[3:-2] == between
    assert kinds[-2:] == ["output_item.done", "completed"]
    assert without_id(events[-2].item) == item
    assert [without_id(each) for each in events[-1].response.output] == [item]
    assert [without_id(each) for each in whole.output] == [item]


def without_id(item: Any) -> dict[str, Any]:
    """The item as it came over the wire, but for its id."""
    return {key: value for key, value in item.to_dict().items() if key != "id"}


@pytest.mark.parametrize("name", ITEMS)
def test_every_event_is_what_the_sdks_types_say(
    server: ScriptedServer, client: openai.OpenAI, name: str
) -> None:
    server.reply(ITEMS[name][0])

    for number, event in enumerate(ask(client, stream=True, include=INCLUDE)):
        strictly = parsed(event)
        assert type(strictly) is type(event)
        assert not list(unknown_fields(strictly))
        assert event.sequence_number == number
        if "item" in event.model_fields_set:
            assert type(strictly.item) is type(event.item)


@pytest.mark.parametrize("name", ITEMS)
def test_all_events_of_an_item_name_it(server: ScriptedServer, client: openai.OpenAI, name: str) -> None:
    server.reply(text("First.") + ITEMS[name][0])

    events = list(ask(client, stream=True))

    item = events[-1].response.output[-1]
    index = len(events[-1].response.output) - 1
    about = [event for event in events if getattr(event, "output_index", None) == index]
    named = {event.item.id if "item" in event.model_fields_set else event.item_id for event in about}
    assert named == {item.id}


def test_what_is_shown_only_if_it_is_asked_for(server: ScriptedServer, client: openai.OpenAI) -> None:
    everything = (
        reasoning("Hm.")
        + file_search("budget", results=[FOUND])
        + code_interpreter("1", logs=["1"], images=["https://a.example/a.png"])
        + web_search("news", sources=["https://a.example"])
    )
    server.reply(everything, everything)

    plain = ask(client, stream=False).output
    thinks, found, ran, searched = ask(client, stream=False, include=INCLUDE).output

    assert (plain[0].encrypted_content, plain[1].results, plain[2].outputs) == (None, None, None)
    assert plain[3].action.sources is None
    assert thinks.encrypted_content
    assert [result.to_dict() for result in found.results] == [FOUND]
    assert [output.to_dict() for output in ran.outputs] == [
        {"type": "logs", "logs": "1"},
        {"type": "image", "url": "https://a.example/a.png"},
    ]
    assert [source.url for source in searched.action.sources] == ["https://a.example"]


def test_what_is_retrieved_is_what_that_request_asks_for(
    server: ScriptedServer, client: openai.OpenAI
) -> None:
    everything = reasoning("Hm.") + file_search("budget", results=[FOUND]) + text("Here.")
    server.reply(everything, everything)
    plain = ask(client, stream=False)
    included = ask(client, stream=False, include=INCLUDE)

    thought, found, said = client.responses.retrieve(plain.id, include=list(INCLUDE)).output
    again = client.responses.retrieve(included.id).output

    assert [thought.to_dict(), found.to_dict()] == [
        plain.output[0].to_dict() | {"encrypted_content": thought.to_dict()["encrypted_content"]},
        plain.output[1].to_dict() | {"results": [FOUND]},
    ]
    assert said.to_dict() == plain.output[2].to_dict()
    assert "encrypted_content" not in again[0].to_dict()
    assert again[1].to_dict()["results"] is None


def test_thoughts_are_not_summed_up_unasked(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(reasoning("Hm.") + text("Yes."))

    thought, _ = client.responses.create(model="o3", input="Hi").output

    assert thought.type == "reasoning"
    assert thought.summary == []


def test_annotations_are_of_the_text_before_them(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(
        text(
            "See ",
            "here",
            url_citation("https://a.example", "A"),
            " and ",
            "there",
            file_citation("file-1", "a.txt"),
            file_path("file-2"),
            container_file_citation("cntr_1", "file-3", "b.txt", start=0, end=3),
        )
    )

    events = [parsed(event) for event in client.responses.create(model="m", input="Hi", stream=True)]

    (message,) = events[-1].response.output
    (part,) = message.content
    web, cited, path, contained = part.annotations
    assert part.text[web.start_index : web.end_index] == "here"
    assert (cited.index, path.index) == (len("See here and there"),) * 2
    assert (contained.start_index, contained.end_index, contained.filename) == (0, 3, "b.txt")
    added = [event for event in events if event.type == "response.output_text.annotation.added"]
    assert [event.annotation_index for event in added] == [0, 1, 2, 3]
    assert [event.annotation.to_dict() for event in added] == [each.to_dict() for each in part.annotations]


def test_a_newer_computer_takes_several_actions(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(computer_call(CLICK, {"type": "screenshot"}))

    (called,) = client.responses.create(model="m", input="Hi", tools=[{"type": "computer"}]).output

    assert called.type == "computer_call"
    assert called.actions
    assert [action.type for action in called.actions] == ["click", "screenshot"]


def test_a_gate_holds_a_tool_at_work(server: ScriptedServer, client: openai.OpenAI) -> None:
    gate = Gate()
    server.reply(code_interpreter("1", gate) + text("Done."))

    with client.responses.create(model="m", input="Hi", stream=True) as stream:
        assert gate.reached.wait(10)
        seen = [next(stream).type for _ in range(5)]
        gate.open()
        rest = [event.type for event in stream]

    assert seen[-1] == "response.code_interpreter_call_code.delta"
    assert rest[0] == "response.code_interpreter_call_code.done"


def test_other_wires_do_not_play_what_only_responses_have(
    server: ScriptedServer, client: openai.OpenAI
) -> None:
    server.reply(web_search("news") + text("Here."))

    with pytest.raises(openai.InternalServerError, match="only the Responses API has"):
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
