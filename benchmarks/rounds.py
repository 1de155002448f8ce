"""Many runs of every case, taken in turn, so that what else the machine does hits all alike."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TypeVar

from benchmarks.paced import paced_server
from benchmarks.processes import Child, started
from benchmarks.samples import Sample
from benchmarks.subjects import Case

T = TypeVar("T")

#: Runs of each case that are not counted: connections are opened, and lazy imports done.
WARM_UP = 3


def measure(cases: Sequence[Case], rounds: int, progress: Callable[[], None]) -> dict[Case, list[Sample]]:
    """One sample of each case a round. Each subject works in a process of its own, one at a time.

    Args:
        progress: called after each run, those of the warm-up too.
    """
    with ExitStack() as stack:
        url = stack.enter_context(paced_server())
        workers = {
            (case.subject, case.door): stack.enter_context(
                started("benchmarks.worker", case.subject, case.door, url)
            )
            for case in {(case.subject, case.door): case for case in cases}.values()
        }
        samples: dict[Case, list[Sample]] = {case: [] for case in cases}
        for number in range(-WARM_UP, rounds):
            for case in turned(cases, number):
                sample = _run(workers[case.subject, case.door], case)
                progress()
                if number >= 0:
                    samples[case].append(sample)
        return samples


def turned(items: Sequence[T], number: int) -> Sequence[T]:
    """The order of round `number`: nobody always follows the same other, whose code may be his own, still warm in
    the processor's caches, or not."""
    start = number // 2 % len(items)
    order = [*items[start:], *items[:start]]
    return order[::-1] if number % 2 else order


def _run(worker: Child, case: Case) -> Sample:
    return Sample.from_json(worker.ask(case.kind))
