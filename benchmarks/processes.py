"""Python modules that run in processes of their own and are talked to line by line."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: The SDK says at each call that the Assistants API is deprecated.
_QUIETLY = ("-W", "ignore::DeprecationWarning")


class ChildError(Exception):
    """A child process ended, or said nothing, where an answer was due. Its own words are on stderr."""


class Child:
    """A running child. It is expected to end when its standard input does.

    Args:
        environment: its environment variables; by default those of this process.
    """

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, *_QUIETLY, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )

    def read(self) -> str:
        """The next line that it prints.

        Raises:
            ChildError: it ended instead.
        """
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        if not line:
            raise ChildError(f"{self._module} ended with status {self._process.wait()}.")
        return line

    def ask(self, line: str) -> str:
        """Sends a line, and gives the line that comes back.

        Raises:
            ChildError: it ended instead.
        """
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self.read()

    def close(self) -> None:
        """Ends its standard input, and waits for it; after 20 seconds it is killed."""
        try:
            self._process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


@contextmanager
def started(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Child]:
    """`python -m module arguments…`, ended with the block."""
    child = Child(module, *arguments, environment=environment)
    try:
        yield child
    finally:
        child.close()
