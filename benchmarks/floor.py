"""The floor: what a run costs that is carried out by nobody.

The outer SDK and the provider's SDK do their work; between them is only a transport that calls the provider and
answers with constants. It stores nothing and checks nothing.
"""

from collections.abc import AsyncIterator, Iterator

import httpx2
import openai
from openai.types.chat import ChatCompletionChunk

from benchmarks import answers
from benchmarks.raw import ask, ask_async, has_text

_EVENTS = {"content-type": "text/event-stream"}


class FloorTransport(httpx2.BaseTransport):
    """Serves one streamed or polled run at a time. A polled run is read to its end by the first retrieve."""

    def __init__(self, provider: openai.OpenAI) -> None:
        self._provider = provider
        self._polled: openai.Stream[ChatCompletionChunk] | None = None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The constant answer, when the provider has given its own."""
        if not _is_about_runs(request):
            return httpx2.Response(200, json=_resource(request))
        if request.method == "GET":
            for _ in self._polled or ():
                pass
            return httpx2.Response(200, json=answers.run("completed"))
        chunks = ask(self._provider)
        if b'"stream":true' in request.read():
            return httpx2.Response(200, headers=_EVENTS, stream=_Frames(chunks))
        self._polled = chunks
        return httpx2.Response(200, json=answers.run("queued"))


class _Frames(httpx2.SyncByteStream):
    def __init__(self, chunks: openai.Stream[ChatCompletionChunk]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from answers.OPENING
        spoken = False
        for chunk in self._chunks:
            if has_text(chunk):
                yield from () if spoken else answers.MESSAGE_OPENING
                yield answers.DELTA
                spoken = True
        yield from answers.CLOSING

    def close(self) -> None:
        self._chunks.close()


class AsyncFloorTransport(httpx2.AsyncBaseTransport):
    """The same for asynchronous clients."""

    def __init__(self, provider: openai.AsyncOpenAI) -> None:
        self._provider = provider
        self._polled: openai.AsyncStream[ChatCompletionChunk] | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The constant answer, when the provider has given its own."""
        if not _is_about_runs(request):
            return httpx2.Response(200, json=_resource(request))
        if request.method == "GET":
            assert self._polled
            async for _ in self._polled:
                pass
            return httpx2.Response(200, json=answers.run("completed"))
        chunks = await ask_async(self._provider)
        if b'"stream":true' in await request.aread():
            return httpx2.Response(200, headers=_EVENTS, stream=_AsyncFrames(chunks))
        self._polled = chunks
        return httpx2.Response(200, json=answers.run("queued"))


class _AsyncFrames(httpx2.AsyncByteStream):
    def __init__(self, chunks: openai.AsyncStream[ChatCompletionChunk]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for frame in answers.OPENING:
            yield frame
        spoken = False
        async for chunk in self._chunks:
            if has_text(chunk):
                for frame in () if spoken else answers.MESSAGE_OPENING:
                    yield frame
                yield answers.DELTA
                spoken = True
        for frame in answers.CLOSING:
            yield frame

    async def aclose(self) -> None:
        await self._chunks.close()


def _is_about_runs(request: httpx2.Request) -> bool:
    return "/runs" in request.url.path


def _resource(request: httpx2.Request) -> dict[str, object]:
    return answers.ASSISTANT if request.url.path.endswith("/assistants") else answers.THREAD
