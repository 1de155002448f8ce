"""From what a model says to what the API shows: pure, no I/O.

A `Reducer` is one pass of a run. It takes model events and gives back, in order, deltas (to be published) and
changes (to be stored, then published). The methods that end a pass (`finish`, `fail`, `cancel`, `expire`) only
compute: until their changes are stored, the pass may still end in another way.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from supercompat.engine.lifecycle import (
    RunEnding,
    StepEnding,
    broken_message,
    ended_step,
    move,
    run_ended,
    stored_usage,
    usage_object,
    usage_state,
)
from supercompat.model import events as model
from supercompat.model.surrogates import SurrogateJoiner
from supercompat.storage_adapters.protocol import Row
from supercompat.wire import objects as wire
from supercompat.wire.events import AssistantEvent, EventName, Piece, call_opened
from supercompat.wire.ids import Ids
from supercompat.wire.objects import LastError, Message, Run, RunStep


@dataclass(frozen=True, slots=True)
class Change:
    """A new state of a run, step or message, and the events that announce it once it is stored."""

    row: Row[Run] | Row[RunStep] | Row[Message]
    names: tuple[EventName, ...] = ()
    new: bool = False

    def events(self) -> list[AssistantEvent]:
        return [AssistantEvent(name, self.row.object) for name in self.names]


STEP_EVENTS: Mapping[StepEnding, EventName] = {
    "completed": "thread.run.step.completed",
    "failed": "thread.run.step.failed",
    "cancelled": "thread.run.step.cancelled",
    "expired": "thread.run.step.expired",
}
RUN_EVENTS: Mapping[str, EventName] = {
    "completed": "thread.run.completed",
    "incomplete": "thread.run.incomplete",
    "failed": "thread.run.failed",
    "cancelled": "thread.run.cancelled",
    "expired": "thread.run.expired",
}

Output: TypeAlias = Change | AssistantEvent


@dataclass(slots=True)
class _Part:
    """A content part of the open message, in the pieces that came."""

    kind: Literal["text", "refusal"]
    pieces: list[str] = field(default_factory=list[str])

    def content(self) -> wire.Content:
        value = "".join(self.pieces)
        if self.kind == "refusal":
            return wire.RefusalContent(refusal=value)
        return wire.TextContent(text=wire.Text(value=value))


@dataclass(slots=True)
class _Call:
    """A call of the open tool step, in the pieces that came."""

    id: str
    name: str
    pieces: list[str] = field(default_factory=list[str])

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


class Reducer:
    """One pass of a run.

    Args:
        run: in progress.
        private: what is kept beside the run; `usage` there is what its earlier passes were billed.
        ids: name what is new.
        now: gives Unix seconds.
        last_message: id of the newest message of the thread, if it has one.
    """

    def __init__(
        self,
        run: Run,
        private: Mapping[str, Any],
        *,
        ids: Ids,
        now: Callable[[], int],
        last_message: str | None,
    ) -> None:
        self._run = run
        self._private = dict(private)
        self._ids = ids
        self._now = now
        self._last_message = last_message
        self._message: Message | None = None
        self._message_step: RunStep | None = None
        self._parts: list[_Part] = []
        self._tool_step: RunStep | None = None
        self._calls: list[_Call] = []
        self._provider_state: Mapping[str, Any] | None = None
        self._usage = model.Usage()
        self._reason: model.FinishReason | None = None
        self._whole = SurrogateJoiner()

    # What the model says

    def on(self, event: model.ModelEvent) -> list[Output]:
        """What follows from one model event."""
        match event:
            case model.TextDelta(text):
                return self._say("text", text)
            case model.RefusalDelta(text):
                return self._say("refusal", text)
            case model.ToolCallStarted(id=call_id, name=name):
                return self._start_call(call_id, name)
            case model.ToolCallArguments(index, text):
                text = self._whole.join(index, text)
                self._calls[index].pieces.append(text)
                return [Piece("arguments", self._open_tools().id, index, text).event()]
            case model.ProviderStateReported(state):
                self._provider_state = state
            case model.UsageReported(usage):
                self._usage = usage
            case model.Finished(reason):
                self._reason = reason
            case model.ReasoningDelta():
                pass
        return []

    def open_message(self) -> Message | None:
        """The message that was begun and is not yet ended, with its text so far."""
        return None if self._message is None else self._message.changed(content=self._content())

    def _say(self, kind: Literal["text", "refusal"], piece: str) -> list[Output]:
        piece = self._whole.join(kind, piece)
        if not piece:
            return []
        opening = self._open_message() if self._message is None else []
        first = not self._parts or self._parts[-1].kind != kind
        if first:
            self._parts.append(_Part(kind))
        self._parts[-1].pieces.append(piece)
        assert self._message is not None
        said = Piece(kind, self._message.id, len(self._parts) - 1, piece, first=first)
        return [*opening, said.event()]

    def _start_call(self, call_id: str, name: str) -> list[Output]:
        opening: list[Output] = []
        if not self._calls:
            opening += self._end_message_before_calls()
            opening += self._open_tool_step()
        self._calls.append(_Call(call_id, name))
        return [*opening, call_opened(self._open_tools().id, len(self._calls) - 1, call_id, name)]

    # Opening

    def _open_message(self) -> list[Output]:
        message_id = self._ids.new(Message)
        details = wire.MessageCreationDetails(message_creation=wire.CreatedMessage(message_id=message_id))
        self._message_step = self._new_step("message_creation", details)
        self._message = Message(
            id=message_id,
            created_at=self._now(),
            assistant_id=self._run.assistant_id,
            thread_id=self._run.thread_id,
            run_id=self._run.id,
            status="in_progress",
            role="assistant",
        )
        self._last_message = message_id
        return [
            Change(
                Row(self._message_step), ("thread.run.step.created", "thread.run.step.in_progress"), new=True
            ),
            Change(Row(self._message), ("thread.message.created", "thread.message.in_progress"), new=True),
        ]

    def _open_tool_step(self) -> list[Output]:
        self._tool_step = self._new_step("tool_calls", wire.ToolCallsDetails())
        row = self._tool_row(self._tool_step)
        return [Change(row, ("thread.run.step.created", "thread.run.step.in_progress"), new=True)]

    def _tool_row(self, step: RunStep, **private: Any) -> Row[RunStep]:
        """The calls stand in the conversation behind the message that is the last so far."""
        return Row(step, {"after": self._last_message, **self._kept_state(), **private})

    def _kept_state(self) -> dict[str, Any]:
        return {} if self._provider_state is None else {"provider_state": self._provider_state}

    def _new_step(
        self, kind: Literal["message_creation", "tool_calls"], details: wire.StepDetails
    ) -> RunStep:
        return RunStep(
            id=self._ids.new(RunStep),
            created_at=self._now(),
            run_id=self._run.id,
            assistant_id=self._run.assistant_id,
            thread_id=self._run.thread_id,
            type=kind,
            expires_at=self._run.expires_at,
            step_details=details,
        )

    # Ending

    def finish(self) -> list[Output]:
        """The model has said all: the run's next state by the reason that it gave.

        A call that is cut off by a limit can't be carried out, so a limit ends the run also in a tool step.
        """
        # On a copy: a message that is opened here does not exist until it is stored.
        return copy(self)._finish()

    def _finish(self) -> list[Output]:
        if self._reason is None:
            broken = LastError(
                code="server_error", message="The provider's answer ended before it was complete."
            )
            return self.fail(broken)
        if self._reason in ("length", "content_filter"):
            return self._incomplete("max_completion_tokens" if self._reason == "length" else "content_filter")
        if self._calls:
            return self._require_action()
        opening = [] if self._message else self._open_message()
        return [*opening, *self._completed_message(self._usage), self._end_run("completed")]

    def fail(self, error: LastError) -> list[Output]:
        """The pass broke: what is open ends with it (S9)."""
        return [
            *self._incomplete_message("run_failed"),
            *self._end_steps("failed", last_error=error),
            self._end_run("failed", last_error=error),
        ]

    def cancel(self) -> list[Output]:
        """The run was cancelled; it is `cancelling` by now (S10)."""
        return [
            *self._incomplete_message("run_cancelled"),
            *self._end_steps("cancelled"),
            self._end_run("cancelled", status_before="cancelling"),
        ]

    def expire(self) -> list[Output]:
        """Its time is over (S12)."""
        return [
            *self._incomplete_message("run_expired"),
            *self._end_steps("expired"),
            self._end_run("expired"),
        ]

    def exhausted(self, reason: Literal["max_completion_tokens", "max_prompt_tokens"]) -> list[Output]:
        """A token budget was spent before the model could be asked (C-114)."""
        return [self._end_run("incomplete", incomplete_details=wire.IncompleteDetails(reason=reason))]

    def _require_action(self) -> list[Output]:
        required = [
            wire.RequiredCall(
                id=call.id, function=wire.CalledFunction(name=call.name, arguments=call.arguments)
            )
            for call in self._calls
        ]
        # Text that came after a call is a message too; the calls then stand behind it, as if it had come before.
        said = self._completed_message(model.Usage()) if self._message else []
        step = self._open_tools().changed(step_details=wire.ToolCallsDetails(tool_calls=self._step_calls()))
        action = wire.RequiredAction(submit_tool_outputs=wire.RequiredCalls(tool_calls=required))
        run = move(self._run, "requires_action", required_action=action)
        # The step's usage is shown when it completes, which the outputs bring about.
        return [
            *said,
            Change(self._tool_row(step, usage=usage_state(self._usage))),
            Change(Row(run, self._billed()), ("thread.run.requires_action",)),
        ]

    def _incomplete(self, reason: Literal["max_completion_tokens", "content_filter"]) -> list[Output]:
        opening = [] if self._message or self._calls else self._open_message()
        message = "max_tokens" if reason == "max_completion_tokens" else reason
        return [
            *opening,
            *self._incomplete_message(message),
            *self._end_steps("completed"),
            self._end_run("incomplete", incomplete_details=wire.IncompleteDetails(reason=reason)),
        ]

    def _end_message_before_calls(self) -> list[Output]:
        """Text before a call is a message and a step of its own (S5). The turn is billed to the tool step."""
        if self._message is None:
            return []
        changes = self._completed_message(model.Usage())
        self._message, self._message_step, self._parts = None, None, []
        return changes

    def _completed_message(self, usage: model.Usage) -> list[Output]:
        assert self._message is not None
        done = self._message.changed(status="completed", completed_at=self._now(), content=self._content())
        return [
            Change(Row(done, self._kept_state()), ("thread.message.completed",)),
            *self._end_message_step("completed", usage),
        ]

    def _incomplete_message(self, reason: str) -> list[Output]:
        if self._message is None:
            return []
        message = broken_message(self._message, reason, self._now()).changed(content=self._content())
        return [Change(Row(message), ("thread.message.incomplete",))]

    def _end_steps(self, status: StepEnding, *, last_error: LastError | None = None) -> list[Output]:
        """All that are open. The answer is billed to the step with its calls, if there is one."""
        usage = model.Usage() if self._tool_step else self._usage
        return [
            *self._end_message_step(status, usage, last_error),
            *self._end_tool_step(status, last_error),
        ]

    def _end_message_step(
        self, status: StepEnding, usage: model.Usage, last_error: LastError | None = None
    ) -> list[Output]:
        if self._message_step is None:
            return []
        step = ended_step(self._message_step, status, self._now(), usage, last_error)
        return [Change(Row(step), (STEP_EVENTS[status],))]

    def _end_tool_step(self, status: StepEnding, last_error: LastError | None) -> list[Output]:
        if self._tool_step is None:
            return []
        said = self._tool_step.changed(step_details=wire.ToolCallsDetails(tool_calls=self._step_calls()))
        step = ended_step(said, status, self._now(), self._usage, last_error)
        return [Change(self._tool_row(step), (STEP_EVENTS[status],))]

    def _end_run(
        self,
        status: RunEnding,
        *,
        status_before: wire.RunStatus | None = None,
        **fields: Any,
    ) -> Change:
        run = self._run.changed(status=status_before) if status_before else self._run
        private = self._billed()
        fields["usage"] = usage_object(stored_usage(private))
        fields |= run_ended(status, self._now())
        return Change(Row(move(run, status, **fields), private), (RUN_EVENTS[status],))

    # What is there so far

    def _billed(self) -> dict[str, Any]:
        spent = stored_usage(self._private) + self._usage
        return {**self._private, "usage": usage_state(spent), "passes": self._private.get("passes", 0) + 1}

    def _content(self) -> Sequence[wire.Content]:
        return [part.content() for part in self._parts]

    def _step_calls(self) -> list[wire.StepCall]:
        return [
            wire.StepCall(id=call.id, function=wire.StepFunction(name=call.name, arguments=call.arguments))
            for call in self._calls
        ]

    def _open_tools(self) -> RunStep:
        assert self._tool_step is not None, "a tool call was continued before it began"
        return self._tool_step
