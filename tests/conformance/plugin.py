"""Pytest plugin that ties tests to checklist items and counts the items that hold: see docs/conformance.md."""

from collections import defaultdict
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.checklist import load_checklist
from tests.conformance.score import PRIORITIES, GroupScore, Score, Tally

MARKER = "conforms"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption(
        "--conformance",
        action="store_true",
        help=f"run only the tests that carry the marker '{MARKER}' and print the conformance score",
    )
    group.addoption(
        "--conformance-json",
        metavar="FILE",
        type=Path,
        help="with --conformance: write the score to FILE as JSON",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{MARKER}(number, ...): the test shows that these items of the conformance checklist hold"
    )
    json_file: Path | None = config.getoption("--conformance-json")
    if not config.getoption("--conformance"):
        if json_file:
            raise pytest.UsageError("--conformance-json needs --conformance")
        return
    # With pytest-xdist the controller alone sees every report; only its workers have a `workerinput`.
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(json_file), "conformance-recorder")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    nodes = [node for node in report.result if isinstance(node, pytest.Item)]
    if complaints := [complaint for node in nodes for complaint in _complaints(node)]:
        report.outcome = "failed"
        report.longrepr = "\n".join(complaints)
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--conformance"):
        return
    for item in items:
        # A report carries these from a worker's process to the one that counts.
        item.user_properties += [
            (MARKER, number) for mark in item.iter_markers(MARKER) for number in mark.args
        ]
    config.hook.pytest_deselected(items=[item for item in items if not item.get_closest_marker(MARKER)])
    items[:] = [item for item in items if item.get_closest_marker(MARKER)]


def _complaints(node: pytest.Item) -> Iterator[str]:
    known = load_checklist().items
    for mark in node.iter_markers(MARKER):
        if mark.kwargs or not mark.args or not all(isinstance(number, str) for number in mark.args):
            yield f'{node.nodeid}: write the marker as @pytest.mark.{MARKER}("C-001"), with one number or several'
            continue
        for number in mark.args:
            if number not in known:
                yield f"{node.nodeid}: the conformance checklist has no item {number!r}"


@dataclass
class _Test:
    numbers: set[str] = field(default_factory=set[str])
    passed_phases: set[str] = field(default_factory=set[str])
    skipped: bool = False
    failed: bool = False

    @property
    def passed(self) -> bool:
        return self.passed_phases >= {"call", "teardown"} and not self.skipped and not self.failed


class Recorder:
    """Gathers what the tests of one run report, then prints and writes the score."""

    def __init__(self, json_file: Path | None) -> None:
        self._json_file = json_file
        self._tests: defaultdict[str, _Test] = defaultdict(_Test)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # By node, not by report: that of a worker which crashed comes without its properties.
        test = self._tests[report.nodeid]
        test.numbers |= {str(value) for name, value in report.user_properties if name == MARKER}
        if hasattr(report, "wasxfail") or report.outcome not in ("passed", "skipped"):
            test.failed = True
        elif report.skipped:
            test.skipped = True
        else:
            test.passed_phases.add(str(report.when))

    def pytest_sessionfinish(self) -> None:
        if self._json_file:
            self._json_file.write_text(self._score().model_dump_json(indent=2) + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("conformance")
        for line in _lines(self._score()):
            terminalreporter.write_line(line)

    def _score(self) -> Score:
        tests = self._tests.values()
        return Score.of(
            load_checklist(),
            passed={number for test in tests if test.passed for number in test.numbers},
            failed={number for test in tests if test.failed for number in test.numbers},
        )


def _lines(score: Score) -> Iterator[str]:
    items = load_checklist().items
    for heading, numbers in (("not covered", score.not_covered), ("failed", score.failed)):
        if numbers:
            yield f"{heading}:"
            yield from (f"  {n} {items[n].priority} {items[n].title}" for n in numbers)
    yield "deferred:"
    for reason in dict.fromkeys(score.deferred.values()):
        numbers = [number for number, given in score.deferred.items() if given == reason]
        yield f"  {reason}: {', '.join(numbers)}"
    yield ""
    yield f"{'group':<34}{''.join(f'{priority:>16}' for priority in PRIORITIES)}{'deferred':>12}"
    yield from (_row(group) for group in [*score.groups, score.overall])
    tally = score.overall.tally
    yield f"conformance: {tally.passed} of {tally.total} items ({tally.percent} %)"


def _row(group: GroupScore) -> str:
    cells = "".join(f"{_cell(group.priorities[priority]):>16}" for priority in PRIORITIES)
    return f"{group.name:<34}{cells}{group.deferred:>12}"


def _cell(tally: Tally) -> str:
    return f"{tally.passed}/{tally.total} {tally.percent:>4} %" if tally.total else "-"
