"""The response object and its small parts: ids, usage, what a request leaves to its defaults. Pure."""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from supercompat.testing.replies import Usage

#: What a request may set, and what the response says where it did not.
_ECHOED: Mapping[str, Any] = {
    "background": False,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "model": None,
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "safety_identifier": None,
    "service_tier": "auto",
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}


def new_id(prefix: str) -> str:
    """An id such as `resp_…`; `prefix` has the underscore."""
    return prefix + uuid.uuid4().hex + uuid.uuid4().hex[:16]


def response_body(request: Mapping[str, Any], *, is_stored: bool) -> dict[str, Any]:
    """The response to a request before anything was said."""
    body: dict[str, Any] = {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "queued" if request.get("background") else "in_progress",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
    }
    for name, default in _ECHOED.items():
        given = request.get(name)
        body[name] = default if given is None else given
    body["store"] = is_stored
    body["reasoning"] = {"effort": None, "summary": None} | (request.get("reasoning") or {})
    body["text"] = {"format": {"type": "text"}, "verbosity": "medium"} | (request.get("text") or {})
    body["tools"] = [_tool(tool) for tool in request.get("tools") or ()]
    return body


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    # A function is strict unless it says otherwise, unlike in chat completions.
    if tool["type"] != "function":
        return dict(tool)
    return {"description": None, "parameters": None, **tool, "strict": tool.get("strict") is not False}


def usage_body(usage: Usage) -> dict[str, Any]:
    """The `usage` object, with its details."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }
