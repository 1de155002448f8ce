"""A thread that carries out jobs one after the other."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeAlias

from supercompat.errors import ForkedError

Job: TypeAlias = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody's wish that the thread ends. Called once that was judged, in the thread."""

    judged: Job


class Writer:
    """A daemon thread, started by the first job, that ends when its last user leaves.

    Args:
        name: the thread's.
        on_end: called in the thread before it ends; no job runs, and no other thread is started, meanwhile.
    """

    def __init__(self, name: str, on_end: Job) -> None:
        self._name = name
        self._on_end = on_end
        self._users = set[object]()
        self._jobs = SimpleQueue[Job | Wish]()
        # Reentrant, for a finalizer can interrupt whoever holds it.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._ended: threading.Thread | None = None
        self._process: int | None = None

    def enter(self, user: object) -> None:
        """Count `user`, any hashable thing, among those for whom the thread stays."""
        self._users.add(user)

    def leave(self, user: object) -> None:
        """Count it no more. Does not wait and takes no lock, so that a finalizer may call it."""
        self._users.discard(user)
        if not self._users and self._thread is not None:
            self._jobs.put(Wish(_nothing))

    def submit(self, user: object, job: Job) -> bool:
        """Run `job`, which must not raise, after those that were submitted before. False if `user` has left.

        Raises:
            ForkedError: the thread was started before the process forked, and has not come along.
        """
        if self._is_left_behind:
            raise ForkedError(
                "This storage was used before the process forked. Make a new storage adapter in the child process."
            )
        with self._lock:
            if user not in self._users:
                return False
            if self._thread is None:
                thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                thread.start()
                # The process first: whoever looks in between without the lock must not take it for a child.
                self._process, self._thread = os.getpid(), thread
            self._jobs.put(job)
            return True

    def run_last(self, job: Job) -> None:
        """Run `job` after those that were submitted before, here if the thread has ended."""
        if self._is_left_behind:
            return
        with self._lock:
            if self._thread is None:
                job()
            else:
                self._jobs.put(job)
                self._jobs.put(Wish(_nothing))

    def settle(self, then: Job) -> None:
        """Call `then`, in the thread or here, once all that was submitted has run. From within a job: at once."""
        if self._is_left_behind:
            return then()
        with self._lock:
            if self._thread is not None and self._thread is not threading.current_thread():
                return self._jobs.put(Wish(then))
        return then()

    def join(self) -> None:
        """Wait for the end of a thread that nobody uses any more, if it has settled."""
        if self._ended is not None and not self._is_left_behind:
            self._ended.join()

    @property
    def _is_left_behind(self) -> bool:
        """In the child of a fork, where a lock may be held by a thread that is gone."""
        return self._thread is not None and self._process != os.getpid()

    def _work(self) -> None:
        wishes: list[Wish] = []
        while not wishes or not self._may_end(wishes):
            job = self._jobs.get()
            if isinstance(job, Wish):
                wishes.append(job)
            else:
                job()
            # What a job holds must not live until the next one comes.
            del job

    def _may_end(self, wishes: list[Wish]) -> bool:
        with self._lock:
            used = bool(self._users)
            if not used:
                # First this, then the look at the queue: what a finalizer submits in between is not overlooked.
                thread, self._thread = self._thread, None
                if not self._jobs.empty():
                    self._thread = thread
                    return False
                self._on_end()
                self._ended = thread
        for wish in wishes:
            wish.judged()
        wishes.clear()
        return not used


def _nothing() -> None:
    """Nobody waits."""
