"""What an import asks of the place that it copies from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from supercompat.storage_adapters.protocol import Row, RunRow
from supercompat.wire.objects import Assistant, Message, RunStep, Thread


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stored row that can't be shown.

    Args:
        place: where it is, as its table.
        id: as it is stored.
        reason: what is wrong, without what is stored.
    """

    place: str
    id: str
    reason: str


class Source(Protocol):
    """Conversations, read in portions: what it takes of memory does not grow with what there is.

    All of it is of one moment. Each iterator may be begun again, and while another one is under way.

    Raises:
        StorageError: from each iteration, if the source can't be used.
    """

    def assistants(self) -> Iterator[Row[Assistant] | Unreadable]:
        """In the order in which they were created."""
        ...

    def threads(self) -> Iterator[Row[Thread] | Unreadable]:
        """Likewise."""
        ...

    def runs(self, thread_id: str) -> Iterator[RunRow | Unreadable]:
        """Those of a thread, likewise."""
        ...

    def conversation(self, thread_id: str) -> Iterator[Row[Message] | Row[RunStep] | Unreadable]:
        """The messages and the steps of a thread, each likewise. A step that called tools comes right behind the
        message that it followed; where its private `after` names that, it may come later."""
        ...
