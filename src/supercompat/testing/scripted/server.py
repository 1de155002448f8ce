"""A scripted server: a socket, a queue of replies, a log of what was asked. What it speaks is up to its kind."""

import asyncio
import json
import socket
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, NoReturn, Self, TypeAlias, cast

from supercompat.testing.replies import Failure, Reply
from supercompat.testing.scripted.broadcast import Replay
from supercompat.testing.scripted.connection import Connection
from supercompat.testing.scripted.player import Player, Wire
from supercompat.testing.scripted.received import Answer, Received

Answered: TypeAlias = Reply | Failure | Replay | dict[str, Any]
"""A reply of the script, an error, a broadcast to follow, or an object to answer with."""


class Refused(Exception):
    """The request is answered with `failure` instead of a reply."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class LoopbackServer(ABC):
    """Listens on 127.0.0.1 from its construction until `close`, on a thread of its own.

    Args:
        default: what is answered when no reply is left.
        port: the port to listen on; 0, the default, takes a free one.

    Attributes:
        url: such as `http://127.0.0.1:54321`.
        requests: what was received so far, in order of arrival, refused requests too.
    """

    def __init__(self, *, default: Answer, port: int = 0) -> None:
        self.requests: list[Received] = []
        self._default = default
        self._script: deque[Answer] = deque()
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._work, name="scripted-server", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """How many replies of the script nobody has asked for yet."""
        return len(self._script)

    def reply(self, *answers: Answer) -> None:
        """Adds replies to the end of the script."""
        self._script.extend(answers)

    def close(self) -> None:
        """Drops every connection, and returns when the socket is closed and the thread has ended."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # From here on everything runs on the server's thread.

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        listener = await self._loop.create_server(
            lambda: Connection(self._serve, self._connections), sock=self._socket
        )
        await self._closing.wait()
        # Not closed yet: asyncio loses a connection whose accepting it finishes after that, and its socket.
        self._loop.remove_reader(self._socket)
        while self._connections or len(asyncio.all_tasks()) > 1:
            for connection in self._connections:
                connection.drop()
            for task in self._tasks:
                task.cancel()
            await asyncio.sleep(0)
        listener.close()

    async def _serve(self, connection: Connection) -> None:
        while await self._exchange(connection):
            pass

    async def _exchange(self, connection: Connection) -> bool:
        """Reads one request and answers it; False if the connection is not to be used again."""
        try:
            request = await connection.read()
        except ValueError as problem:
            await connection.begin(400, {"content-length": "0", "x-problem": str(problem)})
            return False
        received = Received(request.method, request.path, request.headers)
        connection.watch(received.closed)
        self.requests.append(received)
        player = Player(connection, received, self.wire(received), self._loop.time())
        try:
            answer = self.answer(received, request.body)
        except Refused as refusal:
            answer = refusal.failure
        whole = await player.play(answer)
        connection.watch(None)
        if whole:
            received.finished.set()
        return whole and request.headers.get("connection", "").lower() != "close"

    # What a kind of server adds, and what it does it with.

    @abstractmethod
    def wire(self, received: Received) -> Wire:
        """The wire of the answer to this request."""

    @abstractmethod
    def answer(self, received: Received, body: bytes) -> Answered:
        """The answer to a request whose `body` is still to be read into `received.body`.

        Raises:
            Refused: a rule of the provider is broken.
        """

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Work that goes on without a connection, until it ends or the server closes."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def take(self, received: Received) -> Reply | Failure:
        """The next of the script's replies."""
        answer = self._script.popleft() if self._script else self._default
        if not isinstance(answer, Reply | Failure):
            try:
                answer = answer(received)
            except Exception as problem:
                return _unplayable(f"The function that was scripted failed: {problem!r}")
        if isinstance(answer, Reply) and not answer.is_chat and not self.hosts_tools(received):
            return _unplayable("The scripted reply has something that only the Responses API has.")
        return answer

    def hosts_tools(self, received: Received) -> bool:
        """Whether what is asked for may have items of hosted tools and all else that is not `Reply.is_chat`."""
        return False


def _unplayable(why: str) -> Failure:
    return Failure(500, why, "server_error", headers={"x-should-retry": "false"})


def json_object(body: bytes) -> dict[str, Any]:
    """The body of a request.

    Raises:
        TypeError: it is JSON of something else than an object.
        ValueError: it is no JSON.
    """
    parsed = json.loads(body, parse_constant=_no_constant)
    if not isinstance(parsed, dict):
        raise TypeError("not an object")
    return cast(dict[str, Any], parsed)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
