"""Several processes that are all alive, on one database."""

from concurrent.futures import wait
from time import monotonic
from typing import Any

import openai
import pytest

from supercompat.testing import Gate, text
from tests.contract.conversations import WEATHER, Conversation, conversation, outputs, texts
from tests.processes.conftest import Scene, until
from tests.processes.test_killed import ANSWERS, ASKS_FOR_WEATHER, in_mid_text, nothing_is_open
from tests.processes.workers import PATIENCE, RefusedError

#: Seconds: nothing here depends on a lease that ends, but for a process that is paused.
LONG = 12


@pytest.fixture(autouse=True)
def _leases_are_long(scene: Scene) -> None:
    scene.options["lease"] = LONG


def same(asked: Conversation, client: Any) -> Conversation:
    """The same conversation, as another process sees it."""
    return Conversation(client, asked.assistant_id, asked.thread_id)


def newest(asked: Conversation) -> Any:
    return next(iter(asked.client.beta.threads.runs.list(asked.thread_id)))


@pytest.mark.conforms("C-117", "C-119")
def test_one_of_many_gets_the_thread(scene: Scene) -> None:
    workers = [scene.worker() for _ in range(4)]
    for _ in range(3):
        gate = Gate()
        asked = conversation(workers[0].client)
        scene.provider.reply(text("Hello").after(gate))
        tries = [
            worker.begin.beta.threads.runs.create(asked.thread_id, assistant_id=asked.assistant_id)
            for worker in workers
            for _ in range(2)
        ]
        wait(tries, PATIENCE)
        [winner] = [each.result() for each in tries if each.exception() is None]
        problems = [each.exception() for each in tries if each.exception()]
        assert all(isinstance(each, RefusedError) and each.status == 400 for each in problems), problems
        assert all(f"already has an active run {winner.id}" in str(each) for each in problems)
        gate.open()
        until(lambda: newest(asked).status == "completed")  # noqa: B023
        assert [run.id for run in asked.client.beta.threads.runs.list(asked.thread_id)] == [winner.id]
    assert len(scene.provider.requests) == 3


def test_all_stand_in_one_line(scene: Scene) -> None:
    """Whoever creates runs, and whoever carries them out: they follow each other in the order of their creation."""
    scene.options["active_run"] = "enqueue"
    workers = [scene.worker() for _ in range(3)]
    asked = conversation(workers[0].client)
    scene.provider.reply(*[text("Hello")] * 6)
    creations = [
        worker.begin.beta.threads.runs.create(asked.thread_id, assistant_id=asked.assistant_id)
        for _ in range(2)
        for worker in workers
    ]
    assert len({creation.result(PATIENCE).id for creation in creations}) == 6
    runs = asked.client.beta.threads.runs.list(asked.thread_id, order="asc")
    assert {asked.poll(run.id).status for run in runs} == {"completed"}
    assert [message.run_id for message in asked.answers()] == [run.id for run in runs]
    assert [len(request.body["messages"]) for request in scene.provider.requests] == list(range(1, 7))


@pytest.mark.conforms("C-116", "C-118")
def test_messages_wait_for_the_run_of_another(scene: Scene) -> None:
    one, other = scene.worker(), scene.client()
    gate = Gate()
    asked = conversation(one.client)
    scene.provider.reply(text("Hello").after(gate))
    run = asked.start()
    assert gate.reached.wait(PATIENCE)
    with pytest.raises(openai.BadRequestError, match=f"while a run {run.id} is active"):
        same(asked, other).ask("And now?")
    gate.open()
    until(lambda: same(asked, other).retrieve(run.id).status == "completed")
    same(asked, other).ask("And now?")
    assert asked.run().status == "completed"


@pytest.mark.conforms("C-105", "C-122")
def test_cancel_stops_the_stream_of_another(scene: Scene, database: str) -> None:
    """Where the database can tell, at once; else with the next look at it."""
    one, other = scene.worker(), scene.client()
    asked = in_mid_text(one, scene.provider)
    run = newest(asked)
    asked_for = monotonic()
    assert same(asked, other).cancel(run.id).status == "cancelling"
    assert scene.provider.requests[-1].closed.wait(PATIENCE)
    seconds = monotonic() - asked_for
    assert seconds < (1.0 if database.startswith("postgresql") else 1.5), seconds
    until(lambda: same(asked, other).retrieve(run.id).status == "cancelled")
    [answer] = same(asked, other).answers()
    assert (answer.status, texts(answer)) == ("incomplete", ["Hel"])
    nothing_is_open(same(asked, other), same(asked, other).retrieve(run.id))


