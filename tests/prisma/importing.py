"""What the tests of `supercompat import` share: the command, and clients on the copy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import openai
from openai import OpenAI

from supercompat.testing import ScriptedServer, call, text, tool_calls
from tests.contract.conversations import CLOCK, MODEL, WEATHER, call_ids, outputs

Shown = dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """How the command ended, and what it said."""

    code: int
    out: str
    err: str


Import = Callable[..., Ended]
OpenCopy = Callable[..., OpenAI]


def shown(client: OpenAI, *threads: str) -> Shown:
    """All that the API shows, by pages of two."""
    assistants = [each.to_dict() for each in client.beta.assistants.list(order="asc", limit=2)]
    return {"assistants": assistants, **{id: thread_shown(client, id) for id in threads}}


def thread_shown(client: OpenAI, id: str) -> Shown:
    thread = client.beta.threads
    runs = list(thread.runs.list(id, order="asc", limit=2))
    steps = [step for run in runs for step in thread.runs.steps.list(run.id, thread_id=id, limit=2)]
    return {
        "thread": thread.retrieve(id).to_dict(),
        "messages": [each.to_dict() for each in thread.messages.list(id, limit=2)],
        "of_run": [each.to_dict() for each in thread.messages.list(id, run_id=runs[-1].id)] if runs else [],
        "runs": [run.to_dict() for run in runs],
        "steps": [step.to_dict() for step in steps],
    }


def has(client: OpenAI, thread: str) -> bool:
    """Whether there is a thread. An id that names nothing, and has no prefix, is none to the API."""
    try:
        return client.beta.threads.retrieve(thread).id == thread
    except openai.BadRequestError:
        return False


def conversed(client: OpenAI, provider: ScriptedServer) -> tuple[str, str]:
    """An assistant and a thread of ours, with calls, settings that Prisma has no column for, and an incomplete run."""
    assistant = client.beta.assistants.create(
        model=MODEL, name="Weather", tools=[WEATHER, CLOCK], temperature=0.5, metadata={"k": "v"}
    )
    thread = client.beta.threads.create(
        messages=[{"role": "user", "content": "How warm?", "metadata": {"m": "1"}}], metadata={"t": "2"}
    )
    provider.reply(
        text("Let me look.") + tool_calls(call("get_weather", "{}", id="call_7")),
        tool_calls(call("get_time", "{}", id="call_8")),
        text("18 °C, at noon."),
        text("Once upon a", finish="length"),
    )
    given: dict[str, Any] = {"thread_id": thread.id, "assistant_id": assistant.id}
    run = client.beta.threads.runs.create_and_poll(**given, tool_choice="required", temperature=0.25)
    for answer in ("18 °C", "12:00"):
        run = client.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id, thread_id=thread.id, tool_outputs=outputs(dict.fromkeys(call_ids(run), answer))
        )
    assert run.status == "completed"
    client.beta.threads.messages.create(thread.id, role="user", content="A story, please.")
    assert client.beta.threads.runs.create_and_poll(**given).status == "incomplete"
    return assistant.id, thread.id
