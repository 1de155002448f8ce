"""Lists: their order, their pages, their cursors."""

from collections.abc import Iterator
from functools import partial
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI

from supercompat import MemoryStorageAdapter, supercompat
from supercompat.testing import ScriptedModel, ScriptedServer, call, text, tool_calls
from tests.contract.conversations import call_ids, conversation
from tests.contract.wire import Refusal, error_of, get, refused, send

Ids: TypeAlias = list[str]


def ids(page: Any) -> Ids:
    """What one page holds."""
    return [each.id for each in page.data]


@pytest.fixture
def thread_of_five(client: OpenAI) -> tuple[str, Ids]:
    """A thread and its messages, oldest first."""
    thread = client.beta.threads.create()
    messages = client.beta.threads.messages
    return thread.id, [messages.create(thread.id, role="user", content=f"{n}").id for n in range(5)]


@pytest.mark.conforms("C-037")
def test_defaults_and_limits(client: OpenAI) -> None:
    made = [client.beta.assistants.create(model="gpt-4o-mini", name=f"{n}").id for n in range(101)]
    newest = made[::-1]
    page = client.beta.assistants.list()
    assert (ids(page), page.has_more) == (newest[:20], True)
    for limit in (1, 2, 100):
        page: Any = client.beta.assistants.list(limit=limit)
        assert (ids(page), page.has_more) == (newest[:limit], True)
        assert (page.first_id, page.last_id) == (newest[0], newest[limit - 1])
    assert ids(client.beta.assistants.list(order="desc")) == newest[:20]
    assert ids(client.beta.assistants.list(order="asc")) == made[:20]
    assert [each.id for each in client.beta.assistants.list(limit=100)] == newest
    assert [each.id for each in client.beta.assistants.list(limit=100, order="asc")] == made


@pytest.mark.conforms("C-037", "C-014")
def test_limits_and_orders_that_are_refused(client: OpenAI) -> None:
    talk = conversation(client)
    run = talk.run()
    lists = [
        "/assistants",
        f"/threads/{talk.thread_id}/messages",
        f"/threads/{talk.thread_id}/runs",
        f"/threads/{talk.thread_id}/runs/{run.id}/steps",
    ]
    above = "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got {} instead."
    below = "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got {} instead."
    for path in lists:
        for limit, message, code in (
            ("101", above, "integer_above_max_value"),
            ("9" * 30, above, "integer_above_max_value"),
            ("0", below, "integer_below_min_value"),
            ("-1", below, "integer_below_min_value"),
        ):
            refusal = refused(partial(get, client, f"{path}?limit={limit}"))
            assert refusal == Refusal(400, message.format(limit), "limit", code)
        for limit in ("ten", "", "1.0", "1e1"):
            assert refused(partial(get, client, f"{path}?limit={limit}")) == Refusal(
                400,
                "Invalid type for 'limit': expected an integer, but got a string instead.",
                "limit",
                "invalid_type",
            )
        assert refused(partial(get, client, f"{path}?order=up")) == Refusal(
            400, "Invalid value: 'up'. Supported values are: 'asc' and 'desc'.", "order", "invalid_value"
        )
        for name in ("limit", "order", "after"):
            response = send(client, "GET", f"{path}?{name}=1&{name}=1")
            assert response.status_code == 400
            assert error_of(response) == {
                "message": f"Duplicate parameter: '{name}'. You provided multiple values for this parameter, "
                "whereas only one is allowed. If you are trying to provide a list of values, use the array "
                f"syntax instead e.g. '{name}[]=<value>'.",
                "type": "invalid_request_error",
                "param": name,
                "code": "duplicate_parameter",
            }


@pytest.mark.core
@pytest.mark.conforms("C-038")
def test_paging_walks_all_items_once(client: OpenAI, thread_of_five: tuple[str, Ids]) -> None:
    thread_id, made = thread_of_five
    messages: Any = client.beta.threads.messages
    for order, wanted in (("asc", made), ("desc", made[::-1])):
        for limit in (1, 2, 5, 100):
            walk = partial(messages.list, thread_id, order=order, limit=limit)
            found, page = [*ids(walk())], walk()
            while page.has_more:
                assert len(page.data) == limit
                page = walk(after=found[-1])
                found += ids(page)
            assert found == wanted
            # The SDK's own paging ends, too.
            assert [message.id for message in walk()] == wanted
    page = messages.list(thread_id, order="asc", after=made[-1])
    assert (page.data, page.first_id, page.last_id, page.has_more) == ([], None, None, False)


