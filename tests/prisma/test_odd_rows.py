"""Rows that Node stored in another shape than its own."""

from typing import Any

from openai import OpenAI

from tests.prisma.node import Node


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
