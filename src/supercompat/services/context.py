"""What a run sent to the model, told again from what is stored."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeAlias

from supercompat.engine.sent import Sent, sent_by
from supercompat.engine.transcript import Piece, pieces_of, settings
from supercompat.model import request as model
from supercompat.services.core import Core, current_run
from supercompat.storage_adapters.protocol import Row, RunRow, Transaction
from supercompat.wire import context as wire
from supercompat.wire.objects import CalledFunction, ImageUrl, JsonObject, Message, Run, RunStep

Things: TypeAlias = Mapping[str, Row[Message] | Row[RunStep]]


@dataclass(frozen=True, slots=True)
class _Found:
    """What is stored of a run and of what it sent.

    Args:
        things: what is still there of it, by id.
        left_out: how many messages each pass left out.
    """

    row: RunRow
    passes: Sequence[Sent]
    things: Things
    left_out: Sequence[int | None]


class Contexts:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def retrieve(self, thread_id: str, run_id: str) -> wire.RunContext:
        """What each pass of the run sent, so far."""

        def work(tx: Transaction) -> _Found:
            return _find(tx, current_run(tx, thread_id, run_id, now=self._core.clock.now()))

        found = await self._core.store.transact(work)
        passes = [
            _pass_context(found, number, sent, left_out)
            for number, (sent, left_out) in enumerate(zip(found.passes, found.left_out, strict=True))
        ]
        return wire.RunContext(thread_id=thread_id, run_id=run_id, passes=passes)


def _find(tx: Transaction, row: RunRow) -> _Found:
    passes = sent_by(row.private)
    ids = list(dict.fromkeys(id for sent in passes for id in sent.ids))
    messages = tx.messages.some(ids)
    things = {**messages, **tx.steps.some([id for id in ids if id not in messages])}
    left_out = [_count_left_out(tx, row.object, sent, things) for sent in passes]
    return _Found(row, passes, things, left_out)


def _count_left_out(tx: Transaction, run: Run, sent: Sent, things: Things) -> int | None:
    """How many messages stand before the last thing that was sent, and are still there, but were not sent."""
    there = [id for id in sent.ids if id in things]
    if sent.limit is None or not there:
        return None
    shown = sum(isinstance(things[id].object, Message) for id in there)
    return tx.messages.count_until(run.thread_id, there[-1]) - shown


def _pass_context(found: _Found, number: int, sent: Sent, left_out: int | None) -> wire.PassContext:
    run = found.row.object
    # As it stood when the pass began. What was left of the run's tokens is in the note.
    then = replace(found.row, private={**found.row.private, "passes": number, "usage": {}})
    request = replace(settings(then), max_completion_tokens=sent.max_completion_tokens)
    return wire.PassContext(
        sent_at=sent.at,
        model=request.model,
        instructions=request.instructions,
        messages=list(_messages(sent.ids, found.things)),
        tools=run.tools,
        parameters=_parameters(request, run),
        estimated_tokens=sent.tokens,
        context_window=sent.window,
        left_out=_left_out(sent, run, left_out),
    )


def _left_out(sent: Sent, run: Run, messages: int | None) -> wire.LeftOut | None:
    if sent.limit is None:
        return None
    limits = {
        "last_messages": run.truncation_strategy.last_messages,
        "max_prompt_tokens": run.max_prompt_tokens,
        "context_window": sent.window,
    }
    return wire.LeftOut(reason=sent.limit, limit=limits[sent.limit] or 0, messages=messages)


def _parameters(request: model.ModelRequest, run: Run) -> wire.SentParameters:
    shown = run.response_format
    return wire.SentParameters(
        temperature=request.temperature,
        top_p=request.top_p,
        reasoning_effort=request.reasoning_effort,
        max_completion_tokens=request.max_completion_tokens,
        response_format=None if request.response_format is None or isinstance(shown, str) else shown,
        tool_choice=_tool_choice(request.tool_choice),
        parallel_tool_calls=request.parallel_tool_calls,
    )


def _tool_choice(choice: model.ToolChoice | None) -> str | JsonObject | None:
    if isinstance(choice, model.NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _messages(ids: Iterable[str], things: Things) -> Iterator[wire.SentMessage | wire.ForgottenMessage]:
    """The conversation, with what was deleted in its place: what stood on both sides of it was not one turn."""
    for there, together in groupby(ids, things.__contains__):
        if not there:
            yield from (wire.ForgottenMessage(message_id=id) for id in together)
            continue
        for piece in pieces_of(things[id] for id in together):
            yield from _turns(piece, things)


def _turns(piece: Piece, things: Things) -> Iterator[wire.SentMessage]:
    message_id = next((id for id in piece.ids if isinstance(things[id].object, Message)), None)
    step_id = next((id for id in piece.ids if isinstance(things[id].object, RunStep)), None)
    for turn in piece.turns:
        match turn:
            case model.UserTurn(content):
                parts = [_part(part) for part in content]
                yield wire.SentMessage(message_id=message_id, role="user", content=parts)
            case model.AssistantTurn(text, calls):
                yield wire.SentMessage(
                    message_id=message_id,
                    step_id=step_id,
                    role="assistant",
                    content=[wire.SentText(text=text)] if text else [],
                    tool_calls=[_call(call) for call in calls] or None,
                )
            case model.ToolTurn(call_id, _, output):
                yield wire.SentMessage(
                    step_id=step_id,
                    role="tool",
                    content=[wire.SentText(text=output)],
                    tool_call_id=call_id,
                )


def _call(call: model.ToolCall) -> wire.SentCall:
    return wire.SentCall(id=call.id, function=CalledFunction(name=call.name, arguments=call.arguments))


def _part(part: model.Part) -> wire.SentPart:
    if isinstance(part, model.ImagePart):
        return wire.SentImage(image_url=ImageUrl(url=part.url, detail=part.detail))
    return wire.SentText(text=part.text)
