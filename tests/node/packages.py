"""Node, and the packages that the contract suite in it needs, of the versions in `package-lock.json`."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import NoReturn

import pytest

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json")
OLDEST = 20


def node() -> str:
    """The path of Node. Where there is none, the test is left out and says so; with `CI` set it fails."""
    found = shutil.which("node")
    if found is None:
        _leave_out("Node was not found")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST:
        _leave_out(f"it needs Node {OLDEST} or newer, and this is {version.strip()}")
    return found


def packages() -> Path:
    """The folder that holds `node_modules`: beside the environment's own packages, installed when it is missing."""
    text = b"".join((HERE / name).read_bytes() for name in FILES)
    folder = Path(sys.prefix) / "node" / hashlib.sha256(text).hexdigest()[:16]
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        _install(folder)
    return folder


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        _leave_out("npm was not found")
    being_made = Path(mkdtemp(dir=folder.parent))
    for name in FILES:
        shutil.copy(HERE / name, being_made)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    installed = subprocess.run(command, cwd=being_made, check=False, capture_output=True, text=True)
    if installed.returncode:
        shutil.rmtree(being_made)
        _leave_out(f"npm could not install its packages: {installed.stderr.strip()}")
    try:
        being_made.rename(folder)
    except OSError:
        # Somebody else was quicker.
        shutil.rmtree(being_made)


def _leave_out(why: str) -> NoReturn:
    message = f"The contract suite in Node was left out: {why}."
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
