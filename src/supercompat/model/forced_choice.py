"""A forced tool choice for servers that ignore it: the call is asked for as JSON of a schema, and turned back.

Servers that ignore `tool_choice` often enforce a JSON schema exactly, by restricting what the model can say.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, cast

from supercompat.model.events import Finished, ModelEvent, TextDelta, ToolCallArguments, ToolCallStarted
from supercompat.model.ids import new_call_id
from supercompat.model.request import FunctionTool, JsonSchemaFormat, ModelRequest, NamedTool


def forced_functions(request: ModelRequest) -> tuple[FunctionTool, ...]:
    """The functions one of which the model must call; none if it is free to answer."""
    choice = request.tool_choice
    if isinstance(choice, NamedTool):
        return tuple(tool for tool in request.tools if tool.name == choice.name)
    return request.tools if choice == "required" else ()


def with_schema(request: ModelRequest, functions: tuple[FunctionTool, ...]) -> ModelRequest:
    """The same request, with a schema that only a call of one of the functions fits instead of the tools."""
    schemas = [_call_schema(function) for function in functions]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    instructions = [request.instructions] if request.instructions else []
    return replace(
        request,
        instructions="\n\n".join([*instructions, _note(functions)]),
        tools=(),
        tool_choice=None,
        parallel_tool_calls=None,
        response_format=JsonSchemaFormat("function_call", schema),
    )


class ForcedCallReader:
    """Turns the events of an answer that fits the schema into those of a call.

    The text is kept until the answer is over. If it is no call then, as when it was cut off, it stays text.
    """

    def __init__(self) -> None:
        self._text: list[str] = []

    def read(self, events: Iterable[ModelEvent]) -> Iterator[ModelEvent]:
        for event in events:
            if isinstance(event, TextDelta):
                self._text.append(event.text)
            elif isinstance(event, Finished):
                yield from self._finish(event)
            else:
                yield event

    def _finish(self, finished: Finished) -> Iterator[ModelEvent]:
        text = "".join(self._text)
        call = _parsed_call(text) if finished.reason == "stop" else None
        if call is None:
            if text:
                yield TextDelta(text)
            yield finished
            return
        name, arguments = call
        yield ToolCallStarted(0, new_call_id(), name)
        yield ToolCallArguments(0, arguments)
        yield Finished("tool_calls")


def _call_schema(function: FunctionTool) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"name": {"const": function.name}, "arguments": dict(function.parameters)},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _note(functions: tuple[FunctionTool, ...]) -> str:
    """The schema restricts the answer, but does not reach the model: it has to be told what the functions do."""
    lines = [
        f"- {tool.name}: {tool.description}" if tool.description else f"- {tool.name}" for tool in functions
    ]
    intro = "Answer with a JSON object that calls a function: its name, and its arguments. The functions:"
    return "\n".join([intro, *lines])


def _parsed_call(text: str) -> tuple[str, str] | None:
    try:
        call = json.loads(text)
    except ValueError:
        return None
    if not isinstance(call, dict):
        return None
    members = cast(dict[str, Any], call)
    name = members.get("name")
    if not isinstance(name, str):
        return None
    return name, json.dumps(members.get("arguments") or {}, ensure_ascii=False)
