"""A process that carries out the runs of one subject through one door, one for each line that it is sent.

`python -m benchmarks.worker SUBJECT DOOR BASE_URL`: a line on standard input names the kind of run, the line on
standard output that answers it is the sample.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks import async_door, sync_door


def _work(subject: str, base_url: str, folder: Path) -> None:
    with sync_door.runs_of(subject, base_url, folder) as run:
        for line in sys.stdin:
            print(run(line.strip()).to_json(), flush=True)


async def _work_async(subject: str, base_url: str, folder: Path) -> None:
    async with async_door.runs_of(subject, base_url, folder) as run:
        while line := await asyncio.to_thread(sys.stdin.readline):
            sample = await run(line.strip())
            print(sample.to_json(), flush=True)


def _main(subject: str, door: str, base_url: str) -> None:
    with tempfile.TemporaryDirectory(prefix="supercompat-bench-") as folder:
        if door == "sync":
            _work(subject, base_url, Path(folder))
        else:
            asyncio.run(_work_async(subject, base_url, Path(folder)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
