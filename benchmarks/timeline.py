"""When, on the way to the first event, what happens: marks set at the edges, the same ones for all subjects."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import httpx2
import openai

from benchmarks import async_door, raw, sync_door
from benchmarks.paced import paced_server
from benchmarks.rounds import turned

SUBJECTS = ("floor", "memory", "sqlite")
#: In the order of the table. What the caller sees of the outer SDK, and what the provider's socket sees.
MARKS = (
    "request built",
    "call returned",
    "thread.run.created",
    "thread.run.in_progress",
    "provider asked",
    "provider's headers",
    "provider's first bytes",
    "thread.message.created",
    "thread.message.delta",
)
WARM_UP = 3

Timelines = dict[str, dict[str, float]]


class _Marks:
    """Seconds from the call to the first time of each thing. Set from any thread."""

    def __init__(self) -> None:
        self._times: list[dict[str, float]] = []
        self._started = 0.0

    def begin(self) -> None:
        self._times.append({})
        self._started = time.perf_counter()

    def set(self, name: str) -> None:
        if self._times:
            self._times[-1].setdefault(name, time.perf_counter() - self._started)

    def medians(self) -> dict[str, float]:
        """In milliseconds; the first runs are not counted."""
        counted = self._times[WARM_UP:]
        return {name: statistics.median(times[name] for times in counted) * 1000 for name in MARKS}


def measure(rounds: int, progress: Callable[[], None]) -> dict[str, Timelines]:
    """The timeline of each subject's streamed run, by door: medians in milliseconds since the call."""
    with paced_server() as url, tempfile.TemporaryDirectory(prefix="supercompat-bench-") as folder:
        return {
            "sync": _measure(url, Path(folder), rounds + WARM_UP, progress),
            "async": asyncio.run(_measure_async(url, Path(folder), rounds + WARM_UP, progress)),
        }


def _measure(url: str, folder: Path, rounds: int, progress: Callable[[], None]) -> Timelines:
    marks = {subject: _Marks() for subject in SUBJECTS}
    with ExitStack() as stack:
        clients: dict[str, tuple[openai.OpenAI, str]] = {}
        for subject in SUBJECTS:
            transport = _Transport(marks[subject])
            provider = stack.enter_context(
                openai.OpenAI(
                    api_key="bench", base_url=url, http_client=httpx2.Client(transport=transport, timeout=60)
                )
            )
            client = stack.enter_context(sync_door.client_of(subject, provider, folder))
            _watch_requests(client, marks[subject])
            assistant = client.beta.assistants.create(model=raw.MODEL, instructions=raw.INSTRUCTIONS)
            clients[subject] = client, assistant.id
        for number in range(rounds):
            for subject in turned(SUBJECTS, number):
                _run(*clients[subject], marks[subject])
                progress()
    return {subject: marks[subject].medians() for subject in SUBJECTS}


def _run(client: openai.OpenAI, assistant_id: str, marks: _Marks) -> None:
    thread_id = sync_door.new_thread(client)
    marks.begin()
    with client.beta.threads.runs.create(thread_id, assistant_id=assistant_id, stream=True) as events:
        marks.set("call returned")
        for event in events:
            marks.set(event.event)


async def _measure_async(url: str, folder: Path, rounds: int, progress: Callable[[], None]) -> Timelines:
    marks = {subject: _Marks() for subject in SUBJECTS}
    async with AsyncExitStack() as stack:
        clients: dict[str, tuple[openai.AsyncOpenAI, str]] = {}
        for subject in SUBJECTS:
            transport = _AsyncTransport(marks[subject])
            provider = await stack.enter_async_context(
                openai.AsyncOpenAI(
                    api_key="bench",
                    base_url=url,
                    http_client=httpx2.AsyncClient(transport=transport, timeout=60),
                )
            )
            client = await stack.enter_async_context(async_door.client_of(subject, provider, folder))
            _watch_async_requests(client, marks[subject])
            assistant = await client.beta.assistants.create(model=raw.MODEL, instructions=raw.INSTRUCTIONS)
            clients[subject] = client, assistant.id
        for number in range(rounds):
            for subject in turned(SUBJECTS, number):
                await _run_async(*clients[subject], marks[subject])
                progress()
    return {subject: marks[subject].medians() for subject in SUBJECTS}


async def _run_async(client: openai.AsyncOpenAI, assistant_id: str, marks: _Marks) -> None:
    thread_id = await async_door.new_thread(client)
    marks.begin()
    async with await client.beta.threads.runs.create(
        thread_id, assistant_id=assistant_id, stream=True
    ) as events:
        marks.set("call returned")
        async for event in events:
            marks.set(event.event)


# The SDK has no public way to its HTTP client.


def _watch_requests(client: openai.OpenAI, marks: _Marks) -> None:
    def built(request: httpx2.Request) -> None:
        marks.set("request built")

    client._client.event_hooks = {"request": [built]}  # pyright: ignore[reportPrivateUsage]


def _watch_async_requests(client: openai.AsyncOpenAI, marks: _Marks) -> None:
    async def built(request: httpx2.Request) -> None:
        marks.set("request built")

    client._client.event_hooks = {"request": [built]}  # pyright: ignore[reportPrivateUsage]


class _Transport(httpx2.BaseTransport):
    def __init__(self, marks: _Marks) -> None:
        self._marks = marks
        self._real = httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self._marks.set("provider asked")
        response = self._real.handle_request(request)
        self._marks.set("provider's headers")
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Body(response.stream, self._marks)
        return response

    def close(self) -> None:
        self._real.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, real: httpx2.SyncByteStream, marks: _Marks) -> None:
        self._real = real
        self._marks = marks

    def __iter__(self) -> Iterator[bytes]:
        for data in self._real:
            self._marks.set("provider's first bytes")
            yield data

    def close(self) -> None:
        self._real.close()


class _AsyncTransport(httpx2.AsyncBaseTransport):
    def __init__(self, marks: _Marks) -> None:
        self._marks = marks
        self._real = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._marks.set("provider asked")
        response = await self._real.handle_async_request(request)
        self._marks.set("provider's headers")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _AsyncBody(response.stream, self._marks)
        return response

    async def aclose(self) -> None:
        await self._real.aclose()


class _AsyncBody(httpx2.AsyncByteStream):
    def __init__(self, real: httpx2.AsyncByteStream, marks: _Marks) -> None:
        self._real = real
        self._marks = marks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._real:
            self._marks.set("provider's first bytes")
            yield data

    async def aclose(self) -> None:
        await self._real.aclose()
