"""What each pass of a run sent to the model: a note in the run's private data, from which it can be told again.

Of the conversation a note has only ids, and a pass only those that the one before it has not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supercompat.engine.transcript import Limit, Prompt

SENT = "sent"


@dataclass(frozen=True, slots=True)
class Sent:
    """What one pass sent.

    Args:
        at: when, in Unix seconds.
        ids: the messages and tool steps, in the order of the conversation.
        tokens: how many it takes, as it was estimated.
        limit: what kept others out; None if nothing did.
        window: tokens that the model takes, prompt and answer together.
        max_completion_tokens: what was left of the run's.
    """

    at: int
    ids: tuple[str, ...]
    tokens: int
    limit: Limit | None
    window: int
    max_completion_tokens: int | None


def noted(private: Mapping[str, Any], prompt: Prompt, *, window: int, now: int) -> dict[str, Any]:
    """A run's private data, with what its next pass sends. A pass that is carried out again has only its last."""
    notes: Sequence[Any] = private.get(SENT, ())[: private.get("passes", 0)]
    before = _ids(notes)
    left = _left_behind(before, prompt.sent)
    note = {
        "at": now,
        "left": left,
        "new": prompt.sent[len(before) - left :],
        "tokens": prompt.tokens,
        "limit": prompt.limit,
        "window": window,
        "answer": prompt.request.max_completion_tokens,
    }
    return {**private, SENT: [*notes, note]}


def sent_by(private: Mapping[str, Any]) -> list[Sent]:
    """What each pass sent, by the notes in a run's private data."""
    notes: Sequence[Any] = private.get(SENT, ())
    return [
        Sent(
            at=note["at"],
            ids=_ids(notes[: number + 1]),
            tokens=note["tokens"],
            limit=note["limit"],
            window=note["window"],
            max_completion_tokens=note["answer"],
        )
        for number, note in enumerate(notes)
    ]


def _ids(notes: Sequence[Any]) -> tuple[str, ...]:
    """What the last of these passes sent."""
    ids: tuple[str, ...] = ()
    for note in notes:
        ids = (*ids[note["left"] :], *note["new"])
    return ids


def _left_behind(before: tuple[str, ...], sent: tuple[str, ...]) -> int:
    """How many of the oldest are not sent again; all, if the others are not sent as they stand."""
    left = before.index(sent[0]) if sent and sent[0] in before else len(before)
    return left if sent[: len(before) - left] == before[left:] else len(before)
