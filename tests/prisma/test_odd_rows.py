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
