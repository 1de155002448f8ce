"""The loop of clients whose callers have none."""

import asyncio

from supercompat.transport.home_loop import HomeLoop


async def _wait(cancelled: list[bool]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        cancelled.append(True)


def test_it_ends_whatever_its_thread_s_current_loop_is() -> None:
    """The finalizer of Mistral's SDK unsets that, in whatever thread it happens to run."""
    for tasks in (0, 2):
        home, cancelled = HomeLoop(), list[bool]()
        waiting = [home.submit(_wait(cancelled)) for _ in range(tasks)]
        home.call(asyncio.set_event_loop, None)
        home.stop()
        assert [future.done() for future in waiting] == [True] * tasks
        assert cancelled == [True] * tasks
