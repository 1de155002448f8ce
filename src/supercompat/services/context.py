"""What a run sent to the model, told again from what is stored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from supercompat.engine.sent import Sent, sent_by
from supercompat.engine.transcript import Piece, pieces_of, settings
from supercompat.model import request as model
from supercompat.services.core import Core, current_run
from supercompat.storage_adapters.protocol import History, PageQuery, Row, RunRow, Transaction
from supercompat.wire import context as wire
from supercompat.wire.objects import (
    CalledFunction,
    ImageUrl,
    JsonObject,
    Message,
    MessageCreationDetails,
    Run,
    RunStep,
)

Thing: TypeAlias = Row[Message] | Row[RunStep]


@dataclass(frozen=True, slots=True)
class _Told:
    """What is stored of a pass.

    Args:
        things: what is still there of what it sent, by id.
        pieces: the same, as it was sent.
        left_out: how many messages it did not send.
    """

    sent: Sent
    things: Mapping[str, Thing]
    pieces: Sequence[Piece]
    left_out: int


class Contexts:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def retrieve(self, thread_id: str, run_id: str) -> wire.RunContext:
        """What each pass of the run sent, so far."""

        def work(tx: Transaction) -> tuple[RunRow, list[_Told]]:
            row = current_run(tx, thread_id, run_id, now=self._core.clock.now())
            return row, _tell(tx, row)

        row, told = await self._core.store.transact(work)
        passes = [_pass_context(row, number, each) for number, each in enumerate(told)]
        return wire.RunContext(thread_id=thread_id, run_id=run_id, passes=passes)


def _tell(tx: Transaction, row: RunRow) -> list[_Told]:
    passes, thread_id = sent_by(row.private), row.object.thread_id
    if not passes:
        return []
    places = [(sent.first_place, sent.last_place) for sent in passes]
    stretch = tx.messages.stretch(thread_id, min(places)[0], max(last for _, last in places))
    own = tx.steps.page(PageQuery({"run_id": row.object.id}, order="asc", limit=None)).rows
    told: list[_Told] = []
    for sent in passes:
        question = sent.question and tx.messages.get(sent.question)
        said = _said_before(own, sent.answered)
        things = [thing for thing in _between(stretch, sent) if _was_there(thing, row.object, said, sent)]
        things = [question, *things] if question else things
        until = tx.messages.count_until(thread_id, sent.last_place) if sent.limit else 0
        told.append(_as_sent(sent, things, until))
    return told


def _as_sent(sent: Sent, things: Sequence[Thing], until: int) -> _Told:
    """The pass with these things. `until`: how many messages the thread has up to the last of them."""
    by_id = {thing.object.id: thing for thing in things}
    pieces = pieces_of(things)
    messages = sum(isinstance(by_id[id].object, Message) for piece in pieces for id in piece.ids)
    return _Told(sent, by_id, pieces, max(until - messages, 0))


def _between(stretch: History, sent: Sent) -> list[Thing]:
    """What stands between the two ends of what was sent, whether these are still there or not."""
    things: list[tuple[Thing, int]] = []
    for row, place in zip(stretch.rows, stretch.places, strict=True):
        if not sent.first_place <= place <= sent.last_place:
            continue
        if row.object.id == sent.first:
            things.clear()
        things.append((row, place))
        if row.object.id == sent.last:
            return [thing for thing, _ in things]
    # The last was a message. A storage may have given its place to another one since.
    return [thing for thing, place in things if place < sent.last_place]


def _said_before(own: Sequence[Row[RunStep]], answered: str | None) -> set[str]:
    """The ids of the run's own steps, and of the messages that they made, up to this one; none for None."""
    said: set[str] = set()
    if answered is None:
        return said
    for row in own:
        said.add(row.object.id)
        if isinstance(row.object.step_details, MessageCreationDetails):
            said.add(row.object.step_details.message_creation.message_id)
        if row.object.id == answered:
            break
    return said


def _was_there(thing: Thing, run: Run, said: set[str], sent: Sent) -> bool:
    """Whether it was said before the pass. Where messages were deleted, what was said later may stand in between."""
    if thing.object.run_id == run.id:
        return thing.object.id in said
    return isinstance(thing.object, Message) or thing.object.created_at <= sent.at


def _pass_context(row: RunRow, number: int, told: _Told) -> wire.PassContext:
    run, sent = row.object, told.sent
    # As it stood when the pass began. What was left of the run's tokens is in the note.
    then = replace(row, private={**row.private, "passes": number, "usage": {}})
    request = replace(settings(then), max_completion_tokens=sent.max_completion_tokens)
    return wire.PassContext(
        sent_at=sent.at,
        model=request.model,
        instructions=request.instructions,
        messages=[turn for piece in told.pieces for turn in _turns(piece, told.things)],
        deleted_messages=sent.things - sum(len(piece.ids) for piece in told.pieces),
        tools=run.tools,
        parameters=_parameters(request, run),
        estimated_tokens=sent.tokens,
        context_window=sent.window,
        left_out=_left_out(sent, run, told.left_out),
    )


def _left_out(sent: Sent, run: Run, messages: int) -> wire.LeftOut | None:
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
        tool_choice=_tool_choice(request),
        parallel_tool_calls=request.parallel_tool_calls,
    )


def _tool_choice(request: model.ModelRequest) -> str | JsonObject | None:
    choice = request.tool_choice
    if request.hosted_choice is not None:
        return {"type": request.hosted_choice}
    if isinstance(choice, model.NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _turns(piece: Piece, things: Mapping[str, Thing]) -> Iterator[wire.SentMessage]:
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
