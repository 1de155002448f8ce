"""A feed's readers, at any speed: all of them can put together what was published, and cost it nothing."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AssistantEventHandler, OpenAI, Stream
from openai.lib.streaming import AssistantStreamManager
from openai.types.beta import AssistantStreamEvent
from openai.types.beta.threads import Message, MessageDelta
from openai.types.beta.threads.runs import RunStep, RunStepDelta

from supercompat.engine.feed import CAPACITY, LONGEST, Feed
from supercompat.engine.told import Told
from supercompat.model import events as model
from supercompat.wire.events import DONE, AssistantEvent, Piece
from tests.engine.test_reducer import ANSWERS, Json, Said, cuts, finished, reduced, sent, spoken

SDK = OpenAI(api_key="test-key")


class Snapshots(AssistantEventHandler):
    """What the SDK makes of the deltas alone: the last snapshot of each message and step that it was told of."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[str, Json] = {}
        self.steps: dict[str, Json] = {}

    def on_message_delta(self, delta: MessageDelta, snapshot: Message) -> None:
        self.messages[snapshot.id] = {"content": snapshot.to_dict()["content"]}

    def on_run_step_delta(self, delta: RunStepDelta, snapshot: RunStep) -> None:
        self.steps[snapshot.id] = {"calls": snapshot.to_dict()["step_details"]}


class Frames:
    """Frames as a response of the SDK's HTTP library."""

    request = None

    def __init__(self, frames: Iterable[bytes]) -> None:
        self._frames = frames

    def iter_bytes(self) -> Iterator[bytes]:
        yield from self._frames

    def close(self) -> None:
        pass


def snapshots(frames: Sequence[bytes]) -> tuple[dict[str, Json], dict[str, Json]]:
    """What the SDK's helper accumulates from the frames."""
    cast_to: Any = AssistantStreamEvent
    response: Any = Frames(frames)
    stream: Any = Stream(cast_to=cast_to, response=response, client=SDK)
    with AssistantStreamManager(lambda: stream, event_handler=Snapshots()) as handler:
        handler.until_done()
    return handler.messages, handler.steps


