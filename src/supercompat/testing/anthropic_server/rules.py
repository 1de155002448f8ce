"""What the API refuses of a request for a message, beside its shape: a fake that takes everything proves nothing.

The words of the errors are the API's, as far as they are known. Stricter than the API of today in one point: two
messages of one role in a row are refused, as the clouds that serve Claude did, and not joined.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, TypeAlias

from supercompat.testing.anthropic_server.models import Rules, rules_for
from supercompat.testing.anthropic_server.shapes import first_problem
from supercompat.testing.anthropic_server.signatures import verdict
from supercompat.testing.replies import Failure
from supercompat.testing.scripted import Refused

Message: TypeAlias = Mapping[str, Any]
Block: TypeAlias = dict[str, Any]

#: The version of the API that knows a temperature, and that which does not.
SAMPLING_VERSION = "2023-06-01"
VERSIONS = (SAMPLING_VERSION, "2026-10-21")

_THINKING = ("thinking", "redacted_thinking")
_ENFORCED = frozenset(
    """
    $defs $ref additionalProperties allOf anyOf const default definitions description enum format items minItems
    properties required title type
    """.split()
)


def check(body: dict[str, Any], version: str) -> None:
    """Raises `Refused` unless `body` is a request that the API of this version would take."""
    if problem := first_problem(body, sampling=version == SAMPLING_VERSION):
        raise refused(problem)
    rules = rules_for(body["model"])
    _check_limits(body, rules)
    _check_messages(body, rules)
    _check_calls(body["messages"])
    _check_tools(body, rules)
    _check_thinking(body, rules)
    _check_replayed_thinking(body, rules)
    if version != SAMPLING_VERSION:
        _check_gone(body["messages"])


def refused(message: str) -> Refused:
    """To be raised: an `invalid_request_error`."""
    return Refused(Failure(400, message))


def blocks_of(message: Message) -> list[Block]:
    """The content as blocks, also where it is a text."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _member(body: Message, name: str) -> dict[str, Any]:
    return body.get(name) or {}


def _check_limits(body: Message, rules: Rules) -> None:
    asked, most = body["max_tokens"], rules.max_tokens
    if asked > most:
        why = f"which is the maximum allowed number of output tokens for {body['model']}"
        raise refused(f"max_tokens: {asked} > {most}, {why}")
    if rules.samples and {"temperature", "top_p"} <= body.keys():
        raise refused(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        )
    for name in ("temperature", "top_p", "top_k"):
        if not rules.samples and body.get(name) not in (None, 1):
            raise refused(f"{name}: this model only takes the default.")


def _check_messages(body: Message, rules: Rules) -> None:
    messages = body["messages"]
    if messages[0]["role"] != "user":
        raise refused('messages: first message must use the "user" role')
    for before, after in pairwise(messages):
        if before["role"] == after["role"]:
            why = f'but found multiple "{after["role"]}" roles in a row'
            raise refused(f'messages: roles must alternate between "user" and "assistant", {why}')
    if messages[-1]["role"] == "assistant" and not rules.prefills and not _pauses(messages[-1]):
        why = "The conversation must end with a user message."
        raise refused(f"This model does not support assistant message prefill. {why}")
    for index, message in enumerate(messages):
        if not message["content"]:
            raise refused(f"messages.{index}: all messages must have non-empty content")
    _check_words(body)


def _pauses(message: Message) -> bool:
    """Whether the provider itself goes on here: a turn that paused comes back as it was."""
    return not any(block["type"] == "tool_use" for block in blocks_of(message)) and any(
        block["type"] not in ("text", *_THINKING) for block in blocks_of(message)
    )


def _check_words(body: Message) -> None:
    system: str | list[Block] = body.get("system") or []
    places: list[tuple[str, list[Block]]] = [
        ("system", [{"type": "text", "text": system}] if isinstance(system, str) else system),
        *(("messages", blocks_of(message)) for message in body["messages"]),
    ]
    for place, blocks in places:
        for text in (block["text"] for block in blocks if block["type"] == "text"):
            if not text:
                raise refused(f"{place}: text content blocks must be non-empty")
            if not text.strip():
                raise refused(f"{place}: text content blocks must contain non-whitespace text")


def _check_calls(messages: list[Message]) -> None:
    """Each call is answered in the next message, before anything else in it, and nothing else is."""
    seen: set[str] = set()
    open_calls: list[str] = []
    for index, message in enumerate(messages):
        blocks = blocks_of(message)
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        _check_answers(answered, open_calls, index)
        kinds = [block["type"] for block in blocks]
        if "tool_result" in kinds[len(answered) :]:
            raise refused(f"messages.{index}: `tool_result` blocks must come first in the content.")
        open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if len(set(open_calls)) < len(open_calls) or seen.intersection(open_calls):
            raise refused(f"messages.{index}: `tool_use` ids must be unique")
        seen.update(open_calls)
    _check_answers([], open_calls, len(messages))


