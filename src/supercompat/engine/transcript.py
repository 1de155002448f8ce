"""From a thread to what a model is asked: the history, its tool calls and their outputs, and the run's settings."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, cast

from supercompat.engine.lifecycle import stored_usage
from supercompat.engine.tool_calls import HOSTED
from supercompat.model import request as model
from supercompat.model.families import BYTES_PER_TOKEN, estimate_tokens, estimate_turn
from supercompat.model.request import AssistantTurn, ModelRequest, ToolTurn, Turn, UserTurn
from supercompat.storage_adapters.protocol import History, HistoryQuery, Row, RunRow, Transaction
from supercompat.wire.objects import (
    CodeInterpreterTool,
    Content,
    FileSearchTool,
    FunctionTool,
    ImageFileContent,
    ImageUrlContent,
    JsonObject,
    Message,
    RefusalContent,
    RunStep,
    StepCall,
    TextContent,
    Tool,
    ToolCallsDetails,
)

#: In a run's private data: what the files of its assistant and thread are called at the provider, for hosted tools.
RESOURCES = "resources"

#: What a file search is told by default.
_USUAL_RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0}

#: What rankers are called in the Responses API, which has a newer one by default.
_RANKERS = {"auto": "auto", "default_2024_08_21": "default-2024-11-15"}

LEAST_ANSWER = 4_096
"""Tokens that are kept free for an answer without a limit of its own, if the context window has so many to spare."""

MARGIN = 0.1
"""The part of a prompt's room that is kept for what estimates are short of."""

Limit: TypeAlias = Literal["last_messages", "max_prompt_tokens", "context_window"]


class BudgetSpentError(Exception):
    """The prompt budget leaves no room for even the newest turn. `args[0]` names the limit (C-114)."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked, and what of the thread it is not shown.

    Args:
        tokens: how many the request takes, as it is estimated, not corrected.
        sent: ids of the messages and tool steps in it, in the order of the conversation.
        limit: what kept others out; None if nothing did.
    """

    request: ModelRequest
    tokens: int
    sent: tuple[str, ...]
    limit: Limit | None


@dataclass(slots=True)
class Piece:
    """What can only be sent whole: a message, or a message and the calls behind it with their outputs."""

    ids: list[str]
    turns: list[Turn]

    @property
    def tokens(self) -> int:
        return sum(estimate_turn(turn) for turn in self.turns)

    @property
    def is_question(self) -> bool:
        return isinstance(self.turns[0], UserTurn)


def read_history(tx: Transaction, row: RunRow, window: int, correction: float = 1.0) -> History:
    """The part of the thread that the run's truncation strategy and its budget let through (C-076).

    `last_messages` counts the messages that were there before the run; what the run itself said stays.

    Args:
        window: tokens that the model takes, prompt and answer together.
        correction: how many tokens the provider counts for one that is estimated.
    """
    run = row.object
    room, _ = _room(row, window, correction)
    return tx.messages.history(
        HistoryQuery(
            run.thread_id, run.id, run.truncation_strategy.last_messages, max(room, 1) * BYTES_PER_TOKEN
        )
    )


def build_request(row: RunRow, history: History, window: int, correction: float = 1.0) -> Prompt:
    """The next call of the model for this run.

    Args:
        window, correction: as for `read_history`.

    Raises:
        BudgetSpentError: `max_prompt_tokens` or `max_completion_tokens`, counted over all passes, is used up, or
            the first leaves no room for the newest user message and what follows it.
    """
    request = settings(row)
    _left(row.object.max_prompt_tokens, stored_usage(row.private).prompt, "max_prompt_tokens")
    return _fitted(request, row, history, *_room(row, window, correction))


