"""What each pass of a run sent to the model: a note in the run's private data, from which it can be told again.

Of the conversation a note has only the two ends. What lies between is still there, but for what was deleted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from supercompat.engine.closing import ANSWERED
from supercompat.engine.transcript import Limit, Prompt
from supercompat.storage_adapters.protocol import History

SENT = "sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What one pass sent.

    Args:
        at: when, in Unix seconds.
        things: how many messages and tool steps.
        question: id of a message that was sent although what follows it was left out.
        first, last: ids of the messages or tool steps at the two ends of the rest.
        first_place, last_place: where they stand in the thread.
        answered: the run's newest step when its last outputs came; None in its first pass.
        tokens: how many the prompt takes, as it was estimated.
        limit: what kept others out; None if nothing did.
        window: tokens that the model takes, prompt and answer together.
        max_completion_tokens: what was left of the run's.
    """

    at: int
    things: int
    question: str | None
    first: str | None
    first_place: int
    last: str | None
    last_place: int
    answered: str | None
    tokens: int
    limit: Limit | None
    window: int
    max_completion_tokens: int | None


def noted(
    private: Mapping[str, Any], prompt: Prompt, history: History, *, tokens: int, window: int, now: int
) -> dict[str, Any]:
    """A run's private data, with what its next pass sends. A pass that is carried out again has only its last."""
    ids = [row.object.id for row in history.rows]
    at = [ids.index(id) for id in (*prompt.sent[:2], *prompt.sent[-1:])]
    has_gap = len(prompt.sent) > 1 and at[1] > at[0] + 1
    first, last = (at[1] if has_gap else at[0], at[-1]) if at else (None, None)
    note = Sent(
        at=now,
        things=len(prompt.sent),
        question=ids[at[0]] if has_gap else None,
        first=None if first is None else ids[first],
        first_place=0 if first is None else history.places[first],
        last=None if last is None else ids[last],
        last_place=0 if last is None else history.places[last],
        answered=private.get(ANSWERED),
        tokens=tokens,
        limit=prompt.limit,
        window=window,
        max_completion_tokens=prompt.request.max_completion_tokens,
    )
    before: Sequence[Any] = private.get(SENT, ())[: private.get("passes", 0)]
    return {**private, SENT: [*before, asdict(note)]}


def sent_by(private: Mapping[str, Any]) -> list[Sent]:
    """What each pass sent, by the notes in a run's private data."""
    return [Sent(**note) for note in private.get(SENT, ())]
