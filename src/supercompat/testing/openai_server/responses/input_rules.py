"""What the Responses API refuses of input items, each by itself."""

from collections.abc import Callable, Mapping
from typing import Final

from supercompat.testing.openai_server.dialects import Dialect
from supercompat.testing.openai_server.fields import Field, refused
from supercompat.testing.openai_server.values import NAME, check_image_url

_STATES: Final = ("in_progress", "completed", "incomplete")
_ROLES: Final = ("assistant", "system", "developer", "user")
_INPUT_PARTS: Final = ("input_text", "input_image", "input_file")
_OUTPUT_PARTS: Final = ("output_text", "refusal")

#: What the id of an item begins with, by its type.
PREFIXES: Final[Mapping[str, str]] = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fc",
    "reasoning": "rs",
    "file_search_call": "fs",
    "web_search_call": "ws",
    "code_interpreter_call": "ci",
    "image_generation_call": "ig",
    "computer_call": "cu",
    "computer_call_output": "cu",
    "mcp_list_tools": "mcpl",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpr",
}

#: Items of hosted tools as they were said: what they must have, and what else they may have.
_HOSTED: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "file_search_call": (("id", "queries", "status"), ("results",)),
    "web_search_call": (("id", "action", "status"), ()),
    "code_interpreter_call": (("id", "code", "container_id", "outputs", "status"), ()),
    "image_generation_call": (
        ("id", "result", "status"),
        ("revised_prompt", "size", "quality", "background", "output_format", "action"),
    ),
    "computer_call": (("id", "call_id", "pending_safety_checks", "status"), ("action", "actions")),
    "mcp_list_tools": (("id", "server_label", "tools"), ("error",)),
    "mcp_call": (
        ("id", "server_label", "name", "arguments"),
        ("output", "error", "approval_request_id", "status"),
    ),
    "mcp_approval_request": (("id", "server_label", "name", "arguments"), ()),
}


def check_items(given: Field, dialect: Dialect) -> None:
    """All items of an input."""
    for item in given.items():
        if not isinstance(item.value, dict):
            raise item.wrong_type("an input item")
        kind = kind_of(item)
        if kind in _HOSTED:
            _check_hosted(item, kind)
        else:
            _ITEMS[kind](item)
        if dialect.keeps_responses and (item_id := item.get("id", nullable=True)):
            _check_id(item_id, kind)


def kind_of(item: Field) -> str:
    """The type of an item, which a message may leave out."""
    members = item.object()
    if "type" not in members:
        return "message" if "role" in members or "id" not in members else "item_reference"
    kind = item["type"].value
    if kind not in _ITEMS and kind not in _HOSTED:
        known = [f"'{name}'" for name in (*_ITEMS, *_HOSTED)]
        why = f"Supported values are: {', '.join(known[:-1])}, and {known[-1]}."
        raise refused(f"Invalid value: '{kind}'. {why}", item.path, "invalid_value")
    return kind


def _check_id(item_id: Field, kind: str) -> None:
    prefix = PREFIXES.get(kind, "")
    given = item_id.string(minimum=1, maximum=64, pattern=NAME)
    if not given.startswith(prefix):
        message = f"Invalid '{item_id.path}': '{given}'. Expected an ID that begins with '{prefix}'."
        raise refused(message, item_id.path, "invalid_value")


def _check_message(item: Field) -> None:
    if item.object().get("role") not in _ROLES:
        why = "Supported values are: 'assistant', 'system', 'developer', and 'user'."
        raise refused(f"Invalid value: '{item.object().get('role', '')}'. {why}", item.path, "invalid_value")
    is_said = item["role"].value == "assistant"
    item.only(("type", "role", "content", "id", "status", *(("phase",) if is_said else ())))
    _check_status(item)
    content = item["content"]
    if isinstance(content.value, str):
        return
    if not isinstance(content.value, list):
        raise content.wrong_type("one of an array of objects or string")
    check_parts(content, _OUTPUT_PARTS if is_said else _INPUT_PARTS)


def check_parts(content: Field, known: tuple[str, ...]) -> None:
    """The parts of some content, of these types."""
    for part in content.items():
        kind = part["type"].one_of(*_INPUT_PARTS, *_OUTPUT_PARTS)
        if kind not in known:
            names = [f"'{name}'" for name in known]
            why = f"Supported values are: {', '.join(names[:-1])} and {names[-1]}."
            raise refused(f"Invalid value: '{kind}'. {why}", part.path, "invalid_value")
        _PARTS[kind](part)


def _check_input_text(part: Field) -> None:
    part.only(("type", "text", "prompt_cache_breakpoint"))
    part["text"].string()


