"""`python -m benchmarks`: measures, shows tables, writes the figures and all samples into a file."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks import figures, paced, rounds, screen, startup, subjects, timeline

Measured = TypeVar("Measured")

_LATEST = Path(__file__).parent / "results" / "latest.json"
_ABOUT = f"""\
Every run asks a local server, in a process of its own, that sends the first of {paced.PIECES} pieces of text \
{paced.FIRST * 1000:.0f} ms after the request and one more every {paced.INTERVAL * 1000:.0f} ms."""


def main() -> None:
    """Measures what the arguments ask for."""
    arguments = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(_ABOUT)
    report: dict[str, Any] = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "machine": _machine()}
    load = [_load()]
    if arguments.profile:
        report["timelines"] = _timelines(console, arguments.rounds)
    else:
        report |= _runs(console, arguments.rounds) if arguments.rounds else {}
        report |= _first_answers(console, arguments.processes) if arguments.processes else {}
    load.append(_load())
    console.print(f"{_described(report['machine'])}; load before and after: {load[0]}, {load[1]}.")
    _write(arguments.json, report | {"load": load})
    console.print(f"All samples: {arguments.json}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, help="runs of each kind, each way (40; 0: none)")
    parser.add_argument("--processes", type=int, help="fresh processes of each kind (12; 0: none)")
    parser.add_argument(
        "--quick", action="store_true", help="5 rounds, 3 processes: a look, not a measurement"
    )
    parser.add_argument(
        "--profile", action="store_true", help="instead: where the time to the first text goes"
    )
    parser.add_argument("--json", type=Path, default=_LATEST, help="the file to write (%(default)s)")
    arguments = parser.parse_args()
    if arguments.rounds is None:
        arguments.rounds = 5 if arguments.quick else 40
    if arguments.processes is None:
        arguments.processes = 3 if arguments.quick else 12
    return arguments


def _runs(console: Console, count: int) -> dict[str, Any]:
    total = (count + rounds.WARM_UP) * len(subjects.CASES)
    samples = _watched(
        console, "runs", total, lambda progress: rounds.measure(subjects.CASES, count, progress)
    )
    rows = figures.rows(samples)
    screen.show_runs(console, rows)
    return {
        "runs": [asdict(row) | {"case": row.case._asdict()} for row in rows],
        "samples": [
            {**case._asdict(), "samples": [asdict(sample) for sample in taken]}
            for case, taken in samples.items()
        ],
    }


def _first_answers(console: Console, count: int) -> dict[str, Any]:
    total = (count + 1) * len(startup.PROGRAMS)
    times = _watched(console, "fresh processes", total, lambda progress: startup.measure(count, progress))
    answers = figures.first_answers(times)
    screen.show_startup(console, answers)
    return {
        "first_answers": {name: asdict(answer) for name, answer in answers.items()},
        "first_answer_samples": times,
    }


def _timelines(console: Console, count: int) -> dict[str, timeline.Timelines]:
    total = (count + timeline.WARM_UP) * len(timeline.SUBJECTS) * 2
    timelines = _watched(console, "timelines", total, lambda progress: timeline.measure(count, progress))
    screen.show_timelines(console, timelines)
    return timelines


def _watched(
    console: Console, what: str, total: int, measure: Callable[[Callable[[], None]], Measured]
) -> Measured:
    """Measure under a progress bar that is drawn rarely, so as not to be measured itself."""
    columns = TextColumn(what), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, refresh_per_second=1, transient=True) as bar:
        task = bar.add_task(what, total=total)
        return measure(lambda: bar.advance(task))


def _machine() -> dict[str, str | int | None]:
    return {
        "python": platform.python_version(),
        "openai": version("openai"),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
    }


def _described(machine: dict[str, str | int | None]) -> str:
    return f"Python {machine['python']}, openai {machine['openai']}, {machine['processors']} processors"


def _load() -> float | None:
    """The last minute's average, where the system counts it: well above 1 means that others were at work."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _write(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