class Reader:
    """Reads a feed when it is told to, and only what is there."""

    def __init__(self, feed: Feed, told: Told | None = None) -> None:
        self.frames: list[bytes] = []
        self._source: AsyncGenerator[bytes, None] = feed.subscribe(told)
        self._waiting: asyncio.Future[bytes] | None = None

    async def read(self, count: int) -> None:
        for _ in range(count):
            if self._waiting is None:
                self._waiting = asyncio.ensure_future(anext(self._source, b""))
            await asyncio.sleep(0)
            if not self._waiting.done():
                return
            frame, self._waiting = self._waiting.result(), None
            if not frame:
                return
            self.frames.append(frame)

    async def read_all(self) -> list[bytes]:
        while not self.frames or self.frames[-1] != DONE:
            await self.read(1)
        return self.frames

    async def leave(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.wait([self._waiting])
        await self._source.aclose()


class Turn(NamedTuple):
    """So many events are published or, by that reader, read."""

    events: int
    reader: int | None = None


TURNS = st.lists(st.builds(Turn, st.integers(1, 6), st.none() | st.integers(0, 2)), max_size=30)
CAPACITIES = st.sampled_from([0, 150, 500, 1500, CAPACITY])
LENGTHS = st.sampled_from([1, 7, LONGEST])


async def played(
    events: Sequence[AssistantEvent],
    turns: Sequence[Turn],
    capacity: int,
    leaver: int | None,
    longest: int = LONGEST,
) -> list[list[bytes]]:
    """What each of three readers, and one who comes at the end, has read. `leaver` leaves half-way."""
    feed = Feed(capacity, longest)
    readers = [Reader(feed) for _ in range(3)]
    left = iter(events)
    for turn in turns:
        if turn.reader is None:
            feed.publish(list(islice(left, turn.events)))
        else:
            await readers[turn.reader].read(turn.events)
    if leaver is not None:
        await readers.pop(leaver).leave()
    feed.publish(left)
    feed.end()
    return [await reader.read_all() for reader in [*readers, Reader(feed)]]


def check(
    events: Sequence[AssistantEvent],
    read: Sequence[Sequence[bytes]],
    capacity: int,
    longest: int = LONGEST,
) -> None:
    """Every reader had every event that is no delta of text, in its order, and text that adds up to the same."""
    published = [event.encode() for event in events]
    whole = snapshots(published)
    firm = [event.encode() for event in events if event.piece is None]
    for frames in read:
        assert frames[-1] == DONE
        assert snapshots(frames) == whole
        assert [frame for frame in frames[:-1] if frame in firm] == firm
        assert openings(frames) == openings(published)
        assert longest < LONGEST or len(frames) <= len(published) + 1
        if capacity == CAPACITY:
            assert frames[:-1] == published


def openings(frames: Sequence[bytes]) -> int:
    """How many text parts are begun (C-139)."""
    return sum(
        frame.startswith(b"event: thread.message.delta") and b'"annotations"' in frame for frame in frames
    )


few = settings(max_examples=40, deadline=None)
many = settings(max_examples=400, deadline=None)


def check_any(
    answer: list[Said], cut: Any, turns: list[Turn], capacity: int, leaver: int | None, longest: int
) -> None:
    # Unicode that can't be encoded ends a run; it is not what readers are about.
    answer = [said._replace(text=said.text.encode(errors="replace").decode()) for said in answer]
    events = sent(reduced(spoken(answer, cut) + finished(answer)))
    check(events, asyncio.run(played(events, turns, capacity, leaver, longest)), capacity, longest)


LEAVERS = st.none() | st.integers(0, 2)


@pytest.mark.conforms("C-139", "C-140")
@few
@given(ANSWERS, cuts(), TURNS, CAPACITIES, LEAVERS, LENGTHS)
def test_readers_of_any_speed_are_told_the_same(
    answer: list[Said], cut: Any, turns: list[Turn], capacity: int, leaver: int | None, longest: int
) -> None:
    check_any(answer, cut, turns, capacity, leaver, longest)


@pytest.mark.slow
@many
@given(ANSWERS, cuts(), TURNS, CAPACITIES, LEAVERS, LENGTHS)
def test_readers_of_any_speed_are_told_the_same_at_length(
    answer: list[Said], cut: Any, turns: list[Turn], capacity: int, leaver: int | None, longest: int
) -> None:
    check_any(answer, cut, turns, capacity, leaver, longest)


def test_a_part_that_was_interrupted_goes_on() -> None:
    """Text, a call, and text of the same message again: each is merged for itself."""
    spoke: list[model.ModelEvent] = [
        *(model.TextDelta(piece) for piece in ("a", "b", "c")),
        model.ToolCallStarted(0, "call_0", "f"),
        *(model.ToolCallArguments(0, piece) for piece in ("{", "}")),
        *(model.TextDelta(piece) for piece in ("d", "e", "f")),
        model.ToolCallStarted(1, "call_1", "f"),
        *(model.ToolCallArguments(1, piece) for piece in ("{", "}")),
        *(model.TextDelta(piece) for piece in ("g", "h")),
        model.Finished("tool_calls"),
    ]
    events = sent(reduced(spoke))
    for had in range(len(events)):
        for more in (3, 8):
            turns = [Turn(had), Turn(len(events), 0), Turn(more), Turn(len(events), 1)]
            check(events, asyncio.run(played(events, turns, 0, None)), 0)


def deltas(count: int, of: str = "msg_1") -> list[AssistantEvent]:
    return [Piece("text", of, 0, "word ", first=not number).event() for number in range(count)]


async def test_an_event_is_encoded_once() -> None:
    feed = Feed()
    readers = [Reader(feed), Reader(feed)]
    feed.publish(deltas(3))
    feed.end()
    first, second = [await reader.read_all() for reader in readers]
    assert all(one is other for one, other in zip(first, second, strict=True))


async def test_what_a_feed_keeps_is_bounded() -> None:
    """A slow reader's frames take no more than the capacity and the text itself."""
    feed, count = Feed(), 20_000
    slow = Reader(feed)
    feed.publish(deltas(10))
    await slow.read(5)
    quick = Reader(feed)
    for number in range(count // 100):
        feed.publish(deltas(100, "msg_2") if number else deltas(90))
        await quick.read(100)
    feed.end()
    assert len(await quick.read_all()) == count + 1
    missed = (await slow.read_all())[5:]
    assert sum(map(len, missed)) < CAPACITY + len("word ") * count + 5000
    assert max(map(len, missed)) < LONGEST + 1000
    assert "".join(re.findall('"value":"([^"]*)"', b"".join(missed).decode())) == "word " * (count - 5)
