"""Synchronous work on an event loop: order, limits, and ends."""

import asyncio
import contextvars
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from supercompat.client_adapters.threads import QUEUE_SIZE, Call, ProviderThreads
from tests.client_adapters.conftest import happened, no_threads

Function = Callable[[Call], AbstractContextManager[Iterable[int]]]


def giving(items: Callable[[], Iterator[int]]) -> Function:
    @contextmanager
    def function(_: Call) -> Iterator[Iterable[int]]:
        yield items()

    return function


async def test_items_in_order():
    async with ProviderThreads().stream(giving(lambda: iter(range(1000)))) as numbers:
        assert [number async for number in numbers] == list(range(1000))
    await no_threads()


async def test_the_result_of_a_function():
    assert await ProviderThreads().run(lambda _: threading.current_thread().name.startswith("supercompat-"))
    await no_threads()


async def test_the_caller_s_context_is_seen():
    variable = contextvars.ContextVar("variable", default="outside")
    variable.set("inside")
    assert await ProviderThreads().run(lambda _: variable.get()) == "inside"


async def test_errors_on_entry_and_while_iterating():
    def fail(_: Call) -> AbstractContextManager[Iterable[int]]:
        raise ValueError("entry")

    def items() -> Iterator[int]:
        yield 1
        raise ValueError("later")

    threads = ProviderThreads()
    with pytest.raises(ValueError, match="entry"):
        async with threads.stream(fail):
            pytest.fail("was entered")
    async with threads.stream(giving(items)) as numbers:
        assert await anext(numbers) == 1
        with pytest.raises(ValueError, match="later"):
            await anext(numbers)
    await no_threads()


async def test_one_wake_for_all_that_is_there(monkeypatch: pytest.MonkeyPatch):
    loop = asyncio.get_running_loop()
    wakes: list[object] = []
    call_soon = loop.call_soon_threadsafe
    through = threading.Event()

    def items() -> Iterator[int]:
        yield from range(QUEUE_SIZE)
        through.set()

    def counted(callback: Callable[..., object], *args: Any) -> asyncio.Handle:
        wakes.append(callback)
        return call_soon(callback, *args)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    async with ProviderThreads().stream(giving(items)) as numbers:
        # The loop does not look while the thread fills the queue.
        assert through.wait(5)
        assert len([number async for number in numbers]) == QUEUE_SIZE
    assert len(wakes) <= 4


async def test_a_thread_does_not_run_ahead_for_ever():
    given = 0
    full = threading.Event()

    def items() -> Iterator[int]:
        nonlocal given
        for given in itertools.count():
            if given == QUEUE_SIZE:
                full.set()
            yield given

    async with ProviderThreads().stream(giving(items)) as numbers:
        await happened(full)
        assert await anext(numbers) == 0
        assert given <= QUEUE_SIZE + 1
    await no_threads()


async def test_calls_beyond_the_limit_wait_their_turn():
    threads = ProviderThreads(2)
    started: list[int] = []
    going: asyncio.Queue[int] = asyncio.Queue()
    release = [threading.Event() for _ in range(5)]

    async def call(number: int) -> None:
        def work(_: Call) -> None:
            started.append(number)
            loop.call_soon_threadsafe(going.put_nowait, number)
            assert release[number].wait(5)

        await threads.run(work)

    loop = asyncio.get_running_loop()
    tasks = [asyncio.create_task(call(number)) for number in range(5)]
    assert {await going.get(), await going.get()} == {0, 1}
    for number in range(5):
        assert len(started) <= number + 2
        release[number].set()
        if number < 3:
            assert await going.get() == number + 2
    await asyncio.gather(*tasks)
    await no_threads()


async def test_a_call_that_was_left_counts_until_its_thread_has_ended():
    threads = ProviderThreads(1)
    stuck, release = threading.Event(), threading.Event()

    def work(_: Call) -> None:
        stuck.set()
        assert release.wait(5)

    left = asyncio.create_task(threads.run(work))
    await happened(stuck)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    waiting = asyncio.create_task(threads.run(lambda _: "done"))
    await asyncio.sleep(0)
    assert not waiting.done()
    release.set()
    assert await waiting == "done"
    await no_threads()


async def test_a_call_that_was_left_is_told_so():
    entered, left = threading.Event(), threading.Event()
    checked: list[str] = []

    def work(call: Call) -> None:
        call.check()
        entered.set()
        assert left.wait(5)
        try:
            call.check()
        except BaseException as error:
            checked.append(type(error).__name__)
            raise

    task = asyncio.create_task(ProviderThreads().run(work))
    await happened(entered)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    left.set()
    await no_threads()
    assert checked == ["LeftError"]


async def test_a_call_that_waits_for_its_turn_can_be_cancelled():
    threads = ProviderThreads(1)
    async with threads.stream(giving(itertools.count)):
        task = asyncio.create_task(threads.run(lambda _: None))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await threads.run(lambda _: "free") == "free"
    await no_threads()


def test_a_loop_that_ends_does_not_wait_for_a_thread():
    stuck, release = threading.Event(), threading.Event()

    def work(_: Call) -> None:
        stuck.set()
        assert release.wait(5)

    async def leave() -> None:
        task = asyncio.create_task(ProviderThreads().run(work))
        await happened(stuck)
        task.cancel()

    asyncio.run(leave())
    release.set()
    asyncio.run(no_threads())
