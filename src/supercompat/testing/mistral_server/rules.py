"""What Mistral refuses of a chat completion: a fake that takes everything proves nothing.

First the body's shape is judged, with 422; then the conversation, with 400, by the strictest of the rules that the
models of Mistral have. `check` raises `Refused` at the first rule that is broken.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from supercompat.testing.mistral_server.bodies import signature
from supercompat.testing.mistral_server.values import Value
from supercompat.testing.replies import Failure
from supercompat.testing.scripted import Refused

ARGUMENTS = frozenset(
    """
    frequency_penalty guardrails logprobs max_tokens messages metadata min_tokens model n parallel_tool_calls
    prediction presence_penalty prompt_cache_key prompt_logprobs prompt_mode random_seed reasoning_effort
    repetition_penalty response_format safe_prompt service_tier stop stream temperature tool_choice tools top_k
    top_logprobs top_p top_prompt_logprobs
    """.split()
)
_MESSAGES: Mapping[str, tuple[str, ...]] = {
    "assistant": ("role", "content", "tool_calls", "prefix"),
    "system": ("role", "content"),
    "tool": ("role", "content", "tool_call_id", "name"),
    "user": ("role", "content"),
}
_PARTS: Mapping[str, tuple[str, ...]] = {
    "assistant": ("text", "thinking", "reference"),
    "system": ("text", "thinking"),
    "tool": ("text", "image_url"),
    "user": ("text", "image_url", "document_url", "file", "input_audio"),
}
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_AFTER: Mapping[str, tuple[str, ...]] = {
    "system": ("system", "user", "assistant"),
    "user": ("system", "user", "assistant"),
    "assistant": ("user", "assistant", "tool"),
    "tool": ("assistant", "tool"),
}


def check(body: Mapping[str, Any]) -> None:
    """Raises `Refused` unless `body` is a chat completion request that Mistral would take."""
    request = Value(body)
    request.only(ARGUMENTS)
    request["model"].string()
    for message in request["messages"].items(minimum=1):
        _check_message(message)
    _check_tools(request)
    _check_response_format(request)
    _check_knobs(request)
    _check_conversation(body["messages"])
    if body.get("temperature") == 0 and body.get("top_p") not in (None, 1):
        raise _refused("top_p must be 1 when using greedy sampling.")


def _check_message(message: Value) -> None:
    role = message["role"].value
    if role not in _MESSAGES:
        expected = ", ".join(f"'{name}'" for name in _MESSAGES)
        why = f"Input tag '{role}' found using 'role' does not match any of the expected tags: {expected}"
        raise message.wrong("union_tag_invalid", why)
    message = message.under(role)
    message.only(_MESSAGES[role])
    content = message.get("content")
    if role != "assistant":
        message["content"]
    if content:
        _check_content(content, role)
    if calls := message.get("tool_calls"):
        for call in calls.items():
            _check_call(call)
    for name in ("tool_call_id", "name"):
        if value := message.get(name):
            value.string()


def _check_content(content: Value, role: str) -> None:
    if isinstance(content.value, str):
        return
    for member in content.items():
        kind = member["type"].one_of(*_PARTS[role])
        part = member.under(kind)
        if kind == "text":
            part.only(("type", "text"))
            part["text"].string()
        elif kind == "thinking":
            _check_thinking(part)
        elif kind == "image_url":
            part.only(("type", "image_url"))
            _check_image(part["image_url"])


def _check_thinking(part: Value) -> None:
    part.only(("type", "thinking", "signature", "closed"))
    thoughts = ""
    for thought in part["thinking"].items():
        thought["type"].one_of("text", "reference", "tool_reference")
        thoughts += thought["text"].string() if thought.get("text") else ""
    signed = part.get("signature")
    if signed and signed.string() != signature(thoughts):
        raise _refused("Invalid signature in thinking chunk.")


def _check_image(image: Value) -> None:
    if not isinstance(image.value, str):
        image.only(("url", "detail"))
        if detail := image.get("detail"):
            detail.one_of("low", "auto", "high")
        image = image["url"]
    if not image.string().startswith(("https://", "http://", "data:image/")):
        raise _refused("Image URL must be an http(s) or a data URL.", "invalid_request_file", "3310")


def _check_call(call: Value) -> None:
    call.only(("id", "type", "function", "index"))
    call["function"].only(("name", "arguments"))
    call["function"]["name"].string()
    arguments = call["function"]["arguments"]
    if not isinstance(arguments.value, dict):
        arguments.string()


def _check_tools(request: Value) -> None:
    if tools := request.get("tools"):
        for tool in tools.items():
            tool.only(("type", "function"))
            tool["type"].one_of("function")
            _check_function(tool["function"])
    if parallel := request.get("parallel_tool_calls"):
        parallel.boolean()
    choice = request.get("tool_choice")
    if choice and isinstance(choice.value, dict):
        choice.only(("type", "function"))
        choice["function"].only(("name",))
        choice["function"]["name"].string()
    elif choice:
        choice.one_of("auto", "none", "any", "required")


def _check_function(function: Value) -> None:
    function.only(("name", "description", "parameters", "strict"))
    _check_name(function["name"].string(), "invalid_tool", "3210")
    function["parameters"].object()
    if description := function.get("description"):
        description.string()
    if strict := function.get("strict"):
        strict.boolean()


def _check_response_format(request: Value) -> None:
    wanted = request.get("response_format")
    if wanted is None:
        return
    wanted.only(("type", "json_schema"))
    if wanted["type"].one_of("text", "json_object", "json_schema") == "json_schema":
        schema = wanted["json_schema"]
        schema.only(("name", "description", "schema", "strict"))
        schema["name"].string()
        schema["schema"].object()
        if strict := schema.get("strict"):
            strict.boolean()


def _check_knobs(request: Value) -> None:
    if temperature := request.get("temperature"):
        temperature.number(0, 1.5)
    if top_p := request.get("top_p"):
        top_p.number(0, 1, above=True)
    for name in ("frequency_penalty", "presence_penalty"):
        if penalty := request.get(name):
            penalty.number(-2, 2)
    for name in ("max_tokens", "random_seed"):
        if count := request.get(name):
            count.integer()
    # A script holds one answer, so that more can't be asked for here, though Mistral would give them.
    if choices := request.get("n"):
        choices.number(1, 1)
    if effort := request.get("reasoning_effort"):
        effort.one_of(*_EFFORTS)
    if stream := request.get("stream"):
        stream.boolean()
    if stop := request.get("stop"):
        for one in [stop] if isinstance(stop.value, str) else stop.items():
            one.string()


def _check_conversation(messages: Sequence[Mapping[str, Any]]) -> None:
    _check_order([message["role"] for message in messages])
    for message in messages:
        if message["role"] == "assistant":
            _check_assistant(message)
        elif message["role"] == "tool":
            if message.get("name") is not None:
                _check_name(message["name"], "invalid_request_tool_message", "3240")
            _check_call_id(message.get("tool_call_id"), "invalid_request_tool_message", "3240")
    _check_answers(messages)


def _check_order(roles: Sequence[str]) -> None:
    if len(roles) == 1 and roles[0] not in ("user", "system"):
        raise _disordered("Conversation must start with a user message or system message")
    if len(roles) > 1 and roles[-1] not in ("user", "tool"):
        why = "Expected last role User or Tool (or Assistant with prefix True) for serving but got"
        raise _disordered(f"{why} {roles[-1]}")
    for before, role in pairwise(roles):
        if role not in _AFTER[before]:
            raise _disordered(f"Unexpected role '{role}' after role '{before}'")


def _check_assistant(message: Mapping[str, Any]) -> None:
    calls, content = message.get("tool_calls") or (), message.get("content")
    if not calls and not content:
        raise _refused("Assistant message must have either content or tool_calls, but not none.")
    if calls and content and not _thinks(content):
        raise _refused("Assistant message must have either content or tool_calls, but not both.")
    for call in calls:
        _check_call_id(call.get("id"), "invalid_function_call", "3280")
        _check_name(call["function"]["name"], "invalid_function_call", "3280")


def _thinks(content: str | list[dict[str, Any]]) -> bool:
    return any(part["type"] == "thinking" for part in content if isinstance(part, dict))


def _check_answers(messages: Sequence[Mapping[str, Any]]) -> None:
    """Each call of an assistant message is answered once, before the next assistant message."""
    made: list[str] = []
    answered: list[str] = []
    end: Mapping[str, Any] = {"role": "assistant"}
    for message in (*messages, end):
        if message["role"] == "tool":
            call_id = message["tool_call_id"]
            if call_id in answered:
                raise _disordered(f"Duplicate tool call id {call_id} in tool results")
            if call_id not in made:
                raise _disordered(f"Unexpected tool call id {call_id} in tool results")
            answered.append(call_id)
        elif message["role"] == "assistant":
            if len(made) != len(answered):
                raise _disordered("Not the same number of function calls and responses")
            made, answered = [call["id"] for call in message.get("tool_calls") or ()], []
            if len(set(made)) < len(made):
                raise _disordered(f"Duplicate tool call id {made[0]} in assistant message")


def _check_call_id(call_id: Any, kind: str, code: str) -> None:
    if call_id in (None, "null"):
        raise _refused("Tool call id has to be defined in serving mode.", kind, code)
    if not re.fullmatch("[a-zA-Z0-9]{9}", str(call_id)):
        why = f"Tool call id was {call_id} but must be a-z, A-Z, 0-9, with a length of 9."
        raise _refused(why, kind, code)


def _check_name(name: str, kind: str, code: str) -> None:
    if not re.fullmatch("[a-zA-Z0-9_-]{1,64}", name):
        why = "must be a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length of 64."
        raise _refused(f"Function name was {name} but {why}", kind, code)


def _disordered(message: str) -> Refused:
    return _refused(message, "invalid_request_message_order", "3230")


def _refused(message: str, kind: str = "invalid_request_error", code: str | None = None) -> Refused:
    return Refused(Failure(400, message, type=kind, code=code))
