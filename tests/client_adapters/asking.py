"""Requests, and what is heard in answer to them."""

from collections.abc import Iterable
from typing import Any

from supercompat.client_adapters.base import Connection
from supercompat.model.events import (
    ModelEvent,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallArguments,
)
from supercompat.model.request import FunctionTool, ModelRequest, TextPart, UserTurn

ADD = FunctionTool(
    "add",
    "Adds two numbers.",
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
)
NOW = FunctionTool("now")
PARAMS: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi there"}]}


def ask(text: str = "Hi there", **more: Any) -> ModelRequest:
    """A request with one turn of the user's."""
    return ModelRequest(model="m", turns=(UserTurn((TextPart(text),)),), **more)


async def heard(connection: Connection, request: ModelRequest | None = None) -> list[ModelEvent]:
    """All events of one answer."""
    async with connection.stream(request or ask()) as events:
        return [event async for event in events]


def merged(events: Iterable[ModelEvent]) -> list[ModelEvent]:
    """The events with neighbouring pieces of one text joined, and without empty ones."""
    result: list[ModelEvent] = []
    for event in events:
        last = result[-1] if result else None
        match last, event:
            case (_, TextDelta("") | RefusalDelta("") | ReasoningDelta("") | ToolCallArguments(_, "")):
                continue
            case TextDelta(before), TextDelta(text):
                result[-1] = TextDelta(before + text)
            case RefusalDelta(before), RefusalDelta(text):
                result[-1] = RefusalDelta(before + text)
            case ReasoningDelta(before), ReasoningDelta(text):
                result[-1] = ReasoningDelta(before + text)
            case ToolCallArguments(one, before), ToolCallArguments(two, text) if one == two:
                result[-1] = ToolCallArguments(one, before + text)
            case _:
                result.append(event)
    return result
