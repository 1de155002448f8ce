"""Tools that the provider carries out by itself, as run steps (sections 3, 6 and 7.1 of the specification)."""

import json
from typing import Any

import openai
import pytest

from supercompat.testing import (
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
    text,
    tool_calls,
    url_citation,
    web_search,
)
from supercompat.wire.objects import ProviderTool
from tests.responses.conftest import MakeTalk, Talk

MCP = {
    "type": "mcp",
    "server_label": "wiki",
    "server_url": "https://wiki.example/mcp",
    "require_approval": "never",
}
RESULT: dict[str, Any] = {
    "file_id": "file-1",
    "filename": "budget.txt",
    "score": 0.9,
    "text": "It is 5.",
    "attributes": {},
}


def names(events: list[Any]) -> list[str]:
    return [event.event.removeprefix("thread.") for event in events]


def deltas(events: list[Any], name: str) -> list[Any]:
    return [event.data.to_dict()["delta"] for event in events if event.event == name]


def outputs(asked: Talk, run_id: str) -> list[Any]:
    """The events behind the outputs of a run's functions."""
    calls = asked.client.beta.threads.runs.retrieve(run_id, thread_id=asked.thread_id).required_action
    assert calls
    given: Any = [{"tool_call_id": each.id, "output": "1"} for each in calls.submit_tool_outputs.tool_calls]
    asked.provider.reply(text("Done."))
    runs = asked.client.beta.threads.runs
    return list(runs.submit_tool_outputs(run_id, thread_id=asked.thread_id, tool_outputs=given, stream=True))


def slices_back(message: Any) -> None:
    [part] = [part for part in message.content if part.type == "text"]
    for each in part.text.annotations:
        assert part.text.value[each.start_index : each.end_index] == each.text


@pytest.mark.conforms("C-149", "C-173")
def test_file_search(talk: MakeTalk) -> None:
    asked = talk(
        tools=[{"type": "file_search", "file_search": {"max_num_results": 3}}],
        tool_resources={"file_search": {"vector_store_ids": ["vs_1"]}},
    )
    found = file_search("budget", results=[RESULT])
    events = asked.stream(found + text("It is 5", file_citation("file-1", "budget.txt"), "."))
    assert names(events)[3:8] == [
        "run.step.created",
        "run.step.in_progress",
        "run.step.delta",
        "run.step.completed",
        "run.step.created",
    ]
    [opened] = deltas(events, "thread.run.step.delta")
    [shown] = opened["step_details"]["tool_calls"]
    assert (shown["type"], shown["file_search"]["results"]) == ("file_search", [])
    citing = deltas(events, "thread.message.delta")[1]["content"][0]
    assert citing["text"]["value"] == "【4:0†budget.txt】"
    assert citing["text"]["annotations"][0]["file_citation"] == {"file_id": "file-1", "quote": ""}
    message = asked.answer()
    assert message.content[0].text.value == "It is 5【4:0†budget.txt】."
    slices_back(message)
    [tool] = asked.asked[0]["tools"]
    assert tool == {"type": "file_search", "vector_store_ids": ["vs_1"], "max_num_results": 3}


@pytest.mark.conforms("C-130")
def test_what_a_search_found_is_shown_to_who_asks(talk: MakeTalk) -> None:
    asked = talk(
        tools=[{"type": "file_search"}], tool_resources={"file_search": {"vector_store_ids": ["vs_1"]}}
    )
    run = asked.run(file_search("budget", results=[RESULT]) + text("5."))
    [search, _] = asked.steps(run)
    [plain] = search.step_details.tool_calls[0].file_search.results
    assert (plain.file_name, plain.score, plain.content) == ("budget.txt", 0.9, None)
    include: Any = ["step_details.tool_calls[*].file_search.results[*].content"]
    [search, _] = asked.steps(run, include=include)
    [full] = search.step_details.tool_calls[0].file_search.results
    assert full.content[0].text == "It is 5."


@pytest.mark.conforms("C-130")
@pytest.mark.parametrize("include", [[], ["step_details.tool_calls[*].file_search.results[*].content"]])
def test_a_stream_shows_what_a_search_found_to_who_asks(talk: MakeTalk, include: list[str]) -> None:
    add = {"type": "function", "function": {"name": "add"}}
    asked = talk(
        tools=[{"type": "file_search"}, add], tool_resources={"file_search": {"vector_store_ids": ["vs_1"]}}
    )
    found = file_search("budget", results=[RESULT])
    events = asked.stream(found + text("5.") + found + tool_calls(call("add", "{}")), include=include)
    run: Any = events[-1].data
    events += outputs(asked, run.id)
    ended = [event.data for event in events if event.event == "thread.run.step.completed"]
    results = [
        found
        for step in ended
        if step.type == "tool_calls"
        for each in step.step_details.tool_calls
        if each.type == "file_search"
        for found in each.file_search.results
    ]
    shown = [each.content and each.content[0].text for each in results]
    assert shown == (["It is 5."] * 2 if include else [None] * 2)


