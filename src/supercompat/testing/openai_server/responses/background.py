"""Responses in the background: they go on whoever reads them."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from supercompat.testing.openai_server.responses.output import Output
from supercompat.testing.replies import Failure, Gate, Reply
from supercompat.testing.scripted import Broadcast

Task = asyncio.Task[None]


class Production:
    """Plays a reply on time, into a broadcast.

    Accidents of the line hit who began the response and not the response: where the reply is dropped, only
    that reader is. Errors fail it.

    Args:
        ended: called when the response is about to end.

    Attributes:
        is_streamed: whether its events may be read.
        broadcast: its events.
        output: what they add up to so far.
    """

    def __init__(self, reply: Reply, output: Output, *, is_streamed: bool, ended: Callable[[], None]) -> None:
        self._ended = ended
        self.is_streamed = is_streamed
        self.broadcast = Broadcast()
        self.output = output
        self._reply = reply
        self._task: Task | None = None

    @property
    def response(self) -> Mapping[str, Any]:
        """The response as it is now."""
        return self.output.response

    @property
    def is_under_way(self) -> bool:
        """Whether it has not ended."""
        return self.response["status"] in ("queued", "in_progress")

    def start(self, task: Task) -> None:
        """`task` runs `play`."""
        self._task = task

    async def play(self) -> None:
        """To the end of the response."""
        started = asyncio.get_running_loop().time()
        for step in self.output.steps():
            if isinstance(step, Gate):
                await step.pass_through()
                continue
            delay = step.due and started + step.due - asyncio.get_running_loop().time()
            if delay > 0:
                await asyncio.sleep(delay)
            if self.output.is_closing and self._reply.ending == "dropped":
                self.broadcast.break_off()
            self.broadcast.add(step.data)
        self._end()

    def cancel(self) -> None:
        """Ends it as `cancelled`."""
        if self._task:
            self._task.cancel()
        self.broadcast.add(self.output.cancel().data)
        self.broadcast.end()

    def _end(self) -> None:
        self._ended()
        ending = self._reply.ending
        if isinstance(ending, Failure):
            self.broadcast.add(self.output.error(ending).data)
            self.broadcast.add(self.output.fail(ending).data)
        elif ending == "malformed":
            self.broadcast.add(self.output.malformed().data)
            self.output.fail(Failure(500, "The response could not be written."))
        elif last := self.output.last():
            self.broadcast.add(last.data)
        self.broadcast.end()
