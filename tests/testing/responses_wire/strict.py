"""Whether an event is just what the SDK's types say: nothing missing, nothing else."""

from collections.abc import Iterator
from typing import Any

from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

#: What the wire has and the SDK's types do not name.
UNNAMED = {"obfuscation", "store", "frequency_penalty", "presence_penalty"}

_EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def parsed(event: BaseModel) -> Any:
    """The event as the types have it, each member of a union chosen strictly. Raises where none fits."""
    return _EVENTS.validate_json(event.model_dump_json(exclude_unset=True, by_alias=True), strict=False)


def unknown_fields(model: Any, path: str = "") -> Iterator[str]:
    """What no type names, anywhere in the event."""
    if isinstance(model, BaseModel):
        for name in model.model_extra or ():
            if name not in UNNAMED:
                yield f"{path}.{name}"
        for name in type(model).model_fields:
            yield from unknown_fields(getattr(model, name), f"{path}.{name}")
    elif isinstance(model, list):
        for index, each in enumerate(model):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            yield from unknown_fields(each, f"{path}[{index}]")
