"""A model that answers from a script, in process: what users put behind the tests of their own application."""

import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from supercompat.client_adapters.base import ChatAnswer
from supercompat.errors import ProviderError, RunErrorCode
from supercompat.model import events
from supercompat.model.events import ModelEvent
from supercompat.model.families import context_window
from supercompat.model.ids import new_call_id
from supercompat.model.request import ModelRequest, TextPart, UserTurn
from supercompat.testing.openai_server.bodies import completion_body, stream
from supercompat.testing.openai_server.dialects import OPENAI
from supercompat.testing.replies import Arguments, Call, ChatStep, Failure, Gate, Piece, Reply, text

Script: TypeAlias = Reply | Failure | Callable[[ModelRequest], Reply | Failure]
"""A reply, an error, or a function of the request that makes one."""


class ScriptedModel:
    """A client adapter without a provider: `supercompat(client=ScriptedModel(text("Hello")))`.

    Replies are taken first in, first out; when none is left, `default` answers.

    Args:
        replies: the script.
        default: a reply or a function of the request; by default the last user message is repeated.

    Attributes:
        requests: what runs asked so far, in order.
    """

    def __init__(self, *replies: Script, default: Script | None = None) -> None:
        self.requests: list[ModelRequest] = []
        self._script = deque(replies)
        self._default = default or echo

    @property
    def pending(self) -> int:
        """How many replies nobody has asked for yet."""
        return len(self._script)

    def reply(self, *replies: Script) -> None:
        """Add replies to the end of the script."""
        self._script.extend(replies)

    def connect(
        self, *, own_pool: bool, threads: object = None, images: object = None
    ) -> "ScriptedConnection":
        return ScriptedConnection(self)

    def take(self, request: ModelRequest) -> Reply | Failure:
        """The reply to this request."""
        self.requests.append(request)
        reply = self._script.popleft() if self._script else self._default
        reply = reply(request) if callable(reply) else reply
        if isinstance(reply, Reply) and not reply.is_chat:
            raise ProviderError("The scripted reply has something that only ScriptedServer can play.")
        return reply


class ScriptedConnection:
    """A scripted model at work; see `ScriptedModel`."""

    def __init__(self, model: ScriptedModel) -> None:
        self._model = model

    def context_window(self, model: str) -> int:
        return context_window(model)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        reply = self._model.take(request)
        if reply.gate:
            await reply.gate.pass_through()
        if isinstance(reply, Failure):
            raise provider_error(reply)
        yield play(reply)

    @asynccontextmanager
    async def chat(self, params: Mapping[str, Any]) -> AsyncIterator[ChatAnswer]:
        reply = self._model.take(_request(params))
        if reply.gate:
            await reply.gate.pass_through()
        if isinstance(reply, Failure):
            raise provider_error(reply)
        if params.get("stream"):
            yield ChatAnswer(chunks=_chunks(reply, params))
        else:
            yield ChatAnswer(body=completion_body(reply, params, OPENAI))

    async def models(self) -> list[dict[str, Any]]:
        return []

    async def aclose(self) -> None:
        """Nothing was opened."""


def echo(request: ModelRequest) -> Reply:
    """Says what the last user message says."""
    said = next((turn for turn in reversed(request.turns) if isinstance(turn, UserTurn)), UserTurn(()))
    return text(" ".join(part.text for part in said.content if isinstance(part, TextPart)))


async def play(reply: Reply) -> AsyncIterator[ModelEvent]:
    """The reply as what a model says."""
    if reply.ending == "unanswered":
        raise ProviderError("The connection was closed before an answer came.")
    index = -1
    for step in reply.chat_steps:
        if isinstance(step, Gate):
            await step.pass_through()
        elif isinstance(step, Call):
            index += 1
            yield events.ToolCallStarted(index, step.id or new_call_id(), step.name)
            if not step.arguments:
                yield events.ToolCallArguments(index, "{}")
        else:
            for event in _said(step, index):
                yield event
    if isinstance(reply.ending, Failure):
        raise provider_error(reply.ending)
    if reply.ending != "whole":
        raise ProviderError("The connection was closed before the answer was complete.")
    if reply.usage is not None:
        usage = reply.usage
        counts = events.Usage(usage.prompt, usage.completion, usage.cached, usage.reasoning)
        yield events.UsageReported(counts)
    if reply.finish in ("stop", "length", "tool_calls", "content_filter"):
        yield events.Finished(reply.finish)


def _said(step: ChatStep, index: int) -> list[ModelEvent]:
    match step:
        case Piece("content", text):
            return [events.TextDelta(text)]
        case Piece("refusal", text):
            return [events.RefusalDelta(text)]
        case Piece("reasoning", text):
            return [events.ReasoningDelta(text)]
        case Arguments(text):
            return [events.ToolCallArguments(index, text)]
        case _:
            return []


def provider_error(failure: Failure) -> ProviderError:
    """What a client adapter makes of the error."""
    code: RunErrorCode = "server_error"
    if failure.status == 429:
        code = "rate_limit_exceeded"
    elif failure.status in (400, 413, 422):
        code = "invalid_prompt"
    body: dict[str, object] = {"type": failure.type, "param": failure.param, "code": failure.code}
    return ProviderError(failure.message, code=code, status=failure.status, body=body)


def _request(params: Mapping[str, Any]) -> ModelRequest:
    """A chat request, as far as a script may want to look at it."""
    said = [message for message in params.get("messages", ()) if message.get("role") == "user"]
    turns = tuple(UserTurn((TextPart(str(message.get("content"))),)) for message in said)
    return ModelRequest(model=str(params.get("model")), turns=turns)


async def _chunks(reply: Reply, params: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for step in stream(reply, params, OPENAI).steps:
        if isinstance(step, Gate):
            await step.pass_through()
            continue
        data = step.data.removeprefix(b"data: ").strip()
        if data != b"[DONE]":
            yield json.loads(data)