@pytest.mark.conforms("C-150")
def test_code_interpreter(talk: MakeTalk) -> None:
    asked = talk(
        tools=[{"type": "code_interpreter"}],
        tool_resources={"code_interpreter": {"file_ids": ["file-9"]}},
    )
    ran = code_interpreter("pri", "nt(1)", logs="1\n", images=["data:image/png;base64,AAAA"])
    link = "sandbox:/mnt/data/a.csv"
    said = text("Here: ", link, container_file_citation("cntr_1", "cfile_1", "a.csv"))
    events = asked.stream(ran + said)
    calls = [delta["step_details"]["tool_calls"][0] for delta in deltas(events, "thread.run.step.delta")]
    assert calls[0]["code_interpreter"] == {"input": "", "outputs": []}
    assert [each["code_interpreter"].get("input") for each in calls[1:3]] == ["pri", "nt(1)"]
    [logs], [image] = (each["code_interpreter"]["outputs"] for each in calls[3:])
    assert (logs["index"], logs["logs"]) == (0, "1\n")
    file_id = image["image"]["file_id"]
    assert (image["index"], calls[4]["code_interpreter"].keys()) == (1, {"outputs"})
    shown = deltas(events, "thread.message.delta")[0]["content"]
    assert [part["type"] for part in shown] == ["image_file", "text"]
    message = asked.answer()
    assert message.content[0].image_file.file_id == file_id
    assert message.content[1].text.value == f"Here: {link}"
    slices_back(message)
    [path] = message.content[1].text.annotations
    assert (path.type, path.text, path.file_path.file_id) == ("file_path", link, "cfile_1")
    assert asked.asked[0]["tools"][0]["container"] == {"type": "auto", "file_ids": ["file-9"]}


def test_a_path_that_is_given_by_one_place(talk: MakeTalk) -> None:
    asked = talk(tools=[{"type": "code_interpreter"}])
    asked.run(code_interpreter("1") + text("See sandbox:/mnt/data/b.txt", file_path("file-2")))
    [part] = asked.answer().content
    assert [each.text for each in part.text.annotations] == ["sandbox:/mnt/data/b.txt"]
    slices_back(asked.answer())


def test_web_search(talk: MakeTalk) -> None:
    asked = talk(tools=[{"type": "web_search"}])
    search = web_search("moomins", sources=["https://a.example"])
    said = text("Tove ", "Jansson", url_citation("https://a.example", "A"), " wrote it.")
    run = asked.run(search + said)
    [step, _] = asked.steps(run)
    [shown] = step.step_details.tool_calls
    assert (shown.type, shown.function.name) == ("function", "web_search")
    assert json.loads(shown.function.arguments)["query"] == "moomins"
    assert json.loads(shown.function.output) == {"sources": [{"type": "url", "url": "https://a.example"}]}
    [part] = asked.answer().content
    [cited] = part.text.annotations
    assert (cited.type, cited.url, cited.title) == ("url_citation", "https://a.example", "A")
    assert part.text.value[cited.start_index : cited.end_index] == "Jansson"


def test_mcp(talk: MakeTalk) -> None:
    asked = talk(tools=[MCP])
    found = mcp_tools("wiki", "look") + mcp_call("wiki", "look", '{"q":', '"x"}', output="A page.")
    run = asked.run(found + mcp_call("wiki", "look", "{}", error="Gone.") + text("Done."))
    first, second, _ = asked.steps(run)
    [worked], [failed] = first.step_details.tool_calls, second.step_details.tool_calls
    assert (worked.function.name, worked.function.arguments) == ("mcp:wiki.look", '{"q":"x"}')
    assert worked.function.output == "A page."
    assert "Gone." in failed.function.output
    assert run.required_action is None


def test_a_server_of_mcp_that_is_away(talk: MakeTalk) -> None:
    """Without a step nobody would know."""
    asked = talk(tools=[MCP])
    run = asked.run(mcp_tools("wiki", error="No such host.") + text("Sorry."))
    [step, _] = asked.steps(run)
    [shown] = step.step_details.tool_calls
    assert shown.function.name == "mcp:wiki"
    assert json.loads(shown.function.output) == {"error": "No such host."}


