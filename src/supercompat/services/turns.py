"""Whose turn it is on a thread: what becomes of a new run while another one is active."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar
from weakref import WeakValueDictionary

import anyio

from supercompat.engine.closing import expire_if_due
from supercompat.engine.lifecycle import ACTIVE
from supercompat.errors import ActiveRunError, RequestError
from supercompat.options import ActiveRunPolicy
from supercompat.services.core import Core
from supercompat.storage_adapters.protocol import Transaction

T = TypeVar("T")

#: The part of a request's read timeout that it may wait for its turn: its answer takes time too.
TIMEOUT_SHARE = 0.9


class Caller:
    """Whoever waits for the answer to a request. To be used on the event loop that works on it."""

    def __init__(self) -> None:
        self.has_left = False
        self._waits: set[anyio.CancelScope] = set()

    def leave(self) -> None:
        """Nobody waits for the answer any more: no wait of the request goes on."""
        self.has_left = True
        for scope in self._waits:
            scope.cancel()

    @contextmanager
    def waits(self, until: float) -> Iterator[anyio.CancelScope]:
        """What is waited for in here ends when the caller leaves, or at this time by the event loop's clock."""
        with anyio.CancelScope(deadline=until) as scope:
            self._waits.add(scope)
            if self.has_left:
                scope.cancel()
            try:
                yield scope
            finally:
                self._waits.discard(scope)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request for a new run says of its turn.

    Args:
        policy, seconds: in place of `Options.active_run` and `active_run_wait`; None for these.
        timeout: seconds after which the caller leaves; None if never.
    """

    policy: ActiveRunPolicy | None = None
    seconds: float | None = None
    timeout: float | None = None
    caller: Caller = field(default_factory=Caller)


class Turns:
    """Lets requests create their runs one after another.

    Args:
        cancel: cancels a run, given its thread and itself.
    """

    def __init__(self, core: Core, cancel: Callable[[str, str], Awaitable[object]]) -> None:
        self._core = core
        self._cancel = cancel
        # Those who wait here take turns as they came; only the first of them looks at what is stored.
        self._lines: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take(self, thread_id: str, wish: Wish, create: Callable[[], Awaitable[T]]) -> T:
        """What `create` gives. It is called again each time that the active run which was in its way has ended.

        Raises:
            ActiveRunError: the time is over, and the thread still has an active run.
            RequestError: the caller has left, or whatever else `create` raises.
        """
        policy = self.policy(wish)
        if policy in ("reject", "enqueue"):
            return await create()
        until = anyio.current_time() + self._patience(wish)
        if policy == "cancel_previous":
            return await self._created(thread_id, wish.caller, until, create, cancels=True)
        async with self._in_line(thread_id, wish.caller, until):
            return await self._created(thread_id, wish.caller, until, create, cancels=False)

    def policy(self, wish: Wish) -> ActiveRunPolicy:
        """What the request asks for, or else what is set for the client."""
        return wish.policy or self._core.options.active_run

    def _patience(self, wish: Wish) -> float:
        seconds = self._core.options.active_run_wait if wish.seconds is None else wish.seconds
        return seconds if wish.timeout is None else min(seconds, wish.timeout * TIMEOUT_SHARE)

    async def _created(
        self,
        thread_id: str,
        caller: Caller,
        until: float,
        create: Callable[[], Awaitable[T]],
        *,
        cancels: bool,
    ) -> T:
        while True:
            if caller.has_left:
                raise RequestError("The caller left before the run was created.", code="caller_left")
            try:
                return await create()
            except ActiveRunError as error:
                if anyio.current_time() >= until:
                    raise
                active = error.run_id
            if cancels:
                # It may have ended meanwhile, or somebody else may be cancelling it.
                with suppress(RequestError):
                    await self._cancel(thread_id, active)
            with caller.waits(until):
                await self._ended(active)

    @asynccontextmanager
    async def _in_line(self, thread_id: str, caller: Caller, until: float) -> AsyncGenerator[None, None]:
        """Behind those who came before, but not longer than `until`."""
        line = self._lines.get(thread_id)
        if line is None:
            line = self._lines[thread_id] = asyncio.Lock()
        with caller.waits(until) as waiting:
            await line.acquire()
        try:
            yield
        finally:
            if not waiting.cancelled_caught:
                line.release()

    async def _ended(self, run_id: str) -> None:
        supervisor = self._core.supervisor

        def is_over(tx: Transaction) -> bool:
            row = tx.runs.get(run_id)
            return row is None or expire_if_due(tx, row, self._core.clock.now()).object.status not in ACTIVE

        async def look() -> bool:
            # Of a run that is carried out here, its feed tells at once that there is something to see.
            if feed := supervisor.feed(run_id):
                await feed.ended()
            return await self._core.store.transact(is_over)

        await supervisor.watch.until(run_id, look, bool)
