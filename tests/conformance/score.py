"""How much of the checklist one test run has shown to hold."""

from collections.abc import Collection, Iterable
from typing import Self, get_args

from pydantic import BaseModel

from tests.conformance.checklist import Checklist, Item, Priority

PRIORITIES: tuple[Priority, ...] = get_args(Priority)


class Tally(BaseModel):
    """Items that passed, of the items that count."""

    passed: int
    total: int

    @property
    def percent(self) -> int:
        """Whole percent, rounded down so that 100 means all; 100 when there is nothing to count."""
        return 100 * self.passed // self.total if self.total else 100


class GroupScore(BaseModel):
    """One group's tallies; deferred items are outside of them."""

    name: str
    priorities: dict[Priority, Tally]
    deferred: int

    @property
    def tally(self) -> Tally:
        """The sum over all priorities."""
        tallies = self.priorities.values()
        return Tally(passed=sum(t.passed for t in tallies), total=sum(t.total for t in tallies))


class Score(BaseModel):
    """The score of one run; its JSON holds nothing that changes from run to run but the outcomes.

    `overall` is the sum of the groups. `failed` and `not_covered` hold numbers, `deferred` numbers and reasons.
    """

    groups: list[GroupScore]
    overall: GroupScore
    failed: list[str]
    not_covered: list[str]
    deferred: dict[str, str]

    @classmethod
    def of(cls, checklist: Checklist, *, passed: Collection[str], failed: Collection[str]) -> Self:
        """Scores a run from the numbers that its passed and its failed tests name; failed wins."""
        held = set(passed) - set(failed)
        counted = [number for number in checklist.items if number not in checklist.deferred]
        return cls(
            groups=[_tally(group.name, group.items, checklist, held) for group in checklist.groups],
            overall=_tally("All", checklist.items.values(), checklist, held),
            failed=[number for number in counted if number in failed],
            not_covered=[number for number in counted if number not in held and number not in failed],
            deferred=checklist.deferred,
        )


def _tally(name: str, items: Iterable[Item], checklist: Checklist, held: Collection[str]) -> GroupScore:
    priorities: dict[Priority, Tally] = {priority: Tally(passed=0, total=0) for priority in PRIORITIES}
    deferred = 0
    for item in items:
        if item.number in checklist.deferred:
            deferred += 1
            continue
        priorities[item.priority].total += 1
        priorities[item.priority].passed += item.number in held
    return GroupScore(name=name, priorities=priorities, deferred=deferred)
