"""Holds every answer that the clients of a test get, streams too, against OpenAI's own document."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai

from tests.spec.document import problems_of_answer, problems_of_event

EVENTS = "text/event-stream"


class Judge:
    """Watches clients and gathers what is wrong with what they are answered."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def watch(self, client: openai.OpenAI | openai.AsyncOpenAI) -> None:
        http: Any = client._client  # pyright: ignore[reportPrivateUsage]
        hook = self._async_hook if isinstance(client, openai.AsyncOpenAI) else self._hook
        http.event_hooks = {"response": [hook]}

    def _hook(self, response: Any) -> None:
        if _is_stream(response):
            response.__class__ = _watched(self, response.__class__)
        else:
            response.read()
            self._answer(response)

    async def _async_hook(self, response: Any) -> None:
        if _is_stream(response):
            response.__class__ = _watched(self, response.__class__)
        else:
            await response.aread()
            self._answer(response)

    def _answer(self, response: Any) -> None:
        request = response.request
        path = request.url.path.partition("/v1")[2]
        found = problems_of_answer(request.method, path, response.status_code, response.json())
        self.problems += [f"{request.method} {path}: {problem}" for problem in found]

    def event(self, block: str) -> None:
        """Judge one server-sent event. Those of chat completions have no name, and are not described."""
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "event" in fields:
            name, data = fields["event"], fields["data"]
            found = problems_of_event(name, data if name == "done" else json.loads(data))
            self.problems += [f"{name}: {problem}" for problem in found]


def _is_stream(response: Any) -> bool:
    return response.headers["content-type"].startswith(EVENTS)


def _watched(judge: Judge, kind: Any) -> Any:
    """A response of the same library that shows the judge what is read of it. It adds no reference to itself."""

    class Watched(kind):
        def iter_bytes(self, *args: Any) -> Iterator[bytes]:
            seen = b""
            for chunk in kind.iter_bytes(self, *args):
                seen = _judged(judge, seen + chunk)
                yield chunk

        async def aiter_bytes(self, *args: Any) -> AsyncIterator[bytes]:
            seen = b""
            async for chunk in kind.aiter_bytes(self, *args):
                seen = _judged(judge, seen + chunk)
                yield chunk

    return Watched


def _judged(judge: Judge, seen: bytes) -> bytes:
    """Show the judge what is complete; what is left is not."""
    *blocks, rest = seen.split(b"\n\n")
    for block in blocks:
        judge.event(block.decode())
    return rest
