"""Reads streams whose events have ids, until somebody cuts them, and goes on."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from openai import AsyncStream, OpenAI, Stream

from tests.contract.blocking import Blocking
from tests.contract.conversations import Conversation, Event, Json
from tests.engine.test_told import Account, events_of

IDS = {"supercompat-event-ids": "true"}
#: How the SDK is told to leave the bytes as they are.
RAW = {"X-Stainless-Raw-Response": "stream"}
DONE = b"event: done\ndata: [DONE]\n\n"


class Frame(NamedTuple):
    """One server-sent event that has an id, or the closing one."""

    id: str | None
    name: str
    raw: bytes

    @property
    def event(self) -> Event:
        [(name, data)] = events_of([self.raw])
        return Event(name, data)


def frames_of(chunks: Iterable[bytes]) -> Iterator[Frame]:
    """What came whole."""
    seen = b""
    for chunk in chunks:
        *blocks, seen = (seen + chunk).split(b"\n\n")
        for block in blocks:
            if block.startswith(b":"):
                continue
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
            yield Frame(fields.get("id"), fields["event"], block + b"\n\n")


@contextmanager
def begun(asked: Conversation, **settings: Any) -> Iterator[Iterator[Frame]]:
    """A new run's stream, with ids."""
    runs = asked.client.beta.threads.runs.with_streaming_response
    opened: Any = runs.create(
        asked.thread_id, assistant_id=asked.assistant_id, stream=True, extra_headers=IDS, **settings
    )
    with opened as response:
        yield frames_of(response.iter_bytes())


@contextmanager
def submitted(asked: Conversation, run_id: str, outputs: Any) -> Iterator[Iterator[Frame]]:
    """The stream of outputs, with ids."""
    runs = asked.client.beta.threads.runs.with_streaming_response
    opened: Any = runs.submit_tool_outputs(
        run_id, thread_id=asked.thread_id, tool_outputs=outputs, stream=True, extra_headers=IDS
    )
    with opened as response:
        yield frames_of(response.iter_bytes())


@contextmanager
def resumed(
    asked: Conversation, run_id: str, last_id: str | None = None, *, query: str = ""
) -> Iterator[Iterator[Frame]]:
    """The events behind that one; all of them for None."""
    client: Any = asked.client
    headers = RAW if last_id is None else {**RAW, "Last-Event-ID": last_id}
    response: Any = client.get(
        f"/threads/{asked.thread_id}/runs/{run_id}/events{query}",
        cast_to=object,
        stream=True,
        stream_cls=AsyncStream[object] if isinstance(client, Blocking) else Stream[object],
        options={"headers": headers},
    )
    try:
        yield frames_of(response.iter_bytes())
    finally:
        response.close()


def all_of(asked: Conversation, run_id: str, last_id: str | None = None, *, query: str = "") -> list[Frame]:
    """The same, read to the end of a run that rests, or is about to."""
    with resumed(asked, run_id, last_id, query=query) as frames:
        return list(frames)


def until(frames: Iterator[Frame], name: str) -> list[Frame]:
    """The next ones, up to the first with this name."""
    read = [next(frames)]
    while read[-1].name != name:
        read.append(next(frames))
    return read


def accounted(frames: Iterable[Frame]) -> Account:
    """What the frames of one reader say, put together; each has to come in its time, and once."""
    account = Account()
    for name, data in events_of([frame.raw for frame in frames if frame.raw != DONE]):
        account.take(name, data)
    return account


def check_kept(asked: Conversation, run_id: str, frames: Iterable[Frame]) -> None:
    """One reader's frames, of however many connections, say what REST says, each thing once."""
    account = accounted(frames)
    assert account.last.pop(run_id) == asked.retrieve(run_id).to_dict()
    kept: list[Json] = [message.to_dict() for message in asked.answers()]  # type: ignore[misc]
    kept += [step.to_dict() for step in asked.steps(run_id)]  # type: ignore[misc]
    # A step that has ended shows its time of expiry in events alone.
    assert {id: data | {"expires_at": None} for id, data in account.last.items()} == {
        each["id"]: each | {"expires_at": None} for each in kept
    }
    assert account.parts == {part: text for each in kept for part, text in parts_of(each)}


def parts_of(kept: Json) -> Iterator[tuple[tuple[str, int], str]]:
    for index, part in enumerate(kept.get("content", [])):
        yield (kept["id"], index), part["refusal"] if part["type"] == "refusal" else part["text"]["value"]
    for index, call in enumerate(kept.get("step_details", {}).get("tool_calls", [])):
        yield (kept["id"], index), call["function"]["arguments"]


def seen_by(client: OpenAI, asked: Conversation) -> Conversation:
    """The same conversation, through another client."""
    return Conversation(client, asked.assistant_id, asked.thread_id)
