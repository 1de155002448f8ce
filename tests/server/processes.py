"""`supercompat serve` as a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

#: Seconds after which what should have happened long ago counts as never.
PATIENCE = 30.0

#: Variables that would say who answers, or how.
_FOREIGN = re.compile(r"SUPERCOMPAT_|(OPENAI|AZURE_OPENAI|GROQ|ANTHROPIC|MISTRAL|GEMINI|GOOGLE)_")


def environment(**variables: str) -> Mapping[str, str]:
    """This process's, without what configures a server, and with these."""
    return {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)} | variables


class Served:
    """A server on a free port, in an environment with nothing but these variables.

    Args:
        folder: its working directory.
        flags: of the command.
    """

    def __init__(self, folder: Path, *flags: str, **variables: str) -> None:
        self._log = folder / "log.txt"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "supercompat", "serve", "--port", "0", *flags],
                cwd=folder,
                env=environment(**variables),
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.pid = self._process.pid
        self.root = self._announced()

    def _announced(self) -> str:
        assert self._process.stdout
        for line in self._process.stdout:
            if found := re.match(r"Serving on (\S+)/v1$", line.decode()):
                return found[1]
        raise AssertionError(self.log)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and give the exit code."""
        self._process.send_signal(number)
        return self._process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.stop()
        assert self._process.stdout
        self._process.stdout.close()
