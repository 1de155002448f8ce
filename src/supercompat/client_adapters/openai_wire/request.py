"""A model request as the body of a chat completion."""

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from supercompat.model.request import (
    AssistantTurn,
    FunctionTool,
    ImagePart,
    JsonObjectFormat,
    ModelRequest,
    NamedTool,
    Part,
    ResponseFormat,
    TextPart,
    ToolCall,
    ToolChoice,
    ToolTurn,
    Turn,
    UserTurn,
)

#: What a server calls the upper bound of an answer: the first is the old name, which some models of OpenAI refuse;
#: the second is the new one, which many other servers ignore or refuse.
MaxTokensField: TypeAlias = Literal["max_tokens", "max_completion_tokens"]


def request_body(
    request: ModelRequest,
    *,
    max_tokens_field: MaxTokensField = "max_completion_tokens",
    usage_option: bool = True,
    stream: bool = True,
) -> dict[str, Any]:
    """The JSON body that asks what `request` asks. What was not asked for is not in it.

    Args:
        max_tokens_field: the name of the field for `max_completion_tokens`.
        usage_option: whether a stream has to be asked to report its usage.
        stream: whether the answer is wanted in chunks.
    """
    body: dict[str, Any] = {"model": request.model, "messages": list(_messages(request))}
    if stream:
        body["stream"] = True
        if usage_option:
            body["stream_options"] = {"include_usage": True}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            body["tool_choice"] = _tool_choice(request.tool_choice)
        if request.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.response_format is not None:
        body["response_format"] = _response_format(request.response_format)
    knobs = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        max_tokens_field: request.max_completion_tokens,
        "reasoning_effort": request.reasoning_effort,
        "stop": list(request.stop) or None,
    }
    body.update((name, value) for name, value in knobs.items() if value is not None)
    return body


def _messages(request: ModelRequest) -> Iterator[dict[str, Any]]:
    if request.instructions:
        yield {"role": "system", "content": request.instructions}
    for turn in request.turns:
        yield _message(turn)


def _message(turn: Turn) -> dict[str, Any]:
    match turn:
        case UserTurn(content):
            return {"role": "user", "content": _content(content)}
        case AssistantTurn(text, calls) if calls:
            return {
                "role": "assistant",
                "content": text or None,
                "tool_calls": [_tool_call(call) for call in calls],
            }
        case AssistantTurn(text):
            return {"role": "assistant", "content": text}
        case ToolTurn():
            return {"role": "tool", "tool_call_id": turn.call_id, "content": turn.output}


def _content(parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
    """One text goes as a string, the form that every server takes."""
    match parts:
        case ():
            return ""
        case (TextPart(text),):
            return text
        case _:
            return [_part(part) for part in parts]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, ImagePart):
        return {"type": "image_url", "image_url": {"url": part.url, "detail": part.detail}}
    return {"type": "text", "text": part.text}


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tool(tool: FunctionTool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": dict(tool.parameters)}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _response_format(wanted: ResponseFormat) -> dict[str, Any]:
    if isinstance(wanted, JsonObjectFormat):
        return {"type": "json_object"}
    fields = {"schema": wanted.schema, "description": wanted.description, "strict": wanted.strict}
    given = {name: value for name, value in fields.items() if value is not None}
    return {"type": "json_schema", "json_schema": {"name": wanted.name, **given}}