def test_an_approval_that_a_run_can_not_give(talk: MakeTalk) -> None:
    run = talk(tools=[MCP]).run(mcp_approval("wiki", "drop"))
    assert run.status == "failed"
    assert "require_approval" in run.last_error.message


def test_image_generation(talk: MakeTalk) -> None:
    asked = talk(tools=[{"type": "image_generation"}])
    run = asked.run(image_generation("AAAA", revised_prompt="A cat."))
    [step, message_step] = asked.steps(run)
    [shown] = step.step_details.tool_calls
    assert shown.function.name == "image_generation"
    assert json.loads(shown.function.arguments)["prompt"] == "A cat."
    [image, *_] = asked.answer().content
    assert json.loads(shown.function.output) == {"file_id": image.image_file.file_id}
    assert asked.client.files.content(image.image_file.file_id).read() == b"\0\0\0"
    with pytest.raises(openai.NotFoundError, match="No such File object: file-1"):
        asked.client.files.content("file-1")
    assert (run.status, message_step.usage.total_tokens) == ("completed", run.usage.total_tokens)


@pytest.mark.parametrize("store", [False, True])
def test_computer_use(talk: MakeTalk, store: bool) -> None:
    check = {"id": "cu_sc_1", "code": "malicious", "message": "Mind this."}
    asked = talk(
        how={"store": store},
        model="computer-use-preview",
        tools=[
            {
                "type": "computer_use_preview",
                "display_width": 800,
                "display_height": 600,
                "environment": "browser",
            }
        ],
    )
    click = {"type": "click", "button": "left", "x": 1, "y": 2}
    run = asked.run(computer_call(click, safety_checks=[check]))
    [waiting] = run.required_action.submit_tool_outputs.tool_calls
    assert waiting.function.name == "computer_call"
    arguments = json.loads(waiting.function.arguments)
    assert (arguments["actions"], arguments["pending_safety_checks"]) == ([click], [check])
    output = {
        "type": "computer_screenshot",
        "image_url": "data:image/png;base64,AAAA",
        "acknowledged_safety_checks": [check],
    }
    run = asked.submit(run, text("Clicked."), computer_call=json.dumps(output))
    assert run.status == "completed", run.last_error
    answered = asked.asked[1]["input"][-1]
    assert answered["type"] == "computer_call_output"
    assert answered["acknowledged_safety_checks"] == [check]


@pytest.mark.parametrize("store", [False, True])
def test_a_turn_of_both_kinds(talk: MakeTalk, store: bool) -> None:
    """Hosted tools run, the functions are asked for; one step has both, in their order (section 2)."""
    weather = {"type": "function", "function": {"name": "weather"}}
    asked = talk(how={"store": store}, tools=[{"type": "code_interpreter"}, weather])
    run = asked.run(text("Look: ") + code_interpreter("1") + tool_calls(call("weather", "{}")))
    [_, both] = asked.steps(run)
    assert [each.type for each in both.step_details.tool_calls] == ["code_interpreter", "function"]
    [waiting] = run.required_action.submit_tool_outputs.tool_calls
    assert waiting.function.name == "weather"
    run = asked.submit(run, text("Rain."), weather="wet")
    assert run.status == "completed", run.last_error
    kinds = [item["type"] for item in asked.asked[1]["input"]]
    if store:
        assert kinds == ["function_call_output"]
    else:
        assert kinds == [
            "message",
            "message",
            "code_interpreter_call",
            "function_call",
            "function_call_output",
        ]
    total = sum(step.usage.total_tokens for step in asked.steps(run))
    assert total == run.usage.total_tokens
    # What the provider carried out is no call of ours in a later run.
    asked.client.beta.threads.messages.create(asked.thread_id, role="user", content="And?")
    assert asked.run(text("Sun.")).status == "completed"
    assert "code_interpreter_call" not in [item["type"] for item in asked.asked[2]["input"]]


def test_each_hosted_call_is_a_step(talk: MakeTalk) -> None:
    asked = talk(tools=[{"type": "web_search"}])
    run = asked.run(web_search("a") + web_search("b") + text("Both."))
    assert [step.type for step in asked.steps(run)] == ["tool_calls", "tool_calls", "message_creation"]
    assert {step.status for step in asked.steps(run)} == {"completed"}


