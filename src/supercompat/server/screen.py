"""What the demo shows: on a terminal with colours and a spinner, elsewhere as plain lines."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

LABEL_WIDTH = 11


@dataclass(slots=True)
class RunReport:
    """What was seen of one run.

    Args:
        title: what it shows.
        history: how many messages the thread held when it began, its question included.
        called: the names of the functions that were carried out for it.
        answer: its text, as the deltas brought it.
        prompt_tokens, completion_tokens: its usage; 0 until the run has ended.
        first_text: seconds from the request to the first text, if there was any.
        seconds: from the request to the end of its stream, all passes together.
    """

    title: str
    history: int
    called: list[str] = field(default_factory=list[str])
    answer: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_text: float | None = None
    seconds: float = 0.0


class Screen:
    """Lines of a label and a text. Text that comes in pieces is shown as it comes."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._open = False
        self._last = ""

    def headline(self, text: str) -> None:
        """Begin a part."""
        self._end_line()
        self._console.print(f"\n{text}", style="bold", markup=False)

    def line(self, label: str, text: str, *, style: str = "") -> None:
        """One line. A repetition of the one before is left out."""
        if f"{label} {text}" == self._last:
            return
        self._end_line()
        self._last = f"{label} {text}"
        self._console.print(self._label(label), Text(text, style=style), sep="", soft_wrap=True)

    def piece(self, label: str, text: str) -> None:
        """A piece of a text that grows at the end of its line."""
        if not self._open:
            self._console.print(self._label(label), end="")
            self._open, self._last = True, ""
        self._console.print(Text(text, style="green"), end="", soft_wrap=True)

    def plain(self, text: str) -> None:
        """Text as it is."""
        self._end_line()
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Say what is waited for; on a terminal, with something that turns."""
        if not self._console.is_terminal:
            self.plain(text)
        with self._console.status(text):
            yield

    def summary(self, runs: Sequence[RunReport]) -> None:
        """The table of all runs."""
        table = Table(box=box.SIMPLE, pad_edge=False)
        table.add_column("run", no_wrap=True)
        for heading in ("messages", "tokens in", "out", "first text", "total"):
            table.add_column(heading, justify="right", no_wrap=True)
        for run in runs:
            first = "-" if run.first_text is None else f"{run.first_text:.1f} s"
            counts = (run.history, run.prompt_tokens, run.completion_tokens)
            table.add_row(run.title, *map(str, counts), first, f"{run.seconds:.1f} s")
        self._console.print(table)

    def _label(self, label: str) -> Text:
        return Text(f"  {label:<{LABEL_WIDTH}}", style="dim")

    def _end_line(self) -> None:
        if self._open:
            self._console.print()
            self._open = False
