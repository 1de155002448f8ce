"""The two wires that the server speaks, told apart by their path: facts, no behaviour."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from supercompat.testing.replies import Failure

_SHARED_ARGUMENTS = frozenset(
    """
    frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens messages
    metadata model n parallel_tool_calls presence_penalty reasoning_effort response_format seed service_tier
    stop store stream stream_options temperature tool_choice tools top_logprobs top_p user
    """.split()
)
_OPENAI_ARGUMENTS = frozenset(
    """
    audio modalities moderation prediction prompt_cache_key prompt_cache_options prompt_cache_retention
    safety_identifier verbosity web_search_options
    """.split()
)
_GROQ_ARGUMENTS = frozenset(
    """
    citation_options compound_custom disable_tool_validation documents exclude_domains include_domains
    include_reasoning reasoning_format search_settings
    """.split()
)
_NOT_AT_GROQ = frozenset(("logit_bias", "logprobs", "top_logprobs"))

_OPENAI_MESSAGES: Mapping[str, frozenset[str]] = {
    "system": frozenset(("role", "content", "name")),
    "developer": frozenset(("role", "content", "name")),
    "user": frozenset(("role", "content", "name")),
    "assistant": frozenset(("role", "content", "name", "refusal", "audio", "tool_calls", "function_call")),
    "tool": frozenset(("role", "content", "tool_call_id")),
    "function": frozenset(("role", "content", "name")),
}
_GROQ_MESSAGES: Mapping[str, frozenset[str]] = {
    "system": frozenset(("role", "content")),
    "developer": frozenset(("role", "content")),
    "user": frozenset(("role", "content")),
    "assistant": frozenset(("role", "content", "reasoning", "tool_calls", "function_call")),
    "tool": frozenset(("role", "content", "tool_call_id")),
    "function": frozenset(("role", "content", "name")),
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the wires.

    Attributes:
        prefix: the path under which it is spoken.
        arguments: the top-level fields of a request.
        messages: the fields of a message, by role.
        reasoning_field: the delta's field for the model's thoughts.
        longest_call_id: the most characters that the id of a tool call may have.
        vendor_usage: a stream's usage comes in `x_groq` of its last chunk, asked for or not.
        plain_schema_only: a JSON schema may be asked for neither streamed nor together with tools.
        refuses_by_family: what a family of models does not take is refused.
        metadata_needs_store: `metadata` is taken only together with `store`.
        keeps_responses: the Responses API stores responses, and sums up what a model thinks instead of showing it.
        error_nulls: an error's absent fields are sent as null.
        unknown_argument: what is answered to a top-level field that is not known.
        unknown_in_message: the same for a message's field; takes the message's index, its role, the field.
    """

    prefix: str
    arguments: frozenset[str]
    messages: Mapping[str, frozenset[str]]
    reasoning_field: str
    longest_call_id: int | None
    vendor_usage: bool
    plain_schema_only: bool
    refuses_by_family: bool
    metadata_needs_store: bool
    keeps_responses: bool
    error_nulls: bool
    unknown_argument: Callable[[str], Failure]
    unknown_in_message: Callable[[int, str, str], Failure]


def _openai_argument(name: str) -> Failure:
    return Failure(400, f"Unrecognized request argument supplied: {name}")


def _openai_message(index: int, role: str, name: str) -> Failure:
    path = f"messages[{index}].{name}"
    return Failure(400, f"Unknown parameter: '{path}'.", param=path, code="unknown_parameter")


def _groq_argument(name: str) -> Failure:
    return Failure(400, f"property '{name}' is unsupported")


def _groq_message(index: int, role: str, name: str) -> Failure:
    where = f"'messages.{index}'"
    why = f"the following must be satisfied[({where} : property '{name}' is unsupported)]"
    return Failure(400, f"{where} : for 'role:{role}' {why}")


OPENAI = Dialect(
    prefix="/v1",
    arguments=_SHARED_ARGUMENTS | _OPENAI_ARGUMENTS,
    messages=_OPENAI_MESSAGES,
    reasoning_field="reasoning_content",
    longest_call_id=40,
    vendor_usage=False,
    plain_schema_only=False,
    refuses_by_family=True,
    metadata_needs_store=True,
    keeps_responses=True,
    error_nulls=True,
    unknown_argument=_openai_argument,
    unknown_in_message=_openai_message,
)

GROQ = Dialect(
    prefix="/openai/v1",
    arguments=_SHARED_ARGUMENTS - _NOT_AT_GROQ | _GROQ_ARGUMENTS,
    messages=_GROQ_MESSAGES,
    reasoning_field="reasoning",
    longest_call_id=None,
    vendor_usage=True,
    plain_schema_only=True,
    refuses_by_family=False,
    metadata_needs_store=False,
    keeps_responses=False,
    error_nulls=False,
    unknown_argument=_groq_argument,
    unknown_in_message=_groq_message,
)
