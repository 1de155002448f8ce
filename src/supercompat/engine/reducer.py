"""From what a model says to what the API shows: pure, no I/O.

A `Reducer` is one pass of a run. It takes model events and gives back, in order, deltas (to be published) and
changes (to be stored, then published). The methods that end a pass (`finish`, `fail`, `cancel`, `expire`) only
compute: until their changes are stored, the pass may still end in another way.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Literal

from supercompat.engine.changes import RUN_EVENTS, STEP_EVENTS, Change, Output
from supercompat.engine.lifecycle import (
    RunEnding,
    StepEnding,
    begun_step,
    broken_message,
    ended_step,
    made_message,
    move,
    run_ended,
    stored_usage,
    usage_object,
    usage_state,
)
from supercompat.engine.parts import OpenPart
from supercompat.engine.tool_calls import (
    UNDER_WAY,
    UNSHOWN,
    OpenCall,
    file_id_of,
    kept_beside,
    ranking_of,
    shown_step,
)
from supercompat.model import events as model
from supercompat.model.surrogates import SurrogateJoiner
from supercompat.storage_adapters.protocol import Row
from supercompat.wire import objects as wire
from supercompat.wire.events import AssistantEvent, Piece, code_output, message_delta
from supercompat.wire.ids import Ids
from supercompat.wire.objects import JsonObject, LastError, Message, Run, RunStep


class Reducer:
    """One pass of a run.

    Args:
        run: in progress.
        private: what is kept beside the run; `usage` there is what its earlier passes were billed.
        ids: name what is new.
        now: gives Unix seconds.
        last_message: id of the newest message of the thread, if it has one.
        stored: the steps of this pass that are stored, if it is heard again from its beginning.
    """

    def __init__(
        self,
        run: Run,
        private: Mapping[str, Any],
        *,
        ids: Ids,
        now: Callable[[], int],
        last_message: str | None,
        stored: Sequence[Row[RunStep]] = (),
    ) -> None:
        self._run = run
        self._private = dict(private)
        self._ids = ids
        self._now = now
        self._last_message = last_message
        self._message: Message | None = None
        self._message_step: RunStep | None = None
        self._parts: list[OpenPart] = []
        self._has_spoken = False
        self._images: list[str] = list(private.get(UNSHOWN, ()))
        self._tool_step: RunStep | None = None
        self._calls: list[OpenCall] = []
        self._files: dict[str, str] = {}
        # Places among the step's calls of those that a model event means by number.
        self._functions: list[int] = []
        self._stored = list(stored)
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
                place = self._functions[index]
                return [self._calls[place].add(self._open_tools().id, place, self._whole.join(index, text))]
            case model.MessageStarted():
                return self._end_message_before_more()
            case model.Annotated():
                return self._annotate(event)
            case (
                model.HostedCallStarted()
                | model.HostedCallInput()
                | model.HostedCallOutput()
                | model.HostedCallDone()
            ):
                return self._on_hosted(event)
            case model.BackgroundStarted(handle):
                self._private[UNDER_WAY] = handle
                return [Change(Row(self._run, dict(self._private)))]
            case model.ProviderStateReported(state):
                self._provider_state = state
            case model.UsageReported(usage):
                self._usage = usage
            case model.Finished(reason):
                self._reason = reason
            case model.ReasoningDelta():
                pass
        return []

    @property
    def under_way(self) -> Mapping[str, Any] | None:
        """With what the provider's answer is picked up, or cancelled, if it goes on by itself."""
        return self._private.get(UNDER_WAY)

    def open_message(self) -> Message | None:
        """The message that was begun and is not yet ended, with its text so far."""
        return None if self._message is None else self._message.changed(content=self._content())

    def _say(self, kind: Literal["text", "refusal"], piece: str) -> list[Output]:
        piece = self._whole.join(kind, piece)
        if not piece:
            return []
        opening = self._open_message_for_more()
        first = not self._parts or self._parts[-1].kind != kind
        if first:
            self._parts.append(OpenPart(kind))
        self._parts[-1].add(piece)
        assert self._message is not None
        said = Piece(kind, self._message.id, len(self._parts) - 1, piece, first=first)
        return [*opening, said.event()]

    def _annotate(self, said: model.Annotated) -> list[Output]:
        opening = self._open_message_for_more()
        if not self._parts or self._parts[-1].kind != "text":
            self._parts.append(OpenPart("text"))
        part, at = self._parts[-1], len(self._parts) - 1
        annotation = {"index": len(part.annotations), **part.annotate(said)}
        value = {"value": said.marker} if said.marker else {}
        delta = {"index": at, "type": "text", "text": {**value, "annotations": [annotation]}}
        assert self._message is not None
        return [*opening, message_delta(self._message.id, delta)]

    def _start_call(self, call_id: str, name: str) -> list[Output]:
        opening: list[Output] = []
        if not self._functions:
            opening += self._end_message_before_more()
        if self._tool_step is None:
            opening += self._open_tool_step()
        self._functions.append(len(self._calls))
        return [*opening, self._add_call(OpenCall(call_id, "function", name))]

    def _add_call(self, call: OpenCall) -> AssistantEvent:
        self._calls.append(call)
        return call.opened(self._open_tools().id, len(self._calls) - 1)

    # Tools that the provider carries out

    def _on_hosted(
        self,
        event: model.HostedCallStarted
        | model.HostedCallInput
        | model.HostedCallOutput
        | model.HostedCallDone,
    ) -> list[Output]:
        if isinstance(event, model.HostedCallStarted):
            return self._start_hosted(event)
        at = next((at for at, call in enumerate(self._calls) if call.is_hosted and call.id == event.id), None)
        if at is None:
            return []
        call, step = self._calls[at], self._open_tools()
        match event:
            case model.HostedCallInput(_, text):
                return [call.add(step.id, at, text)]
            case model.HostedCallOutput(_, logs, image):
                output = wire.CodeLogs(logs=logs or "") if image is None else self._code_image(image)
                call.outputs.append(output)
                return [code_output(step.id, at, len(call.outputs) - 1, output)]
            case model.HostedCallDone(_, output, found, image):
                call.is_done, call.output, call.found = True, output, found
                if image is not None:
                    call.output = json.dumps({"file_id": self._new_image(image)})
        return []

    def _start_hosted(self, event: model.HostedCallStarted) -> list[Output]:
        """A step for each, unless functions are called too: then one step has them all (section 2)."""
        opening = self._end_hosted_step()
        if self._tool_step is None:
            opening += [*self._end_message_before_more(), *self._open_tool_step()]
        call = OpenCall(event.id, event.kind, event.name, is_hosted=True, ranking=ranking_of(self._run))
        return [*opening, self._add_call(call)]

    def _end_hosted_step(self) -> list[Output]:
        """It stays open until something else is said: a function that is called belongs to it."""
        if self._tool_step is None or self._functions or not all(call.is_done for call in self._calls):
            return []
        ended = self._end_tool_step("completed", None, model.Usage())
        self._tool_step, self._calls, self._files = None, [], {}
        return ended

    def _code_image(self, image: str) -> wire.CodeImage:
        return wire.CodeImage(image=wire.ImageFile(file_id=self._new_image(image)))

    def _new_image(self, image: str) -> str:
        """An image is kept with its step, and shown in the message that follows (S8)."""
        file_id = file_id_of(self._open_tools().id, len(self._files))
        self._files[file_id] = image
        self._images.append(file_id)
        return file_id

    # Opening

    def _open_message_for_more(self) -> list[Output]:
        if self._message is not None:
            return []
        return [*self._end_hosted_step(), *self._open_message()]

    def _open_message(self) -> list[Output]:
        known = self._next_stored("message_creation")
        message_id = (known and made_message(known.object)) or self._ids.new(Message)
        details = wire.MessageCreationDetails(message_creation=wire.CreatedMessage(message_id=message_id))
        self._message_step = known.object if known else self._new_step("message_creation", details)
        self._message = Message(
            id=message_id,
            created_at=self._now(),
            assistant_id=self._run.assistant_id,
            thread_id=self._run.thread_id,
            run_id=self._run.id,
            status="in_progress",
            role="assistant",
        )
        self._last_message, self._has_spoken = message_id, True
        opening = [
            Change(
                Row(self._message_step), ("thread.run.step.created", "thread.run.step.in_progress"), new=True
            ),
            Change(Row(self._message), ("thread.message.created", "thread.message.in_progress"), new=True),
        ]
        return [*self._as_stored(opening, known), *self._show_images()]

    def _show_images(self) -> list[Output]:
        """What was drawn comes first, and an empty text behind it, which what is said then goes on with (S8)."""
        images, self._images = self._images, []
        self._parts = [OpenPart("image_file", file_id) for file_id in images]
        if not images:
            return []
        shown = [
            {"index": at, "type": "image_file", "image_file": {"file_id": file_id}}
            for at, file_id in enumerate(images)
        ]
        self._parts.append(OpenPart("text"))
        text: JsonObject = {"index": len(images), "type": "text", "text": {"value": "", "annotations": []}}
        assert self._message is not None
        return [message_delta(self._message.id, *shown, text)]

    def _open_tool_step(self) -> list[Output]:
        known = self._next_stored("tool_calls")
        self._tool_step = known.object if known else self._new_step("tool_calls", wire.ToolCallsDetails())
        row = self._tool_row(self._tool_step)
        opening = [Change(row, ("thread.run.step.created", "thread.run.step.in_progress"), new=True)]
        return self._as_stored(opening, known)

    def _next_stored(self, kind: str) -> Row[RunStep] | None:
        """What is heard again was stored in the same order; what it was then is told again, from its beginning."""
        if not self._stored or self._stored[0].object.type != kind:
            return None
        row, *self._stored = self._stored
        return replace(row, object=begun_step(row.object))

    def _as_stored(self, opening: list[Change], known: Row[RunStep] | None) -> list[Output]:
        if known is None:
            return list(opening)
        return [event for change in opening for event in change.events()]

    def _tool_row(self, step: RunStep, **private: Any) -> Row[RunStep]:
        """The calls stand in the conversation behind the message that is the last so far."""
        kept = kept_beside(self._calls, self._files)
        return Row(step, {"after": self._last_message, **self._kept_state(), **kept, **private})

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
        if self._functions:
            return self._require_action()
        if self._message is None and not self._lacks_message():
            return [*self._end_tool_step("completed", None, self._usage), self._end_run("completed")]
        return [
            *self._open_message_for_more(),
            # Of a call that nobody said the end of.
            *self._end_tool_step("completed", None, model.Usage()),
            *self._completed_message(self._usage),
            self._end_run("completed"),
        ]

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
            wire.RequiredCall(id=call.id, function=wire.CalledFunction(name=call.name, arguments=call.input))
            for call in self._calls
            if not call.is_hosted
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
        lacks_message = self._lacks_message()
        ended = self._end_hosted_step() if lacks_message else []
        opening = self._open_message() if lacks_message and not self._calls else []
        message = "max_tokens" if reason == "max_completion_tokens" else reason
        return [
            *ended,
            *opening,
            *self._incomplete_message(message),
            *self._end_steps("completed"),
            self._end_run("incomplete", incomplete_details=wire.IncompleteDetails(reason=reason)),
        ]

    def _lacks_message(self) -> bool:
        """Whether the answer is to end with a message that nothing was said in. None follows what a tool did, if there
        is one before: the SDK's handlers fail on it."""
        is_told = self._has_spoken and self._tool_step is not None and not self._images
        return self._message is None and not is_told

    def _end_message_before_more(self) -> list[Output]:
        """Text before a call is a message and a step of its own (S5). The turn is billed to what comes last."""
        if self._message is None or not self._parts:
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
            *self._end_tool_step(status, last_error, self._usage),
        ]

    def _end_message_step(
        self, status: StepEnding, usage: model.Usage, last_error: LastError | None = None
    ) -> list[Output]:
        if self._message_step is None:
            return []
        step = ended_step(self._message_step, status, self._now(), usage, last_error)
        return [Change(Row(step), (STEP_EVENTS[status],))]

    def _end_tool_step(
        self, status: StepEnding, last_error: LastError | None, usage: model.Usage
    ) -> list[Output]:
        if self._tool_step is None:
            return []
        said = self._tool_step.changed(step_details=wire.ToolCallsDetails(tool_calls=self._step_calls()))
        step = ended_step(said, status, self._now(), usage, last_error)
        row = self._tool_row(step)
        return [Change(row, (STEP_EVENTS[status],), shown=shown_step(row, self._private))]

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
        private = {name: value for name, value in self._private.items() if name not in (UNDER_WAY, UNSHOWN)}
        if self._images:
            private[UNSHOWN] = list(self._images)
        return {**private, "usage": usage_state(spent), "passes": self._private.get("passes", 0) + 1}

    def _content(self) -> Sequence[wire.Content]:
        return [part.content() for part in self._parts]

    def _step_calls(self) -> list[wire.AnyStepCall]:
        return [call.shown() for call in self._calls]

    def _open_tools(self) -> RunStep:
        assert self._tool_step is not None, "a tool call was continued before it began"
        return self._tool_step
