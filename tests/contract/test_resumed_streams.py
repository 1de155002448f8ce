"""A run's stream goes on where it was cut, wherever its reader comes back."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI

from supercompat import Options, SQLAlchemyStorageAdapter, supercompat
from supercompat.testing import Gate, ScriptedModel, ScriptedServer, call, refusal, text, tool_calls
from tests.contract.conftest import MakeClient
from tests.contract.conversations import (
    CLOCK,
    Conversation,
    conversation,
    heard,
    outputs,
)
from tests.contract.resuming import (
    DONE,
    IDS,
    Frame,
    accounted,
    all_of,
    begun,
    check_kept,
    frames_of,
    resumed,
    seen_by,
    submitted,
    until,
)
from tests.contract.test_streams_readers import ENDINGS, heard_to_its_end
from tests.contract.wire import refused

DELTA = "thread.message.delta"


def names(frames: list[Frame]) -> list[str]:
    return [frame.name for frame in frames]


@pytest.mark.core
def test_the_sdk_does_not_mind_ids(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(*(tool_calls(call("get_time", '{"a":', "1}", id="call_1")) for _ in range(2)))
    asked, other = conversation(client, tools=[CLOCK]), conversation(client, tools=[CLOCK])
    plain, with_ids = heard(asked.stream()), heard(other.stream(extra_headers=IDS))
    assert [event.name for event in plain] == [event.name for event in with_ids]
    assert [event.data.keys() for event in plain] == [event.data.keys() for event in with_ids]


@pytest.mark.core
@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_stream_is_cut_in_mid_answer(make_client: MakeClient, provider: ScriptedServer, where: str) -> None:
    """In the process that carries the run out, and in another one, which sees the text as it is stored."""
    first, second = Gate(), Gate()
    provider.reply(text("Once", " upon", first, " a", second, " time."))
    client = make_client()
    asked = conversation(client)
    with begun(asked) as frames:
        read = [*until(frames, DELTA), *until(frames, DELTA)]
    run_id = read[0].event.data["id"]
    back = seen_by(client if where == "here" else make_client(), asked)
    with resumed(back, run_id, read[-1].id) as frames:
        first.open()
        rest = until(frames, DELTA)
        assert names(rest) == [DELTA]
        assert rest[0].event.data["delta"]["content"] == [
            {"index": 0, "type": "text", "text": {"value": " a"}}
        ]
        second.open()
        rest += frames
    assert rest[-1].raw == DONE
    check_kept(back, run_id, [*read, *rest])
    assert all_of(back, run_id, rest[-2].id)[0].raw == DONE


def test_a_reader_who_comes_late_is_told_all(make_client: MakeClient, provider: ScriptedServer) -> None:
    """While the run goes on, and when it has ended."""
    gate = Gate()
    provider.reply(text("Once", gate, " upon"))
    client = make_client()
    asked = conversation(client)
    with begun(asked) as frames:
        run_id = until(frames, DELTA)[0].event.data["id"]
    with resumed(asked, run_id) as frames:
        early = until(frames, DELTA)
        gate.open()
        early += frames
    check_kept(asked, run_id, early)
    late = all_of(seen_by(make_client(), asked), run_id)
    assert early[0].name == "thread.run.created"
    assert names(late) == list(dict.fromkeys(names(early)))
    check_kept(asked, run_id, late)


@pytest.mark.parametrize("how", ENDINGS)
def test_however_it_ends(make_client: MakeClient, provider: ScriptedServer, how: str) -> None:
    provider.reply(ENDINGS[how]())
    client = make_client(options=Options(drain=0, run_expires_after=2 if how == "expired" else 600))
    asked = conversation(client)
    events = heard_to_its_end(asked, cancel=how == "cancelled")
    run_id = events[0].data["id"]
    whole = all_of(asked, run_id)
    check_kept(asked, run_id, whole)
    told = [event.name for event in events if event.name != DELTA]
    assert [name for name in names(whole) if name not in (DELTA, "done")] == told
    for place, frame in enumerate(whole[:-1]):
        assert [each.raw for each in all_of(asked, run_id, frame.id)] == [
            each.raw for each in whole[place + 1 :]
        ]


# Several passes


def test_outputs_came_while_the_reader_was_away(make_client: MakeClient, provider: ScriptedServer) -> None:
    """Who knows that they were waited for hears that they came. Who does not is not asked for them again."""
    provider.reply(
        text("Let me look.") + tool_calls(call("get_time", '{"a": 1}', id="call_1")), text("Noon.")
    )
    asked = conversation(make_client(), tools=[CLOCK])
    with begun(asked) as frames:
        first = list(frames)
    run_id = first[0].event.data["id"]
    assert names(first)[-2:] == ["thread.run.requires_action", "done"]
    knows, knows_not = first[:-1], first[:-2]
    assert [frame.raw for frame in all_of(asked, run_id, knows[-1].id)] == [DONE]
    with submitted(asked, run_id, outputs({"call_1": "12:00"})) as frames:
        second = list(frames)
    rest = all_of(asked, run_id, knows[-1].id)
    assert names(rest) == names(second)
    check_kept(asked, run_id, [*knows, *rest])
    for had in (knows_not, []):
        rest = all_of(asked, run_id, had[-1].id if had else None)
        assert not {"thread.run.requires_action", "thread.run.queued"} & set(names(rest)[2:])
        check_kept(asked, run_id, [*had, *rest])
    for place, frame in enumerate(second[:-1]):
        assert names(all_of(asked, run_id, frame.id)) == names(second)[place + 1 :]


def test_the_same_run_waits_twice(make_client: MakeClient, provider: ScriptedServer) -> None:
    """A reader of the first wait comes back in the second."""
    provider.reply(*(tool_calls(call("get_time", id=f"call_{number}")) for number in (1, 2)), text("Noon."))
    asked = conversation(make_client(), tools=[CLOCK])
    with begun(asked) as frames:
        read = [frame for frame in frames if frame.id]
    run_id = read[0].event.data["id"]
    asked.submit_and_poll(run_id, {"call_1": "12:00"})
    read += [frame for frame in all_of(asked, run_id, read[-1].id) if frame.id]
    assert names(read)[-1] == "thread.run.requires_action"
    asked.submit_and_poll(run_id, {"call_2": "12:01"})
    read += [frame for frame in all_of(asked, run_id, read[-1].id) if frame.id]
    assert names(read).count("thread.run.requires_action") == 2
    check_kept(asked, run_id, read)


def test_a_thread_that_came_with_its_run(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Hello"))
    assistant = client.beta.assistants.create(model="m", instructions="Be kind.")
    threads: Any = client.beta.threads.with_streaming_response
    with threads.create_and_run(assistant_id=assistant.id, stream=True, extra_headers=IDS) as response:
        frames = frames_of(response.iter_bytes())
        thread, run = next(frames), next(frames)
    assert (thread.name, run.name) == ("thread.created", "thread.run.created")
    asked = Conversation(client, assistant.id, thread.event.data["id"])
    run_id = run.event.data["id"]
    assert all_of(asked, run_id, thread.id)[0] == run
    check_kept(asked, run_id, all_of(asked, run_id, thread.id))


def test_a_run_that_stands_in_line(make_client: MakeClient, provider: ScriptedServer) -> None:
    """Its reader waits with it, also in another process; one that is cancelled there is told so."""
    gate = Gate()
    provider.reply(text("First.").after(gate), text("Second."))
    client, other = make_client(), make_client()
    asked = conversation(client)
    asked.start()
    wish = {"supercompat-active-run": "enqueue"}
    second, third = asked.start(extra_headers=wish), asked.start(extra_headers=wish)
    back = seen_by(other, asked)
    with resumed(back, second.id) as frames, resumed(back, third.id) as others:
        told, gone = until(frames, "thread.run.queued"), until(others, "thread.run.queued")
        asked.cancel(third.id)
        gone += others
        gate.open()
        told += frames
    assert names(gone)[2:] == ["thread.run.cancelling", "thread.run.cancelled", "done"]
    assert [asked.poll(second.id).status, told[-1].raw] == ["completed", DONE]
    account = accounted(told)
    assert list(account.parts.values()) == ["Second."]
    assert account.last[second.id] == asked.retrieve(second.id).to_dict()


def test_a_message_that_was_deleted_is_not_told(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("Oh.") + tool_calls(call("get_time", id="call_1")), text("Noon."))
    asked = conversation(client, tools=[CLOCK])
    run_id = asked.run().id
    asked.submit_and_poll(run_id, {"call_1": "12:00"})
    said, _ = asked.answers()
    client.beta.threads.messages.delete(said.id, thread_id=asked.thread_id)
    whole = all_of(asked, run_id)
    check_kept(asked, run_id, whole)
    for place, frame in enumerate(whole[:-1]):
        assert names(all_of(asked, run_id, frame.id)) == names(whole)[place + 1 :]


def test_a_thread_that_is_deleted_ends_the_stream(make_client: MakeClient, provider: ScriptedServer) -> None:
    gate = Gate()
    provider.reply(text("Once", gate))
    client = make_client()
    asked = conversation(client)
    with begun(asked) as frames:
        run_id = until(frames, DELTA)[0].event.data["id"]
        with resumed(seen_by(make_client(), asked), run_id) as others:
            assert next(others).name == "thread.run.created"
            client.beta.threads.delete(asked.thread_id)
            assert [*frames][-1].raw == [*others][-1].raw == DONE


def test_a_client_that_closes_cuts_the_stream(make_client: MakeClient, provider: ScriptedServer) -> None:
    """Nothing says that the run is over. Another client carries it out anew, and tells that."""
    provider.reply(text("Once", Gate()), text("Once upon", " a time."))
    client, other = make_client(), make_client(options=Options(drain=0, on_crash="restart", lease=1))
    asked = conversation(other)
    with begun(seen_by(client, asked)) as frames:
        read = until(frames, DELTA)
        run_id = read[0].event.data["id"]
        client.close()
        assert not {"done", "thread.run.failed"} & set(names(list(frames)))
    rest = all_of(asked, run_id, read[-1].id)
    assert rest[-1].raw == DONE
    account = accounted([*read, *rest])
    assert list(account.parts.values()) == ["Once", "Once upon a time."]
    [answer] = asked.answers()
    assert account.last[answer.id] == answer.to_dict()
    assert account.last[run_id] == asked.retrieve(run_id).to_dict()


# What is refused


def test_an_id_that_is_none_of_the_run(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(text("One"), text("Two"))
    asked, other = conversation(client), conversation(client)
    with begun(asked) as frames:
        ids = [frame.id for frame in frames if frame.id]
    run_id, foreign = asked.client.beta.threads.runs.list(asked.thread_id).data[0].id, other.run().id
    bad = ["0", "x" * 100, "0" * 20_000, f"{ids[-1]}.", str(ids[-1]).replace(".0.", ".12345678.", 1)]
    for thread, run, last_id in [*((asked, run_id, each) for each in bad), (other, foreign, str(ids[3]))]:
        answer = refused(lambda thread=thread, run=run, last_id=last_id: all_of(thread, run, last_id))
        assert (answer.status, answer.param, answer.code) == (400, "Last-Event-ID", "invalid_value")
        assert last_id in answer.message
    assert refused(lambda: all_of(asked, "run_none")).status == 404
    assert refused(lambda: all_of(other, run_id)).status == 404


def test_where_the_id_stands(client: OpenAI, provider: ScriptedServer) -> None:
    """A browser that comes back sends the newer one as a header."""
    provider.reply(text("One"))
    asked = conversation(client)
    with begun(asked) as frames:
        ids = [frame.id for frame in frames if frame.id]
    run_id = asked.client.beta.threads.runs.list(asked.thread_id).data[0].id
    old = f"?last_event_id={ids[2]}"
    assert len(all_of(asked, run_id, query=old)) == len(ids) - 2
    assert [frame.raw for frame in all_of(asked, run_id, ids[-1], query=old)] == [DONE]


def test_a_wish_for_ids_that_is_none(client: OpenAI) -> None:
    asked = conversation(client)
    answer = refused(lambda: asked.stream(extra_headers={"supercompat-event-ids": "perhaps"}))
    assert (answer.status, answer.param) == (400, "supercompat-event-ids")
    assert "'true' and 'false'" in answer.message


# Wherever it is cut


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Conversation], str]]:
    """A run of two passes that has ended, as two clients see it."""
    url = f"sqlite:///{tmp_path_factory.mktemp('resumed') / 'assistants.db'}"
    calls = [call("get_time", '{"zone": "Zürich 🎉"}', id=f"call_{number}") for number in (1, 2)]
    model = ScriptedModel(
        text("Grüße! ", "🎉\n\n: no") + tool_calls(*calls), text("Noon. ", "\r\n") + refusal("No.")
    )
    with (
        supercompat(client=model, storage=SQLAlchemyStorageAdapter(url), options=Options(drain=0)) as one,
        supercompat(client=model, storage=SQLAlchemyStorageAdapter(url), options=Options(drain=0)) as two,
    ):
        asked = conversation(one, tools=[CLOCK])
        run_id = asked.run().id
        asked.submit_and_poll(run_id, {"call_1": "12:00", "call_2": "12:01"})
        yield [asked, seen_by(two, asked)], run_id


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 6000), max_size=6), where=st.lists(st.integers(0, 1), min_size=7))
def test_cut_at_any_byte(lived: tuple[list[Conversation], str], cuts: list[int], where: list[int]) -> None:
    asked, run_id = lived
    read: list[Frame] = []
    for cut, client in zip([*cuts, 1_000_000], where, strict=False):
        last_id = read[-1].id if read else None
        raw = b"".join(frame.raw for frame in all_of(asked[client], run_id, last_id))
        read += [frame for frame in frames_of([raw[:cut]]) if frame.id]
    check_kept(asked[0], run_id, read)