def settings(row: RunRow) -> ModelRequest:
    """The next call of the model for this run, without the conversation.

    Raises:
        BudgetSpentError: `max_completion_tokens` is used up.
    """
    run = row.object
    spent = stored_usage(row.private)
    request = ModelRequest(
        model=run.model,
        instructions=run.instructions or None,
        turns=(),
        tools=tuple(_function(tool) for tool in run.tools if isinstance(tool, FunctionTool)),
        hosted_tools=tuple(_hosted_tools(row)),
        may_continue=run.max_prompt_tokens is None,
        may_truncate=run.truncation_strategy.type == "auto",
        metadata=run.metadata,
        response_format=_response_format(run.response_format),
        max_completion_tokens=_left(run.max_completion_tokens, spent.completion, "max_completion_tokens"),
        reasoning_effort=run.reasoning_effort,
        **row.private.get("sampling", {}),
    )
    if request.tools or request.hosted_tools:
        choice, hosted_choice = _tool_choice(row)
        request = replace(
            request,
            tool_choice=choice,
            hosted_choice=hosted_choice,
            parallel_tool_calls=run.parallel_tool_calls,
        )
    return request


def _fitted(request: ModelRequest, row: RunRow, history: History, room: int, reason: Limit) -> Prompt:
    pieces = pieces_of(history.rows)
    fixed = estimate_tokens(request.instructions or "") + _estimate_tools(request)
    kept, tokens = _newest(pieces, room - fixed)
    # Where only the window is short, the provider judges: it is known by the model's name, and estimates are rough.
    if reason == "max_prompt_tokens" and pieces and fixed + tokens > room:
        raise BudgetSpentError(reason)
    strategy = row.object.truncation_strategy
    limit: Limit | None = reason
    if len(kept) == len(pieces):
        by_number = strategy.last_messages is not None
        limit = None if not history.is_cut else "last_messages" if by_number else reason
    return Prompt(
        replace(request, turns=tuple(turn for piece in kept for turn in piece.turns)),
        fixed + tokens,
        tuple(id for piece in kept for id in piece.ids),
        limit,
    )


