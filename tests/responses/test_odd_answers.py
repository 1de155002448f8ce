"""Answers of servers that deviate from OpenAI's: events that are missing, in another order, or unknown."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from supercompat.testing import error
from tests.responses.conftest import MakeTalk, Talk
from tests.responses.raw_events import RESPONSE, Event, EventServer, answered, begun, delta, done, message

SEARCH: Event = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "x"},
}
ADD: Event = {"type": "function", "function": {"name": "add"}}
CALL: Event = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{}"}
HELLO = [begun(1, message("")), delta(1, "Hello"), done(1, message("Hello"))]


def run_of(talk: MakeTalk, *answers: Sequence[Event] | Event, **assistant: Any) -> tuple[Talk, Any]:
    with EventServer(*answers) as server:
        asked = talk(server=server, **assistant)
        return asked, asked.run_as_scripted()


def said(asked: Talk) -> str:
    return "".join(part.text.value for part in asked.answer().content)


@pytest.mark.parametrize(
    "events",
    [
        [begun(0, SEARCH), *HELLO],
        [begun(0, SEARCH), *HELLO[:2], done(0, SEARCH), HELLO[2]],
        [done(0, SEARCH), *HELLO],
        [{k: v for k, v in each.items() if k != "id"} for each in [begun(0, SEARCH), *HELLO]],
    ],
    ids=["without an end", "ending behind the text", "without a beginning", "plain"],
)
def test_every_step_ends(talk: MakeTalk, events: list[Event]) -> None:
    asked, run = run_of(talk, answered(*events), tools=[{"type": "web_search"}])
    assert run.status == "completed"
    search, answer = asked.steps(run)
    assert (search.status, answer.status) == ("completed", "completed")
    assert json.loads(search.step_details.tool_calls[0].function.arguments)["query"] == "x"
    assert said(asked) == "Hello"


def test_a_tool_at_the_end_leaves_no_empty_message(talk: MakeTalk) -> None:
    events = [*HELLO, done(2, SEARCH)]
    asked, run = run_of(talk, answered(*events), tools=[{"type": "web_search"}])
    assert [(step.type, step.status) for step in asked.steps(run)] == [
        ("message_creation", "completed"),
        ("tool_calls", "completed"),
    ]
    assert sum(step.usage.total_tokens for step in asked.steps(run)) == run.usage.total_tokens == 8


def test_calls_without_ids(talk: MakeTalk) -> None:
    """Both are under way at once, and each has what it said itself."""
    first, second = ({**SEARCH, "id": None, "action": {"query": query}} for query in "ab")
    events = [begun(0, first), begun(1, second), done(0, first), done(1, second), delta(2, "Hello")]
    asked, run = run_of(talk, answered(*events), tools=[{"type": "web_search"}])
    [step, _] = asked.steps(run)
    calls = step.step_details.tool_calls
    assert [json.loads(call.function.arguments) for call in calls] == [{"query": "a"}, {"query": "b"}]
    assert len({call.id for call in calls}) == 2


@pytest.mark.parametrize(
    "answer",
    [
        answered(delta(0, "Hel"), delta(0, "lo")),
        answered(output=[message("Hello")]),
        answered(begun(0, message("")), delta(0, "Hel"), output=[message("Hello")]),
        answered(*HELLO, output=[message("Hello")]),
        answered(done(0, {"type": "message", "content": "Hello"})),
    ],
    ids=["deltas alone", "no events", "half of it", "at another place in the whole", "without parts"],
)
def test_text_comes_once_and_whole(talk: MakeTalk, answer: list[Event]) -> None:
    asked, run = run_of(talk, answer)
    assert (run.status, said(asked)) == ("completed", "Hello")


@pytest.mark.parametrize("arguments", ['{"a": 1}', {"a": 1}])
def test_a_call_that_only_the_whole_has(talk: MakeTalk, arguments: Any) -> None:
    _, run = run_of(talk, answered(output=[{**CALL, "arguments": arguments}]), tools=[ADD])
    [waiting] = run.required_action.submit_tool_outputs.tool_calls
    assert (waiting.id, waiting.function.name, waiting.function.arguments) == ("call_1", "add", '{"a": 1}')


def test_characters_that_are_cut(talk: MakeTalk) -> None:
    """Places of annotations count characters all the same."""
    cited = {
        "type": "url_citation",
        "start_index": 1,
        "end_index": 3,
        "url": "https://a.example",
        "title": "A",
    }
    events = [begun(0, message("")), *(delta(0, piece) for piece in ("\ud83d", "\ude00ab", "c"))]
    asked, _ = run_of(talk, answered(*events, done(0, message("😀abc", cited))))
    [part] = asked.answer().content
    [annotation] = part.text.annotations
    assert part.text.value == "😀abc"
    assert part.text.value[annotation.start_index : annotation.end_index] == "ab"


def test_citations_of_a_text_that_is_not_streamed(talk: MakeTalk) -> None:
    """Each marker stands where its citation says, and no place of others is moved by it."""
    files = [
        {"type": "file_citation", "index": index, "file_id": f"file-{index}", "filename": f"{index}.txt"}
        for index in (9, 3, 99)
    ]
    url = {"type": "url_citation", "start_index": 4, "end_index": 7, "url": "https://a.example", "title": "A"}
    whole = message("One two three", files[0], url, *files[1:])
    asked, _ = run_of(talk, answered(output=[whole]))
    [part] = asked.answer().content
    assert part.text.value == "One【4:0†3.txt】 two t【4:0†9.txt】hree【4:0†99.txt】"
    cut = {each.type: part.text.value[each.start_index : each.end_index] for each in part.text.annotations}
    assert cut["url_citation"] == "two"


@pytest.mark.parametrize("kind", ["x_search_call", "custom_tool_call"])
def test_tools_that_are_not_known(talk: MakeTalk, kind: str) -> None:
    item = {"id": "x_1", "type": kind, "status": "completed", "query": "q", "results": [1]}
    news = {"type": f"response.{kind}.searching", "output_index": 0, "item_id": "x_1"}
    asked, run = run_of(talk, answered(begun(0, item), news, done(0, item), *HELLO))
    [step, _] = asked.steps(run)
    [shown] = step.step_details.tool_calls
    assert shown.function.name == kind.removesuffix("_call")
    assert json.loads(shown.function.arguments) == {"query": "q"}
    assert json.loads(shown.function.output) == {"results": [1]}
    assert run.status == "completed"


def test_what_is_not_known_and_no_call(talk: MakeTalk) -> None:
    odd: list[Event] = [
        done(0, {"id": "cmp_1", "type": "compaction", "encrypted_content": "x"}),
        {"type": "response.audio.delta", "delta": "x"},
        {"type": None},
        {"type": "keepalive"},
    ]
    asked, run = run_of(talk, answered(*odd, *HELLO))
    assert (run.status, said(asked)) == ("completed", "Hello")
    assert [step.type for step in asked.steps(run)] == ["message_creation"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "rate_limit_exceeded", "message": "Slow."}, "rate_limit_exceeded"),
        ({"error": {"code": "rate_limit_exceeded", "message": "Slow."}}, "rate_limit_exceeded"),
        ({"code": "server_error", "message": "Slow."}, "server_error"),
    ],
)
def test_errors_in_the_stream(talk: MakeTalk, error: Event, code: str) -> None:
    _, run = run_of(talk, [{"type": "response.created", "response": RESPONSE}, {"type": "error", **error}])
    assert (run.status, run.last_error.code, run.last_error.message) == ("failed", code, "Slow.")


@pytest.mark.conforms("C-112")
@pytest.mark.parametrize("code", ["invalid_image_url", "failed_to_download_image", "bio_policy"])
def test_a_prompt_that_is_refused_late(talk: MakeTalk, code: str) -> None:
    _, run = run_of(talk, answered(status="failed", error={"code": code, "message": "No."}))
    assert (run.last_error.code, run.last_error.message) == ("invalid_prompt", "No.")


def test_an_image_is_shown_behind_the_outputs_of_functions(talk: MakeTalk) -> None:
    drawn = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "AAAA"}
    with EventServer(answered(done(0, drawn), done(1, CALL)), answered(*HELLO)) as server:
        asked = talk(server=server, tools=[{"type": "image_generation"}, ADD])
        run = asked.run_as_scripted()
        run = asked.submit(run, add="1")
    [step, _] = asked.steps(run)
    image, text = asked.answer().content
    shown = json.loads(step.step_details.tool_calls[0].function.output)
    assert (image.image_file.file_id, text.text.value) == (shown["file_id"], "Hello")


def test_messages_behind_a_call(talk: MakeTalk) -> None:
    """However much is said, the step that waits is found."""
    events = [done(0, CALL), done(1, message("A")), done(2, message("B"))]
    with EventServer(answered(*events), answered(*HELLO)) as server:
        asked = talk(server=server, tools=[ADD])
        run = asked.submit(asked.run_as_scripted(), add="1")
    assert run.status == "completed"


@pytest.mark.parametrize("status", ["completed", "incomplete"])
def test_a_tool_behind_a_message_with_an_image(talk: MakeTalk, status: str) -> None:
    """A message without any content would break the SDK's handlers."""
    drawn = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "AAAA"}
    with EventServer(answered(done(0, drawn), *HELLO, done(2, SEARCH), status=status)) as server:
        asked = talk(server=server)
        runs = asked.client.beta.threads.runs
        with runs.stream(thread_id=asked.thread_id, assistant_id=asked.assistant_id) as stream:
            stream.until_done()
            [answer] = stream.get_final_messages()
    assert [part.type for part in answer.content] == ["image_file", "text"]


