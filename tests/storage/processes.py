"""Other Python processes that use the same files."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import supercompat.errors

SOURCE = Path(supercompat.errors.__file__).parents[1]


@contextmanager
def running(
    script: str, folder: Path, *arguments: str, count: int = 1, source: Path = SOURCE
) -> Iterator[list["subprocess.Popen[str]"]]:
    """Children that run `script` in `folder`; what is left of them at the end is killed."""
    with ExitStack() as stack:
        children: list[subprocess.Popen[str]] = []
        for _ in range(count):
            child = subprocess.Popen(
                [sys.executable, "-X", "dev", "-W", "error", "-c", script, *arguments],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(source)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(child)
            stack.callback(child.kill)
            children.append(child)
        yield children


def output(child: "subprocess.Popen[str]") -> str:
    """What a child printed, once it has ended well."""
    out, err = child.communicate(timeout=50)
    assert (child.returncode, err) == (0, ""), err
    return out


def run(script: str, folder: Path, *arguments: str, source: Path = SOURCE) -> str:
    """What one child printed."""
    with running(script, folder, *arguments, source=source) as [child]:
        return output(child)