def _room(
    row: RunRow, window: int, correction: float
) -> tuple[int, Literal["max_prompt_tokens", "context_window"]]:
    """How many tokens a prompt may take by estimate, and because of what. What is left of the window is for the
    answer."""
    spent = stored_usage(row.private)
    run = row.object
    answer = LEAST_ANSWER
    if run.max_completion_tokens is not None:
        answer = max(run.max_completion_tokens - spent.completion, 0)
    room = int((window - min(answer, window // 4)) * (1 - MARGIN))
    left = None if run.max_prompt_tokens is None else run.max_prompt_tokens - spent.prompt
    if left is None or left > room:
        return int(room / correction), "context_window"
    return int(left / correction), "max_prompt_tokens"


def _newest(pieces: Sequence[Piece], room: int) -> tuple[list[Piece], int]:
    """The newest pieces that fit, and their tokens. The newest question and the end are kept in any case: what is
    left out may lie between them."""
    if not pieces:
        return [], 0
    asked = next((at for at in range(len(pieces) - 1, -1, -1) if pieces[at].is_question), len(pieces) - 1)
    first = len(pieces) - 1
    tokens = sum(pieces[at].tokens for at in {asked, first})
    while first > 0:
        size = 0 if first - 1 == asked else pieces[first - 1].tokens
        if tokens + size > room:
            break
        first, tokens = first - 1, tokens + size
    return [*([pieces[asked]] if asked < first else []), *pieces[first:]], tokens


def pieces_of(rows: Iterable[Row[Message] | Row[RunStep]]) -> list[Piece]:
    """The conversation. Text and the calls of one answer are one turn (C-133).

    Args:
        rows: messages and answered tool steps, in the order of the conversation.
    """
    pieces: list[Piece] = []
    # The message that was read last, if it has a piece: calls right behind it can be of the same answer.
    said: Message | None = None
    for row in rows:
        if isinstance(row.object, RunStep):
            asked, *answered = _step_turns(row.object, row.private)
            if not asked.tool_calls:
                continue
            if said is not None and said.run_id == row.object.run_id:
                last = pieces[-1].turns.pop()
                assert isinstance(last, AssistantTurn)
                pieces[-1].turns += [replace(asked, text=last.text), *answered]
                pieces[-1].ids.append(row.object.id)
            else:
                pieces.append(Piece([row.object.id], [asked, *answered]))
            said = None
        else:
            turn = _message_turn(row.object, row.private)
            said = row.object if turn is not None else None
            if turn is not None:
                pieces.append(Piece([row.object.id], [turn]))
    return pieces


def _step_turns(step: RunStep, private: Mapping[str, Any]) -> tuple[AssistantTurn, *tuple[ToolTurn, ...]]:
    """What the provider carried out by itself is no call that anybody answered: its answer says what came of it."""
    details, hosted = step.step_details, private.get(HOSTED, ())
    assert isinstance(details, ToolCallsDetails)
    functions = [call for call in details.tool_calls if isinstance(call, StepCall) and call.id not in hosted]
    calls = [model.past_call(call.id, call.function.name, call.function.arguments) for call in functions]
    outputs = [
        ToolTurn(call.id, model.past_name(call.function.name), call.function.output or "")
        for call in functions
    ]
    state = private.get("provider_state")
    return (AssistantTurn(tool_calls=tuple(calls), provider_state=state), *outputs)


def _message_turn(message: Message, private: Mapping[str, Any]) -> Turn | None:
    if message.role == "assistant":
        text = "".join(words(message))
        return AssistantTurn(text, provider_state=private.get("provider_state")) if text else None
    parts = tuple(_part(content) for content in message.content)
    # The API takes an empty text beside another part; providers do not.
    parts = tuple(part for part in parts if part != model.TextPart(""))
    return UserTurn(parts) if parts else None


def words(message: Message) -> Iterable[str]:
    """What was said in it, part by part."""
    for content in message.content:
        if isinstance(content, TextContent):
            yield content.text.value
        elif isinstance(content, RefusalContent):
            yield content.refusal


def _part(content: Content) -> model.Part:
    match content:
        case TextContent():
            return model.TextPart(content.text.value)
        case ImageUrlContent():
            return model.ImagePart(content.image_url.url, content.image_url.detail)
        case RefusalContent():
            return model.TextPart(content.refusal)
        case ImageFileContent():
            return model.TextPart("")


def _function(tool: FunctionTool) -> model.FunctionTool:
    function = tool.function
    return model.FunctionTool(function.name, function.description, function.parameters, bool(function.strict))


def _hosted_tools(row: RunRow) -> Iterable[model.HostedTool]:
    """Those that can do something. A search of no stores, which the Responses API refuses, finds nothing."""
    resources, choice = row.private.get(RESOURCES, {}), row.object.tool_choice
    forced = None if isinstance(choice, str) else choice["type"]
    for tool in row.object.tools:
        is_idle = isinstance(tool, FileSearchTool) and not resources.get("vector_store_ids")
        if not isinstance(tool, FunctionTool) and (not is_idle or forced == tool.type):
            yield _hosted(tool, resources)


def _hosted(tool: Tool, resources: Mapping[str, Any]) -> model.HostedTool:
    """The tool as the Responses API has it."""
    match tool:
        case FileSearchTool():
            settings = tool.file_search
            how: dict[str, Any] = {"vector_store_ids": resources.get("vector_store_ids", [])}
            if settings.max_num_results is not None:
                how["max_num_results"] = settings.max_num_results
            options = {name: value for name, value in settings.ranking_options.items() if value is not None}
            if options != _USUAL_RANKING:
                how["ranking_options"] = {**options, "ranker": _RANKERS[options["ranker"]]}
            return model.HostedTool(tool.type, how)
        case CodeInterpreterTool():
            container: dict[str, Any] = {"type": "auto"}
            if resources.get("file_ids"):
                container["file_ids"] = resources["file_ids"]
            return model.HostedTool(tool.type, {"container": container})
        case _:
            return model.HostedTool(tool.type, tool.model_dump(exclude={"type"}))


def _tool_choice(row: RunRow) -> tuple[model.ToolChoice | None, str | None]:
    """What must be called: a choice among functions, or a hosted tool. A forced call is asked for in the first pass
    only, else the run would never end (C-079)."""
    choice = row.object.tool_choice
    is_first = not row.private.get("passes", 0)
    if isinstance(choice, str):
        is_asked = choice == "none" or (choice == "required" and is_first)
        return (cast(model.ToolChoice, choice) if is_asked else None), None
    if not is_first:
        return None, None
    if choice["type"] == "function":
        return model.NamedTool(choice["function"]["name"]), None
    return None, choice["type"]


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


def _estimate_tools(request: ModelRequest) -> int:
    tools = [(tool.name, tool.description, dict(tool.parameters)) for tool in request.tools]
    return estimate_tokens(json.dumps(tools)) if tools else 0
