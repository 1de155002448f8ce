"""How the Responses API writes what is answered."""

import uuid
from collections.abc import Mapping
from typing import Any

from supercompat.testing.openai_server import bodies
from supercompat.testing.openai_server.dialects import Dialect
from supercompat.testing.openai_server.responses.kept import Asked, Shelf
from supercompat.testing.openai_server.responses.output import Output
from supercompat.testing.replies import Failure, Reply
from supercompat.testing.scripted import Event, Received, Stream


class ResponsesWire:
    """Writes responses, and keeps those that are to be stored when they are about to be whole."""

    def __init__(
        self, dialect: Dialect, shelf: Shelf, received: Received, asked: Mapping[Received, Asked]
    ) -> None:
        self._dialect = dialect
        self._shelf = shelf
        self._received = received
        self._asked = asked

    def headers(self) -> Mapping[str, str]:
        return {"x-request-id": f"req_{uuid.uuid4().hex}"}

    def is_streamed(self, received: Received) -> bool:
        return bool(received.body.get("stream"))

    def stream(self, reply: Reply, received: Received) -> Stream:
        output = self._output(reply)
        steps = list(output.steps())
        if isinstance(reply.ending, Failure):
            return Stream(steps, output.error(reply.ending).data)
        if reply.ending == "malformed":
            return Stream(steps, output.malformed().data)
        if reply.ending != "whole":
            return Stream(steps, None)
        last = output.last() or steps.pop()
        assert isinstance(last, Event)
        return Stream(steps, last.data, lambda: self._keep(output))

    def body(self, reply: Reply, received: Received) -> dict[str, Any]:
        output = self._output(reply)
        for _ in output.steps():
            pass
        output.last()
        self._keep(output)
        return output.response

    def error(self, failure: Failure) -> dict[str, Any]:
        return bodies.error_body(failure, self._dialect)

    def _output(self, reply: Reply) -> Output:
        return Output(reply, self._received.body, is_kept=self._dialect.keeps_responses)

    def _keep(self, output: Output) -> None:
        self._shelf.keep(output, self._asked[self._received])
