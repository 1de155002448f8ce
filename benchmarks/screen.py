"""The tables: on a terminal as such, elsewhere as Markdown."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.figures import FirstAnswer, Row, Spread
from benchmarks.startup import PROGRAMS
from benchmarks.subjects import DOORS, KINDS, SUBJECTS
from benchmarks.timeline import MARKS, Timelines

_FIGURES = {"streamed": ("whole", "first", "processor"), "polled": ("whole", "processor")}


def show_runs(console: Console, rows: Sequence[Row]) -> None:
    """A table for each kind of run. A raw call stands in both."""
    for kind in KINDS:
        shown = _FIGURES[kind]
        first = ("first text", "p99") if "first" in shown else ()
        names = " / ".join(shown)
        table = _table(
            ("door", "who"),
            ("whole", "p99", *first, "processor", f"above floor: {names}", f"above raw: {names}"),
            console,
        )
        for door in DOORS:
            mine = [
                row
                for row in rows
                if row.case.door == door and (row.case.kind == kind or row.case.subject == "raw")
            ]
            for row in mine:
                table.add_row(*_cells(row, shown), end_section=console.is_terminal and row is mine[-1])
        _print(console, f"A {kind} run, in ms", table)


def _cells(row: Row, shown: Sequence[str]) -> list[str]:
    return [
        row.case.door,
        SUBJECTS[row.case.subject],
        *_spread(row.whole),
        *(_spread(row.first) if "first" in shown and row.first else ()),
        f"{row.processor.median:.1f}",
        _added(row.above_floor, shown),
        _added(row.above_raw, shown),
    ]


def _spread(spread: Spread) -> tuple[str, str]:
    return f"{spread.median:.1f}", f"{spread.p99:.1f}"


def _added(added: Mapping[str, float], shown: Sequence[str]) -> str:
    return " / ".join(f"{added[name]:+.1f}" for name in shown if name in added)


def show_startup(console: Console, answers: Mapping[str, FirstAnswer]) -> None:
    """The table of first answers."""
    right = "wall, ms", "times raw", "at most", "processor, ms", "times raw"
    table = _table(("who",), right, console)
    for name, answer in answers.items():
        bound = f"{answer.bound:.1f}" if answer.bound else ""
        wall = f"{answer.wall:.0f}", f"{answer.wall_ratio:.2f}", bound
        table.add_row(PROGRAMS[name], *wall, f"{answer.processor:.0f}", f"{answer.processor_ratio:.2f}")
    _print(console, "A fresh process until its first assistants.create is answered", table)


def show_timelines(console: Console, timelines: Mapping[str, Timelines]) -> None:
    """A table for each door: when each thing happened, and how much later than on the floor."""
    for door, subjects in timelines.items():
        table = _table(("when",), [SUBJECTS[subject] for subject in subjects], console)
        for mark in MARKS:
            table.add_row(mark, *(_moment(subjects, subject, mark) for subject in subjects))
        _print(console, f"{door}: ms since the call, and later than on the floor by", table)


def _moment(subjects: Timelines, subject: str, mark: str) -> str:
    moment = subjects[subject][mark]
    if subject == "floor":
        return f"{moment:.2f}"
    return f"{moment:.2f} ({moment - subjects['floor'][mark]:+.2f})"


def _table(left: Sequence[str], right: Sequence[str], console: Console) -> Table:
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else box.MARKDOWN)
    for heading in left:
        table.add_column(heading)
    for heading in right:
        table.add_column(heading, justify="right")
    return table


def _print(console: Console, title: str, table: Table) -> None:
    console.print(f"\n{title}\n", style="bold")
    console.print(table)
