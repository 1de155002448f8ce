"""What the API refuses of a chat completion: a fake that takes everything proves nothing.

The rules are those of OpenAI's chat completions and, under Groq's path, of Groq's, in the words of
their errors where these are known. `check` raises `Refused` at the first rule that is broken.
"""

from collections.abc import Mapping
from typing import Any, cast

from supercompat.testing.openai_server.dialects import Dialect
from supercompat.testing.openai_server.families import is_sampled
from supercompat.testing.openai_server.fields import Field, refused
from supercompat.testing.openai_server.values import (
    NAME,
    check_image_url,
    check_metadata,
    check_named_schema,
    check_parameters,
    check_sampling,
    check_stream,
)
from supercompat.testing.scripted import Refused

_EFFORTS = ("none", "minimal", "default", "low", "medium", "high", "xhigh")
_PARTS_OF_ROLE: Mapping[str, tuple[str, ...]] = {
    "system": ("text",),
    "developer": ("text",),
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
    "tool": ("text",),
}


def check(body: dict[str, Any], dialect: Dialect) -> None:
    """Raises `Refused` unless `body` is a chat completion request that the API of `dialect` would take."""
    request = Field(body)
    for name in body:
        if name not in dialect.arguments:
            raise Refused(dialect.unknown_argument(name))
    _check_model(request)
    _check_messages(request["messages"], dialect)
    _check_tools(request)
    _check_sampling(request, dialect)
    _check_limits(request)
    check_stream(request, "include_usage", "include_obfuscation")
    _check_response_format(request, dialect)
    _check_labels(request, dialect)


def _check_model(request: Field) -> None:
    if (model := request.get("model")) is None or model.value in (None, ""):
        raise refused("you must provide a model parameter")
    model.string()


def _check_messages(messages: Field, dialect: Dialect) -> None:
    for index, message in enumerate(messages.items(minimum=1)):
        role = message["role"].one_of("system", "developer", "user", "assistant", "tool", "function")
        for name in message.object():
            if name not in dialect.messages[role]:
                raise Refused(dialect.unknown_in_message(index, role, name))
        if name := message.get("name"):
            name.string(minimum=1, maximum=64, pattern=r"[^\s<|\\/>]+")
        _check_message(message, role, dialect)
    _check_pairing(cast(list[dict[str, Any]], messages.value))


def _check_message(message: Field, role: str, dialect: Dialect) -> None:
    if role == "assistant":
        _check_assistant(message, dialect)
    elif role == "function":
        message["name"].string(minimum=1)
        message["content"].string()
    else:
        _check_content(message["content"], role)
    if role == "tool":
        message["tool_call_id"].string(minimum=1)


def _check_assistant(message: Field, dialect: Dialect) -> None:
    calls = message.get("tool_calls")
    if calls is not None:
        for one in calls.items(minimum=1):
            _check_call(one, dialect)
    says = [message.get(name, nullable=True) for name in ("content", "refusal", "audio", "function_call")]
    if calls is None and not any(said.value for said in says if said):
        where = f"{message.path}.content"
        why = "an assistant message needs content or 'tool_calls'."
        raise refused(f"Invalid value for 'content': {why}", where, "invalid_value")
    if says[0]:
        _check_content(says[0], "assistant")


def _check_call(call: Field, dialect: Dialect) -> None:
    call.only(("id", "type", "function"))
    call["id"].string(minimum=1, maximum=dialect.longest_call_id)
    call["type"].one_of("function")
    call["function"].only(("name", "arguments"))
    call["function"]["name"].string(minimum=1, maximum=64, pattern=NAME)
    call["function"]["arguments"].string()


def _check_content(content: Field, role: str) -> None:
    if isinstance(content.value, str):
        content.string(minimum=1 if role == "user" else 0)
        return
    if not isinstance(content.value, list):
        raise content.wrong_type("one of a string or array of objects")
    for part in content.items(minimum=1):
        kind = part["type"].one_of("text", "image_url", "input_audio", "file", "refusal")
        if kind == "image_url" and role != "user":
            why = "Image URLs are only allowed for messages with role 'user'"
            raise part.invalid(f"{why}, but this message has role '{role}'.")
        part["type"].one_of(*_PARTS_OF_ROLE[role])
        _check_part(part, kind)


def _check_part(part: Field, kind: str) -> None:
    part.only(("type", kind, "prompt_cache_breakpoint"))
    if kind in ("text", "refusal"):
        part[kind].string(minimum=1)
    elif kind == "image_url":
        _check_image(part["image_url"])
    else:
        part[kind].object()


def _check_image(image: Field) -> None:
    image.only(("url", "detail"))
    check_image_url(image["url"])
    if detail := image.get("detail"):
        detail.one_of("auto", "low", "high")


def _check_pairing(messages: list[dict[str, Any]]) -> None:
    """Each call is answered exactly once, by the tool messages right behind the message that made it."""
    open_calls: list[str] = []
    made_here: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            _check_answer(message["tool_call_id"], index, open_calls, made_here)
            continue
        _check_all_answered(open_calls, index)
        made_here = [call["id"] for call in message.get("tool_calls") or ()]
        open_calls = list(made_here)
        if len(set(made_here)) < len(made_here):
            raise refused("Duplicate value for 'tool_call_id'.", f"messages.[{index}].tool_calls")
    _check_all_answered(open_calls, len(messages))


