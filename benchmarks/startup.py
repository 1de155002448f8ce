"""How long a fresh process takes until its first `assistants.create` is answered."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.processes import started

#: Their titles in the table.
PROGRAMS = {
    "raw": "raw SDK on a constant transport",
    "raw_with_provider": "the same, and a provider's client",
    "memory": "supercompat, memory",
    "sqlite_new": "supercompat, new SQLite file",
    "sqlite": "supercompat, SQLite file with tables",
}
#: How many times the raw SDK's time the project allows itself.
BOUNDS = {"memory": 1.4, "sqlite_new": 1.7, "sqlite": 1.7}


class FirstAnswerSample(NamedTuple):
    """Seconds from the start of a process to its answer, and of processor time in between."""

    wall: float
    processor: float


def measure(processes: int, progress: Callable[[], None]) -> dict[str, list[FirstAnswerSample]]:
    """Starts process after process, each program in turn. The first round compiles, and is not counted."""
    times: dict[str, list[FirstAnswerSample]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory(prefix="supercompat-bench-") as folder:
        for number in range(processes + 1):
            for name in PROGRAMS:
                sample = _time(name, Path(folder), number)
                progress()
                if number:
                    times[name].append(sample)
    return times


def _time(name: str, folder: Path, number: int) -> FirstAnswerSample:
    module, *arguments = _programs(folder, number)[name]
    begun = time.perf_counter()
    with started(f"benchmarks.first_answer.{module}", *arguments, environment=_compiling(folder)) as process:
        processor = float(process.read())
        return FirstAnswerSample(time.perf_counter() - begun, processor)


def _programs(folder: Path, number: int) -> dict[str, tuple[str, ...]]:
    return {
        "raw": ("raw",),
        "raw_with_provider": ("raw", "provider"),
        "memory": ("memory",),
        "sqlite_new": ("sqlite", str(folder / f"{number}.db")),
        "sqlite": ("sqlite", str(folder / "kept.db")),
    }


def _compiling(folder: Path) -> dict[str, str]:
    """An environment in which bytecode is kept, whatever this machine does otherwise, as it is wherever a
    program is started more than once."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder)}