@pytest.mark.parametrize("cut", range(2, 8))
def test_an_answer_in_the_background_that_is_not_streamed_again(talk: MakeTalk, cut: int) -> None:
    """The line drops, and the provider has only the whole answer: what was heard before comes once."""
    code: Event = {"id": "ci_1", "type": "code_interpreter_call", "code": "print", "outputs": []}
    code["outputs"].append({"type": "logs", "logs": "1"})
    writing = {"type": "response.code_interpreter_call_code.delta", "output_index": 0, "delta": "pr"}
    events = [begun(0, {**code, "code": "", "outputs": None}), writing, done(0, code), *HELLO, done(2, CALL)]
    answer = answered(*events, output=[code, message("Hello"), CALL])
    with EventServer(answer[:cut], error(400, "It can't be streamed."), answer[-1]["response"]) as server:
        asked = talk(server=server, how={"background": True}, tools=[ADD])
        run = asked.run_as_scripted()
    assert run.status == "requires_action", run.last_error
    ran, _, waiting = asked.steps(run)
    [shown] = ran.step_details.tool_calls
    assert shown.code_interpreter.input == "print"
    assert [output.logs for output in shown.code_interpreter.outputs] == ["1"]
    assert [each.function.arguments for each in waiting.step_details.tool_calls] == ["{}"]
    assert said(asked) == "Hello"