def _check_answer(call_id: str, index: int, open_calls: list[str], made_here: list[str]) -> None:
    if call_id in open_calls:
        open_calls.remove(call_id)
        return
    if not made_here:
        why = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
        raise refused(f"Invalid parameter: {why}", f"messages.[{index}].role")
    if call_id in made_here:
        raise refused(f"Duplicate value for 'tool_call_id' of '{call_id}' in message[{index}].")
    why = f"'tool_call_id' of '{call_id}' not found in 'tool_calls' of previous message."
    raise refused(f"Invalid parameter: {why}", f"messages.[{index}].tool_call_id")


def _check_all_answered(open_calls: list[str], index: int) -> None:
    if open_calls:
        message = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: "
        )
        raise refused(message + ", ".join(open_calls), f"messages.[{index}].role")


def _check_tools(request: Field) -> None:
    tools = request.get("tools")
    if tools is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if request.get(name) is not None:
                why = f"'{name}' is only allowed when 'tools' are specified."
                raise refused(f"Invalid value for '{name}': {why}", name)
        return
    names = [_check_tool(tool) for tool in tools.items(minimum=1, maximum=128)]
    if parallel := request.get("parallel_tool_calls"):
        parallel.boolean()
    if choice := request.get("tool_choice"):
        _check_tool_choice(choice, names)


def _check_tool(tool: Field) -> str:
    tool.only(("type", "function"))
    tool["type"].one_of("function")
    function = tool["function"]
    function.only(("name", "description", "parameters", "strict"))
    name = function["name"].string(minimum=1, maximum=64, pattern=NAME)
    if description := function.get("description", nullable=True):
        description.string()
    strict = function.get("strict", nullable=True)
    is_strict = strict is not None and strict.boolean()
    if parameters := function.get("parameters"):
        check_parameters(parameters, name, is_strict=is_strict)
    return name


def _check_tool_choice(choice: Field, names: list[str]) -> None:
    if isinstance(choice.value, str):
        choice.one_of("none", "auto", "required")
        return
    choice.only(("type", "function"))
    choice["type"].one_of("function")
    choice["function"].only(("name",))
    if (name := choice["function"]["name"].string()) not in names:
        raise refused(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")


def _check_sampling(request: Field, dialect: Dialect) -> None:
    check_sampling(request)
    if seed := request.get("seed", nullable=True):
        seed.integer()
    effort = request.get("reasoning_effort", nullable=True)
    if effort:
        effort.one_of(*_EFFORTS)
    if dialect.refuses_by_family:
        _check_family(request, effort and effort.value)


def _check_family(request: Field, effort: object) -> None:
    if is_sampled(request["model"].string(), effort):
        return
    for name, default in (
        ("temperature", 1),
        ("top_p", 1),
        ("presence_penalty", 0),
        ("frequency_penalty", 0),
    ):
        value = request.object().get(name)
        if value not in (None, default):
            why = f"'{name}' does not support {value} with this model. Only the default ({default}) value is"
            raise refused(f"Unsupported value: {why} supported.", name, "unsupported_value")


def _check_limits(request: Field) -> None:
    limits = [request.get(name, nullable=True) for name in ("max_tokens", "max_completion_tokens")]
    for limit in limits:
        if limit:
            limit.integer(low=1)
    if all(limits):
        raise refused("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
    # A script holds one answer, so that more can't be asked for here, though OpenAI would give them.
    if choices := request.get("n", nullable=True):
        choices.integer(low=1, high=1)
    stop = request.get("stop", nullable=True)
    if stop and isinstance(stop.value, list):
        for one in stop.items(minimum=1, maximum=4):
            one.string()
    elif stop:
        stop.string()


def _check_response_format(request: Field, dialect: Dialect) -> None:
    wanted = request.get("response_format")
    if wanted is None:
        return
    kind = wanted["type"].one_of("text", "json_object", "json_schema")
    wanted.only(("type", kind) if kind == "json_schema" else ("type",))
    if kind == "json_object" and "json" not in str(request["messages"].value).lower():
        why = "must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        raise refused(f"'messages' {why}", "messages")
    if kind == "json_schema":
        wanted["json_schema"].only(("name", "description", "schema", "strict"))
        check_named_schema(wanted["json_schema"])
        together = [name for name in ("stream", "tools") if request.object().get(name)]
        if dialect.plain_schema_only and together:
            raise refused(f"json_schema: `response_format` does not support {together[0]}")


def _check_labels(request: Field, dialect: Dialect) -> None:
    if user := request.get("user"):
        user.string()
    metadata = request.get("metadata", nullable=True)
    if metadata is None:
        return
    check_metadata(metadata)
    if dialect.metadata_needs_store and request.object().get("store") is not True:
        raise refused("The 'metadata' parameter is only allowed when 'store' is enabled.", "metadata")