def _check_answers(answered: list[str], open_calls: list[str], index: int) -> None:
    for call_id in answered:
        if call_id not in open_calls:
            why = (
                "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
            raise refused(
                f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {call_id}. {why}"
            )
        if answered.count(call_id) > 1:
            raise refused(
                f"messages.{index}: each tool_use must have a single result. Found multiple: {call_id}"
            )
    missing = [call_id for call_id in open_calls if call_id not in answered]
    if missing:
        why = "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
        found = (
            f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}."
        )
        raise refused(f"messages.{index - 1}: {found} {why}")


def _check_tools(body: Message, rules: Rules) -> None:
    tools: list[dict[str, Any]] = body.get("tools") or []
    names = [tool["name"] for tool in tools]
    if len(set(names)) < len(names):
        raise refused("tools: Tool names must be unique.")
    if not tools and any(block["type"] == "tool_use" for one in body["messages"] for block in blocks_of(one)):
        raise refused("Requests which include `tool_use` or `tool_result` blocks must define tools")
    choice = _member(body, "tool_choice")
    if choice and not tools:
        raise refused("tool_choice: may only be specified while providing tools")
    if choice.get("type") == "tool" and choice["name"] not in names:
        raise refused(f"tool_choice.name: Tool '{choice['name']}' not found in provided tools")
    if choice.get("type") in ("any", "tool") and not rules.can_force:
        raise refused("tool_choice: forced tool use is not supported for this model.")
    for index, tool in enumerate(tools):
        if tool.get("strict"):
            _check_schema(tool["input_schema"], f"tools.{index}.custom.input_schema")
    if wanted := _member(body, "output_config").get("format"):
        _check_schema(wanted["schema"], "output_config.format.schema")


def _check_schema(schema: Mapping[str, Any], place: str) -> None:
    """A schema that is enforced: closed objects, and only some keywords."""
    for name in schema:
        if name not in _ENFORCED:
            raise refused(f"{place}: For '{schema.get('type')}' type, property '{name}' is not supported")
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        why = "'additionalProperties' must be explicitly set to false"
        raise refused(f"{place}: For 'object' type, {why}")
    for inner in _inner(schema):
        _check_schema(inner, place)


def _inner(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in ("properties", "$defs", "definitions"):
        yield from schema.get(name, {}).values()
    for name in ("anyOf", "allOf"):
        yield from schema.get(name, [])
    if isinstance(schema.get("items"), dict):
        yield schema["items"]


def _check_thinking(body: Message, rules: Rules) -> None:
    thinking = _member(body, "thinking")
    kind = thinking.get("type")
    effort = _member(body, "output_config").get("effort")
    if kind and kind not in rules.thinking and not (kind == "disabled" and not rules.thinks):
        raise refused(f'"thinking.type.{kind}" is not supported for this model.')
    if effort and effort not in rules.efforts:
        raise refused(f"output_config.effort: '{effort}' is not supported for this model.")
    if kind in ("disabled", "between_tools") and rules.thinks and effort in ("xhigh", "max"):
        raise refused(f'"thinking.type.{kind}" is not supported with effort {effort}.')
    if kind not in ("enabled", "adaptive"):
        return
    if kind == "enabled" and thinking["budget_tokens"] >= body["max_tokens"]:
        raise refused("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if _member(body, "tool_choice").get("type") in ("any", "tool"):
        raise refused("Thinking may not be enabled when tool_choice forces tool use.")
    if body.get("temperature") not in (None, 1):
        raise refused("`temperature` may only be set to 1 when thinking is enabled.")
    if kind == "enabled":
        _check_loop(body["messages"])


def _check_loop(messages: list[Message]) -> None:
    """Where calls are answered, the turn that made them has to come with its thinking."""
    if blocks_of(messages[-1])[0]["type"] != "tool_result":
        return
    first = blocks_of(messages[-2])[0]["type"]
    if first not in _THINKING:
        why = "When `thinking` is enabled, a final `assistant` message must start with a thinking block"
        place = f"messages.{len(messages) - 2}.content.0.type"
        raise refused(f"{place}: Expected `thinking` or `redacted_thinking`, but found `{first}`. {why}.")


def _check_replayed_thinking(body: Message, rules: Rules) -> None:
    for index, place, block in _thoughts(body["messages"]):
        where = f"messages.{index}.content.{place}: Invalid `signature` in `thinking` block"
        match verdict(block, body, index):
            case "changed":
                raise refused(where)
            case "moved" if rules.binds:
                raise refused(f"{where}. The block is bound to a different conversation. Remove the block.")
            case _:
                pass


def _thoughts(messages: Iterable[Message]) -> Iterator[tuple[int, int, Block]]:
    for index, message in enumerate(messages):
        for place, block in enumerate(blocks_of(message)):
            if block["type"] == "thinking":
                yield index, place, block


def _check_gone(messages: list[Message]) -> None:
    """What the newest version of the API has given up."""
    for index, message in enumerate(messages):
        for place, block in enumerate(blocks_of(message)):
            where = f"messages.{index}.content.{place}"
            if message["role"] == "assistant" and block["type"] == "document":
                raise refused(f"{where}: `document` blocks are not permitted in assistant messages")
            if message["role"] == "user" and block["type"] == "text" and block.get("citations"):
                raise refused(f"{where}.text.citations: Extra inputs are not permitted")
