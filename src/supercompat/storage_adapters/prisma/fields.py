"""Which field of the API's objects stands in which of Prisma's columns, and how.

A field that has no column, or a value that its column can't hold exactly (`incomplete`, the order of keys, a NUL), is
kept in the side row as well. It counts as long as Prisma's row says the same as when it was written: what Node has
changed since is what is shown.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from supercompat.storage_adapters.prisma import readings
from supercompat.storage_adapters.prisma.flavour import Flavour

Json: TypeAlias = Any

#: The latest moment in Unix seconds that fits.
LATEST: Final = 2**31 - 1


@dataclass(frozen=True)
class Held:
    """A field in a column.

    Args:
        write: what is stored for a value of the API's JSON.
        read: the value for what is stored, by whomever.
        is_fixed: written with a new row alone.
        is_ordered: whether the order of keys matters.
    """

    column: str
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    is_fixed: bool = False
    is_ordered: bool = False

    def keeps(self, value: Json) -> bool:
        """Whether a value comes back from the column as it was."""
        with readings.untold():
            back = self.read(self.write(value))
        return json.dumps(back) == json.dumps(value) if self.is_ordered else back == value


Fields: TypeAlias = Mapping[str, Held]


def _same(value: Any) -> Any:
    return value


def plain(value: Json) -> Json:
    """A value as `jsonb` gives it back: without what that can't hold, and in its order of keys."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode(errors="replace").decode()
    if isinstance(value, list):
        return [plain(each) for each in cast(list[Any], value)]
    if isinstance(value, dict):
        pairs = ((str(plain(key)), plain(each)) for key, each in cast(dict[str, Any], value).items())
        return dict(sorted(pairs, key=lambda pair: (len(pair[0].encode()), pair[0].encode())))
    return value


def _json(column: str, read: Callable[[Json], Json], *, is_ordered: bool = False) -> Held:
    return Held(column, plain, read, is_ordered=is_ordered)


def _text(column: str, *, null: str | None = None, is_fixed: bool = False) -> Held:
    return Held(column, lambda value: null if value is None else plain(value), _same, is_fixed=is_fixed)


def _id(column: str) -> Held:
    return Held(column, _same, _same, is_fixed=True)


def _enum(column: str, *, is_fixed: bool = False, **others: str) -> Held:
    return Held(column, lambda value: others.get(value, value.upper()), str.lower, is_fixed=is_fixed)


def _moment(column: str) -> Held:
    """Seconds, in a column of moments."""

    def read(value: int | None) -> int | None:
        return None if value is None else value // 1_000_000

    return Held(column, lambda value: None if value is None else value * 1_000_000, read)


def _seconds(column: str, *, null: int | None = None, is_fixed: bool = False) -> Held:
    """Seconds, in a column of integers."""

    def write(value: int | None) -> int | None:
        return null if value is None else max(-LATEST, min(value, LATEST))

    return Held(column, write, _same, is_fixed=is_fixed)


def _fixed(held: Held) -> Held:
    return Held(held.column, held.write, held.read, is_fixed=True, is_ordered=held.is_ordered)


def of_assistant(flavour: Flavour) -> dict[str, Held]:
    """What this flavour's assistants hold."""
    found: dict[str, Held] = {}
    for column in flavour.of_assistant:
        if column == "metadata":
            found[column] = _json(column, readings.metadata, is_ordered=True)
        elif column not in ("model", "modelSlug"):
            found[column] = _text(column, null="" if column in flavour.required else None)
        elif "model" not in found:
            found["model"] = Held(column, plain, lambda value: value or "")
    return found


THREAD: Final[Fields] = {"metadata": _json("metadata", readings.metadata, is_ordered=True)}

MESSAGE: Final[Fields] = {
    "thread_id": _id("threadId"),
    "assistant_id": _id("assistantId"),
    "run_id": _id("runId"),
    "role": _enum("role", is_fixed=True),
    "status": _enum("status"),
    "content": _json("content", readings.content),
    "attachments": _fixed(_json("attachments", readings.attachments)),
    "incomplete_details": _json("incompleteDetails", readings.incomplete_details),
    "incomplete_at": _moment("incompleteAt"),
    "completed_at": _moment("completedAt"),
    "metadata": _json("metadata", readings.metadata, is_ordered=True),
}

STEP: Final[Fields] = {
    "thread_id": _id("threadId"),
    "assistant_id": _id("assistantId"),
    "run_id": _id("runId"),
    "type": _enum("type", is_fixed=True),
    "status": _enum("status"),
    "step_details": _json("stepDetails", readings.details),
    "last_error": _json("lastError", readings.last_error),
    "cancelled_at": _seconds("cancelledAt"),
    "failed_at": _seconds("failedAt"),
    "completed_at": _seconds("completedAt"),
    "usage": _json("usage", readings.usage),
}

_RUN: Final[Fields] = {
    "thread_id": _id("threadId"),
    "assistant_id": _id("assistantId"),
    # Prisma's enum has no INCOMPLETE.
    "status": _enum("status", incomplete="FAILED"),
    "required_action": _json("requiredAction", readings.required_action),
    "last_error": _json("lastError", readings.last_error),
    "expires_at": _seconds("expiresAt", null=LATEST, is_fixed=True),
    "started_at": _seconds("startedAt"),
    "cancelled_at": _seconds("cancelledAt"),
    "failed_at": _seconds("failedAt"),
    "completed_at": _seconds("completedAt"),
    "model": _text("model", is_fixed=True),
    "instructions": _text("instructions", null="", is_fixed=True),
    "tools": _fixed(_json("tools", readings.tools, is_ordered=True)),
    "metadata": _json("metadata", readings.metadata, is_ordered=True),
    "usage": _json("usage", readings.usage),
}


def of_run(flavour: Flavour) -> dict[str, Held]:
    """What this flavour's runs hold."""

    def write(value: Json) -> Json:
        # Node's word for the API's "auto".
        return {"type": "text"} if value == "auto" else plain(value)

    found = dict(_RUN)
    if "truncationStrategy" in flavour.of_run:
        found["truncation_strategy"] = _fixed(_json("truncationStrategy", readings.truncation))
    if "responseFormat" in flavour.of_run:
        held = Held("responseFormat", write, readings.response_format, is_fixed=True, is_ordered=True)
        found["response_format"] = held
    return found