@pytest.mark.conforms("C-039")
def test_before(client: OpenAI, thread_of_five: tuple[str, Ids]) -> None:
    thread_id, made = thread_of_five
    listed: Any = partial(client.beta.threads.messages.list, thread_id)
    assert ids(listed(order="asc", before=made[2])) == made[:2]
    assert ids(listed(order="desc", before=made[2])) == [made[4], made[3]]
    assert ids(listed(order="asc", before=made[0])) == []
    # The nearest to the cursor, in the order of the list.
    page = listed(order="asc", before=made[4], limit=2)
    assert (ids(page), page.has_more) == (made[2:4], True)
    assert (page.first_id, page.last_id) == (made[2], made[3])
    page = listed(order="asc", before=made[2], limit=2)
    assert (ids(page), page.has_more) == (made[:2], False)
    page = listed(order="desc", before=made[0], limit=2)
    assert (ids(page), page.has_more) == ([made[2], made[1]], True)


@pytest.mark.conforms("C-038", "C-039")
def test_after_and_before_together(client: OpenAI, thread_of_five: tuple[str, Ids]) -> None:
    thread_id, made = thread_of_five
    listed = partial(client.beta.threads.messages.list, thread_id, order="asc")
    assert ids(listed(after=made[0], before=made[4])) == made[1:4]
    page = listed(after=made[0], before=made[4], limit=2)
    assert (ids(page), page.has_more) == (made[1:3], True)
    assert ids(listed(after=made[3], before=made[1])) == []
    assert ids(listed(after=made[2], before=made[2])) == []


@pytest.mark.conforms("C-040")
def test_empty_lists(client: OpenAI) -> None:
    thread = client.beta.threads.create()
    for path in ("/assistants", f"/threads/{thread.id}/messages", f"/threads/{thread.id}/runs"):
        for query in ("", "?limit=1", "?order=asc"):
            assert list(get(client, path + query).items()) == [
                ("object", "list"),
                ("data", []),
                ("first_id", None),
                ("last_id", None),
                ("has_more", False),
            ]


@pytest.mark.conforms("C-041")
def test_items_of_one_second_keep_their_order(client: OpenAI) -> None:
    said = [{"role": "user", "content": f"{n}"} for n in range(50)]
    thread = client.beta.threads.create(messages=said)  # type: ignore[arg-type]
    listed = client.beta.threads.messages.list(thread.id, order="asc", limit=7)
    messages = list(listed)
    assert len({message.created_at for message in messages}) == 1
    assert [message.content[0].text.value for message in messages] == [  # type: ignore[union-attr]
        f"{n}" for n in range(50)
    ]
    made = [client.beta.assistants.create(model="gpt-4o-mini").id for _ in range(30)]
    assert [each.id for each in client.beta.assistants.list(order="asc", limit=4)] == made


@pytest.mark.conforms("C-016")
def test_cursors_that_are_refused(client: OpenAI) -> None:
    talk = conversation(client)
    run = talk.run()
    thread = f"/threads/{talk.thread_id}"
    lists = [
        ("/assistants", "assistant", "asst", talk.thread_id),
        (f"{thread}/messages", "message", "msg", run.id),
        (f"{thread}/runs", "run", "run", talk.messages()[0].id),
        (f"{thread}/runs/{run.id}/steps", "run step", "step", run.id),
    ]
    for path, kind, prefix, foreign in lists:
        for cursor in ("after", "before"):
            refusal = refused(partial(get, client, f"{path}?{cursor}={prefix}_0"))
            assert refusal == Refusal(404, f"No {kind} found with id '{prefix}_0'.", None, None)
            for id in (foreign, "", "x"):
                refusal = refused(partial(get, client, f"{path}?{cursor}={id}"))
                assert refusal == Refusal(
                    400,
                    f"Invalid '{cursor}': '{id}'. Expected an ID that begins with '{prefix}'.",
                    cursor,
                    "invalid_value",
                )


@pytest.mark.conforms("C-084")
def test_runs(client: OpenAI) -> None:
    talk, other = conversation(client), conversation(client)
    other.run()
    made = [talk.run().id for _ in range(4)]
    runs = client.beta.threads.runs
    assert ids(runs.list(talk.thread_id)) == made[::-1]
    assert ids(runs.list(talk.thread_id, order="asc", limit=2)) == made[:2]
    assert ids(runs.list(talk.thread_id, order="asc", after=made[1])) == made[2:]
    assert ids(runs.list(talk.thread_id, order="asc", before=made[3], limit=2)) == made[1:3]
    assert [run.id for run in runs.list(talk.thread_id, limit=1)] == made[::-1]
    for run in runs.list(talk.thread_id):
        assert talk.retrieve(run.id) == run


