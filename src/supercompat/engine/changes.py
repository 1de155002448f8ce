"""What a pass changes, and the events that tell of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from supercompat.engine.lifecycle import StepEnding
from supercompat.storage_adapters.protocol import Row
from supercompat.wire.events import AssistantEvent, EventName
from supercompat.wire.objects import Message, Run, RunStep


@dataclass(frozen=True, slots=True)
class Change:
    """A new state of a run, step or message, and the events that announce it once it is stored.

    Args:
        shown: what they show, if that is more than the stored object.
    """

    row: Row[Run] | Row[RunStep] | Row[Message]
    names: tuple[EventName, ...] = ()
    new: bool = False
    shown: RunStep | None = None

    def events(self) -> list[AssistantEvent]:
        return [AssistantEvent(name, self.shown or self.row.object) for name in self.names]


STEP_EVENTS: Mapping[StepEnding, EventName] = {
    "completed": "thread.run.step.completed",
    "failed": "thread.run.step.failed",
    "cancelled": "thread.run.step.cancelled",
    "expired": "thread.run.step.expired",
}
RUN_EVENTS: Mapping[str, EventName] = {
    "completed": "thread.run.completed",
    "incomplete": "thread.run.incomplete",
    "failed": "thread.run.failed",
    "cancelled": "thread.run.cancelled",
    "expired": "thread.run.expired",
}

Output: TypeAlias = Change | AssistantEvent
