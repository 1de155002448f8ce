"""Turns a score into the README's table: `python -m tests.conformance.table conformance.json`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conformance.score import GroupScore, Score, Tally

BEGIN = "<!-- conformance:begin -->"
END = "<!-- conformance:end -->"


class MarkersError(Exception):
    """The page does not hold `BEGIN` and then `END`, each once."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table, or checks or writes it in a page; the exit status is 1 if the page is not as wanted."""
    options = _parser().parse_args(arguments)
    table = markdown(Score.model_validate_json(options.score.read_text(encoding="utf-8")))
    page: Path | None = options.check or options.write
    if page is None:
        sys.stdout.write(f"{table}\n")
        return 0
    text = page.read_text(encoding="utf-8")
    try:
        wanted = with_table(text, table)
    except MarkersError as error:
        return _refuse(f"{page}: {error}")
    if options.write:
        page.write_text(wanted, encoding="utf-8")
    elif text != wanted:
        return _refuse(f"{page}: the conformance table is out of date, run with --write {page}")
    return 0


def markdown(score: Score) -> str:
    """One row a group and one for all of them, as a Markdown table."""
    rows = [_row(group) for group in [*score.groups, score.overall]]
    return "\n".join(["| Group | P1 | P2 | Deferred |", "| --- | ---: | ---: | ---: |", *rows])


def with_table(page: str, table: str) -> str:
    """`page` with `table` between its markers. Raises `MarkersError`."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in before + after:
        raise MarkersError(f"needs one {BEGIN} and, after it, one {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _refuse(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1


def _row(group: GroupScore) -> str:
    cells = [_cell(group.priorities[priority]) for priority in ("P1", "P2")]
    return f"| {group.name} | {' | '.join(cells)} | {group.deferred or '–'} |"


def _cell(tally: Tally) -> str:
    return f"{tally.passed}/{tally.total}" if tally.total else "–"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.table", description=__doc__)
    parser.add_argument("score", type=Path, help="JSON file that pytest --conformance-json wrote")
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--check", type=Path, metavar="PAGE", help="fail unless PAGE holds the table")
    target.add_argument("--write", type=Path, metavar="PAGE", help="put the table between PAGE's markers")
    return parser


if __name__ == "__main__":
    sys.exit(main())