@pytest.mark.conforms("C-121", "C-122")
def test_deleting_the_thread_stops_the_stream_of_another(scene: Scene, database: str) -> None:
    one, other = scene.worker(), scene.client()
    asked = in_mid_text(one, scene.provider)
    assert other.beta.threads.delete(asked.thread_id).deleted
    assert scene.provider.requests[-1].closed.wait(1.0 if database.startswith("postgresql") else 1.5)
    with pytest.raises(RefusedError) as caught:
        newest(asked)
    assert caught.value.status == 404


@pytest.mark.conforms("C-106", "C-118")
def test_cancel_what_waits_for_the_tools_of_another(scene: Scene) -> None:
    """Nobody works on it: it is over at once, for everyone."""
    one, other = scene.worker(), scene.client()
    asked = conversation(one.client, tools=[WEATHER])
    scene.provider.reply(ASKS_FOR_WEATHER)
    run = asked.run()
    left = same(asked, other)
    assert left.cancel(run.id).status == "cancelled"
    assert asked.retrieve(run.id).status == "cancelled"
    with pytest.raises(RefusedError) as caught:
        asked.submit(run.id, ANSWERS)
    assert caught.value.status == 400
    nothing_is_open(left, left.retrieve(run.id))


@pytest.mark.conforms("C-108", "C-109", "C-122")
def test_cancel_races_with_the_end_in_another(scene: Scene) -> None:
    """There is one end, and everyone sees it."""
    one, other = scene.worker(), scene.client()
    for _ in range(5):
        asked, gate = conversation(one.client), Gate()
        scene.provider.reply(text("Hel", gate, "lo"))
        run = asked.start()
        assert gate.reached.wait(PATIENCE)
        left = same(asked, other)
        gate.open()
        refused = False
        try:
            assert left.cancel(run.id).status == "cancelling"
        except openai.BadRequestError as error:
            refused = "completed" in str(error)
        status = left.poll(run.id).status
        assert status == asked.poll(run.id).status == ("completed" if refused else "cancelled")
        [step] = left.steps(run.id)
        assert step.status == status
        nothing_is_open(left, left.retrieve(run.id))


@pytest.mark.conforms("C-120", "C-122")
def test_edits_by_another_are_kept(scene: Scene) -> None:
    """Metadata of the message that is being written, and of its thread."""
    one, other, gate = scene.worker(), scene.client(), Gate()
    asked = conversation(one.client)
    scene.provider.reply(text("Hel", gate, "lo"))
    run = asked.start()
    until(asked.answers)
    left = same(asked, other)
    [answer] = left.answers()
    other.beta.threads.messages.update(answer.id, thread_id=asked.thread_id, metadata={"kept": "yes"})
    other.beta.threads.update(asked.thread_id, metadata={"kept": "too"})
    gate.open()
    assert left.poll(run.id).status == "completed"
    [answer] = asked.answers()
    assert (texts(answer), answer.metadata) == (["Hello"], {"kept": "yes"})
    assert one.client.beta.threads.retrieve(asked.thread_id).metadata == {"kept": "too"}


@pytest.mark.conforms("C-122")
def test_every_process_sees_the_same(scene: Scene) -> None:
    """Runs, steps, messages, while it goes on and afterwards."""
    one, two, other = scene.worker(), scene.worker(), scene.client()
    gate = Gate()
    asked = conversation(one.client, tools=[WEATHER])
    scene.provider.reply(ASKS_FOR_WEATHER, text("18", gate, " °C"))
    run = asked.start()
    polled = same(asked, two.client).poll(run.id)
    assert polled.status == "requires_action"
    assert polled == same(asked, other).retrieve(run.id) == asked.retrieve(run.id)
    # The outputs go to another process, which carries the run on.
    two.client.beta.threads.runs.submit_tool_outputs(
        run.id, thread_id=asked.thread_id, tool_outputs=outputs(ANSWERS)
    )
    assert gate.reached.wait(PATIENCE)
    assert asked.retrieve(run.id).status == same(asked, other).retrieve(run.id).status == "in_progress"
    gate.open()
    assert asked.poll(run.id).status == same(asked, other).poll(run.id).status == "completed"
    views = [same(asked, client) for client in (one.client, two.client, other)]
    assert [view.messages() for view in views] == [views[0].messages()] * 3
    assert [view.steps(run.id) for view in views] == [views[0].steps(run.id)] * 3
    assert [view.retrieve(run.id) for view in views] == [views[0].retrieve(run.id)] * 3
    assert texts(views[2].answers()[-1]) == ["18 °C"]


