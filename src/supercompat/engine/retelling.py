"""Tells the events of a run from what is stored of it, to a reader who lacks some of them.

They come as the lifecycle has them, each once. What is told late is told as it is stored: the text of a part is one
delta, and the run of an earlier moment has what is left of that moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from supercompat.engine.closing import ANSWERED
from supercompat.engine.lifecycle import RESTING, begun_step, made_message
from supercompat.engine.told import CREATED, ENDED, IN_PROGRESS, Mark, PartMark, Told, mark_of
from supercompat.engine.tool_calls import shown_step
from supercompat.storage_adapters.protocol import PageQuery, RunRow, Transaction
from supercompat.wire.events import (
    AssistantEvent,
    EventName,
    Piece,
    call_opened,
    code_output,
    message_delta,
    tool_opened,
)
from supercompat.wire.objects import (
    AnyStepCall,
    CodeStepCall,
    ImageFileContent,
    JsonObject,
    Message,
    RefusalContent,
    Run,
    RunStatus,
    RunStep,
    SearchStepCall,
    StepCall,
    TextContent,
    ToolCallsDetails,
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A run with all that it has said.

    Args:
        fence: of its row.
        answered: id of its newest step when its last outputs came.
        steps: those that are not known to the reader by the place where it began, the oldest first.
        messages: those that the reader may lack, by id. One that is missing was deleted.
    """

    run: Run
    fence: int
    answered: str | None
    steps: Sequence[RunStep]
    messages: Mapping[str, Message]

    @property
    def things(self) -> list[str]:
        """The ids of the steps, each followed by that of its message, if it made one."""
        return [id for step in self.steps for id in (step.id, made_message(step)) if id]


def read_stored(tx: Transaction, row: RunRow, told: Told) -> Stored | None:
    """What is stored of a run, without what was told to its end; None if it has no such place."""
    rows = tx.steps.page(PageQuery({"run_id": row.object.id}, order="asc", limit=None)).rows
    behind = told.behind([step.object.id for step in rows])
    if behind is None:
        return None
    steps = [shown_step(step, row.private) for step in rows[len(rows) - len(behind) :]]
    ids = [id for step in steps if (id := made_message(step))]
    lacking = [id for id in ids if not told.is_settled or told.level(id) != ENDED]
    messages = {id: message.object for id in lacking if (message := tx.messages.get(id))}
    return Stored(row.object, row.fence, row.private.get(ANSWERED), steps, messages)


def retold(told: Told, stored: Stored) -> list[bytes]:
    """The frames of all events that the reader lacks, which has been told of them then."""
    told.settle(stored.things)
    teller = _Teller(told, stored)
    teller.tell()
    return teller.frames