def test_a_hosted_tool_that_has_to_be_used(talk: MakeTalk) -> None:
    asked = talk(tools=[{"type": "code_interpreter"}])
    asked.run(code_interpreter("1") + text("1"), tool_choice={"type": "code_interpreter"})
    assert asked.asked[0]["tool_choice"] == {"type": "code_interpreter"}


@pytest.mark.conforms("C-025", "C-026")
def test_what_an_assistant_shows(talk: MakeTalk) -> None:
    search = {"max_num_results": 7}
    tools = [{"type": "file_search", "file_search": search}, {"type": "code_interpreter"}]
    asked = talk(tools=tools, tool_resources={"file_search": {"vector_store_ids": ["vs_1"]}})
    shown: Any = asked.client.beta.assistants.retrieve(asked.assistant_id).to_dict()
    ranking = {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}
    assert shown["tools"][0]["file_search"] == {**search, "ranking_options": ranking}
    assert shown["tool_resources"] == {
        "code_interpreter": {"file_ids": []},
        "file_search": {"vector_store_ids": ["vs_1"]},
    }


def test_a_tool_as_the_provider_has_it_keeps_its_secrets_out_of_sight(talk: MakeTalk) -> None:
    asked = talk(tools=[{**MCP, "authorization": "secret-token"}])
    asked.run(text("Hello"))
    assert asked.asked[0]["tools"][0]["authorization"] == "secret-token"
    assert "secret-token" not in repr(ProviderTool.model_validate({**MCP, "authorization": "secret-token"}))


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, None),
        (
            {"ranking_options": {"score_threshold": 0.5}},
            {"ranker": "default-2024-11-15", "score_threshold": 0.5},
        ),
        (
            {"ranking_options": {"ranker": "auto", "score_threshold": 0}},
            {"ranker": "auto", "score_threshold": 0},
        ),
    ],
)
def test_how_a_search_ranks(talk: MakeTalk, options: dict[str, Any], sent: Any) -> None:
    asked = talk(
        tools=[{"type": "file_search", "file_search": options}],
        tool_resources={"file_search": {"vector_store_ids": ["vs_1"]}},
    )
    run = asked.run(text("5."))
    assert run.status == "completed", run.last_error
    assert asked.asked[0]["tools"][0].get("ranking_options") == sent


def test_a_search_of_nothing(talk: MakeTalk) -> None:
    """An assistant that searches the stores of its threads meets one that has none."""
    asked = talk(tools=[{"type": "file_search"}])
    assert asked.run(text("Hello"), tool_choice="required").status == "completed"
    assert asked.asked[0].keys().isdisjoint(("tools", "tool_choice"))
    failed = asked.run(tool_choice={"type": "file_search"})
    assert "vector_store_ids" in failed.last_error.message


def test_a_server_of_mcp_that_has_to_be_used(talk: MakeTalk) -> None:
    asked = talk(tools=[MCP, {**MCP, "server_label": "maps"}])
    run = asked.run(text("Done."), tool_choice={"type": "mcp"})
    assert run.status == "completed", run.last_error
    chosen = asked.asked[0]["tool_choice"]
    assert [each["server_label"] for each in chosen["tools"]] == ["wiki", "maps"]


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("kind", ["computer", "computer_use_preview"])
def test_a_run_behind_one_that_used_a_computer(talk: MakeTalk, store: bool, kind: str) -> None:
    """It is reminded of the call as of a function's, whose output is an image."""
    screen = {"display_width": 800, "display_height": 600, "environment": "browser"}
    tool = {"type": kind, **(screen if kind != "computer" else {})}
    model = "gpt-5.4" if kind == "computer" else "computer-use-preview"
    asked = talk(how={"store": store}, model=model, tools=[tool])
    run = asked.run(computer_call({"type": "click", "button": "left", "x": 1, "y": 2}))
    shot = {"type": "computer_screenshot", "image_url": "data:image/png;base64,AAAA"}
    assert asked.submit(run, text("Clicked."), computer_call=json.dumps(shot)).status == "completed"
    assert asked.asked[1]["input"][-1]["type"] == "computer_call_output"
    asked.client.beta.threads.messages.create(asked.thread_id, role="user", content="And?")
    run = asked.run(text("Done."))
    assert run.status == "completed", run.last_error
    _, called, seen, *_ = asked.asked[2]["input"]
    assert (called["type"], called["name"]) == ("function_call", "computer_call")
    [image] = seen["output"]
    assert (image["type"], image["image_url"]) == ("input_image", shot["image_url"])
