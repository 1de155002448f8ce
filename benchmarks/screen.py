"""The tables on the screen."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.figures import FirstAnswer, Row, Spread
from benchmarks.startup import PROGRAMS
from benchmarks.subjects import DOORS, SUBJECTS
from benchmarks.timeline import MARKS, Timelines

#: Above what, and the heading.
_COMPARISONS = (("above_floor", "above the floor"), ("above_raw", "above the raw SDK"))
_FIGURES = ("whole", "first", "processor")


def show_runs(console: Console, rows: Sequence[Row]) -> None:
    """A table for each kind of run."""
    raw = {row.case.door: row for row in rows if row.case.subject == "raw"}
    for kind in ("streamed", "polled"):
        table = Table(title=f"A {kind} run, in ms", box=box.SIMPLE_HEAD, title_justify="left")
        for heading in ("door", "who"):
            table.add_column(heading)
        for heading in ("whole", "p99", "first text", "p99", "processor"):
            table.add_column(heading, justify="right")
        for _, heading in _COMPARISONS:
            table.add_column(f"{heading}\nwhole / first / processor", justify="right")
        for door in DOORS:
            mine = [row for row in rows if row.case.kind == kind and row.case.door == door]
            for row in mine if kind == "streamed" else [raw[door], *mine]:
                table.add_row(*_cells(row, kind), end_section=row is mine[-1])
        console.print(table)


def _cells(row: Row, kind: str) -> list[str]:
    first = row.first if kind == "streamed" else None
    return [
        row.case.door,
        SUBJECTS[row.case.subject],
        *_spread(row.whole),
        *_spread(first),
        f"{row.processor.median:.1f}",
        *(_added(getattr(row, name), kind) for name, _ in _COMPARISONS),
    ]


def _spread(spread: Spread | None) -> tuple[str, str]:
    return (f"{spread.median:.1f}", f"{spread.p99:.1f}") if spread else ("", "")


def _added(added: dict[str, float], kind: str) -> str:
    names = _FIGURES if kind == "streamed" else ("whole", "processor")
    return " / ".join(f"{added[name]:+.1f}" for name in names if name in added)


def show_startup(console: Console, answers: Mapping[str, FirstAnswer]) -> None:
    """The table of first answers."""
    title = "A fresh process until its first assistants.create is answered"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("who")
    for heading in ("wall, ms", "times raw", "at most", "processor, ms", "times raw"):
        table.add_column(heading, justify="right")
    for name, answer in answers.items():
        bound = f"{answer.bound:.1f}" if answer.bound else ""
        wall = f"{answer.wall:.0f}", f"{answer.wall_ratio:.2f}", bound
        table.add_row(PROGRAMS[name], *wall, f"{answer.processor:.0f}", f"{answer.processor_ratio:.2f}")
    console.print(table)


def show_timelines(console: Console, timelines: dict[str, Timelines]) -> None:
    """A table for each door: when each thing happened, and how much later than on the floor."""
    for door, subjects in timelines.items():
        title = f"{door}: ms since the call, and later than on the floor by"
        table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
        table.add_column("when")
        for subject in subjects:
            table.add_column(SUBJECTS[subject], justify="right")
        for mark in MARKS:
            table.add_row(mark, *(_moment(subjects, subject, mark) for subject in subjects))
        console.print(table)


def _moment(subjects: Timelines, subject: str, mark: str) -> str:
    moment = subjects[subject][mark]
    if subject == "floor":
        return f"{moment:.2f}"
    return f"{moment:.2f}  {moment - subjects['floor'][mark]:+.2f}"
