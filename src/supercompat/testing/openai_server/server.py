"""The scripted server: a socket, a queue of replies, a log of what was asked."""

import asyncio
import json
import socket
import threading
import urllib.parse
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any, NoReturn, Self, cast

from supercompat.testing.openai_server import bodies
from supercompat.testing.openai_server.connection import Connection
from supercompat.testing.openai_server.dialects import GROQ, OPENAI, Dialect
from supercompat.testing.openai_server.fields import Refused, refused
from supercompat.testing.openai_server.player import Player
from supercompat.testing.openai_server.received import Answer, Received, echo
from supercompat.testing.openai_server.rules import check
from supercompat.testing.replies import Failure, Reply


class ScriptedServer:
    """A server on a loopback socket that speaks OpenAI's chat completions, and refuses what OpenAI refuses.

    Point a real SDK at it: `openai.OpenAI(base_url=server.base_url, api_key="test")`, or
    `groq.Groq(base_url=server.url, api_key="test")`, which finds Groq's wire and rules under its own path.
    Served are `chat/completions`, `models` and `models/{id}`.

        with ScriptedServer() as server:
            server.reply(text("Hel", "lo"), error(429), tool_calls(call("add", '{"a":1}')))
            ...
            assert server.requests[0].body["model"] == "gpt-4o-mini"

    Replies are taken first in, first out, each by one request that keeps the API's rules; one that breaks
    them is answered with the API's 400 and takes none. Whether a reply is streamed follows the request's
    own `stream`. That a reply fits a forced tool or a JSON schema is up to the script. The server
    listens from its construction until `close`, on a thread of its own.

    Args:
        default: what is answered when no reply is left; by default the last user message (`echo`).
        models: the models that exist, any other is a 404. By default any does, and none is listed.
        port: the port to listen on; 0, the default, takes a free one.

    Attributes:
        url: such as `http://127.0.0.1:54321`.
        base_url: the same with `/v1`.
        requests: what was received so far, in order of arrival, refused requests too.
    """

    def __init__(self, *, default: Answer = echo, models: Sequence[str] | None = None, port: int = 0) -> None:
        self.requests: list[Received] = []
        self._default = default
        self._models = models
        self._script: deque[Answer] = deque()
        self._connections: set[Connection] = set()
        self._socket = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.base_url = f"{self.url}/v1"
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
        dialect = GROQ if request.path.startswith("/openai/") else OPENAI
        player = Player(connection, received, dialect, self._loop.time())
        try:
            answer = self._answer(received, request.body, dialect)
        except Refused as refusal:
            answer = refusal.failure
        whole = await player.play(answer)
        connection.watch(None)
        if whole:
            received.finished.set()
        return whole and request.headers.get("connection", "").lower() != "close"

    def _answer(self, received: Received, body: bytes, dialect: Dialect) -> Reply | Failure | dict[str, Any]:
        _check_key(received)
        path = received.path.partition("?")[0]
        resource = path.removeprefix(dialect.prefix + "/") if path.startswith(dialect.prefix) else ""
        match received.method, resource.split("/", 1):
            case "POST", ["chat", "completions"]:
                return self._chat(received, body, dialect)
            case "GET", ["models"]:
                return {"object": "list", "data": [bodies.model_body(name) for name in self._models or ()]}
            case "GET", ["models", name]:
                return bodies.model_body(self._known(urllib.parse.unquote(name)))
            case _:
                why = f"Invalid URL ({received.method} {path})"
                raise refused(why, code="unknown_url", status=404)

    def _chat(self, received: Received, body: bytes, dialect: Dialect) -> Reply | Failure:
        received.body = _parsed(body)
        check(received.body, dialect)
        self._known(received.body["model"])
        answer = self._script.popleft() if self._script else self._default
        if isinstance(answer, Reply | Failure):
            return answer
        try:
            return answer(received)
        except Exception as problem:
            why = f"The function that was scripted failed: {problem!r}"
            return Failure(500, why, "server_error", headers={"x-should-retry": "false"})

    def _known(self, model: str) -> str:
        if self._models is not None and model not in self._models:
            why = f"The model `{model}` does not exist or you do not have access to it."
            raise refused(why, code="model_not_found", status=404)
        return model


def _check_key(received: Received) -> None:
    scheme, _, key = received.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        why = "You didn't provide an API key: expected an Authorization header with 'Bearer' and the key."
        raise refused(why, code="invalid_api_key", status=401)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body, parse_constant=_no_constant)
    except ValueError:
        raise refused("We could not parse the JSON body of your request.") from None
    if not isinstance(parsed, dict):
        raise refused("The JSON body of your request must be an object.")
    return cast(dict[str, Any], parsed)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
