"""Questions to an assistant in one thread, each answered by a streamed run that is shown and checked as it goes."""

import json
import time
from collections.abc import Callable, Mapping

from openai import OpenAI
from openai.lib.streaming import AssistantEventHandler, AssistantStreamManager
from openai.types.beta import AssistantToolChoiceOptionParam
from openai.types.beta.threads import Message, MessageDeltaEvent, RequiredActionFunctionToolCall, Run
from openai.types.beta.threads.run_submit_tool_outputs_params import ToolOutput
from openai.types.beta.threads.runs import RunStep
from openai.types.shared import ErrorObject

from supercompat.errors import SupercompatError
from supercompat.server.read_back import Line, line_of
from supercompat.server.screen import RunReport, Screen

# Some ten times what the demo's answers need: a small model that rambles is stopped here, and the demo says so.
MAX_COMPLETION_TOKENS = 250


def require(held: bool, otherwise: str) -> None:
    """Go on only if something holds.

    Raises:
        SupercompatError: it does not.
    """
    if not held:
        raise SupercompatError(f"The demo failed: {otherwise}.")


class Conversation:
    """A thread, and an assistant that answers in it.

    Args:
        functions: what the assistant's function tools do, by name; each takes the call's arguments.
    """

    def __init__(
        self,
        client: OpenAI,
        assistant_id: str,
        thread_id: str,
        functions: Mapping[str, Callable[..., Mapping[str, str]]],
        screen: Screen,
    ) -> None:
        self._threads = client.beta.threads
        self._assistant_id = assistant_id
        self._thread_id = thread_id
        self._functions = functions
        self._screen = screen
        self.seen: list[Line] = []

    def ask(
        self, title: str, question: str, tool_choice: AssistantToolChoiceOptionParam = "auto"
    ) -> RunReport:
        """Put a question, show the answer as it comes, and carry out the functions that it calls for.

        Raises:
            SupercompatError: the run did not complete, or its text, steps or usage are not there.
        """
        self._screen.headline(title)
        self._screen.line("user", question, style="cyan")
        self._remember(self._threads.messages.create(self._thread_id, role="user", content=question))
        report = RunReport(title, history=len(self.seen))
        started = time.monotonic()
        run = self._follow(
            self._threads.runs.stream(
                thread_id=self._thread_id,
                assistant_id=self._assistant_id,
                tool_choice=tool_choice,
                max_completion_tokens=MAX_COMPLETION_TOKENS,
            ),
            report,
            started,
        )
        while run.status == "requires_action":
            run = self._follow(self._submit(run, report), report, started)
        report.seconds = time.monotonic() - started
        self._check(run, report)
        return report

    def _follow(
        self, manager: AssistantStreamManager[AssistantEventHandler], report: RunReport, started: float
    ) -> Run:
        run: Run | None = None
        with manager as stream:
            for event in stream:
                match event.data:
                    case MessageDeltaEvent() as delta:
                        self._show_text(delta, report, started)
                    case Message() as message if event.event == "thread.message.completed":
                        self._remember(message)
                    case Run() as run:
                        self._screen.line("run", run.status)
                    case RunStep() as step:
                        self._screen.line("step", f"{step.type} {step.status}")
                    case ErrorObject() as error:
                        require(False, f"the stream of {report.title!r} brought an error: {error.message}")
                    case _:
                        pass
        if run is None:
            raise SupercompatError(f"The demo failed: the stream of {report.title!r} brought no run.")
        return run

    def _show_text(self, delta: MessageDeltaEvent, report: RunReport, started: float) -> None:
        for part in delta.delta.content or ():
            if part.type == "text" and part.text and part.text.value:
                if report.first_text is None:
                    report.first_text = time.monotonic() - started
                report.answer += part.text.value
                self._screen.piece("assistant", part.text.value)

    def _submit(self, run: Run, report: RunReport) -> AssistantStreamManager[AssistantEventHandler]:
        calls = run.required_action.submit_tool_outputs.tool_calls if run.required_action else []
        return self._threads.runs.submit_tool_outputs_stream(
            run_id=run.id,
            thread_id=self._thread_id,
            tool_outputs=[self._carry_out(call, report) for call in calls],
        )

    def _carry_out(self, call: RequiredActionFunctionToolCall, report: RunReport) -> ToolOutput:
        name, arguments = call.function.name, json.loads(call.function.arguments)
        self._screen.line("call", f"{name}({json.dumps(arguments)})", style="magenta")
        try:
            output = json.dumps(self._functions[name](**arguments), ensure_ascii=False)
        except (KeyError, TypeError) as error:
            raise SupercompatError(
                f"The demo failed: the call does not fit its schema: {error!r}."
            ) from error
        report.called.append(name)
        self._screen.line("output", output, style="magenta")
        return {"tool_call_id": call.id, "output": output}

    def _remember(self, message: Message) -> None:
        self.seen.append(line_of(message))

    def _check(self, run: Run, report: RunReport) -> None:
        why = run.last_error.message if run.last_error else run.incomplete_details
        require(run.status == "completed", f"the run of {report.title!r} ended as {run.status}: {why}")
        require(bool(report.answer.strip()), f"{report.title!r} brought no text")
        require(report.answer == self.seen[-1]["text"], f"the deltas of {report.title!r} are not its message")
        listed = self._threads.runs.steps.list(run.id, thread_id=self._thread_id, order="asc")
        steps = [step.type for step in listed]
        expected = ["tool_calls"] * bool(report.called) + ["message_creation"]
        require(steps == expected, f"{report.title!r} has the steps {steps}, not {expected}")
        usage = run.usage
        require(
            usage is not None and usage.prompt_tokens > 0 < usage.completion_tokens,
            f"{report.title!r} has the usage {usage}",
        )
        assert usage
        report.prompt_tokens, report.completion_tokens = usage.prompt_tokens, usage.completion_tokens
        spent = f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out"
        self._screen.line("usage", f"{spent}; messages in its history: {report.history}")