@pytest.mark.conforms("C-131")
def test_steps(client: OpenAI, provider: ScriptedServer) -> None:
    provider.reply(tool_calls(call("f")), text("And") + tool_calls(call("f")), text("Done"))
    talk = conversation(client, tools=[{"type": "function", "function": {"name": "f"}}])
    run = talk.run()
    while run.status == "requires_action":
        run = talk.submit_and_poll(run.id, dict.fromkeys(call_ids(run), "1"))
    made = [step.id for step in talk.steps(run.id)]
    assert len(made) == 4
    listed = partial(client.beta.threads.runs.steps.list, run.id, thread_id=talk.thread_id)
    assert ids(listed()) == made[::-1]
    page = listed(limit=3)
    assert (ids(page), page.has_more) == (made[:0:-1], True)
    assert ids(listed(after=made[1])) == [made[0]]
    assert ids(listed(order="asc", before=made[3], limit=2)) == made[1:3]
    assert ids(listed(order="asc", after=made[0], before=made[3])) == made[1:3]
    assert [step.id for step in listed(order="asc", limit=1)] == made


def test_include_in_its_spellings(client: OpenAI) -> None:
    wanted = "step_details.tool_calls[*].file_search.results[*].content"
    talk = conversation(client)
    run = talk.run()
    steps = f"/threads/{talk.thread_id}/runs/{run.id}/steps"
    [step] = talk.steps(run.id)
    for name in ("include[]", "include", "include[0]"):
        assert get(client, f"{steps}?{name}={wanted}&limit=1")["data"] == [step.to_dict()]
        assert get(client, f"{steps}/{step.id}?{name}={wanted}")["id"] == step.id
        for path in (steps, f"{steps}/{step.id}"):
            refusal = refused(partial(get, client, f"{path}?{name}=everything"))
            assert (refusal.status, refusal.param, refusal.code) == (400, "include[0]", "invalid_value")
    [listed] = client.beta.threads.runs.steps.list(
        run.id,
        thread_id=talk.thread_id,
        include=["step_details.tool_calls[*].file_search.results[*].content"],
    )
    assert listed == step


COUNT = 13


@pytest.fixture(scope="module")
def long_thread() -> Iterator[tuple[OpenAI, str, Ids]]:
    """A client, a thread, and its messages, oldest first."""
    with supercompat(client=ScriptedModel(), storage=MemoryStorageAdapter()) as client:
        said: Any = [{"role": "user", "content": f"{n}"} for n in range(COUNT)]
        thread = client.beta.threads.create(messages=said)
        yield client, thread.id, ids(client.beta.threads.messages.list(thread.id, order="asc", limit=100))


orders = st.sampled_from(["asc", "desc"])
limits = st.integers(1, COUNT + 2)
places = st.none() | st.integers(0, COUNT - 1)


@pytest.mark.conforms("C-038", "C-039")
@settings(deadline=None)
@given(order=orders, limit=limits, after=places, before=places)
def test_any_page_is_a_slice(
    long_thread: tuple[OpenAI, str, Ids], order: str, limit: int, after: int | None, before: int | None
) -> None:
    client, thread_id, made = long_thread
    whole = made if order == "asc" else made[::-1]
    query: dict[str, Any] = {"order": order, "limit": limit}
    if after is not None:
        query["after"] = whole[after]
    if before is not None:
        query["before"] = whole[before]
    page = client.beta.threads.messages.list(thread_id, **query)
    window = whole[0 if after is None else after + 1 : before]
    backwards = before is not None and after is None
    assert ids(page) == (window[-limit:] if backwards else window[:limit])
    assert page.has_more == (len(window) > limit)


@pytest.mark.conforms("C-038", "C-039")
@settings(deadline=None)
@given(order=orders, steps=st.lists(limits, min_size=COUNT, max_size=COUNT), backwards=st.booleans())
def test_any_walk_is_the_whole_list(
    long_thread: tuple[OpenAI, str, Ids], order: str, steps: list[int], backwards: bool
) -> None:
    client, thread_id, made = long_thread
    whole = made if order == "asc" else made[::-1]
    found: Ids = whole[-1:] if backwards else whole[:1]
    more = True
    for limit in steps:
        if not more:
            break
        cursor = {"before": found[0]} if backwards else {"after": found[-1]}
        query: dict[str, Any] = {"order": order, "limit": limit, **cursor}
        page = client.beta.threads.messages.list(thread_id, **query)
        found = ids(page) + found if backwards else found + ids(page)
        more = page.has_more
    assert found == whole
    assert not more
