"""What a client may leave behind: threads, file descriptors, tasks."""

import asyncio
import gc
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.contract.conversations import DEADLINE

#: Seconds between two collections at most. Each holds up all else, in a large process for long.
LONGEST_PAUSE = 0.5


def ours() -> list[threading.Thread]:
    """The threads that supercompat has started and that go on."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("supercompat")]


def no_threads() -> None:
    """Returns when no thread of ours is left. What was forgotten is collected meanwhile: a thread that is about to be
    done may have held it a moment ago."""
    deadline, pause = time.monotonic() + DEADLINE, 0.05
    while (left := ours()) and time.monotonic() < deadline:
        gc.collect()
        left[0].join(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    assert not left


@dataclass(frozen=True)
class Held:
    """What the process holds: threads, and open files and sockets."""

    threads: int
    files: int


def held() -> Held:
    """What is held once what was forgotten is collected, and the threads of ours that are about to end have ended."""
    gc.collect()
    no_threads()
    # An SDK asks for the name of the platform in a thread of the loop's, which ends a little later than the loop.
    lasting = [thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]
    return Held(len(lasting), len(list(Path("/proc/self/fd").iterdir())))


def other_tasks() -> set["asyncio.Task[object]"]:
    """The tasks of the running loop but the current one."""
    return asyncio.all_tasks() - {asyncio.current_task()}


async def no_other_tasks(before: set["asyncio.Task[object]"]) -> None:
    """Returns when no task has stayed but those from before. What was forgotten is collected meanwhile."""
    pause = 0.01
    async with asyncio.timeout(DEADLINE):
        while tasks := other_tasks() - before:
            # A generator that is dropped is closed by a task, and until then it holds what it reads from.
            gc.collect()
            await asyncio.wait(tasks, timeout=pause)
            pause = min(2 * pause, LONGEST_PAUSE)
