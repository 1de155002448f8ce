"""What `supercompat import` makes of runs that have not ended."""

import pytest
from openai import OpenAI

from supercompat.testing import Gate, ScriptedServer, text
from tests.contract.conversations import DEADLINE, MODEL, WEATHER, outputs
from tests.prisma.conftest import MakeClient
from tests.prisma.importing import Import, OpenCopy, has, thread_shown
from tests.prisma.node import Node
from tests.prisma.test_together import ACTION, ASKED, asked_of, begun


def test_a_run_that_is_under_way(app: Node, bring: Import, open_copy: OpenCopy) -> None:
    """Who carries it out writes to the source: its thread comes when it rests."""
    assistant, thread = begun(app)
    run = app.run(thread, assistant, "IN_PROGRESS")
    ended = bring()
    assert (ended.code, ended.err) == (
        1,
        f"supercompat import: left out: thread {thread}: its run {run} is in_progress\n",
    )
    assert "left out: assistants 0, threads 1\n" in ended.out
    assert not has(open_copy(), thread)
    app.message(thread, "Done.", "ASSISTANT", assistant=assistant, run=run)
    app.set("Run", run, "status", "COMPLETED")
    assert bring().code == 0
    assert open_copy().beta.threads.runs.retrieve(run, thread_id=thread).status == "completed"


def test_runs_that_are_ended(app: Node, provider: ScriptedServer, bring: Import, open_copy: OpenCopy) -> None:
    assistant, thread = begun(app)
    stopping, running = (app.run(thread, assistant, status) for status in ("CANCELLING", "IN_PROGRESS"))
    message = app.message(thread, "It is", "ASSISTANT", assistant=assistant, run=running)
    app.set("Message", message, "status", "IN_PROGRESS")
    whole = app.message(thread, "Wait.", "ASSISTANT", assistant=assistant, run=running)
    step = app.step(thread, assistant, running, [ASKED])
    ended = bring("--end-runs")
    assert (ended.code, ended.out.splitlines()[1]) == (0, "ended: runs 2")
    copy = open_copy()
    of_thread = copy.beta.threads
    assert of_thread.runs.retrieve(stopping, thread_id=thread).status == "cancelled"
    failed = of_thread.runs.retrieve(running, thread_id=thread)
    assert failed.status == "failed"
    assert failed.failed_at
    assert failed.last_error
    assert failed.last_error.message == "The run was under way in the database that it was imported from."
    shown = of_thread.messages.retrieve(message, thread_id=thread)
    assert (shown.status, shown.incomplete_details and shown.incomplete_details.reason) == (
        "incomplete",
        "run_failed",
    )
    assert of_thread.messages.retrieve(whole, thread_id=thread).status == "completed"
    assert of_thread.runs.steps.retrieve(step, thread_id=thread, run_id=running).status == "failed"
    # Nobody takes such a run up, and the thread is free.
    provider.reply(text("Hello again."))
    of_thread.messages.create(thread, role="user", content="Hello?")
    run = of_thread.runs.create_and_poll(thread_id=thread, assistant_id=assistant, model=MODEL)
    assert run.status == "completed"
    assert len(provider.requests) == 1


@pytest.mark.parametrize("flavour", ["uuid"])
def test_a_run_that_stands_in_line(
    make_client: MakeClient,
    app: Node,
    provider: ScriptedServer,
    bring: Import,
    open_copy: OpenCopy,
) -> None:
    assistant, thread = begun(app)
    of_thread = make_client(active_run="enqueue").beta.threads
    gate = Gate()
    provider.reply(text("18", gate, " °C."), text("Never."))
    running, waiting = (of_thread.runs.create(thread, assistant_id=assistant, model=MODEL) for _ in range(2))
    assert gate.reached.wait(DEADLINE)
    assert bring().code == 1
    assert bring("--end-runs").code == 0
    statuses = {run.id: run.status for run in open_copy().beta.threads.runs.list(thread)}
    assert (statuses[running.id], statuses[waiting.id]) == ("failed", "cancelled")
    gate.open()


def test_runs_whose_time_is_over(client: OpenAI, app: Node, bring: Import, open_copy: OpenCopy) -> None:
    """Left by a process that is gone. They have expired here as there, also where Node let a thread have several."""
    assistant, thread = begun(app)
    for status in ("QUEUED", "IN_PROGRESS", "REQUIRES_ACTION"):
        app.run(thread, assistant, status, expires=1_700_000_000)
    ended = bring()
    assert (ended.code, ended.err) == (0, "")
    copy = open_copy()
    assert [run.status for run in copy.beta.threads.runs.list(thread)] == [*["expired"] * 3, "completed"]
    assert thread_shown(copy, thread) == thread_shown(client, thread)


def test_a_run_that_waits_for_outputs(
    app: Node, provider: ScriptedServer, bring: Import, open_copy: OpenCopy
) -> None:
    """Nobody carries it out: they can be given to the copy."""
    assistant, thread = begun(app)
    run = app.run(thread, assistant, "REQUIRES_ACTION", action=ACTION, tools=[WEATHER])
    app.step(thread, assistant, run, [ASKED])
    assert bring().code == 0
    provider.reply(text("It is 18 °C."))
    ended = open_copy().beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run, thread_id=thread, tool_outputs=outputs({"call_1": "18 °C"})
    )
    assert ended.status == "completed"
    assert asked_of(provider)[-1] == ("tool", "18 °C")


def test_a_second_run_that_waits(app: Node, bring: Import, open_copy: OpenCopy) -> None:
    assistant, thread = begun(app)
    first, second = (app.run(thread, assistant, "REQUIRES_ACTION", action=ACTION) for _ in range(2))
    assert f"thread {thread}: its run {second} is requires_action\n" in bring().err
    assert bring("--end-runs").code == 0
    statuses = {run.id: run.status for run in open_copy().beta.threads.runs.list(thread)}
    assert (statuses[first], statuses[second]) == ("requires_action", "cancelled")
