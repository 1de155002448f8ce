"""Rows that Node stored in another shape than its own."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from supercompat.testing import ScriptedServer, call, text, tool_calls
from tests.contract.conversations import call_ids, outputs
from tests.prisma.node import Node
from tests.prisma.test_together import ACTION, ANSWERED, ASKED, WEATHER


def test_a_call_whose_arguments_are_an_empty_object(client: OpenAI, app: Node) -> None:
    """A function without arguments has an empty object, which is JSON, and not an empty text, which is not."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    run = app.run(thread, assistant, "COMPLETED")
    function: dict[str, Any] = {"name": "get_weather", "arguments": {}}
    app.step(thread, assistant, run, [{"id": "call_1", "type": "function", "function": function}])
    [step] = client.beta.threads.runs.steps.list(run, thread_id=thread)
    assert step.step_details.type == "tool_calls"
    [call] = step.step_details.tool_calls
    assert call.type == "function"
    assert call.function.arguments == "{}"


def test_a_count_that_is_no_number(client: OpenAI, app: Node) -> None:
    """It is left out, and nothing else is."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    odd = {
        "prompt_tokens": "x",
        "completion_tokens": 2,
        "completion_tokens_details": {"reasoning_tokens": None},
    }
    run = app.run(thread, assistant, "COMPLETED")
    app.set("Run", run, "usage", odd)
    [shown] = client.beta.threads.runs.list(thread)
    assert shown.id == run
    assert shown.usage
    assert (shown.usage.prompt_tokens, shown.usage.completion_tokens) == (0, 2)


ODD: Any = (
    *("x", 1, 1.5, True, [], {}, [1], [None], [{}]),
    *({"type": ["x"]}, {"reason": 3}, {"code": {}, "message": []}),
    *({"prompt_token_details": 5}, {"total_tokens": {"n": 1}}, {"completion_tokens_details": {"x": "y"}}),
    [{"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": 3}}],
)
ODD_TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": None}}

#: What of Prisma's columns Node writes as it comes.
COLUMNS = {
    "Message": ("content", "incompleteDetails", "metadata", "toolCalls"),
    "Run": ("requiredAction", "lastError", "usage", "metadata", "truncationStrategy", "responseFormat"),
    "RunStep": ("stepDetails", "lastError", "usage"),
}


@pytest.mark.parametrize("flavour", ["uuid"])
def test_json_of_another_shape(client: OpenAI, app: Node) -> None:
    """What it does not say is left out; the row is shown."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    run = app.run(thread, assistant, "COMPLETED")
    step = app.step(thread, assistant, run, [ANSWERED])
    rows: Any = {
        "Message": (app.message(thread, "Hello"), lambda: client.beta.threads.messages.list(thread)),
        "Run": (run, lambda: client.beta.threads.runs.list(thread)),
        "RunStep": (step, lambda: client.beta.threads.runs.steps.list(run, thread_id=thread)),
    }
    for table, (id, shown) in rows.items():
        for column in COLUMNS[table]:
            for value in ODD:
                app.set_json(table, id, column, value)
                assert [each.id for each in shown()] == [id]


def test_a_tool_whose_parameters_are_null(client: OpenAI, app: Node) -> None:
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.run(thread, assistant, "COMPLETED", tools=[ODD_TOOL])
    [run] = client.beta.threads.runs.list(thread)
    assert run.tools[0].type == "function"
    assert run.tools[0].function.parameters == {"type": "object", "properties": {}}


def test_a_row_that_can_not_be_shown_is_named(client: OpenAI, app: Node) -> None:
    """With its table and id, and without what is in it."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    tool = {"type": "function", "function": {"name": ["secretly", "many"]}}
    run = app.run(thread, assistant, "COMPLETED", tools=[tool])
    with pytest.raises(openai.InternalServerError, match=f'row {run} of \\\\?"Run') as refused:
        client.beta.threads.runs.list(thread)
    assert "secretly" not in str(refused.value)


def test_an_action_that_was_taken(client: OpenAI, app: Node) -> None:
    """Node leaves in the row what a run has waited for; the API shows it only while the run waits."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    run = app.run(thread, assistant, "REQUIRES_ACTION", action=ACTION)
    assert call_ids(client.beta.threads.runs.retrieve(run, thread_id=thread)) == ["call_1"]
    for status in ("QUEUED", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED"):
        app.set("Run", run, "status", status)
        assert client.beta.threads.runs.retrieve(run, thread_id=thread).required_action is None


def test_outputs_given_there_and_here_in_turn(client: OpenAI, app: Node, provider: ScriptedServer) -> None:
    """A run of ours that Node took on, and that waits again."""
    assistant = app.assistant()
    thread = app.thread(assistant)
    app.message(thread, "How warm is it?")
    provider.reply(tool_calls(call("get_weather", "{}", id="call_0")))
    run = client.beta.threads.runs.create_and_poll(
        thread_id=thread, assistant_id=assistant, model="gpt-4o-mini", tools=[WEATHER]
    )
    app.submit(thread, run.id, {"call_0": "17 °C"})
    app.message(thread, [], "ASSISTANT", assistant=assistant, run=run.id, calls=[ASKED])
    app.step(thread, assistant, run.id, [ASKED])
    app.set("Run", run.id, "requiredAction", ACTION)
    app.set("Run", run.id, "status", "REQUIRES_ACTION")
    provider.reply(text("It is 18 °C."))
    ended = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=thread, tool_outputs=outputs({"call_1": "18 °C"})
    )
    assert ended.status == "completed"
    said = [each for each in provider.requests[-1].body["messages"] if each["role"] == "tool"]
    assert [each["content"] for each in said] == ["17 °C", "18 °C"]


@pytest.mark.parametrize("flavour", ["uuid"])
def test_an_id_in_another_spelling_names_nothing(client: OpenAI, app: Node) -> None:
    """PostgreSQL would find it. What is beside Prisma's tables would not."""
    thread = app.thread(app.assistant())
    for spelling in (thread.upper(), thread.replace("-", ""), f"{{{thread}}}", f"urn:uuid:{thread}"):
        with pytest.raises(openai.NotFoundError):
            client.beta.threads.retrieve(spelling)
