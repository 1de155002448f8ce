"""The SDK's event handlers, made to write down what they are called with."""

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

from openai import AssistantEventHandler, AsyncAssistantEventHandler

#: The callback's name, and its last argument as it was then: an object, a text, or nothing.
Called: TypeAlias = tuple[str, Any]

CALLBACKS = [
    name
    for name in vars(AssistantEventHandler)
    if name.startswith("on_") and name != "on_event"  # every event would be told twice
]


def recording(door: str, called: list[Called]) -> Any:
    """An event handler for this door, which adds each call to `called`."""
    base = AssistantEventHandler if door == "sync" else AsyncAssistantEventHandler
    methods = {
        name: _method(name, called, inspect.iscoroutinefunction(getattr(base, name))) for name in CALLBACKS
    }
    return type("Recording", (base,), methods)()


def _method(name: str, called: list[Called], asynchronous: bool) -> Callable[..., Any]:
    def note(_: Any, *arguments: Any) -> None:
        called.append((name, _plain(arguments[-1]) if arguments else None))

    async def note_later(handler: Any, *arguments: Any) -> None:
        note(handler, *arguments)

    return note_later if asynchronous else note


def _plain(argument: Any) -> Any:
    """A copy, since the SDK goes on adding to its snapshots."""
    return argument if isinstance(argument, Exception) else argument.to_dict()
