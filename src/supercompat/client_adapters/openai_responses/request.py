"""A model request as the body of a request for a response."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supercompat.client_adapters.openai_responses.state import Recall, items_of, previous_response, text_of
from supercompat.errors import ProviderError
from supercompat.model.request import (
    AssistantTurn,
    FunctionTool,
    ImagePart,
    JsonObjectFormat,
    ModelRequest,
    NamedTool,
    Part,
    ToolCall,
    ToolTurn,
    Turn,
    UserTurn,
)

#: The lowest limit of an answer, in tokens.
LEAST_OUTPUT = 16

#: What a computer call is called where it is shown as a function.
COMPUTER = "computer_call"

_MARKER = re.compile("【[0-9]+:[0-9]+†[^】]*】")

#: What has to be asked for to come along with a hosted tool's calls.
_INCLUDED: Mapping[str, str] = {
    "file_search": "file_search_call.results",
    "code_interpreter": "code_interpreter_call.outputs",
    "web_search": "web_search_call.action.sources",
}


@dataclass(frozen=True, slots=True)
class Way:
    """How a provider is asked.

    Args:
        server: tells its answers from those of other servers.
        store: whether it keeps its answers.
        background: whether it goes on when nobody listens.
        recall: how it is reminded, in a round of tools, of what it said before.
        seals: whether the model's reasoning is to come along, encrypted, where its answers are not kept.
        stream: whether the answer is wanted as events.
        has_extras: whether it knows `store`, `include`, `truncation` and `metadata`.
    """

    server: str
    store: bool = False
    background: bool = False
    recall: Recall = "ids"
    seals: bool = False
    stream: bool = True
    has_extras: bool = True


def request_body(request: ModelRequest, way: Way) -> dict[str, Any]:
    """The JSON body that asks what `request` asks. What was not asked for is not in it.

    Raises:
        ProviderError: it asks for what this API does not have.
    """
    if request.stop:
        raise ProviderError("The Responses API has no stop sequences.", code="invalid_prompt")
    body: dict[str, Any] = {"model": request.model, **_input(request, way)}
    if way.stream:
        body["stream"] = True
    body |= _tools(request)
    if request.response_format is not None:
        body["text"] = {"format": _format(request)}
    if request.reasoning_effort is not None:
        body["reasoning"] = {"effort": request.reasoning_effort}
    knobs = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_output_tokens": _limit(request),
    }
    body.update((name, value) for name, value in knobs.items() if value is not None)
    return body | (_extras(request, way) if way.has_extras else {})


def _limit(request: ModelRequest) -> int | None:
    """Of what is left of a run's limit, the API takes no less than this."""
    limit = request.max_completion_tokens
    return None if limit is None else max(limit, LEAST_OUTPUT)


def _extras(request: ModelRequest, way: Way) -> dict[str, Any]:
    extras: dict[str, Any] = {"store": way.store}
    if way.background:
        extras["background"] = True
    if request.may_truncate:
        extras["truncation"] = "auto"
    if request.metadata and way.store:
        extras["metadata"] = dict(request.metadata)
    include = included(request)
    if way.seals and not way.store:
        include.append("reasoning.encrypted_content")
    return {**extras, "include": include} if include else extras


def included(request: ModelRequest) -> list[str]:
    """What has to be asked for, so that it comes along with the calls of the request's hosted tools."""
    kinds = [tool.kind for tool in request.hosted_tools]
    return [what for name, what in _INCLUDED.items() if any(kind.startswith(name) for kind in kinds)]


def _input(request: ModelRequest, way: Way) -> dict[str, Any]:
    continues = way.store and way.recall == "ids" and request.may_continue
    previous = previous_response(request.turns, way.server) if continues else None
    if previous is not None:
        response_id, turns = previous
        instructions = {"instructions": request.instructions} if request.instructions else {}
        return {
            **instructions,
            "previous_response_id": response_id,
            "input": list(_items(request, turns, way)),
        }
    items = list(_items(request, request.turns, way))
    if not request.instructions:
        return {"input": items}
    if not items:
        # The API wants some input.
        return {"input": [{"type": "message", "role": "developer", "content": request.instructions}]}
    return {"instructions": request.instructions, "input": items}


