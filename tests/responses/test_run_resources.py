"""Files that a run takes in place of its assistant's."""

from typing import Any

from openai.types.beta.threads import Run

from supercompat.testing import text
from tests.responses.conftest import MakeTalk

HELLO = {"role": "user", "content": "Hi"}
SEARCH: Any = [{"type": "file_search"}]


def stores(*ids: str) -> dict[str, Any]:
    return {"file_search": {"vector_store_ids": list(ids)}}


def test_a_run_shows_its_own(talk: MakeTalk) -> None:
    asked = talk(tools=SEARCH, tool_resources=stores("vs_1"))
    created: list[Run] = []
    for own in ({"tool_resources": stores("vs_2")}, {}):
        asked.provider.reply(text("Hello"))
        begin: Any = asked.client.beta.threads.create_and_run
        created.append(begin(assistant_id=asked.assistant_id, thread={"messages": [HELLO]}, **own))
        asked.client.beta.threads.runs.poll(created[-1].id, thread_id=created[-1].thread_id)
    assert [run.to_dict()["tool_resources"] for run in created] == [stores("vs_2"), {}]
    sent = [body["tools"][0]["vector_store_ids"] for body in asked.asked]
    assert sent == [["vs_2"], ["vs_1"]]
