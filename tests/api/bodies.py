"""A complete valid body for each kind of request, and ways to change one at a path such as `tools[0].type`."""

import json
import re
from collections.abc import Iterator
from typing import Any, cast

from pydantic import BaseModel

from supercompat.wire.requests import (
    AssistantCreate,
    AssistantModify,
    MessageCreate,
    MessageModify,
    RunCreate,
    RunModify,
    SubmitToolOutputs,
    ThreadCreate,
    ThreadModify,
    ThreadRunCreate,
)

METADATA: dict[str, Any] = {"k": "v", "a": "b"}
RESOURCES: dict[str, Any] = {
    "code_interpreter": {"file_ids": []},
    "file_search": {"vector_store_ids": [], "vector_stores": []},
}
MESSAGE: dict[str, Any] = {
    "role": "user",
    "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://a.example/a.png", "detail": "high"}},
    ],
    "attachments": [],
    "metadata": METADATA,
}
THREAD: dict[str, Any] = {
    "messages": [{"role": "assistant", "content": "Hi"}, MESSAGE],
    "tool_resources": RESOURCES,
    "metadata": METADATA,
}
FUNCTION: dict[str, Any] = {"name": "f", "description": "d", "parameters": {}, "strict": True}
OPTIONS: dict[str, Any] = {
    "model": "m",
    "instructions": "Be kind.",
    "tools": [{"type": "function", "function": FUNCTION}],
    "metadata": METADATA,
    "temperature": 0.5,
    "top_p": 1,
    "reasoning_effort": "low",
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "description": "d", "schema": {}, "strict": True},
    },
}
ASSISTANT: dict[str, Any] = {**OPTIONS, "name": "n", "description": "d", "tool_resources": RESOURCES}
RUN: dict[str, Any] = {
    **OPTIONS,
    "assistant_id": "asst_1",
    "max_prompt_tokens": 1_000,
    "max_completion_tokens": 100,
    "truncation_strategy": {"type": "last_messages", "last_messages": 3},
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "parallel_tool_calls": False,
    "stream": True,
}

COMPLETE: dict[type[BaseModel], dict[str, Any]] = {
    AssistantCreate: ASSISTANT,
    AssistantModify: ASSISTANT,
    ThreadCreate: THREAD,
    ThreadModify: {"tool_resources": RESOURCES, "metadata": METADATA},
    MessageCreate: MESSAGE,
    MessageModify: {"metadata": METADATA},
    RunCreate: {**RUN, "additional_instructions": "Be brief.", "additional_messages": [MESSAGE]},
    RunModify: {"metadata": METADATA},
    ThreadRunCreate: {**RUN, "thread": THREAD, "tool_resources": RESOURCES},
    SubmitToolOutputs: {"tool_outputs": [{"tool_call_id": "call_1", "output": "1"}], "stream": False},
}


def complete(model: type[BaseModel]) -> dict[str, Any]:
    """A body of one's own, nothing in it shared."""
    return json.loads(json.dumps(COMPLETE[model]))


def put(model: type[BaseModel], path: str, value: object) -> dict[str, Any]:
    """The complete body with another value, or a new one, at `path`."""
    body = complete(model)
    container, last = _holder(body, path)
    container[last] = value
    return body


def without(model: type[BaseModel], path: str) -> dict[str, Any]:
    """The complete body with nothing at `path`."""
    body = complete(model)
    container, last = _holder(body, path)
    del container[last]
    return body


def places(value: object, path: str = "") -> Iterator[tuple[Any, Any, str]]:
    """Every container within a value with each of its keys or indexes, and the path that leads there."""
    steps: Any = ()
    if isinstance(value, dict):
        steps = [(key, f"{path}.{key}" if path else key) for key in cast(dict[str, Any], value)]
    elif isinstance(value, list):
        steps = [(index, f"{path}[{index}]") for index in range(len(cast(list[Any], value)))]
    container = cast(Any, value)
    for step, here in steps:
        yield container, step, here
        yield from places(container[step], here)


def _holder(body: Any, path: str) -> tuple[Any, Any]:
    steps: list[Any] = [
        int(index) if index else key for key, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path)
    ]
    for step in steps[:-1]:
        body = body[step]
    return body, steps[-1]
