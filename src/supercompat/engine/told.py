"""What a reader has been told of a run: the id of an event says it, so that any process can go on from there."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal, NamedTuple, TypeAlias
from zlib import crc32

from supercompat.wire.events import AssistantEvent, EventName, Piece
from supercompat.wire.objects import JsonObject, WireObject

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

THING = r"([0-9a-f]{8}):([123])(?::([0-9,+]+))?"
PART = r"([0-9]{1,10})(?:\+([0-9]{1,4}))?"
ID = re.compile(
    r"(?P<run>[0-9a-f]{8})\.(?P<anchor>0|[0-9a-f]{8})\.(?P<stage>[-nqiace])"
    r"\.(?:0|(?P<ended>[1-9][0-9]{0,5})@(?P<last>[0-9a-f]{8}))(?P<open>(?:\.[0-9a-f]{8}:[123][0-9:,+]*)*)"
)

#: No id that we make is longer.
LONGEST = 16_384

#: More characters than any text has.
WHOLE = 1 << 62


class PartMark(NamedTuple):
    """What a delta that is more than text adds to a part of a message, or to a call.

    Args:
        at: index of the part or the call.
        extra: the number of what it adds beside text, an annotation or an output; None where it only begins the part.
    """

    at: int
    characters: int = 0
    extra: int | None = None


class Mark(NamedTuple):
    """What a reader knows by an event that is no text.

    Args:
        of: id of the run, the message or the step; "" where the event tells nothing that is kept.
        level: of a message or a step.
        stage: of the run.
        parts: of a delta.
    """

    of: str = ""
    level: int = 0
    stage: Stage | None = None
    parts: tuple[PartMark, ...] = ()


def mark_of(event: AssistantEvent) -> Mark:
    """The mark of an event that is no text."""
    if stage := STAGES.get(event.name):
        return Mark(stage=stage)
    if isinstance(event.data, WireObject):
        kind, _, what = event.name.rpartition(".")
        if kind in ("thread.run.step", "thread.message"):
            level = {"created": CREATED, "in_progress": IN_PROGRESS}.get(what, ENDED)
            return Mark(getattr(event.data, "id"), level)  # noqa: B009
    else:
        delta = event.data.get("delta", {})
        parts = delta.get("content") or delta.get("step_details", {}).get("tool_calls", ())
        return Mark(event.data.get("id", ""), parts=tuple(_part_mark(part) for part in parts))
    return Mark()


def _part_mark(part: JsonObject) -> PartMark:
    details: JsonObject = part[part["type"]]
    # A call that begins is shown whole, with what it will have.
    extras: Sequence[JsonObject] = (
        () if "id" in part else (details.get("annotations") or details.get("outputs") or ())
    )
    text: str = details.get("value", "")
    return PartMark(part["index"], len(text), extras[0]["index"] if extras else None)


@dataclass(slots=True)
class _Part:
    """How much of a part of a message, or of a call, was told: characters, and what goes with them."""

    characters: int = 0
    extras: int = 0

    def __str__(self) -> str:
        return f"{self.characters}+{self.extras}" if self.extras else str(self.characters)


@dataclass(slots=True)
class _Thing:
    """A message or a step that was begun, with its parts or calls."""

    level: int = CREATED
    parts: list[_Part] = field(default_factory=list[_Part])

    def __str__(self) -> str:
        return f"{self.level}:{','.join(map(str, self.parts))}" if self.parts else str(self.level)

    @classmethod
    def parse(cls, level: str, parts: str | None) -> "_Thing | None":
        found = [re.fullmatch(PART, part) for part in parts.split(",")] if parts else []
        known = [_Part(int(part[1]), int(part[2] or 0)) for part in found if part]
        return cls(int(level), known) if len(known) == len(found) else None


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
            one = re.fullmatch(THING, thing)
            if one is None or (known := _Thing.parse(one[2], one[3])) is None:
                return None
            told._open[one[1]] = known
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
        if mark.parts:
            return all(self._knows_part(mark.of, part) for part in mark.parts)
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

    def _knows_part(self, id: str, mark: PartMark) -> bool:
        part = self._part(id, mark.at)
        return part is not None and (mark.extra is None or mark.extra < part.extras)

    def characters(self, id: str, index: int) -> int:
        """How many the reader has of a part of a message, or of a call's arguments; more than any has if it ended."""
        part = self._part(id, index)
        return part.characters if part else 0

    def extras(self, id: str, index: int) -> int:
        """How many annotations or outputs the reader has, as `characters`."""
        part = self._part(id, index)
        return part.extras if part else 0

    def _part(self, id: str, index: int) -> _Part | None:
        if self.level(id) == ENDED:
            return _Part(WHOLE, WHOLE)
        thing = self._open.get(_key(id))
        return thing.parts[index] if thing and index < len(thing.parts) else None

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

    # What is told

    def hear(self, event: AssistantEvent) -> bytes:
        """Note an event. Returns its frame, with its id."""
        frame = event.encode()
        return self.say(event.piece, frame) if event.piece else self.note(mark_of(event), frame)

    def note(self, mark: Mark, frame: bytes) -> bytes:
        """Note an event that is no text. Returns its frame, with its id."""
        if mark.stage is not None:
            self.stage = mark.stage
        elif mark.parts:
            for each in mark.parts:
                part = self._begun(mark.of, each.at)
                part.characters += each.characters
                part.extras = part.extras if each.extra is None else each.extra + 1
        elif mark.of and (mark.level == CREATED or _key(mark.of) in self._open):
            self._reach(mark.of, mark.level)
        return self._framed(frame)

    def miss(self, id: str) -> None:
        """Note that a message is gone, so that no more is told of it."""
        self._reach(id, ENDED)

    def say(self, piece: Piece, frame: bytes) -> bytes:
        """Note a text. Returns its frame, with its id."""
        self._begun(*piece.part).characters += len(piece.text)
        return self._framed(frame)

    def _begun(self, id: str, index: int) -> _Part:
        parts = self._open.setdefault(_key(id), _Thing(IN_PROGRESS)).parts
        parts += (_Part() for _ in range(index + 1 - len(parts)))
        return parts[index]

    def _reach(self, id: str, level: int) -> None:
        if _key(id) in self._ended:
            return
        thing = self._open.setdefault(_key(id), _Thing())
        thing.level = level
        if level == ENDED:
            thing.parts.clear()
        while self._open and next(iter(self._open.values())).level == ENDED:
            first = next(iter(self._open))
            del self._open[first]
            self._ended[first] = None

    def _framed(self, frame: bytes) -> bytes:
        return b"id: %s\n%s" % (self.id.encode(), frame)


def _key(id: str) -> str:
    """Short, and without any character that an id of ours must not have."""
    return f"{crc32(id.encode(errors='surrogatepass')):08x}"
