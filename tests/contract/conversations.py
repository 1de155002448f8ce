"""Conversations to test with: an assistant, a thread with a question in it, and the runs that answer."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from openai import OpenAI
from openai.types.beta import AssistantStreamEvent, FunctionToolParam
from openai.types.beta.threads import Message, Run
from openai.types.beta.threads.run_submit_tool_outputs_params import ToolOutput
from openai.types.beta.threads.runs import RunStep

Json: TypeAlias = dict[str, Any]

#: Seconds after which what should have happened long ago counts as never.
DEADLINE = 10.0

MODEL = "gpt-4o-mini"

WEATHER: FunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather now",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CLOCK: FunctionToolParam = {"type": "function", "function": {"name": "get_time"}}


class Event(NamedTuple):
    """One event of a run's stream, its data as it was sent."""

    name: str
    data: Json


def heard(stream: Iterable[AssistantStreamEvent]) -> list[Event]:
    """The events of a stream, read to its end."""
    return [Event(event.event, event.data.to_dict()) for event in stream]


def heard_until(events: Iterator[AssistantStreamEvent], name: str) -> list[Event]:
    """The next events of a stream, up to the first with this name."""
    said: list[Event] = []
    while not said or said[-1].name != name:
        event = next(events)
        said.append(Event(event.event, event.data.to_dict()))
    return said


def names(events: Iterable[Event]) -> list[str]:
    """The names of the events, each run of deltas as one: `thread.message.delta*`."""
    found: list[str] = []
    for event in events:
        name = f"{event.name}*" if event.name.endswith(".delta") else event.name
        if not (name.endswith("*") and found and found[-1] == name):
            found.append(name)
    return found


def only(events: Iterable[Event], name: str) -> Json:
    """The data of the one event with this name."""
    (data,) = (event.data for event in events if event.name == name)
    return data


def texts(message: Message) -> list[str]:
    """The text parts of a message."""
    return [part.text.value for part in message.content if part.type == "text"]


def call_ids(run: Run) -> list[str]:
    """The ids of the calls that the run waits for."""
    assert run.required_action
    return [call.id for call in run.required_action.submit_tool_outputs.tool_calls]


def outputs(answers: Mapping[str, str]) -> list[ToolOutput]:
    """Tool outputs by the ids of their calls."""
    return [{"tool_call_id": call_id, "output": output} for call_id, output in answers.items()]


@dataclass(frozen=True)
class Conversation:
    """A thread and the assistant that answers on it. `settings` are those of `runs.create`."""

    client: OpenAI
    assistant_id: str
    thread_id: str

    def start(self, **settings: Any) -> Run:
        """A run, just created."""
        runs: Any = self.client.beta.threads.runs
        return runs.create(self.thread_id, assistant_id=self.assistant_id, **settings)

    def run(self, **settings: Any) -> Run:
        """A run, created and polled until it rests."""
        runs = self.client.beta.threads.runs
        return runs.create_and_poll(thread_id=self.thread_id, assistant_id=self.assistant_id, **settings)

    def stream(self, **settings: Any) -> Any:
        """A new run's stream."""
        runs = self.client.beta.threads.runs
        return runs.create(self.thread_id, assistant_id=self.assistant_id, stream=True, **settings)

    def retrieve(self, run_id: str) -> Run:
        return self.client.beta.threads.runs.retrieve(run_id, thread_id=self.thread_id)

    def poll(self, run_id: str) -> Run:
        return self.client.beta.threads.runs.poll(run_id, thread_id=self.thread_id)

    def cancel(self, run_id: str) -> Run:
        return self.client.beta.threads.runs.cancel(run_id, thread_id=self.thread_id)

    def submit(self, run_id: str, answers: Mapping[str, str]) -> Run:
        """The run, as it is when the outputs were taken."""
        runs = self.client.beta.threads.runs
        return runs.submit_tool_outputs(run_id, thread_id=self.thread_id, tool_outputs=outputs(answers))

    def submit_and_poll(self, run_id: str, answers: Mapping[str, str]) -> Run:
        self.submit(run_id, answers)
        return self.poll(run_id)

    def submit_stream(self, run_id: str, answers: Mapping[str, str]) -> Any:
        runs = self.client.beta.threads.runs
        return runs.submit_tool_outputs(
            run_id, thread_id=self.thread_id, tool_outputs=outputs(answers), stream=True
        )

    def helper(self, handler: Any) -> Any:
        """A new run, streamed through the SDK's helper."""
        runs = self.client.beta.threads.runs
        return runs.stream(thread_id=self.thread_id, assistant_id=self.assistant_id, event_handler=handler)

    def submit_helper(self, run_id: str, answers: Mapping[str, str], handler: Any) -> Any:
        runs = self.client.beta.threads.runs
        return runs.submit_tool_outputs_stream(
            run_id=run_id, thread_id=self.thread_id, tool_outputs=outputs(answers), event_handler=handler
        )

    def ask(self, content: Any) -> Message:
        """One more user message."""
        return self.client.beta.threads.messages.create(self.thread_id, role="user", content=content)

    def messages(self, **query: Any) -> list[Message]:
        """The thread's messages, oldest first."""
        return list(self.client.beta.threads.messages.list(self.thread_id, order="asc", **query))

    def answers(self) -> list[Message]:
        """The messages that runs made, oldest first."""
        return [message for message in self.messages() if message.run_id]

    def steps(self, run_id: str) -> list[RunStep]:
        """The run's steps, oldest first."""
        runs = self.client.beta.threads.runs
        return list(runs.steps.list(run_id, thread_id=self.thread_id, order="asc"))


def conversation(client: OpenAI, question: Any = "Hi", **assistant: Any) -> Conversation:
    """An assistant with these settings, and a thread that holds the question (an empty one for None)."""
    settings: Json = {"model": MODEL, **assistant}
    made = client.beta.assistants.create(**settings)
    messages: Any = [] if question is None else [{"role": "user", "content": question}]
    thread = client.beta.threads.create(messages=messages)
    return Conversation(client, made.id, thread.id)
