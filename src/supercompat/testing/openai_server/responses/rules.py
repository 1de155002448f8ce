"""What the Responses API refuses of a request, but for its input and its tools.

In the words of the API's errors where these are known. `check` raises `Refused` at the first rule that is broken.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from supercompat.testing.openai_server.dialects import Dialect
from supercompat.testing.openai_server.families import is_sampled, never_reasons
from supercompat.testing.openai_server.fields import Field, refused
from supercompat.testing.openai_server.responses.input_rules import check_items
from supercompat.testing.openai_server.responses.items import ENCRYPTED
from supercompat.testing.openai_server.responses.tool_rules import check_tools
from supercompat.testing.openai_server.values import (
    check_metadata,
    check_named_schema,
    check_sampling,
    check_stream,
)
from supercompat.testing.scripted import Refused

_ARGUMENTS: Final = frozenset(
    """
    background context_management conversation frequency_penalty include input instructions max_output_tokens
    max_tool_calls metadata model moderation parallel_tool_calls presence_penalty previous_response_id prompt
    prompt_cache_key prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store
    stream stream_options temperature text tool_choice tools top_logprobs top_p truncation user
    """.split()
)
#: What chat completions call otherwise.
_MOVED: Final[Mapping[str, str]] = {
    "messages": "input",
    "response_format": "text.format",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
}
#: The API has them, this server has not.
_NOT_PLAYED: Final = ("conversation", "prompt", "moderation", "context_management")
#: Groq takes none of these, or only what says the same as nothing.
_NOT_AT_GROQ: Final = _ARGUMENTS & frozenset(
    """
    context_management conversation include max_tool_calls moderation previous_response_id prompt
    prompt_cache_key prompt_cache_options prompt_cache_retention safety_identifier
    """.split()
)
_ONLY_AT_GROQ: Final[Mapping[str, object]] = {"store": False, "background": False, "truncation": "disabled"}

_INCLUDABLE: Final = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    ENCRYPTED,
    "message.output_text.logprobs",
)
_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_SUMMARIES: Final = ("auto", "concise", "detailed")
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "truncation": ("auto", "disabled"),
    "service_tier": ("auto", "default", "flex", "scale", "priority"),
    "prompt_cache_retention": ("in_memory", "in-memory", "24h"),
}


def check(body: dict[str, Any], dialect: Dialect) -> None:
    """Raises `Refused` unless `body` is a request that the API of `dialect` would take, by itself."""
    for name, value in body.items():
        _check_argument(name, value, dialect)
    # Everywhere but in the model, null is the same as nothing.
    request = Field({name: value for name, value in body.items() if value is not None or name == "model"})
    request["model"].string(minimum=1)
    _check_input(request, dialect)
    check_tools(request, dialect)
    _check_text(request)
    check_sampling(request)
    _check_limits(request)
    _check_reasoning(request)
    _check_switches(request)
    _check_labels(request)
    if dialect.refuses_by_family:
        _check_family(request)


def _check_argument(name: str, value: Any, dialect: Dialect) -> None:
    if name in _MOVED and dialect.error_nulls:
        why = f"In the Responses API, this parameter has moved to '{_MOVED[name]}'."
        raise refused(f"Unsupported parameter: '{name}'. {why}", name, "unsupported_parameter")
    is_known = name in _ARGUMENTS
    if not dialect.keeps_responses and value is not None:
        is_known = name in _ARGUMENTS - _NOT_AT_GROQ and value == _ONLY_AT_GROQ.get(name, value)
    if not is_known and dialect.error_nulls:
        raise refused(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    if not is_known:
        raise Refused(dialect.unknown_argument(name))
    if name in _NOT_PLAYED and value is not None:
        raise refused(f"The scripted server does not have '{name}'.", name)


def _check_input(request: Field, dialect: Dialect) -> None:
    given = request.get("input")
    previous = request.get("previous_response_id")
    if previous and not previous.string().startswith("resp"):
        message = (
            f"Invalid 'previous_response_id': '{previous.value}'. Expected an ID that begins with 'resp'."
        )
        raise refused(message, previous.path, "invalid_value")
    if given is None and previous is None:
        raise refused("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    if given is None or isinstance(given.value, str):
        return
    if not isinstance(given.value, list):
        raise given.wrong_type("one of a string or array of input items")
    check_items(given, dialect)


def _check_text(request: Field) -> None:
    text = request.get("text")
    if text is None:
        return
    text.only(("format", "verbosity"))
    if verbosity := text.get("verbosity", nullable=True):
        verbosity.one_of("low", "medium", "high")
    wanted = text.get("format", nullable=True)
    if wanted is None:
        return
    kind = wanted["type"].one_of("json_object", "text", "json_schema")
    if kind == "json_schema":
        wanted.only(("type", "name", "description", "schema", "strict"))
        check_named_schema(wanted)
        wanted["schema"].object()
        return
    wanted.only(("type",))
    said = str(request.object().get("input")) + str(request.object().get("instructions"))
    if kind == "json_object" and "json" not in said.lower():
        why = "must contain the word 'json' in some form to use 'text.format' of type 'json_object'."
        raise refused(f"Response input messages {why}", "input")


def _check_limits(request: Field) -> None:
    for name, low, high in (
        ("max_output_tokens", 16, None),
        ("max_tool_calls", 1, None),
        ("top_logprobs", 0, 20),
    ):
        if limit := request.get(name):
            limit.integer(low, high)


def _check_reasoning(request: Field) -> None:
    reasoning = request.get("reasoning")
    if reasoning is None:
        return
    reasoning.only(("effort", "summary", "generate_summary", "context", "mode"))
    if effort := reasoning.get("effort", nullable=True):
        effort.one_of(*_EFFORTS)
    for name in ("summary", "generate_summary"):
        if summary := reasoning.get(name, nullable=True):
            summary.one_of(*_SUMMARIES)


def _check_switches(request: Field) -> None:
    for name in ("background", "parallel_tool_calls", "store"):
        if switch := request.get(name):
            switch.boolean()
    for name, values in _CHOICES.items():
        if choice := request.get(name):
            choice.one_of(*values)
    check_stream(request, "include_obfuscation")
    if include := request.get("include"):
        for one in include.items():
            one.one_of(*_INCLUDABLE)
    body = request.object()
    if body.get("background") and body.get("store") is False:
        why = "'background' is only supported when 'store' is enabled."
        raise refused(f"Unsupported parameter: {why}", "background", "unsupported_parameter")


def _check_labels(request: Field) -> None:
    for name in ("instructions", "user", "safety_identifier", "prompt_cache_key"):
        if label := request.get(name):
            label.string()
    if metadata := request.get("metadata"):
        check_metadata(metadata)


def _check_family(request: Field) -> None:
    body = request.object()
    model: str = body["model"]
    reasoning: dict[str, Any] = body.get("reasoning") or {}
    if never_reasons(model):
        for name in ("effort", "summary"):
            if reasoning.get(name) is not None:
                raise _unsupported(f"reasoning.{name}")
        if ENCRYPTED in body.get("include", ()):
            raise refused("Encrypted content is not supported with this model.", "include")
        _check_thoughts(body.get("input"))
    if is_sampled(model, reasoning.get("effort")):
        return
    for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty"):
        if name in body:
            raise _unsupported(name)
    if "message.output_text.logprobs" in body.get("include", ()) or body.get("top_logprobs"):
        raise refused("logprobs are not supported with reasoning models.", "include", "unsupported_parameter")


def _check_thoughts(given: Any) -> None:
    items = cast(list[dict[str, Any]], given) if isinstance(given, list) else []
    if any(item.get("type") == "reasoning" for item in items):
        why = "Remove reasoning items from your input and try again."
        raise refused(
            f"Reasoning input items can only be provided to a reasoning or computer use model. {why}", "input"
        )


def _unsupported(name: str) -> Refused:
    return refused(
        f"Unsupported parameter: '{name}' is not supported with this model.", name, "unsupported_parameter"
    )
