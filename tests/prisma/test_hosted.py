"""Runs through the Responses API on Prisma's tables: tools of the provider, which Prisma's columns know nothing of."""

import logging

import openai
import pytest

from supercompat import PrismaStorageAdapter, ResponsesRunAdapter, supercompat
from supercompat.testing import ScriptedServer, code_interpreter, text
from tests.prisma.importing import Import, OpenCopy, thread_shown
from tests.prisma.node import Node

MODEL = "gpt-4.1"


def test_what_a_hosted_tool_did(
    url: str,
    app: Node,
    provider: ScriptedServer,
    bring: Import,
    open_copy: OpenCopy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is beside Prisma's rows, whole; so nothing is said to be left out."""
    provider.reply(
        code_interpreter("plot(", "x**2)", images=["data:image/png;base64,AAAA"]) + text("There it is."),
        text("You are welcome."),
    )
    with (
        caplog.at_level(logging.WARNING),
        openai.OpenAI(base_url=provider.base_url, api_key="test-key", max_retries=0) as inner,
        supercompat(
            client=inner, storage=PrismaStorageAdapter(url), run_adapter=ResponsesRunAdapter()
        ) as client,
    ):
        assistant = client.beta.assistants.create(model=MODEL, tools=[{"type": "code_interpreter"}])
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Plot x squared."}])
        run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        assert run.status == "completed"
        assert [tool.type for tool in run.tools] == ["code_interpreter"]
        [step, *_] = client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc")
        assert step.step_details.type == "tool_calls"
        [made] = step.step_details.tool_calls
        assert made.type == "code_interpreter"
        assert made.code_interpreter.input == "plot(x**2)"
        messages = client.beta.threads.messages.list(thread.id)
        [image] = [part for message in messages for part in message.content if part.type == "image_file"]
        assert client.files.content(image.image_file.file_id).read() == b"\0\0\0"
        # Nobody but the provider answers such a call: Node looks for none.
        assert {message["toolCalls"] for message in app.messages(thread.id)} == {None}
        client.beta.threads.messages.create(thread.id, role="user", content="Thanks.")
        again = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        assert again.status == "completed"
        ended = bring()
        assert (ended.code, ended.err) == (0, "")
        assert thread_shown(open_copy(), thread.id) == thread_shown(client, thread.id)
    assert caplog.messages == []
