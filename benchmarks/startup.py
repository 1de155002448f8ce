"""How long a fresh process takes until its first `assistants.create` is answered."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.processes import started

#: Their titles in the table.
PROGRAMS = {
    "raw": "raw SDK on a constant transport",
    "memory": "supercompat, memory",
    "sqlite_new": "supercompat, new SQLite file",
    "sqlite": "supercompat, SQLite file with tables",
}
#: How many times the raw SDK's time the project allows itself.
BOUNDS = {"memory": 1.4, "sqlite_new": 1.7, "sqlite": 1.7}


def measure(processes: int, progress: Callable[[], None]) -> dict[str, list[float]]:
    """Seconds from the start of the process to its answer, program by program in turn.

    The first round fills caches and is not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory(prefix="supercompat-bench-") as folder:
        for number in range(processes + 1):
            for name in PROGRAMS:
                seconds = _time(name, Path(folder), number)
                progress()
                if number:
                    times[name].append(seconds)
    return times


def _time(name: str, folder: Path, number: int) -> float:
    program, _, new = name.partition("_")
    database = folder / (f"{number}.db" if new else "kept.db")
    begun = time.perf_counter()
    with started(f"benchmarks.first_answer.{program}", str(database)) as process:
        process.read()
        return time.perf_counter() - begun
