"""The events of one pass of a run, for any number of readers."""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field, replace
from io import SEEK_END, StringIO
from typing import NamedTuple

from supercompat.engine.told import Mark, Told, mark_of
from supercompat.wire.events import DONE, AssistantEvent, Piece

#: Bytes of encoded deltas that a feed keeps as they were published. What is older is merged.
CAPACITY = 256 * 1024

#: Characters of merged deltas that a reader gets at once. What it has not taken yet is held for it alone.
LONGEST = 16 * 1024


class Cursor(NamedTuple):
    """A reader's place: it means the same before and after deltas were merged.

    Args:
        ordinal: how many events the reader has, each delta counted, merged or not.
        characters: how many of the part that the last of them continued.
    """

    ordinal: int = 0
    characters: int = 0


START = Cursor()


class Feed:
    """Keeps the encoded events of a pass, from its first. It belongs to one event loop.

    A reader is a cursor, so that a slow one, or one that leaves, costs the others nothing, and an event is encoded
    once however many read it. Text is kept for good, but the deltas that brought it only up to `capacity`: a reader
    that is further behind gets fewer and longer deltas, which the delta rules allow (section 3).

    Args:
        capacity: in bytes.
        longest: the length of a merged delta, in characters.
    """

    def __init__(self, capacity: int = CAPACITY, longest: int = LONGEST) -> None:
        self._capacity = capacity
        self._longest = longest
        self._entries: list[_Firm | _Stretch] = []
        # The ordinal of each entry's first event.
        self._ordinals: list[int] = []
        self._count = 0
        self._said: dict[tuple[str, int], int] = {}
        self._unmerged: deque[_Stretch] = deque()
        self._size = 0
        self._ended = asyncio.Event()
        self._is_left = False
        self._readers: set[asyncio.Event] = set()

    def publish(self, events: Iterable[AssistantEvent]) -> None:
        for event in events:
            frame = event.encode()
            if event.piece is None:
                self._add_firm(_Firm(frame, mark_of(event)))
            else:
                self._add_delta(event.piece, frame)
            self._count += 1
        self._wake()

    def end(self) -> None:
        """No more events will come: readers get what is left, then the closing frame."""
        self._ended.set()
        self._wake()

    def leave(self) -> None:
        """The pass was lost: what comes now is for those readers alone who can't learn it elsewhere."""
        self._is_left = True
        self._wake()

    async def ended(self) -> None:
        """Wait until the pass has ended."""
        await self._ended.wait()

    async def subscribe(self, told: Told | None = None) -> AsyncGenerator[bytes, None]:
        """All frames from the first, then those to come; several that are ready at once come one by one.

        Args:
            told: what the reader has been told of the run. It gets only what it lacks, each frame with its id, and no
                closing frame: whoever knows the run's state goes on from there.
        """
        cursor = START
        news = asyncio.Event()
        self._readers.add(news)
        try:
            while True:
                while cursor.ordinal < self._count:
                    frame, cursor = self._read(cursor, told)
                    if frame:
                        yield frame
                if self._ended.is_set() or (told and self._is_left):
                    break
                news.clear()
                await news.wait()
        finally:
            self._readers.discard(news)
        if told is None:
            yield DONE

    def _read(self, cursor: Cursor, told: Told | None) -> tuple[bytes, Cursor]:
        """What follows, nothing if it was told before, and the place behind it."""
        entry = self._entries[bisect_right(self._ordinals, cursor.ordinal) - 1]
        if isinstance(entry, _Stretch):
            return entry.read(cursor, told, self._longest)
        frame = entry.frame
        if told is not None:
            frame = b"" if told.knows(entry.mark) else told.note(entry.mark, frame)
        return frame, Cursor(cursor.ordinal + 1)

    def _add(self, entry: "_Firm | _Stretch") -> None:
        self._entries.append(entry)
        self._ordinals.append(self._count)

    def _add_firm(self, event: "_Firm") -> None:
        self._add(event)
        for part in event.mark.parts:
            place = (event.mark.of, part.at)
            self._said[place] = self._said.get(place, 0) + part.characters

    def _add_delta(self, piece: Piece, frame: bytes) -> None:
        newest = self._entries[-1] if self._entries else None
        if not isinstance(newest, _Stretch) or newest.opening.part != piece.part:
            newest = _Stretch(piece, self._count, self._said.get(piece.part, 0))
            self._add(newest)
            self._unmerged.append(newest)
        newest.deltas.append(_Delta(frame, piece.text))
        self._said[piece.part] = self._said.get(piece.part, 0) + len(piece.text)
        self._size += len(frame)
        while self._size > self._capacity:
            self._merge_oldest()

    def _merge_oldest(self) -> None:
        while not self._unmerged[0].deltas:
            self._unmerged.popleft()
        self._size -= self._unmerged[0].merge_oldest()

    def _wake(self) -> None:
        for news in self._readers:
            news.set()


class _Firm(NamedTuple):
    """An event that is never merged."""

    frame: bytes
    mark: Mark


class _Delta(NamedTuple):
    frame: bytes
    text: str


@dataclass(slots=True, eq=False)
class _Stretch:
    """Deltas of one part that follow each other. The oldest of them may be merged: only their text is left.

    Args:
        opening: the first of them.
        first: its ordinal.
        begin: how many characters the part had before.
    """

    opening: Piece
    first: int
    begin: int
    deltas: deque[_Delta] = field(default_factory=deque[_Delta])
    merged: int = 0
    text: StringIO = field(default_factory=StringIO)

    def merge_oldest(self) -> int:
        """Merge one more delta. Returns the bytes that this saves."""
        frame, text = self.deltas.popleft()
        self.merged += 1
        self.text.write(text)
        return len(frame)

    def read(self, cursor: Cursor, told: Told | None, longest: int) -> tuple[bytes, Cursor]:
        """The next delta; where it was merged, what was merged and is new for the reader, but no more than
        `longest` at once."""
        place = cursor.ordinal - self.first
        had = cursor.characters - self.begin if place else 0
        known = 0 if told is None else max(told.characters(*self.opening.part) - self.begin - had, 0)
        if place >= self.merged:
            frame, text = self.deltas[place - self.merged]
            behind = Cursor(cursor.ordinal + 1, self.begin + had + len(text))
            piece = replace(self.opening, text=text[known:], first=False)
        else:
            self.text.seek(had)
            # A place between merged deltas tells that some of their text is to come.
            text = self.text.read(longest if self.merged > 1 else None)
            end = self.text.seek(0, SEEK_END)
            ordinal = self.first + (1 if had + len(text) < end else self.merged)
            behind = Cursor(ordinal, self.begin + had + len(text))
            first = self.opening.first and not place and not known
            piece, frame = replace(self.opening, text=text[known:], first=first), b""
        if told is not None and not piece.text:
            return b"", behind
        if known or not frame:
            frame = piece.event().encode()
        return (frame if told is None else told.say(piece, frame)), behind