def _items(request: ModelRequest, turns: Sequence[Turn], way: Way) -> Iterator[dict[str, Any]]:
    asked = max((at for at, turn in enumerate(turns) if isinstance(turn, UserTurn)), default=-1)
    replayed = {
        at: items_of(turn, way.server, request.model, way.recall)
        for at, turn in enumerate(turns)
        if at > asked and isinstance(turn, AssistantTurn) and turn.tool_calls
    }
    repeated = _repeated(turns, replayed)
    retold: set[str] = set()
    for at, turn in enumerate(turns):
        if at in repeated:
            continue
        match turn:
            case UserTurn(content):
                yield {"type": "message", "role": "user", "content": [_part(part) for part in content]}
            case AssistantTurn() if replayed.get(at):
                yield from replayed[at]
            case AssistantTurn(text, calls):
                if text:
                    yield {"type": "message", "role": "assistant", "content": text}
                yield from map(_call, calls)
                retold.update(call.id for call in calls)
            case ToolTurn() if turn.call_id not in retold and _is_of_computer(turn, request):
                yield _screenshot(turn)
            case ToolTurn():
                yield {"type": "function_call_output", "call_id": turn.call_id, "output": _seen(turn)}


def _repeated(turns: Sequence[Turn], replayed: Mapping[int, list[dict[str, Any]]]) -> set[int]:
    """Turns of text right before an answer that is sent again as it came, and has their text in it."""
    repeated: set[int] = set()
    for at, items in replayed.items():
        said = {text_of(item) for item in items if item.get("type") == "message"}
        before = at - 1
        while before >= 0 and _is_said(turns[before], said):
            repeated.add(before)
            before -= 1
    return repeated


def _is_said(turn: Turn, said: set[str]) -> bool:
    """Whether the turn is one of these texts, but for the markers of what it cites."""
    return isinstance(turn, AssistantTurn) and _MARKER.sub("", turn.text) in said


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        return {"type": "input_image", "image_url": part.url, "detail": part.detail}
    return {"type": "input_text", "text": part.text}


def _call(call: ToolCall) -> dict[str, Any]:
    """Of the computer too: without what only the provider knows of a call, the API would refuse it as such."""
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _is_of_computer(turn: ToolTurn, request: ModelRequest) -> bool:
    return turn.name == COMPUTER and any(tool.kind.startswith("computer") for tool in request.hosted_tools)


def _screenshot(turn: ToolTurn) -> dict[str, Any]:
    screenshot = _object(turn.output)
    if screenshot is None:
        raise ProviderError(
            'The output of a computer call has to be JSON such as {"type": "computer_screenshot", "image_url": …}.',
            code="invalid_prompt",
        )
    checks = screenshot.pop("acknowledged_safety_checks", None)
    acknowledged = {"acknowledged_safety_checks": checks} if checks else {}
    return {"type": "computer_call_output", "call_id": turn.call_id, "output": screenshot, **acknowledged}


def _seen(turn: ToolTurn) -> str | list[dict[str, Any]]:
    """The output of a function; of the computer, the image, which would be many tokens as a text."""
    shown = (_object(turn.output) or {}) if turn.name == COMPUTER else {}
    if shown.get("type") != "computer_screenshot":
        return turn.output
    name = next((name for name in ("image_url", "file_id") if shown.get(name)), None)
    return [{"type": "input_image", "detail": "auto", name: shown[name]}] if name else turn.output


def _object(text: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        return None


def _tools(request: ModelRequest) -> dict[str, Any]:
    tools = [*map(_function, request.tools), *({"type": t.kind, **t.settings} for t in request.hosted_tools)]
    if not tools:
        return {}
    body: dict[str, Any] = {"tools": tools}
    if request.hosted_choice is not None:
        body["tool_choice"] = _hosted_choice(request, request.hosted_choice)
    elif isinstance(request.tool_choice, NamedTool):
        body["tool_choice"] = {"type": "function", "name": request.tool_choice.name}
    elif request.tool_choice is not None:
        body["tool_choice"] = request.tool_choice
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return body


def _hosted_choice(request: ModelRequest, kind: str) -> dict[str, Any]:
    """Any of the servers, where a tool of MCP must be used: the API wants to know which."""
    if kind != "mcp":
        return {"type": kind}
    labels = [tool.settings.get("server_label") for tool in request.hosted_tools if tool.kind == kind]
    servers = [{"type": kind, "server_label": label} for label in labels]
    return {"type": "allowed_tools", "mode": "required", "tools": servers}


def _function(tool: FunctionTool) -> dict[str, Any]:
    # Unlike chat completions, this API is strict unless it is told otherwise.
    function: dict[str, Any] = {
        "type": "function",
        "name": tool.name,
        "parameters": dict(tool.parameters),
        "strict": tool.strict,
    }
    return function if tool.description is None else {**function, "description": tool.description}


def _format(request: ModelRequest) -> dict[str, Any]:
    wanted = request.response_format
    assert wanted is not None
    if isinstance(wanted, JsonObjectFormat):
        return {"type": "json_object"}
    fields = {"description": wanted.description, "strict": wanted.strict}
    given = {name: value for name, value in fields.items() if value is not None}
    return {"type": "json_schema", "name": wanted.name, "schema": dict(wanted.schema or {}), **given}