@pytest.mark.conforms("C-122")
def test_lists_hold_what_all_have_made(scene: Scene) -> None:
    """Nothing is lost, nothing comes twice, and everyone sees one order."""
    workers = [scene.worker() for _ in range(3)]
    client = scene.client()
    thread = client.beta.threads.create()
    made = [
        worker.begin.beta.threads.messages.create(thread.id, role="user", content=f"{name} {number}")
        for number in range(10)
        for name, worker in enumerate(workers)
    ]
    wait(made, PATIENCE)
    ids = {each.result().id for each in made}
    seen = [message.id for message in client.beta.threads.messages.list(thread.id, limit=7, order="asc")]
    assert len(seen) == len(ids) == 30
    assert set(seen) == ids
    for worker in workers:
        listed = worker.client.beta.threads.messages.list(thread.id, limit=100, order="asc")
        assert [message.id for message in listed] == seen


@pytest.mark.conforms("C-115", "C-118")
@pytest.mark.parametrize("has_said", [True, False])
def test_a_process_that_slept_can_not_write(scene: Scene, has_said: bool) -> None:
    """It finds its run taken over, and leaves it alone."""
    scene.options["lease"] = 1.5
    sleeper, other, gate = scene.worker(), scene.client(), Gate()
    asked = conversation(sleeper.client)
    scene.provider.reply(text("Hel", gate, "lo") if has_said else text("Never").after(gate))
    streamed = sleeper.begin.beta.threads.runs.create(
        asked.thread_id, assistant_id=asked.assistant_id, stream=True
    )
    assert gate.reached.wait(PATIENCE)
    if has_said:
        until(lambda: [texts(message) for message in asked.answers()] == [["Hel"]])
    left = same(asked, other)
    sleeper.pause()
    run = left.poll(newest(left).id)
    assert run.status == ("failed" if has_said else "completed")
    stored = (run, left.messages(), left.steps(run.id))
    assert left.run().status == "completed"
    gate.open()
    sleeper.resume()
    events = streamed.result(PATIENCE)
    assert events[-1].event in {"error", f"thread.run.{run.status}"}
    assert (left.retrieve(run.id), left.messages()[: len(stored[1])], left.steps(run.id)) == stored
    nothing_is_open(left, run)


@pytest.mark.conforms("C-115", "C-118")
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_process_that_sleeps_in_a_transaction_is_in_nobodys_way(scene: Scene) -> None:
    """The database ends what it has begun. In SQLite all others wait until it wakes up."""
    scene.options["lease"] = 1.5
    sleeper, other = scene.worker(hold_at="cancelling", in_transaction=True), scene.client()
    asked = in_mid_text(sleeper, scene.provider)
    run = newest(asked)
    began = monotonic()
    sleeper.begin.beta.threads.runs.cancel(run.id, thread_id=asked.thread_id)
    assert sleeper.held.wait(PATIENCE)
    left = same(asked, other)
    assert left.poll(run.id).status == "failed"
    assert monotonic() - began < 15
    nothing_is_open(left, left.retrieve(run.id))


@pytest.mark.conforms("C-102", "C-104")
def test_expiry_is_enforced_by_whoever_is_alive(scene: Scene) -> None:
    """While a run waits for tool outputs, nobody has it."""
    one, other = scene.worker(run_expires_after=3), scene.client()
    asked = conversation(one.client, tools=[WEATHER])
    scene.provider.reply(ASKS_FOR_WEATHER)
    assert asked.run().status == "requires_action"
    one.kill()
    left = same(asked, other)
    until(lambda: newest(left).status == "expired")
    run = newest(left)
    with pytest.raises(openai.BadRequestError, match="expired"):
        left.submit(run.id, ANSWERS)
    nothing_is_open(left, run)


@pytest.mark.conforms("C-115")
def test_a_graceful_stop_hands_over(scene: Scene) -> None:
    """Nobody waits for a lease to end."""
    one, other, gate = scene.worker(), scene.client(), Gate()
    asked = conversation(one.client)
    scene.provider.reply(text("Never").after(gate), text("Hello"))
    run = asked.start()
    assert gate.reached.wait(PATIENCE)
    began = monotonic()
    one.stop()
    assert one.ended()
    left = same(asked, other)
    until(lambda: left.retrieve(run.id).status == "completed")
    assert monotonic() - began < LONG / 2
    assert [texts(message) for message in left.answers()] == [["Hello"]]
    nothing_is_open(left, run=left.retrieve(run.id))


@pytest.mark.conforms("C-115")
def test_a_graceful_stop_drains_first(scene: Scene) -> None:
    one, other, gate = scene.worker(drain=LONG), scene.client(), Gate()
    asked = conversation(one.client)
    scene.provider.reply(text("Hel", gate, "lo"))
    run = asked.start()
    assert gate.reached.wait(PATIENCE)
    one.stop()
    assert one.closing.wait(PATIENCE)
    gate.open()
    assert one.ended()
    left = same(asked, other)
    assert left.retrieve(run.id).status == "completed"
    assert [texts(message) for message in left.answers()] == [["Hello"]]
    assert len(scene.provider.requests) == 1
