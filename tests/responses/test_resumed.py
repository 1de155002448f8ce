"""Streams with tools of the provider's, cut behind any event and continued from what is stored."""

from typing import Any

import pytest

from supercompat.testing import code_interpreter, file_citation, file_search, image_generation, text
from tests.contract.conversations import Conversation
from tests.contract.resuming import begun, resumed
from tests.responses.conftest import MakeTalk

RESULT: dict[str, Any] = {
    "file_id": "file-1",
    "filename": "a.txt",
    "score": 0.9,
    "text": "5",
    "attributes": {},
}
INCLUDE = ["step_details.tool_calls[*].file_search.results[*].content"]
REPLIES = {
    "code": code_interpreter("pri", "nt(1)", logs="1\n", images=["data:image/png;base64,AAAA"])
    + text("Done."),
    "search": file_search("budget", results=[RESULT])
    + text("It is 5", file_citation("file-1", "a.txt"), "."),
    "drawing": image_generation("data:image/png;base64,AAAA") + text("Here."),
}


def told(frames: list[Any]) -> dict[str, Any]:
    """What a reader has put together: of each thing its last state, and what deltas brought of each part."""
    things: dict[str, Any] = {}
    for frame in frames:
        data = frame.event.data
        if not frame.name.endswith(".delta"):
            things[data["id"]] = data
            continue
        for part in [*data["delta"].get("content", ()), *_calls(data["delta"])]:
            place = things.setdefault(f"{data['id']}[{part['index']}]", {"text": "", "extras": []})
            details = part[part["type"]]
            place["text"] += details.get("value", "") + details.get("input", "") + details.get("file_id", "")
            place["extras"] += details.get("annotations", []) + details.get("outputs", [])
    return things


def _calls(delta: Any) -> list[Any]:
    return delta.get("step_details", {}).get("tool_calls", [])


@pytest.mark.parametrize("kind", REPLIES)
def test_a_stream_with_hosted_tools_goes_on(talk: MakeTalk, kind: str) -> None:
    asked = talk(
        tools=[{"type": "code_interpreter"}, {"type": "file_search"}, {"type": "image_generation"}],
        tool_resources={"file_search": {"vector_store_ids": ["vs_1"]}},
    )
    asked.provider.reply(REPLIES[kind])
    conversation = Conversation(asked.client, asked.assistant_id, asked.thread_id)
    with begun(conversation, include=INCLUDE) as stream:
        *whole, done = stream
    run_id = next(frame.event.data["id"] for frame in whole if frame.name == "thread.run.created")
    assert done.name == "done"
    for cut in range(1, len(whole)):
        with resumed(conversation, run_id, whole[cut - 1].id) as stream:
            *rest, done = stream
        assert done.name == "done"
        assert told([*whole[:cut], *rest]) == told(whole), cut
