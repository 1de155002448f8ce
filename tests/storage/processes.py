"""Other Python processes that use the same files."""

import os
import subprocess
import sys
from pathlib import Path

import supercompat.errors

SOURCE = Path(supercompat.errors.__file__).parents[1]


def environment(source: Path = SOURCE) -> dict[str, str]:
    """The environment in which a child imports supercompat from `source`."""
    return {**os.environ, "PYTHONPATH": str(source)}


def start(script: str, folder: Path, *arguments: str, source: Path = SOURCE) -> subprocess.Popen[str]:
    """A child that runs `script` in `folder`."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        cwd=folder,
        env=environment(source),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(child: "subprocess.Popen[str]") -> str:
    """What it printed, once it has ended well."""
    out, err = child.communicate(timeout=50)
    assert (child.returncode, err) == (0, ""), err
    return out
