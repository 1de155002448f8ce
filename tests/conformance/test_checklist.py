import re
from collections import Counter
from pathlib import Path

import pytest

from tests.conformance.checklist import load_checklist

REPOSITORY = Path(__file__).parents[2]
GROUPS = {
    "Transport": {"P1": 9, "P2": 7, "P3": 2},
    "Assistants": {"P1": 14, "P2": 10},
    "Threads and messages": {"P1": 16, "P2": 6, "P3": 1},
    "Runs: creation and options": {"P1": 16, "P2": 6},
    "Runs: state machine": {"P1": 25, "P2": 10},
    "Steps": {"P1": 7, "P2": 4},
    "Streaming": {"P1": 20, "P2": 6},
    "Files, stores, models, Responses": {"P1": 8, "P2": 9, "P3": 2},
}


def test_the_numbers_run_from_1_to_178_without_a_gap() -> None:
    numbers = [item.number for group in load_checklist().groups for item in group.items]
    assert numbers == [f"C-{number:03}" for number in range(1, 179)]


def test_the_groups_and_priorities_are_those_of_the_specification() -> None:
    groups = load_checklist().groups
    assert {group.name: Counter(item.priority for item in group.items) for group in groups} == GROUPS


def test_titles_are_distinct() -> None:
    titles = Counter(item.title for item in load_checklist().items.values())
    assert titles.most_common(1)[0][1] == 1


def test_deferred_items_exist_and_stand_in_order() -> None:
    checklist = load_checklist()
    assert list(checklist.deferred) == [number for number in checklist.items if number in checklist.deferred]


@pytest.mark.parametrize("folder", ["src", "tests", "docs"])
def test_every_number_cited_in_the_repository_exists(folder: str) -> None:
    pages = [path for path in (REPOSITORY / folder).rglob("*") if path.suffix in {".py", ".md", ".toml"}]
    cited = {
        number for path in pages for number in re.findall(r"\bC-\d{3}\b", path.read_text(encoding="utf-8"))
    }
    assert cited <= load_checklist().items.keys()
