"""A provider with a wire of its own, small enough to read at once, and what makes supercompat serve it.

The parts are in the order of the steps in CONTRIBUTING.md. Before them stands the provider's SDK, which is given.

A request is `{"model", "rules"?, "lines": [{"by", "text"?, "calls"?, "call"?}], "functions"?, "words"?}`. An answer
comes line by line: `{"text"}`, `{"call": {"id", "name", "input"}}`, `{"oops"}`, at last `{"end", "spent": [in, out]}`.
"""

import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import takewhile
from typing import Any

from supercompat.client_adapters.base import ChatAnswer
from supercompat.client_adapters.chat import chat_answer, request_of
from supercompat.client_adapters.chunks import close
from supercompat.client_adapters.errors import error_in_answer, provider_errors
from supercompat.client_adapters.fetch import ImageFetcher
from supercompat.client_adapters.threads import ProviderThreads
from supercompat.errors import ProviderError, UnknownClientError
from supercompat.model.events import (
    Finished,
    ModelEvent,
    TextDelta,
    ToolCallArguments,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from supercompat.model.families import context_window
from supercompat.model.request import AssistantTurn, ModelRequest, TextPart, ToolTurn, Turn, UserTurn
from supercompat.testing import Call, Failure, Gate, Reply
from supercompat.testing.replies import Arguments, Piece
from supercompat.testing.scripted import (
    Event,
    LoopbackServer,
    Received,
    Refused,
    Stream,
    encode,
    json_object,
    word_by_word,
)
from tests.client_adapters.conftest import HTTP

MODELS = ("toy-1", "toy-2")


# The SDK


class ToyError(Exception):
    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code


class ToyClient:
    """The provider's own client. Like most it belongs to the event loop on which it is used."""

    def __init__(self, url: str, api_key: str = "test") -> None:
        self.url, self.api_key = url, api_key
        self.http = HTTP.AsyncClient(base_url=url, headers={"x-toy-key": api_key}, timeout=10)

    @asynccontextmanager
    async def talk(self, body: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[str]]:
        async with self.http.stream("POST", "/talk", json=body) as response:
            if response.status_code != 200:
                await response.aread()
                raise ToyError(response.status_code, response.json()["oops"])
            yield response.aiter_lines()

    async def models(self) -> list[str]:
        return (await self.http.get("/models")).json()["models"]

    async def close(self) -> None:
        await self.http.aclose()


# 1. Translate the request


def request_body(request: ModelRequest) -> dict[str, Any]:
    if request.response_format is not None:
        raise ProviderError("Toy has no response formats.", code="invalid_prompt")
    functions = [
        {"name": tool.name, "about": tool.description, "input": tool.parameters} for tool in request.tools
    ]
    members = {
        "model": request.model,
        "rules": request.instructions,
        "lines": [_line(turn) for turn in request.turns],
        "functions": functions or None,
        "words": request.max_completion_tokens,
    }
    return {name: value for name, value in members.items() if value is not None}


def _line(turn: Turn) -> dict[str, Any]:
    match turn:
        case UserTurn(content):
            return {"by": "user", "text": "".join(_text(part) for part in content)}
        case AssistantTurn(text, calls):
            said = [{"id": each.id, "name": each.name, "input": json.loads(each.arguments)} for each in calls]
            return {"by": "model", "text": text, "calls": said}
        case ToolTurn(call_id, _, output):
            return {"by": "tool", "text": output, "call": call_id}


def _text(part: object) -> str:
    if not isinstance(part, TextPart):
        raise ProviderError("Toy takes no images.", code="invalid_prompt")
    return part.text


# 2. Read the answer


class AnswerReader:
    def __init__(self) -> None:
        self._calls = 0

    def read(self, line: Mapping[str, Any]) -> Iterator[ModelEvent]:
        match line:
            case {"text": text}:
                yield TextDelta(text)
            case {"call": {"id": call_id, "name": name, "input": arguments}}:
                yield ToolCallStarted(self._calls, call_id, name)
                yield ToolCallArguments(self._calls, json.dumps(arguments))
                self._calls += 1
            case {"oops": _}:
                raise error_in_answer({"message": line["oops"]})
            case {"end": end, "spent": [prompt, completion]}:
                yield UsageReported(Usage(prompt, completion))
                yield Finished("tool_calls" if self._calls else "length" if end == "full" else "stop")
            case _:
                pass


# 3. Play the provider


class ToyServer(LoopbackServer):
    """Says by default what it was told last."""

    def __init__(self) -> None:
        super().__init__(default=lambda received: word_by_word(received.body["lines"][-1]["text"]))

    def wire(self, received: Received) -> "_Wire":
        return _Wire()

    def answer(self, received: Received, body: bytes) -> Reply | Failure | dict[str, Any]:
        if not received.headers.get("x-toy-key"):
            raise Refused(Failure(401, "Who are you?"))
        if received.path == "/models":
            return {"models": MODELS}
        received.body = json_object(body)
        if unknown := received.body.keys() - {"model", "rules", "lines", "functions", "words"}:
            raise Refused(Failure(400, f"What is {min(unknown)}?"))
        said = {each["id"] for line in received.body["lines"] for each in line.get("calls", ())}
        heard = {line["call"] for line in received.body["lines"] if line["by"] == "tool"}
        if said != heard:
            raise Refused(Failure(400, "Each call wants its output."))
        return self.take(received)


class _Wire:
    def headers(self) -> Mapping[str, str]:
        return {}

    def is_streamed(self, received: Received) -> bool:
        return True

    def stream(self, reply: Reply, received: Received) -> Stream:
        steps = list(_lines(reply))
        if isinstance(reply.ending, Failure):
            return Stream(steps, encode(self.error(reply.ending)) + b"\n")
        if reply.ending != "whole":
            return Stream(steps, None)
        end = {"end": "full" if reply.finish == "length" else "over", "spent": [11, 7]}
        return Stream(steps, encode(end) + b"\n")

    def body(self, reply: Reply, received: Received) -> dict[str, Any]:
        raise NotImplementedError("Every answer is streamed.")

    def error(self, failure: Failure) -> dict[str, Any]:
        return {"oops": failure.message}


def _lines(reply: Reply) -> Iterator[Event | Gate]:
    """Calls are sent whole."""
    for index, step in enumerate(reply.steps):
        match step:
            case Gate():
                yield step
            case Piece(_, text):
                yield _event({"text": text})
            case Call(name, _, call_id):
                own = takewhile(lambda part: isinstance(part, Arguments), reply.steps[index + 1 :])
                pieces = "".join(part.text for part in own if isinstance(part, Arguments))
                call = {"id": call_id or secrets.token_hex(4), "name": name}
                yield _event({"call": {**call, "input": json.loads(pieces or "{}")}})
            case _:
                pass


def _event(line: Mapping[str, Any]) -> Event:
    return Event(encode(line) + b"\n")


# 4. Connect the client


class ToyClientAdapter:
    def __init__(self, client: ToyClient) -> None:
        if not hasattr(client, "talk"):
            raise UnknownClientError(f"{type(client).__qualname__} is no client of Toy's SDK.")
        self._client = client

    def connect(
        self, *, own_pool: bool, threads: ProviderThreads | None = None, images: ImageFetcher | None = None
    ) -> "ToyConnection":
        return ToyConnection(self._client, own_pool=own_pool)


class ToyConnection:
    def __init__(self, client: ToyClient, *, own_pool: bool) -> None:
        self._owned = ToyClient(client.url, client.api_key) if own_pool else None
        self._client = self._owned or client

    def context_window(self, model: str) -> int:
        return context_window(model)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        body = request_body(request)
        with provider_errors(self._client):
            async with self._client.talk(body) as lines:
                events = self._events(lines)
                try:
                    yield events
                finally:
                    await close(events)

    @asynccontextmanager
    async def chat(self, params: Mapping[str, Any]) -> AsyncIterator[ChatAnswer]:
        async with self.stream(request_of(params)) as events:
            yield await chat_answer(events, params)

    async def models(self) -> list[dict[str, Any]]:
        with provider_errors(self._client):
            names = await self._client.models()
        return [{"id": name, "object": "model", "created": 0, "owned_by": "toy"} for name in names]

    async def aclose(self) -> None:
        if self._owned:
            await self._owned.close()

    async def _events(self, lines: AsyncIterator[str]) -> AsyncGenerator[ModelEvent, None]:
        answer = AnswerReader()
        with provider_errors(self._client):
            async for line in lines:
                for event in answer.read(json.loads(line)):
                    yield event
