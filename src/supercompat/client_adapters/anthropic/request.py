"""A model request as the body of a message. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from supercompat.client_adapters.anthropic.families import Family, family_of
from supercompat.client_adapters.anthropic.schemas import enforceable, is_enforceable
from supercompat.client_adapters.anthropic.turns import Block, digest_of, messages_of
from supercompat.model.request import (
    AssistantTurn,
    FunctionTool,
    JsonObjectFormat,
    JsonSchemaFormat,
    ModelRequest,
    NamedTool,
    ToolCall,
)

_JSON_NOTE = "Answer with one JSON object and nothing else: no words around it, no code fence."
_SCHEMA_NOTE = "Answer with JSON that fits this schema and nothing else: no words around it, no code fence."

#: Tokens of thinking, for families that are asked with a number, and the fewest that may be asked for.
_BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 24_576, "max": 24_576}
_SMALLEST_BUDGET = 1_024


def request_body(
    request: ModelRequest, *, max_tokens: int | None = None, sampling: bool = False
) -> dict[str, Any]:
    """The JSON body that asks what `request` asks. It does not say whether to stream.

    Args:
        max_tokens: for an answer whose length was not asked for; None for what suits the model's family.
        sampling: whether `temperature` and `top_p` are sent, to models that take them.

    Raises:
        ProviderError: an image is no URL that can be sent.
    """
    family = family_of(request.model)
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_completion_tokens or max_tokens or family.max_tokens,
    }
    if system := _system(request):
        body["system"] = system
    body.update(_tools(request))
    body["messages"] = messages_of(request, head=_head(body))
    body.update(_reasoning(request, body, family))
    if (wanted := request.response_format) and (schema := _native_schema(wanted)):
        body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if sampling and family.samples and "thinking" not in body:
        body.update(_sampling(request))
    return body


def origin_of(body: Mapping[str, Any]) -> dict[str, str]:
    """What an answer to this body is bound to. Newer models refuse their thinking after any other conversation."""
    digest = _head(body)
    for message in body["messages"]:
        digest = digest_of(digest, message)
    return {"model": body["model"], "prefix": digest}


def _head(body: Mapping[str, Any]) -> str:
    return digest_of("", [body.get("system"), body.get("tools")])


def _system(request: ModelRequest) -> str:
    wanted = request.response_format
    notes = [request.instructions or ""]
    if isinstance(wanted, JsonSchemaFormat) and wanted.schema is not None:
        if not _native_schema(wanted):
            notes.append(f"{_SCHEMA_NOTE}\n{json.dumps(wanted.schema, ensure_ascii=False)}")
    elif wanted is not None:
        notes.append(_JSON_NOTE)
    return "\n\n".join(note for note in notes if note.strip())


def _native_schema(wanted: JsonObjectFormat | JsonSchemaFormat) -> dict[str, Any] | None:
    if isinstance(wanted, JsonObjectFormat) or wanted.schema is None or not is_enforceable(wanted.schema):
        return None
    described = {"description": wanted.description} if wanted.description else {}
    return enforceable({**described, **wanted.schema})


def _tools(request: ModelRequest) -> dict[str, Any]:
    if not request.tools:
        return _tools_of_history(request.turns)
    fields: dict[str, Any] = {"tools": [_tool(tool) for tool in request.tools]}
    choice = _tool_choice(request)
    if request.parallel_tool_calls is False and choice != {"type": "none"}:
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return {**fields, "tool_choice": choice} if choice else fields


def _tools_of_history(turns: Sequence[object]) -> dict[str, Any]:
    """Calls in the history are refused without tools: those that were called are named, and can't be called."""
    calls: list[ToolCall] = [
        call for turn in turns if isinstance(turn, AssistantTurn) for call in turn.tool_calls
    ]
    names = sorted({call.name for call in calls})
    if not names:
        return {}
    return {
        "tools": [{"name": name, "input_schema": {"type": "object"}} for name in names],
        "tool_choice": {"type": "none"},
    }


def _tool(tool: FunctionTool) -> dict[str, Any]:
    schema = {"type": "object", **tool.parameters}
    fields: dict[str, Any] = {"name": tool.name, "input_schema": schema}
    if tool.description:
        fields["description"] = tool.description
    if tool.strict and is_enforceable(schema):
        fields |= {"input_schema": enforceable(schema), "strict": True}
    return fields


def _tool_choice(request: ModelRequest) -> dict[str, Any] | None:
    match request.tool_choice:
        case None:
            return None
        case NamedTool(name):
            return {"type": "tool", "name": name}
        case "required":
            return {"type": "any"}
        case choice:
            return {"type": choice}


def _reasoning(request: ModelRequest, body: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """How much the model thinks. Thinking rules out to force a call: the call is what was asked for explicitly."""
    wanted = request.reasoning_effort
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    if family.thinking == "budget":
        return _budget(wanted, body) if wanted not in (None, "none") and not forced else {}
    off = wanted == "none" or (forced and family.thinking == "default")
    fields: dict[str, Any] = {}
    if off and family.thinking == "default":
        fields["thinking"] = {"type": "disabled"}
    elif family.thinking == "asked" and wanted not in (None, "none") and not forced:
        fields["thinking"] = {"type": "adaptive"}
    if effort := _effort(wanted, family, off=off):
        fields["output_config"] = {"effort": effort}
    return fields


def _effort(wanted: str | None, family: Family, *, off: bool) -> str | None:
    if wanted is None or not family.efforts:
        return None
    if wanted == "none":
        return "low" if family.thinking == "always" else None
    effort = "low" if wanted == "minimal" else wanted
    return "high" if effort not in family.efforts or (off and effort in ("xhigh", "max")) else effort


def _budget(wanted: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing, where there is no room for it, or where the calls that are answered now were made without thinking."""
    budget = min(_BUDGETS.get(wanted or "", _BUDGETS["medium"]), body["max_tokens"] - 1)
    messages: list[dict[str, Any]] = body["messages"]
    in_loop = _type_of_first(messages[-1]) == "tool_result"
    thought = in_loop and _type_of_first(messages[-2]) in ("thinking", "redacted_thinking")
    if budget < _SMALLEST_BUDGET or (in_loop and not thought):
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _type_of_first(message: Mapping[str, Any]) -> str:
    blocks: list[Block] = message["content"]
    return blocks[0]["type"]


def _sampling(request: ModelRequest) -> dict[str, float]:
    """Both at once are refused, and so is a temperature above 1."""
    if request.temperature is not None:
        return {"temperature": min(request.temperature, 1.0)}
    return {} if request.top_p is None else {"top_p": request.top_p}
