"""From a thread to what a model is asked: the history, its tool calls and their outputs, and the run's settings."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from supercompat.engine.lifecycle import stored_usage
from supercompat.model import request as model
from supercompat.model.families import estimate_tokens, estimate_turn
from supercompat.model.request import AssistantTurn, ModelRequest, ToolTurn, Turn, UserTurn
from supercompat.storage_adapters.protocol import PageQuery, Row, RunRow, Transaction
from supercompat.wire.objects import (
    ImageUrlContent,
    JsonObject,
    Message,
    RefusalContent,
    Run,
    RunStep,
    TextContent,
    ToolCallsDetails,
)


@dataclass(frozen=True, slots=True)
class History:
    """What a run sees of its thread: messages oldest first, and the steps that called tools among them."""

    messages: Sequence[Row[Message]]
    tool_steps: Sequence[Row[RunStep]]

    @property
    def last_message(self) -> str | None:
        return self.messages[-1].object.id if self.messages else None


class BudgetSpentError(Exception):
    """The prompt budget leaves no room for even the newest turn. `args[0]` names the limit (C-114)."""


def read_history(tx: Transaction, row: RunRow) -> History:
    """The part of the thread that the run's truncation strategy lets through (C-076).

    `last_messages` counts the messages that were there before the run; what the run itself said stays.
    """
    run = row.object
    in_thread = {"thread_id": run.thread_id}
    own = 0
    limit = run.truncation_strategy.last_messages
    if limit is not None and row.private.get("passes", 0):
        own = len(tx.messages.page(PageQuery({**in_thread, "run_id": run.id}, limit=None)).rows)
    newest = tx.messages.page(PageQuery(in_thread, limit=None if limit is None else limit + own)).rows
    messages = list(reversed(newest))
    steps = tx.steps.page(PageQuery(in_thread, order="asc", limit=None)).rows
    tool_steps = [step for step in steps if step.object.type == "tool_calls"]
    return History(
        messages, [step for step in tool_steps if limit is None or _in_window(step, messages, run)]
    )


def _in_window(step: Row[RunStep], messages: Sequence[Row[Message]], run: Run) -> bool:
    known = {message.object.id for message in messages}
    return step.object.run_id == run.id or step.private.get("after") in known


def build_request(row: RunRow, history: History) -> ModelRequest:
    """The next call of the model for this run.

    Raises:
        BudgetSpentError: `max_prompt_tokens` or `max_completion_tokens`, counted over all passes, is used up.
    """
    run = row.object
    spent = stored_usage(row.private)
    request = ModelRequest(
        model=run.model,
        instructions=run.instructions or None,
        turns=tuple(turns_of(history)),
        tools=tuple(_tool(tool) for tool in run.tools),
        response_format=_response_format(run.response_format),
        max_completion_tokens=_left(run.max_completion_tokens, spent.completion, "max_completion_tokens"),
        reasoning_effort=run.reasoning_effort,
        **row.private.get("sampling", {}),
    )
    if request.tools:
        request = replace(request, tool_choice=_tool_choice(row), parallel_tool_calls=run.parallel_tool_calls)
    return _fit(request, _left(run.max_prompt_tokens, spent.prompt, "max_prompt_tokens"))


def turns_of(history: History) -> list[Turn]:
    """The conversation. Tool steps stand behind the message that they followed; text and the calls of one answer
    are one turn (C-133). A step whose calls were never answered is left out: no provider takes half of it."""
    known: set[str | None] = {message.object.id for message in history.messages}
    followers: dict[str | None, list[Row[RunStep]]] = {}
    for step in history.tool_steps:
        if _answered(step.object):
            after = step.private.get("after")
            followers.setdefault(after if after in known else None, []).append(step)
    turns: list[Turn] = []
    _insert_steps(turns, followers.get(None, ()))
    for message in history.messages:
        turn = _message_turn(message)
        if turn is not None:
            turns.append(turn)
        _insert_steps(turns, followers.get(message.object.id, ()), said_before=message.object)
    return turns


def _insert_steps(
    turns: list[Turn], steps: Iterable[Row[RunStep]], said_before: Message | None = None
) -> None:
    for step in steps:
        calls = _calls(step.object)
        asked = AssistantTurn(
            tool_calls=tuple(
                model.ToolCall(call.id, call.function.name, call.function.arguments or "{}") for call in calls
            ),
            provider_state=step.private.get("provider_state"),
        )
        same_answer = said_before is not None and said_before.run_id == step.object.run_id
        if same_answer and turns and isinstance(turns[-1], AssistantTurn):
            said = turns.pop()
            assert isinstance(said, AssistantTurn)
            asked = replace(asked, text=said.text)
        turns.append(asked)
        turns += [ToolTurn(call.id, call.function.name, call.function.output or "") for call in calls]
        said_before = None


def _answered(step: RunStep) -> bool:
    """A step whose pass broke off has no calls at all: they are stored when the pass ends."""
    calls = _calls(step)
    return bool(calls) and all(call.function.output is not None for call in calls)


def _calls(step: RunStep):
    assert isinstance(step.step_details, ToolCallsDetails)
    return step.step_details.tool_calls


def _message_turn(row: Row[Message]) -> Turn | None:
    message = row.object
    if message.role == "assistant":
        text = "".join(_words(message))
        return AssistantTurn(text, provider_state=row.private.get("provider_state")) if text else None
    parts = tuple(_part(content) for content in message.content)
    # The API takes an empty text beside another part; providers do not.
    parts = tuple(part for part in parts if part != model.TextPart(""))
    return UserTurn(parts) if parts else None


def _words(message: Message) -> Iterable[str]:
    for content in message.content:
        if isinstance(content, TextContent):
            yield content.text.value
        elif isinstance(content, RefusalContent):
            yield content.refusal


def _part(content: TextContent | ImageUrlContent | RefusalContent) -> model.Part:
    match content:
        case TextContent():
            return model.TextPart(content.text.value)
        case ImageUrlContent():
            return model.ImagePart(content.image_url.url, content.image_url.detail)
        case RefusalContent():
            return model.TextPart(content.refusal)


def _tool(tool: Any) -> model.FunctionTool:
    function = tool.function
    return model.FunctionTool(function.name, function.description, function.parameters, bool(function.strict))


def _tool_choice(row: RunRow) -> model.ToolChoice | None:
    """A forced call is asked for in the first pass only, else the run would never end (C-079)."""
    choice = row.object.tool_choice
    if isinstance(choice, str):
        forced, named = choice == "required", choice
    else:
        forced, named = True, model.NamedTool(choice["function"]["name"])
    if named == "auto" or (forced and row.private.get("passes", 0)):
        return None
    return named  # type: ignore[return-value]


def _response_format(shown: str | JsonObject) -> model.ResponseFormat | None:
    if isinstance(shown, str) or shown["type"] == "text":
        return None
    if shown["type"] == "json_object":
        return model.JsonObjectFormat()
    schema: Mapping[str, Any] = shown["json_schema"]
    return model.JsonSchemaFormat(
        schema["name"], schema.get("schema"), schema.get("description"), schema.get("strict")
    )


def _left(limit: int | None, spent: int, name: str) -> int | None:
    if limit is None:
        return None
    if spent >= limit:
        raise BudgetSpentError(name)
    return limit - spent


def _fit(request: ModelRequest, budget: int | None) -> ModelRequest:
    """Drop the oldest turns until the estimate fits; a tool output never stays without its call."""
    if budget is None:
        return request
    tools = json.dumps([dict(tool.parameters) for tool in request.tools])
    size = estimate_tokens(request.instructions or "") + estimate_tokens(tools if request.tools else "")
    sizes = [estimate_turn(turn) for turn in request.turns]
    size += sum(sizes)
    first = 0
    while first < len(sizes) and (size > budget or isinstance(request.turns[first], ToolTurn)):
        size -= sizes[first]
        first += 1
    if request.turns and first == len(sizes):
        raise BudgetSpentError("max_prompt_tokens")
    return replace(request, turns=request.turns[first:])
