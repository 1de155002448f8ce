"""What the script says on the Responses wire, streamed and in one body, to the real SDK."""

from typing import Any

import openai
import pytest

from supercompat.testing import Reply, ScriptedServer, call, refusal, text, tool_calls

SCRIPTS = {
    "text": text("Hel", "lo"),
    "nothing": text(),
    "calls": text("Let me look.") + tool_calls(call("add", '{"a":', "1}", id="call_1"), call("now", "{}")),
    "refusal": refusal("I ", "won't."),
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_a_script_says_the_same_streamed_and_in_one_body(
    server: ScriptedServer, client: openai.OpenAI, script: Reply
) -> None:
    server.reply(script, script)

    *_, last = client.responses.create(model="gpt-4o", input="Hi", stream=True)
    whole = client.responses.create(model="gpt-4o", input="Hi")

    assert last.type == "response.completed"
    assert [_without_ids(item) for item in last.response.output] == [_without_ids(i) for i in whole.output]
    assert whole.status == "completed"


def _without_ids(item: Any) -> dict[str, Any]:
    return {key: value for key, value in item.to_dict().items() if key not in ("id", "call_id")}


def test_the_order_of_events(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(SCRIPTS["calls"])

    events = list(client.responses.create(model="gpt-4o", input="Hi", stream=True))

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]


def test_a_response_goes_on_from_another(server: ScriptedServer, client: openai.OpenAI) -> None:
    first = client.responses.create(model="gpt-4o", input="Hi")
    second = client.responses.create(model="gpt-4o", input="And?", previous_response_id=first.id)

    assert (first.output_text, second.output_text) == ("Hi", "And?")
    assert second.previous_response_id == first.id
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="gpt-4o", input="And?", previous_response_id="resp_1")
    assert caught.value.code == "previous_response_not_found"
