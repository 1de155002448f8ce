"""What a reader has been told of a run: the id of an event says it, so that any process can go on from there."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal, NamedTuple, TypeAlias
from zlib import crc32

from supercompat.wire.events import AssistantEvent, EventName, Piece
from supercompat.wire.objects import WireObject

#: How far the run itself was told: nothing, then its status. "e" stands for every terminal one.
Stage: TypeAlias = Literal["-", "n", "q", "i", "a", "c", "e"]

STAGES: Mapping[EventName, Stage] = {
    "thread.run.created": "n",
    "thread.run.queued": "q",
    "thread.run.in_progress": "i",
    "thread.run.requires_action": "a",
    "thread.run.cancelling": "c",
    "thread.run.completed": "e",
    "thread.run.incomplete": "e",
    "thread.run.failed": "e",
    "thread.run.cancelled": "e",
    "thread.run.expired": "e",
}

#: Where a reader has had an event of the run: at these stages. Outputs lead from "a" back to "q".
HAD_AT: Mapping[Stage, str] = {"n": "nqiace", "q": "qice", "i": "iace", "a": "ae", "c": "ce", "e": "e"}

#: How far a message or a step was told: it was created, is in progress, has ended.
CREATED, IN_PROGRESS, ENDED = 1, 2, 3

THING = r"([0-9a-f]{8}):([123])(?::([0-9]{1,10}(?:,[0-9]{1,10})*))?"
ID = re.compile(
    r"(?P<run>[0-9a-f]{8})\.(?P<anchor>0|[0-9a-f]{8})\.(?P<stage>[-nqiace])"
    r"\.(?:0|(?P<ended>[1-9][0-9]{0,5})@(?P<last>[0-9a-f]{8}))(?P<open>(?:\.[0-9a-f]{8}:[123][0-9:,]*)*)"
)

#: No id that we make is longer.
LONGEST = 16_384


class Mark(NamedTuple):
    """What a reader knows by an event that is no text.

    Args:
        of: id of the run, the message or the step; "" where the event tells nothing that is kept.
        level: of a message or a step.
        stage: of the run.
        call: index of the call that was begun.
    """

    of: str = ""
    level: int = 0
    stage: Stage | None = None
    call: int | None = None


def mark_of(event: AssistantEvent) -> Mark:
    """The mark of an event that is no text."""
    if stage := STAGES.get(event.name):
        return Mark(stage=stage)
    if isinstance(event.data, WireObject):
        kind, _, what = event.name.rpartition(".")
        if kind in ("thread.run.step", "thread.message"):
            level = {"created": CREATED, "in_progress": IN_PROGRESS}.get(what, ENDED)
            return Mark(getattr(event.data, "id"), level)  # noqa: B009
    elif event.name == "thread.run.step.delta":
        (call,) = event.data["delta"]["step_details"]["tool_calls"]
        return Mark(event.data["id"], call=call["index"])
    return Mark()


@dataclass(slots=True)
class _Thing:
    """A message or a step that was begun. `lengths`: the characters of each of its parts, or of each call."""

    level: int = CREATED
    lengths: list[int] = field(default_factory=list[int])

    def __str__(self) -> str:
        lengths = ",".join(map(str, self.lengths))
        return f"{self.level}:{lengths}" if lengths else str(self.level)


class Told:
    """How far one reader has been told of a run: of the run itself, and of each message and step in it.

    Args:
        anchor: id of the step behind which the told ones stand; None for the first. What precedes it is known.
        stage: of the run.
    """

    def __init__(self, run_id: str, *, anchor: str | None = None, stage: Stage = "-") -> None:
        self.stage: Stage = stage
        self._run = _key(run_id)
        self._anchor = "0" if anchor is None else _key(anchor)
        # Those that have ended and that only such ones precede, in their order; then all others.
        self._ended: dict[str, None] = {}
        self._open: dict[str, _Thing] = {}
        # Of an id that was read: how many have ended, and the last of them, until it is known which these are.
        self._unknown: tuple[int, str] | None = None

    @classmethod
    def parse(cls, text: str, run_id: str) -> "Told | None":
        """What the id of an event says; None if it is no such id, or of another run.

        Before anything else is asked of it, it has to `settle`.
        """
        found = ID.fullmatch(text) if len(text) <= LONGEST else None
        if found is None or found["run"] != _key(run_id):
            return None
        told = cls(run_id)
        told.stage = found["stage"]  # pyright: ignore[reportAttributeAccessIssue]
        told._anchor = found["anchor"]
        if found["ended"]:
            told._unknown = int(found["ended"]), found["last"]
        for thing in found["open"].split(".")[1:]:
            if not (one := re.fullmatch(THING, thing)):
                return None
            told._open[one[1]] = _Thing(
                int(one[2]), [int(length) for length in (one[3] or "").split(",") if length]
            )
        return told

    @property
    def id(self) -> str:
        """The id of the last event that was told."""
        ended = f"{len(self._ended)}@{next(reversed(self._ended))}" if self._ended else "0"
        things = "".join(f".{key}:{thing}" for key, thing in self._open.items())
        return f"{self._run}.{self._anchor}.{self.stage}.{ended}{things}"

    def behind(self, steps: Sequence[str]) -> Sequence[str] | None:
        """Those of the run's steps that stand behind the anchor; None if it is none of them.

        Args:
            steps: the ids of all of them, the oldest first.
        """
        if self._anchor == "0":
            return steps
        keys = [_key(id) for id in steps]
        return steps[keys.index(self._anchor) + 1 :] if self._anchor in keys else None

    def settle(self, things: Sequence[str]) -> None:
        """Compare with what is stored. What was told and is not there any more was withdrawn, and is forgotten.

        Args:
            things: ids of the steps behind the anchor, each followed by that of its message, if it made one.
        """
        keys = [_key(id) for id in things]
        if self._unknown is not None:
            (count, last), self._unknown = self._unknown, None
            is_there = len(keys) >= count and keys[count - 1] == last
            self._ended = dict.fromkeys(keys[:count] if is_there else ())
        else:
            is_there = list(self._ended) == keys[: len(self._ended)]
            kept = takewhile(lambda pair: pair[0] == pair[1], zip(self._ended, keys, strict=False))
            self._ended = dict.fromkeys(key for key, _ in kept)
        if not is_there or not self._open.keys() <= set(keys):
            self._open.clear()

    def rest_on(self, step_id: str) -> None:
        """Note that all up to this step is told and stays: what is told from now on stands behind it."""
        if not self._open:
            self._anchor = _key(step_id)
            self._ended.clear()

    # What is known

    def knows(self, mark: Mark) -> bool:
        """Whether the reader has had this event."""
        if mark.stage is not None:
            return self.stage in HAD_AT[mark.stage]
        if not mark.of:
            # That the thread was created comes first. Errors are of who reports them.
            return self.stage != "-"
        if mark.call is not None:
            return self.level(mark.of) == ENDED or mark.call < len(self._lengths(mark.of))
        return mark.level <= self.level(mark.of, unless_begun=mark.level == ENDED)

    def level(self, id: str, *, unless_begun: bool = False) -> int:
        """How far a message or a step was told; 0 if not at all.

        Args:
            unless_begun: what was not begun here has ended before, but for the calls that were just answered.
        """
        key = _key(id)
        if thing := self._open.get(key):
            return thing.level
        if key in self._ended or (unless_begun and not self.is_answered):
            return ENDED
        return 0

    def characters(self, part: tuple[str, int]) -> int:
        """How many the reader has of a part of a message, or of a call's arguments. All, if it has ended."""
        id, index = part
        if self.level(id) == ENDED:
            return LONGEST_TEXT
        lengths = self._lengths(id)
        return lengths[index] if index < len(lengths) else 0

    @property
    def is_settled(self) -> bool:
        """Whether `settle` was called, if that is necessary."""
        return self._unknown is None

    @property
    def rests(self) -> bool:
        """Whether the run rests, as far as the reader knows: nothing follows until somebody submits outputs."""
        return self.stage == "e" or (self.stage == "a" and not self.is_answered)

    @property
    def is_answered(self) -> bool:
        """Whether outputs were taken, as far as the reader knows, and the run is not yet told to be queued again."""
        return self.stage == "a" and not self._open

    def _lengths(self, id: str) -> list[int]:
        thing = self._open.get(_key(id))
        return thing.lengths if thing else []

    # What is told

    def hear(self, event: AssistantEvent) -> bytes:
        """Note an event. Returns its frame, with its id."""
        frame = event.encode()
        return self.say(event.piece, frame) if event.piece else self.note(mark_of(event), frame)

    def note(self, mark: Mark, frame: bytes) -> bytes:
        """Note an event that is no text. Returns its frame, with its id."""
        if mark.stage is not None:
            self.stage = mark.stage
        elif mark.call is not None:
            self._length(mark.of, mark.call)
        elif mark.of and (mark.level == CREATED or _key(mark.of) in self._open):
            self._reach(mark.of, mark.level)
        return self._framed(frame)

    def miss(self, id: str) -> None:
        """Note that a message is gone, so that no more is told of it."""
        self._reach(id, ENDED)

    def say(self, piece: Piece, frame: bytes) -> bytes:
        """Note a text. Returns its frame, with its id."""
        lengths = self._length(*piece.part)
        lengths[piece.index] += len(piece.text)
        return self._framed(frame)

    def _length(self, id: str, index: int) -> list[int]:
        lengths = self._open.setdefault(_key(id), _Thing(IN_PROGRESS)).lengths
        lengths += [0] * (index + 1 - len(lengths))
        return lengths

    def _reach(self, id: str, level: int) -> None:
        if _key(id) in self._ended:
            return
        thing = self._open.setdefault(_key(id), _Thing())
        thing.level = level
        if level == ENDED:
            thing.lengths.clear()
        while self._open and next(iter(self._open.values())).level == ENDED:
            first = next(iter(self._open))
            del self._open[first]
            self._ended[first] = None

    def _framed(self, frame: bytes) -> bytes:
        return b"id: %s\n%s" % (self.id.encode(), frame)


#: More characters than any text has.
LONGEST_TEXT = 1 << 62


def _key(id: str) -> str:
    """Short, and without any character that an id of ours must not have."""
    return f"{crc32(id.encode(errors='surrogatepass')):08x}"
