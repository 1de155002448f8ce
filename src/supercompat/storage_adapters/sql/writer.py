"""A thread that carries out jobs one after the other."""

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeAlias

from supercompat.errors import ForkedError

Job: TypeAlias = Callable[[], None]


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
        # An event in it is somebody's wish that the thread ends; it is set once that was judged.
        self._jobs = SimpleQueue[Job | threading.Event]()
        # Reentrant, for a finalizer can interrupt whoever holds it.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._process: int | None = None

    def join(self, user: object) -> None:
        """Count `user`, any hashable thing, among those for whom the thread stays."""
        self._users.add(user)

    def leave(self, user: object) -> None:
        """Count it no more. Does not wait and takes no lock, so that a finalizer may call it."""
        self._users.discard(user)
        if not self._users and self._thread is not None:
            self._jobs.put(threading.Event())

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
                self._jobs.put(threading.Event())

    def settle(self) -> None:
        """Wait until all that was submitted has run and, if nobody uses the thread, until it has ended."""
        if self._is_left_behind:
            return
        judged = threading.Event()
        with self._lock:
            thread = self._thread
            if thread is None or thread is threading.current_thread():
                return
            self._jobs.put(judged)
        judged.wait()
        if self._thread is not thread:
            thread.join()

    @property
    def _is_left_behind(self) -> bool:
        """In the child of a fork, where a lock may be held by a thread that is gone."""
        return self._thread is not None and self._process != os.getpid()

    def _work(self) -> None:
        wishes: list[threading.Event] = []
        while not wishes or not self._may_end(wishes):
            job = self._jobs.get()
            if isinstance(job, threading.Event):
                wishes.append(job)
            else:
                job()
            # What a job holds must not live until the next one comes.
            del job

    def _may_end(self, wishes: list[threading.Event]) -> bool:
        with self._lock:
            used = bool(self._users)
            if not used:
                # First this, then the look at the queue: what a finalizer submits in between is not overlooked.
                thread, self._thread = self._thread, None
                if not self._jobs.empty():
                    self._thread = thread
                    return False
                self._on_end()
        for wish in wishes:
            wish.set()
        wishes.clear()
        return not used
