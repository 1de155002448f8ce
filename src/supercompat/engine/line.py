"""What a run that stands in line brings with it: messages that come into its thread when it begins."""

from collections.abc import Mapping, Sequence
from typing import Any

from supercompat.storage_adapters.protocol import Row
from supercompat.wire.objects import Message

#: In a run's private data: its messages, for as long as they are not stored.
BRINGS = "brings"


def bringing(private: Mapping[str, Any], messages: Sequence[Message]) -> dict[str, Any]:
    """A run's private data, with what it brings."""
    brought = [message.model_dump(mode="json") for message in messages]
    return {**private, BRINGS: brought} if brought else dict(private)


def brought(private: Mapping[str, Any], now: int) -> tuple[dict[str, Any], list[Row[Message]]]:
    """A run's private data without what it brings, and that: created now, behind all that was said before."""
    rest = dict(private)
    messages: list[Any] = rest.pop(BRINGS, [])
    return rest, [Row(Message.model_validate({**each, "created_at": now})) for each in messages]
