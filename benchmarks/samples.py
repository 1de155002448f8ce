"""One measured run, and how it is measured."""

import gc
import json
import time
from dataclasses import asdict, dataclass
from typing import Self


class UnfinishedError(Exception):
    """A run did not end as completed: what was measured is not what the benchmark is about."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run.

    Args:
        whole: seconds from the call to the end of the stream, or to the end of `create_and_poll`.
        first: seconds from the call to the first text; None for a polled run.
        processor: seconds of processor time of the calling process, all its threads together.
        events: how many events the stream brought.
    """

    whole: float
    first: float | None
    processor: float
    events: int

    @classmethod
    def from_json(cls, line: str) -> Self:
        """A sample that another process has measured."""
        return cls(**json.loads(line))

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))


class Stopwatch:
    """Runs from its construction. What earlier runs left to collect is collected before."""

    def __init__(self) -> None:
        gc.collect()
        self._events = 0
        self._first: float | None = None
        self._processor = time.process_time()
        self._started = time.perf_counter()

    def event(self, *, is_text: bool) -> None:
        """An event has arrived."""
        self._events += 1
        if is_text and self._first is None:
            self._first = time.perf_counter() - self._started

    def stop(self) -> Sample:
        """The run has ended."""
        whole = time.perf_counter() - self._started
        return Sample(whole, self._first, time.process_time() - self._processor, self._events)
