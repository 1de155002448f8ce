"""Other processes with clients of their own on the same database: they can be asked, paused and killed."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

from openai import OpenAI

from tests.processes.worker import CLOSED, CLOSING, HELD, Call, Result, Settings, decoded, encoded

ROOT = Path(__file__).parents[2]
#: Not `-m`: what is pickled names the module of its class.
PROGRAM = "from tests.processes.worker import main; main()"
#: Seconds after which what should have happened long ago counts as never.
PATIENCE = 15.0


class GoneError(Exception):
    """The process ended before it answered."""


class RefusedError(Exception):
    """The call raised there. `status` is that of the API's answer, None for what was no answer."""

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


class _Path:
    """Looks like the client: a call at the end of a path of attributes goes to the other process."""

    def __init__(self, ask: Callable[..., Any], path: tuple[str, ...] = ()) -> None:
        self._ask = ask
        self._path = path

    def __getattr__(self, name: str) -> "_Path":
        return _Path(self._ask, (*self._path, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask(self._path, args, kwargs)


class Worker:
    """A process with a client.

    Attributes:
        pid: of the process.
        patience: seconds that a call may take.
        client: its client. Calls return what they return there; lists and streams as lists.
        begin: the same, but calls return at once, a `Future` of the result.
        held: set when it holds, see `Settings.hold_at`.
        closing: set when it is about to close its client.
        closed: set when it has done so.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._said = connection.makefile("r")
        self.pid = int(self._said.readline())
        self.patience = PATIENCE
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Any]] = {}
        self._is_gone = False
        self.held, self.closing, self.closed = threading.Event(), threading.Event(), threading.Event()
        self.begin: Any = _Path(self._begin)
        self.client = cast(OpenAI, _Path(lambda *call: self._begin(*call).result(self.patience)))
        self._reader = threading.Thread(target=self._read, name="worker-reader", daemon=True)
        self._reader.start()

    def use(self, settings: Settings) -> None:
        """Make its client. To be called once, before anything else."""
        self._write(encoded(settings))

    def kill(self) -> None:
        """`kill -9`. Calls that wait for an answer raise `GoneError`."""
        self._signal(signal.SIGKILL)
        self.ended()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """Let it close its client, and end."""
        self._connection.shutdown(socket.SHUT_WR)

    def ended(self) -> bool:
        """Waits for its end. Returns whether it had closed its client."""
        self._reader.join(PATIENCE)
        assert self._is_gone
        return self.closed.is_set()

    def close(self) -> None:
        """Whatever became of it, nothing of it is left."""
        self.kill()
        self._said.close()
        self._connection.close()

    def _signal(self, number: signal.Signals) -> None:
        # The process is not our child: once it has ended, its number may be another's.
        if not self._is_gone:
            os.kill(self.pid, number)

    def _begin(self, path: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> "Future[Any]":
        call = Call(next(self._numbers), path, args, kwargs)
        result: Future[Any] = Future()
        with self._lock:
            if self._is_gone:
                raise GoneError(path)
            self._waiting[call.number] = result
        self._write(encoded(call))
        return result

    def _write(self, line: str) -> None:
        try:
            with self._lock:
                self._connection.sendall(f"{line}\n".encode())
        except OSError as error:
            raise GoneError(self.pid) from error

    def _read(self) -> None:
        # A process that is killed resets the connection if something was under way to it.
        with suppress(OSError):
            for line in self._said:
                self._hear(decoded(line))
        with self._lock:
            self._is_gone = True
            left = list(self._waiting.values())
        for result in left:
            result.set_exception(GoneError(self.pid))

    def _hear(self, said: Result | str) -> None:
        if isinstance(said, Result):
            self._settle(said)
        else:
            {HELD: self.held, CLOSING: self.closing, CLOSED: self.closed}[said].set()

    def _settle(self, result: Result) -> None:
        with self._lock:
            waiting = self._waiting.pop(result.number)
        if result.problem is None:
            waiting.set_result(result.value)
        else:
            waiting.set_exception(RefusedError(result.problem, result.status))


class Nursery:
    """A process of which others are forked. It ends with this one.

    Args:
        log: where all of them log; by default standard error.
    """

    def __init__(self, log: IO[str] | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=log,
            text=True,
        )

    def take(self, settings: Settings) -> Worker:
        """A new process, with a client made of these settings."""
        assert self._process.stdin
        with self._lock:
            self._process.stdin.write(f"{self._listener.getsockname()[1]}\n")
            self._process.stdin.flush()
            connection, _ = self._listener.accept()
        worker = Worker(connection)
        worker.use(settings)
        return worker

    def close(self) -> None:
        self._process.communicate()
        self._listener.close()
