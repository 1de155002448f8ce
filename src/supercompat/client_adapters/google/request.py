"""A model request as the arguments of `generate_content_stream`: plain dicts, which every release of the SDK takes."""

import json
from collections.abc import Mapping
from typing import Any

from supercompat.client_adapters.fetch import Image
from supercompat.client_adapters.google.contents import contents_of
from supercompat.client_adapters.google.family import takes_json_with_tools, thinking_config
from supercompat.model.request import (
    FunctionTool,
    JsonObjectFormat,
    JsonSchemaFormat,
    ModelRequest,
    NamedTool,
    ResponseFormat,
)

_MODES = {"none": "NONE", "auto": "AUTO", "required": "ANY"}


def request_params(request: ModelRequest, images: Mapping[str, Image]) -> dict[str, Any]:
    """`model`, `contents` and `config`. What was not asked for is not in it.

    Args:
        images: those of the request, by their URLs.
    """
    return {
        "model": request.model,
        "contents": contents_of(request, images),
        "config": {name: value for name, value in _config(request).items() if value is not None},
    }


def _config(request: ModelRequest) -> dict[str, Any]:
    native = not request.tools or takes_json_with_tools(request.model)
    system = [request.instructions, None if native else _note(request.response_format)]
    return {
        "system_instruction": _system("\n\n".join(filter(None, system))),
        "tools": [{"function_declarations": [_declaration(tool) for tool in request.tools]}]
        if request.tools
        else None,
        "tool_config": _tool_config(request),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_output_tokens": request.max_completion_tokens,
        "stop_sequences": list(request.stop) or None,
        "thinking_config": thinking_config(request.model, request.reasoning_effort),
        # What is declared here is called by whoever made the run, never by the SDK.
        "automatic_function_calling": {"disable": True},
        **(_json(request.response_format) if native else {}),
    }


def _system(text: str) -> dict[str, Any] | None:
    return {"parts": [{"text": text}]} if text else None


def _declaration(tool: FunctionTool) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": tool.name, "parameters_json_schema": dict(tool.parameters)}
    if tool.description:
        declaration["description"] = tool.description
    return declaration


def _tool_config(request: ModelRequest) -> dict[str, Any] | None:
    """`VALIDATED` is `AUTO` with arguments that fit their schema, which `ANY` promises anyway."""
    if not request.tools:
        return None
    choice = request.tool_choice
    if isinstance(choice, NamedTool):
        config = {"mode": "ANY", "allowed_function_names": [choice.name]}
    elif choice in (None, "auto") and any(tool.strict for tool in request.tools):
        config = {"mode": "VALIDATED"}
    elif choice is None:
        return None
    else:
        config = {"mode": _MODES[choice]}
    return {"function_calling_config": config}


def _json(wanted: ResponseFormat | None) -> dict[str, Any]:
    if wanted is None:
        return {}
    if isinstance(wanted, JsonObjectFormat) or wanted.schema is None:
        return {"response_mime_type": "application/json"}
    return {"response_mime_type": "application/json", "response_json_schema": _schema(wanted)}


def _schema(wanted: JsonSchemaFormat) -> dict[str, Any]:
    described = {"description": wanted.description} if wanted.description else {}
    return {**described, **(wanted.schema or {})}


def _note(wanted: ResponseFormat | None) -> str | None:
    """In place of a format that the model can't be held to beside its tools."""
    if wanted is None:
        return None
    if isinstance(wanted, JsonObjectFormat) or wanted.schema is None:
        return "Answer with one JSON object and nothing else."
    schema = json.dumps(_schema(wanted), ensure_ascii=False)
    return f"Answer with JSON that fits this JSON schema, and with nothing else: {schema}"
