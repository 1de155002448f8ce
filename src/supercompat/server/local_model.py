"""A real model on this machine, behind llama.cpp's own HTTP server, in a process of its own.

`python -m supercompat.server.local_model FILE` serves a model file on a free port of 127.0.0.1, prints the base
URL on a line, and ends when its standard input ends: so it never outlives the process that started it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from supercompat.errors import SupercompatError

MODEL = "smollm2-135m-instruct"
CONTEXT_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model that answers.

    Args:
        base_url: for an `openai` client, with any `api_key`.
        name: the model to ask for.
        pid: its process.
    """

    base_url: str
    name: str
    pid: int


@contextmanager
def local_model(file: Path, *, start_within: float = 120.0, stop_within: float = 5.0) -> Iterator[LocalModel]:
    """Run a model for as long as the context lasts.

    Args:
        file: a model in llama.cpp's format (`.gguf`).
        start_within: seconds until it must answer. A small model takes one; a busy or slow disk, many.
        stop_within: seconds for which its process is given time to end, before it is killed.

    Raises:
        SupercompatError: it did not start; the message ends with what llama.cpp said last.
    """
    command = [sys.executable, "-m", "supercompat.server.local_model", str(file)]
    with tempfile.TemporaryFile() as log:
        # Its own session, so that Ctrl-C reaches it through its standard input alone, after whoever uses it.
        process = subprocess.Popen(  # noqa: S603 - nothing in it comes from outside
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
        try:
            yield LocalModel(_base_url(process, start_within, log), MODEL, process.pid)
        finally:
            _stop(process, stop_within)


def _base_url(process: subprocess.Popen[bytes], start_within: float, log: IO[bytes]) -> str:
    assert process.stdout
    timer = threading.Timer(start_within, process.kill)
    timer.start()
    try:
        line = process.stdout.readline().decode().strip()
    finally:
        timer.cancel()
    if not line:
        log.seek(0)
        said = log.read().decode(errors="replace").strip().splitlines()[-5:]
        raise SupercompatError("\n  ".join(["The local model did not start. It said last:", *said]))
    return line


def _stop(process: subprocess.Popen[bytes], stop_within: float) -> None:
    assert process.stdin
    assert process.stdout
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.stdout.close()
    try:
        process.wait(stop_within)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _serve(file: Path) -> None:
    # It has no type information.
    llama: Any = import_module("xllamacpp")
    params = llama.CommonParams()
    params.model.path = str(file)
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    params.cpuparams.n_threads = _threads()
    params.ui = False
    params.verbosity = 1
    # A model of this size that is asked for its likeliest words says the same ones again and again.
    params.sampling.dry_multiplier = 0.8
    try:
        server = llama.Server(params)
    except RuntimeError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{server.listening_address}/v1\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()


def _threads() -> int:
    # llama.cpp's threads wait for each other without sleeping: where a core is busy with something else, two of
    # them are several times slower than one.
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores // 2)


def main() -> None:
    """Serve the model file that is named on the command line, until standard input ends."""
    parser = argparse.ArgumentParser(
        prog="python -m supercompat.server.local_model", description=main.__doc__
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    with suppress(KeyboardInterrupt):
        _serve(parser.parse_args().file)


if __name__ == "__main__":
    main()
