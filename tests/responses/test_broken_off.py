"""The provider's stream breaks off behind any event: the run fails, what was said is kept, and nothing stays open."""

from typing import Any

import openai
import pytest

from supercompat.testing import (
    Reply,
    ScriptedServer,
    call,
    code_interpreter,
    file_citation,
    file_search,
    image_generation,
    mcp_call,
    mcp_tools,
    reasoning,
    refusal,
    text,
    tool_calls,
    web_search,
)
from tests.responses.conftest import MakeTalk
from tests.responses.raw_events import Event, EventServer

RESULT: Event = {"file_id": "file-1", "filename": "a.txt", "score": 0.9, "text": "5", "attributes": {}}
REPLIES = {
    "text": reasoning("Hm.") + text("Hel", "lo"),
    "citation": file_search("budget", results=[RESULT])
    + text("It is 5", file_citation("file-1", "a.txt"), "."),
    "code": text("Look: ") + code_interpreter("pri", "nt(1)", logs="1") + text("Done."),
    "tools": web_search("x")
    + mcp_tools("wiki", "look")
    + mcp_call("wiki", "look", "{}", output="A")
    + text("B"),
    "drawing": image_generation("AAAA") + refusal("N", "o."),
    "functions": text("Wait.") + tool_calls(call("add", '{"a":', "1}"), call("add", "{}")),
}
TOOLS: list[Event] = [
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "web_search"},
    {"type": "image_generation"},
    {"type": "function", "name": "add", "parameters": None, "strict": False},
]


def events_of(provider: ScriptedServer, reply: Reply) -> list[Event]:
    provider.reply(reply)
    with openai.OpenAI(base_url=provider.base_url, api_key="test-key") as inner:
        tools: Any = TOOLS
        return [
            event.to_dict()
            for event in inner.responses.create(model="o3", input="Hi", stream=True, tools=tools)
        ]


def pieces(events: list[Event]) -> str:
    """All text in them."""
    told = ("response.output_text.delta", "response.refusal.delta")
    return "".join(event["delta"] for event in events if event["type"] in told)


@pytest.mark.parametrize("kind", REPLIES)
def test_a_stream_that_breaks_off(talk: MakeTalk, provider: ScriptedServer, kind: str) -> None:
    events = events_of(provider, REPLIES[kind])
    cuts = range(len(events))
    with EventServer(*(events[:cut] for cut in cuts)) as server:
        asked = talk(server=server)
        for cut in cuts:
            run = asked.run_as_scripted()
            assert (run.status, run.last_error.code) == ("failed", "server_error"), events[cut]
            assert {step.status for step in asked.steps(run)} <= {"completed", "failed"}
            answers = asked.client.beta.threads.messages.list(
                asked.thread_id, run_id=run.id, order="asc"
            ).data
            assert {each.status for each in answers} <= {"completed", "incomplete"}
            kept = "".join(words(part) for each in answers for part in each.content)
            assert kept.replace("【4:0†a.txt】", "") == pieces(events[:cut])


def words(part: Any) -> str:
    return part.text.value if part.type == "text" else getattr(part, "refusal", "")
