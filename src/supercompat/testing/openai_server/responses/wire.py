"""How the Responses API writes what is answered."""

import copy
import uuid
from collections.abc import Mapping
from typing import Any

from supercompat.testing.openai_server import bodies
from supercompat.testing.openai_server.dialects import Dialect
from supercompat.testing.openai_server.responses.input import input_items
from supercompat.testing.openai_server.responses.kept import Kept, Shelf
from supercompat.testing.openai_server.responses.output import Output
from supercompat.testing.replies import Failure, Reply
from supercompat.testing.scripted import Event, Received, Stream


class ResponsesWire:
    """Writes responses, and keeps those that are to be stored when they are about to be whole."""

    def __init__(self, dialect: Dialect, shelf: Shelf, received: Received) -> None:
        self._dialect = dialect
        self._shelf = shelf
        self._received = received

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
        return Output(reply, self._received.body, shows_thoughts=self._dialect.shows_thoughts)

    def _keep(self, output: Output) -> None:
        request = self._received.body
        if request.get("store") is False:
            return
        previous = request.get("previous_response_id")
        before = self._shelf.previous(previous) if previous else None
        self._shelf.keep(Kept(output.response, copy.deepcopy(input_items(request)), before))