def _check_input_image(part: Field) -> None:
    part.only(("type", "image_url", "file_id", "detail", "prompt_cache_breakpoint"))
    if detail := part.get("detail", nullable=True):
        detail.one_of("low", "high", "auto", "original")
    url = part.get("image_url", nullable=True)
    file = part.get("file_id", nullable=True)
    if (url is None) == (file is None):
        why = "exactly one of 'image_url' and 'file_id' must be provided."
        raise refused(f"Invalid '{part.path}': {why}", part.path, "invalid_value")
    if url:
        check_image_url(url)
    if file:
        file.string(minimum=1)


def _check_input_file(part: Field) -> None:
    part.only(("type", "file_id", "file_data", "file_url", "filename", "detail", "prompt_cache_breakpoint"))
    given = [name for name in ("file_id", "file_data", "file_url") if part.get(name, nullable=True)]
    if len(given) != 1:
        why = "exactly one of 'file_id', 'file_data' and 'file_url' must be provided."
        raise refused(f"Invalid '{part.path}': {why}", part.path, "invalid_value")


def _check_output_text(part: Field) -> None:
    part.only(("type", "text", "annotations", "logprobs"))
    part["text"].string()
    annotations = part.get("annotations", nullable=True)
    for annotation in annotations.items() if annotations else ():
        annotation["type"].one_of("url_citation", "file_citation", "file_path", "container_file_citation")


def _check_refusal(part: Field) -> None:
    part.only(("type", "refusal"))
    part["refusal"].string()


def _check_call(item: Field) -> None:
    item.only(("type", "id", "call_id", "name", "arguments", "status", "caller", "namespace"))
    item["call_id"].string(minimum=1, maximum=64)
    item["name"].string(minimum=1, maximum=128, pattern=NAME)
    item["arguments"].string()
    _check_status(item)


def _check_output(item: Field) -> None:
    item.only(("type", "id", "call_id", "output", "status", "caller", "name", "namespace"))
    item["call_id"].string(minimum=1, maximum=64)
    output = item["output"]
    if isinstance(output.value, list):
        check_parts(output, _INPUT_PARTS)
    else:
        output.string()
    _check_status(item)


def _check_reasoning(item: Field) -> None:
    item.only(("type", "id", "summary", "content", "encrypted_content", "status"))
    item["id"].string(minimum=1)
    for part in item["summary"].items():
        part.only(("type", "text"))
        part["type"].one_of("summary_text")
        part["text"].string()
    content = item.get("content", nullable=True)
    for part in content.items() if content else ():
        part["type"].one_of("reasoning_text")
        part["text"].string()
    if encrypted := item.get("encrypted_content", nullable=True):
        encrypted.string()


def _check_reference(item: Field) -> None:
    item.only(("type", "id"))
    item["id"].string(minimum=1)


def _check_screenshot(item: Field) -> None:
    item.only(("type", "id", "call_id", "output", "acknowledged_safety_checks", "status"))
    item["call_id"].string(minimum=1, maximum=64)
    output = item["output"]
    output["type"].one_of("computer_screenshot")
    output.only(("type", "image_url", "file_id", "detail"))
    if url := output.get("image_url", nullable=True):
        check_image_url(url)
    else:
        output["file_id"].string(minimum=1)
    checks = item.get("acknowledged_safety_checks", nullable=True)
    for check in checks.items() if checks else ():
        check.only(("id", "code", "message"))
        check["id"].string()


def _check_approval(item: Field) -> None:
    item.only(("type", "id", "approval_request_id", "approve", "reason"))
    item["approval_request_id"].string(minimum=1)
    item["approve"].boolean()


def _check_hosted(item: Field, kind: str) -> None:
    needed, more = _HOSTED[kind]
    for name in needed:
        _ = item[name]
    item.only(("type", *needed, *more))


def _check_status(item: Field) -> None:
    if status := item.get("status", nullable=True):
        status.one_of(*_STATES)


_PARTS: Final[Mapping[str, Callable[[Field], None]]] = {
    "input_text": _check_input_text,
    "input_image": _check_input_image,
    "input_file": _check_input_file,
    "output_text": _check_output_text,
    "refusal": _check_refusal,
}
_ITEMS: Final[Mapping[str, Callable[[Field], None]]] = {
    "message": _check_message,
    "function_call": _check_call,
    "function_call_output": _check_output,
    "reasoning": _check_reasoning,
    "item_reference": _check_reference,
    "computer_call_output": _check_screenshot,
    "mcp_approval_response": _check_approval,
}
