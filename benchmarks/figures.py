"""From samples to figures: medians, 99th percentiles, and what is added. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.samples import Sample
from benchmarks.startup import BOUNDS, FirstAnswerSample
from benchmarks.subjects import Case


@dataclass(frozen=True, slots=True)
class Spread:
    """In milliseconds. With fewer than 100 samples the 99th percentile is next to the slowest."""

    median: float
    p99: float


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one case.

    Args:
        whole, first, processor: of a run; a polled run has no first event.
        events: the median number of a run's events.
        above_floor, above_raw: what the medians are above those of the same door's floor and raw SDK, in
            milliseconds, by the names of the figures.
    """

    case: Case
    whole: Spread
    first: Spread | None
    processor: Spread
    events: float
    above_floor: dict[str, float]
    above_raw: dict[str, float]


def rows(samples: Mapping[Case, Sequence[Sample]]) -> list[Row]:
    """One row a case, in the order given."""
    return [_row(case, samples) for case in samples]


def _row(case: Case, samples: Mapping[Case, Sequence[Sample]]) -> Row:
    mine = _figures(samples[case])
    floor = _figures(samples[case._replace(subject="floor")])
    raw = _figures(samples[Case("streamed", case.door, "raw")])
    return Row(
        case,
        mine["whole"],
        mine.get("first"),
        mine["processor"],
        statistics.median(sample.events for sample in samples[case]),
        above_floor=_added(mine, floor) if case.subject not in ("raw", "floor") else {},
        above_raw=_added(mine, raw) if case.subject != "raw" else {},
    )


def _figures(samples: Sequence[Sample]) -> dict[str, Spread]:
    firsts = [sample.first for sample in samples if sample.first is not None]
    figures = {
        "whole": spread([sample.whole for sample in samples]),
        "processor": spread([sample.processor for sample in samples]),
    }
    return figures | ({"first": spread(firsts)} if firsts else {})


def _added(mine: Mapping[str, Spread], other: Mapping[str, Spread]) -> dict[str, float]:
    return {name: mine[name].median - other[name].median for name in mine if name in other}


def spread(seconds: Sequence[float]) -> Spread:
    """The median and the 99th percentile of durations in seconds."""
    last = statistics.quantiles(seconds, n=100, method="inclusive")[98] if len(seconds) > 1 else seconds[0]
    return Spread(statistics.median(seconds) * 1000, last * 1000)


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """How long fresh processes took: medians in milliseconds, and their ratios to the raw SDK's.

    Args:
        bound: what the ratio of the wall time should be at most, if anything.
    """

    wall: float
    wall_ratio: float
    processor: float
    processor_ratio: float
    bound: float | None


def first_answers(times: Mapping[str, Sequence[FirstAnswerSample]]) -> dict[str, FirstAnswer]:
    """From the samples by program."""
    raw_wall, raw_processor = _medians(times["raw"])
    answers: dict[str, FirstAnswer] = {}
    for name, samples in times.items():
        wall, processor = _medians(samples)
        answers[name] = FirstAnswer(
            wall, wall / raw_wall, processor, processor / raw_processor, BOUNDS.get(name)
        )
    return answers


def _medians(samples: Sequence[FirstAnswerSample]) -> tuple[float, float]:
    wall = statistics.median(sample.wall for sample in samples)
    return wall * 1000, statistics.median(sample.processor for sample in samples) * 1000
