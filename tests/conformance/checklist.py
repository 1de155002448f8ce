"""The checklist of our specification of the Assistants API v2, read from `checklist.toml`."""

import tomllib
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, StringConstraints

Priority: TypeAlias = Literal["P1", "P2", "P3"]
Number: TypeAlias = Annotated[str, StringConstraints(pattern=r"^C-\d{3}$")]
Text: TypeAlias = Annotated[str, StringConstraints(min_length=1)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Item(_Entry):
    number: Number
    priority: Priority
    title: Text


class Group(_Entry):
    name: Text
    items: tuple[Item, ...]


class Checklist(_Entry):
    """All items in their groups, and why some of them do not count yet (`deferred`: number to reason)."""

    groups: tuple[Group, ...]
    deferred: dict[Number, Text]

    @cached_property
    def items(self) -> dict[str, Item]:
        """Every item by its number, in the checklist's order."""
        return {item.number: item for group in self.groups for item in group.items}


@cache
def load_checklist() -> Checklist:
    """The checklist beside this module.

    Raises `pydantic.ValidationError` if the file does not have the shape of `Checklist`.
    """
    source = Path(__file__).with_name("checklist.toml").read_text(encoding="utf-8")
    return Checklist.model_validate(tomllib.loads(source))
