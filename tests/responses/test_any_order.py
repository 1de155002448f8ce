"""Items of all kinds, in any order: what the SDK puts together of a stream is what is stored, and every step ends."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.responses.conftest import MakeTalk, Talk
from tests.responses.raw_events import Event, EventServer, answered, begun, delta, done, message

ADD: Event = {"type": "function", "function": {"name": "add"}}
FOUND: Event = {"file_id": "file-1", "filename": "a.txt", "score": 0.5, "text": "5"}
OUTPUTS: list[Event] = [{"type": "logs", "logs": "1"}, {"type": "image", "url": "data:image/png;base64,AAAA"}]
ITEMS: list[Event] = [
    {"type": "web_search_call", "action": {"type": "search", "query": "x"}},
    {"type": "file_search_call", "queries": ["x"], "results": [FOUND]},
    {"type": "code_interpreter_call", "code": "print", "outputs": OUTPUTS},
    {"type": "image_generation_call", "result": "AAAA"},
    {"type": "mcp_call", "server_label": "w", "name": "look", "arguments": "{}", "output": "A"},
    {"type": "function_call", "call_id": "call_", "name": "add", "arguments": "{}"},
]
CITED = message("Hé😀llo", {"type": "file_citation", "index": 6, "file_id": "file-1", "filename": "a.txt"})


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """The events of an answer. Calls may be under way at once; messages come one by one."""
    events: list[Event] = []
    under_way: list[Event] = []
    for index, kind in enumerate(draw(st.lists(st.sampled_from([*ITEMS, CITED]), max_size=6))):
        item = {**kind, "id": f"item_{index}"}
        if "call_id" in item:
            item["call_id"] += str(index)
        if item["type"] == "message":
            events += [*under_way, begun(index, message("")), delta(index, "Hé😀"), delta(index, "llo")]
            under_way = [done(index, item)]
        else:
            events.append(begun(index, {**item, "status": "in_progress"}))
            under_way.append(done(index, item))
        if item["type"] == "message" or draw(st.booleans()):
            events += draw(st.permutations(under_way))
            under_way = []
    status = draw(st.sampled_from(["completed", "incomplete", "failed"]))
    return answered(*events, *under_way, status=status, error={"code": "server_error", "message": "Down."})


def listened(asked: Talk) -> tuple[Any, dict[str, Any]]:
    """The run, and the messages as a handler of the SDK has put them together."""
    stream = asked.client.beta.threads.runs.stream(thread_id=asked.thread_id, assistant_id=asked.assistant_id)
    whole: dict[str, Any] = {}
    with stream as events:
        for event in events:
            if event.event.startswith("thread.message.") and events.current_message_snapshot:
                whole[events.current_message_snapshot.id] = events.current_message_snapshot
        assert events.current_run
        return events.current_run, whole


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(answer=answers())
def test_items_in_any_order(talk: MakeTalk, answer: list[Event]) -> None:
    with EventServer(answer, answered(delta(0, "Done."))) as server:
        asked = talk(server=server, tools=[ADD])
        run, whole = listened(asked)
        if run.status == "requires_action":
            run = asked.submit(run, add="1")
            assert run.status == "completed"
        steps = asked.steps(run)
        stored: list[Any] = list(asked.client.beta.threads.messages.list(asked.thread_id, run_id=run.id))
        asked.client.close()
    assert not {"in_progress"} & {each.status for each in [*steps, *stored]}
    assert run.usage.total_tokens == sum(step.usage.total_tokens for step in steps) or not steps
    for each in stored:
        if each.id in whole:
            assert whole[each.id].content == each.content
        for part in each.content:
            for found in part.text.annotations if part.type == "text" else ():
                assert found.type == "file_citation"
                assert part.text.value[found.start_index : found.end_index] == found.text == "【4:0†a.txt】"