class _Teller:
    def __init__(self, told: Told, stored: Stored) -> None:
        self.frames: list[bytes] = []
        self._told = told
        self._stored = stored
        self._run = stored.run

    def tell(self) -> None:
        self._begin()
        for step in self._stored.steps:
            if self._told.level(step.id) != ENDED:
                self._step(step)
            if step.id == self._stored.answered:
                self._told.rest_on(step.id)
        self._end()

    # The run

    def _begin(self) -> None:
        if self._told.stage == "-":
            self._moved("created", "queued")
        if self._told.stage == "n" or self._told.is_answered:
            self._moved("queued", "queued")
        if self._told.stage == "q" and self._run.status != "queued" and self._run.started_at is not None:
            self._moved("in_progress", "in_progress")

    def _end(self) -> None:
        if self._run.status in ("cancelling", "cancelled"):
            self._cancelling()
        if self._run.status in RESTING:
            self._moved(self._run.status, self._run.status)

    def _cancelling(self) -> None:
        if self._told.stage in ("q", "i"):
            self._moved("cancelling", "cancelling")

    def _moved(self, what: str, status: RunStatus) -> None:
        name = cast(EventName, f"thread.run.{what}")
        self._tell(AssistantEvent(name, self._run_as(status, is_new=self._told.stage in ("-", "n"))))

    def _run_as(self, status: RunStatus, *, is_new: bool) -> Run:
        if self._run.status == status:
            return self._run
        expiring = (step.expires_at for step in self._stored.steps if step.expires_at)
        return self._run.changed(
            status=status,
            started_at=None if is_new else self._run.started_at,
            expires_at=self._run.expires_at or next(expiring, None),
            cancelled_at=None,
            failed_at=None,
            completed_at=None,
            required_action=None,
            last_error=None,
            incomplete_details=None,
            usage=None,
        )

    # What it said

    def _step(self, step: RunStep) -> None:
        self._opened(step.id, "thread.run.step", begun_step(step))
        if message_id := made_message(step):
            self._message(message_id)
        elif isinstance(step.step_details, ToolCallsDetails):
            self._calls(step.id, step.step_details)
        if step.status != "in_progress":
            self._ended("thread.run.step", step, is_cancelled=step.status == "cancelled")
            if step.status == "completed":
                self._begin_again()

    def _begin_again(self) -> None:
        """A reader who knows that outputs were waited for hears that they came."""
        if self._told.stage == "a":
            self._moved("queued", "queued")
            self._begin()

    def _message(self, id: str) -> None:
        message = self._stored.messages.get(id)
        if message is None:
            self._told.miss(id)
        elif self._told.level(id) != ENDED:
            self._opened(id, "thread.message", _begun_message(message))
            for index, part in enumerate(message.content):
                if isinstance(part, TextContent):
                    self._text(Piece("text", id, index, part.text.value))
                    self._annotations(id, index, part.text.annotations)
                elif isinstance(part, RefusalContent):
                    self._text(Piece("refusal", id, index, part.refusal))
                elif isinstance(part, ImageFileContent) and not self._has(id, index):
                    self._tell(message_delta(id, {"index": index, **part.model_dump()}))
            if message.status != "in_progress":
                why = message.incomplete_details and message.incomplete_details.reason
                self._ended("thread.message", message, is_cancelled=why == "run_cancelled")

    def _calls(self, step_id: str, details: ToolCallsDetails) -> None:
        for index, call in enumerate(details.tool_calls):
            if not self._has(step_id, index):
                self._tell(_call_opened(step_id, index, call))
            if isinstance(call, StepCall):
                self._text(Piece("arguments", step_id, index, call.function.arguments))
            elif isinstance(call, CodeStepCall):
                self._text(Piece("input", step_id, index, call.code_interpreter.input))
                for number, output in enumerate(call.code_interpreter.outputs):
                    if number >= self._told.extras(step_id, index):
                        self._tell(code_output(step_id, index, number, output))

    def _has(self, id: str, index: int) -> bool:
        """Whether the reader knows of a part of a message, or of a call."""
        return self._told.knows(Mark(id, parts=(PartMark(index),)))

    def _text(self, whole: Piece) -> None:
        had = self._told.characters(*whole.part)
        if len(whole.text) > had:
            rest = Piece(whole.kind, whole.of, whole.index, whole.text[had:], first=not had)
            self._tell(rest.event())

    def _annotations(self, id: str, index: int, annotations: Sequence[JsonObject]) -> None:
        for number, annotation in enumerate(annotations):
            if number >= self._told.extras(id, index):
                text = {"annotations": [{"index": number, **annotation}]}
                self._tell(message_delta(id, {"index": index, "type": "text", "text": text}))

    def _opened(self, id: str, kind: str, begun: RunStep | Message) -> None:
        for what, level in (("created", CREATED), ("in_progress", IN_PROGRESS)):
            if self._told.level(id) < level:
                self._tell(AssistantEvent(cast(EventName, f"{kind}.{what}"), begun))

    def _ended(self, kind: str, ended: RunStep | Message, *, is_cancelled: bool) -> None:
        if is_cancelled:
            self._cancelling()
        self._tell(AssistantEvent(cast(EventName, f"{kind}.{ended.status}"), ended))

    def _tell(self, event: AssistantEvent) -> None:
        if event.piece or not self._told.knows(mark_of(event)):
            self.frames.append(self._told.hear(event))


def _call_opened(step_id: str, index: int, call: AnyStepCall) -> AssistantEvent:
    match call:
        case StepCall():
            return call_opened(step_id, index, call.id, call.function.name)
        case CodeStepCall():
            code = call.code_interpreter.changed(input="", outputs=[])
            return tool_opened(step_id, index, call.changed(code_interpreter=code))
        case SearchStepCall():
            # What was found comes with the step's end.
            search = call.file_search.changed(results=[])
            return tool_opened(step_id, index, call.changed(file_search=search))


def _begun_message(message: Message) -> Message:
    ended = {"completed_at": None, "incomplete_at": None, "incomplete_details": None}
    return message.changed(status="in_progress", content=[], **ended)
