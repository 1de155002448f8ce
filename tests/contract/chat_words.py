"""A provider that is asked for responses, and tells what it was asked in the words of chat completions.

So the same tests hold for both run adapters: what they say about a request is what the model was told, not how.
"""

import json
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

from supercompat.testing import Received, Reply, ScriptedServer


class ChatWords:
    """Stands for a scripted server."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    @property
    def requests(self) -> list[Received]:
        return _Requests(self._server.requests)

    def reply(self, *answers: Any) -> None:
        self._server.reply(*(_asking(each) if callable(each) else each for each in answers))


class _Requests(list[Received]):
    """What was asked so far."""

    def __init__(self, requests: list[Received]) -> None:
        super().__init__(map(_told, requests))
        self._requests = requests

    def clear(self) -> None:
        self._requests.clear()


def _asking(answer: Any) -> Callable[[Received], Reply]:
    return lambda received: answer(_told(received))


def _told(received: Received) -> Received:
    if "input" not in received.body:
        return received
    told = copy(received)
    told.body = chat_body(received.body)
    return told


def chat_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a chat completion that asks the same. What chat completions have no word for is left out."""
    told: dict[str, Any] = {"model": body["model"], "messages": _messages(body)}
    if body.get("stream"):
        told |= {"stream": True, "stream_options": {"include_usage": True}}
    told |= {name: body[name] for name in ("temperature", "top_p", "parallel_tool_calls") if name in body}
    if "tools" in body:
        told["tools"] = [_tool(tool) for tool in body["tools"]]
    if choice := body.get("tool_choice"):
        told["tool_choice"] = _choice(choice)
    if "max_output_tokens" in body:
        told["max_tokens"] = body["max_output_tokens"]
    if "reasoning" in body:
        told["reasoning_effort"] = body["reasoning"]["effort"]
    if "text" in body:
        told["response_format"] = _format(body["text"]["format"])
    return told


def _choice(choice: Any) -> Any:
    return choice if isinstance(choice, str) else {"type": "function", "function": {"name": choice["name"]}}


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    if "instructions" in body:
        told.append({"role": "system", "content": body["instructions"]})
    for item in body["input"]:
        match item["type"]:
            case "message" if item["role"] == "developer":
                told.append({"role": "system", "content": item["content"]})
            case "message":
                told.append({"role": item["role"], "content": _content(item["content"])})
            case "function_call":
                if told[-1]["role"] != "assistant":
                    told.append({"role": "assistant", "content": None})
                function = {"name": item["name"], "arguments": item["arguments"]}
                call = {"id": item["call_id"], "type": "function", "function": function}
                told[-1].setdefault("tool_calls", []).append(call)
            case "function_call_output":
                told.append({"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]})
            case _:
                assert item["type"] == "reasoning"
    return told


def _content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    if content[0]["type"] in ("output_text", "refusal"):
        return "".join(part.get("text") or part.get("refusal") or "" for part in content)
    parts = [_part(part) for part in content]
    return parts[0]["text"] if [part["type"] for part in parts] == ["text"] else parts


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "input_text":
        return {"type": "text", "text": part["text"]}
    return {"type": "image_url", "image_url": {"url": part["image_url"], "detail": part["detail"]}}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = {name: value for name, value in tool.items() if name != "type" and value is not False}
    return {"type": "function", "function": json.loads(json.dumps(function))}


def _format(wanted: Mapping[str, Any]) -> dict[str, Any]:
    if wanted["type"] == "json_object":
        return dict(wanted)
    schema = {name: value for name, value in wanted.items() if name != "type"}
    return {"type": "json_schema", "json_schema": schema}
