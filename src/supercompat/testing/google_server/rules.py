"""What Gemini's API refuses of a request that is well formed: a fake that takes everything proves nothing.

In the words of its errors where these are known.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from supercompat.testing.google_server.shape import decoded, refused
from supercompat.testing.google_server.signatures import generation, is_genuine, signs

#: A message of the API, with its names in camel case.
Body: TypeAlias = Mapping[str, Any]

_DATA = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
)
_FUNCTION_NAME = r"[a-zA-Z_][a-zA-Z0-9_.:\-]{0,63}"
_IMAGES = {"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif", "image/gif"}
_RANGES = {"temperature": (0, 2), "topP": (0, 1)}
_DOCS = "https://ai.google.dev/gemini-api/docs/thought-signatures"


def check(body: Body, model: str) -> None:
    """Raises `Refused` unless the API would let `model` answer this."""
    contents: list[Body] = body.get("contents") or []
    if not contents:
        raise refused("* GenerateContentRequest.contents: contents is not specified")
    for index, content in enumerate(contents):
        _check_content(content, f"contents[{index}]")
    _check_system(body.get("systemInstruction"))
    _check_order(contents)
    _check_calls(contents)
    _check_signatures(contents, model)
    names = _check_tools(body.get("tools") or [])
    _check_choice(body.get("toolConfig") or {}, names)
    _check_generation(body.get("generationConfig") or {}, model, names)


def _check_content(content: Body, path: str) -> None:
    if content.get("role") not in ("user", "model"):
        raise refused("Please use a valid role: user, model.")
    if not content.get("parts"):
        raise refused(f"* GenerateContentRequest.{path}.parts: contents.parts must not be empty.")
    for index, part in enumerate(content["parts"]):
        _check_part(part, content["role"], f"{path}.parts[{index}]")


def _check_part(part: Body, role: str, path: str) -> None:
    data = [name for name in _DATA if name in part]
    if len(data) != 1:
        why = "required oneof field 'data' must have one initialized field"
        raise refused(f"* GenerateContentRequest.{path}.data: {why}")
    if part.get("text") == "" and "thoughtSignature" not in part:
        raise refused("Unable to submit request because it must have a text parameter.")
    if "inlineData" in part:
        _check_image(part["inlineData"])
    if "fileData" in part and str(part["fileData"].get("fileUri")).startswith("http"):
        raise refused("Cannot fetch content from the provided URL. Please upload it with the File API.")
    speaker = {"functionResponse": "user", "functionCall": "model"}.get(data[0], role)
    if speaker != role:
        raise refused(f"Role '{role}' does not support a part of the kind of {path}.")


def _check_image(blob: Body) -> None:
    if blob.get("mimeType") not in _IMAGES:
        raise refused(f"Unsupported MIME type: {blob.get('mimeType')}")
    if not decoded(blob.get("data", "")):
        raise refused("Unable to process input image. Please retry or report in the developer forum.")


def _check_system(system: Body | None) -> None:
    if system is None:
        return
    parts: list[Body] = system.get("parts") or [{}]
    if not all(part.get("text") for part in parts):
        raise refused("System instruction must have text parts, and only these.")


def _check_order(contents: Sequence[Body]) -> None:
    for before, after in pairwise(contents):
        if before["role"] == after["role"]:
            raise refused("Please ensure that multiturn requests alternate between user and model.")
    if contents[0]["role"] != "user":
        raise refused("Please ensure that multiturn requests begin with a user role.")
    if contents[-1]["role"] != "user":
        raise refused("Please ensure that multiturn requests end with a user role or a function response.")


def _members(content: Body, name: str) -> list[Body]:
    return [part[name] for part in content["parts"] if name in part]


def _check_calls(contents: Sequence[Body]) -> None:
    """A turn that calls is followed by one that answers each call; nothing else is an answer."""
    before: Body = {"parts": []}
    for content in contents:
        calls, responses = _members(before, "functionCall"), _members(content, "functionResponse")
        if responses and not calls:
            raise refused(
                "Please ensure that function response turn comes immediately after a function call turn."
            )
        if len(calls) != len(responses):
            why = "number of function response parts is equal to the number of function call parts"
            raise refused(f"Please ensure that the {why} of the function call turn.")
        _check_responses(calls, responses)
        before = content


def _check_responses(calls: Sequence[Body], responses: Sequence[Body]) -> None:
    for call in calls:
        if not call.get("name"):
            raise refused("* GenerateContentRequest.contents.parts.function_call.name: Name cannot be empty.")
    for response in responses:
        for name in ("name", "response"):
            if not response.get(name):
                where = f"GenerateContentRequest.contents.parts.function_response.{name}"
                raise refused(f"* {where}: {name.capitalize()} cannot be empty.")
    if sorted(call["name"] for call in calls) != sorted(response["name"] for response in responses):
        raise refused("Please ensure that the function responses have the names of the function calls.")
    if {call.get("id") for call in calls} != {response.get("id") for response in responses}:
        raise refused("Please ensure that the function responses have the ids of the function calls.")


def _check_signatures(contents: Sequence[Body], model: str) -> None:
    """Any signature has to be genuine; in the current turn, the first call of each step has to have one."""
    for content in contents:
        for part in content["parts"]:
            signature = part.get("thoughtSignature")
            if signature is not None and not is_genuine(signature, model, part):
                raise refused("Corrupted thought signature.")
    if not signs(model):
        return
    for index in range(_start_of_turn(contents), len(contents)):
        first = next((part for part in contents[index]["parts"] if "functionCall" in part), None)
        if first is not None and not first.get("thoughtSignature"):
            raise refused(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools "
                "to work correctly, and missing thought_signature may lead to degraded model performance. "
                f"Additional data, function call `{first['functionCall']['name']}`, position {index + 1}. "
                f"Please refer to {_DOCS} for more details."
            )


def _start_of_turn(contents: Sequence[Body]) -> int:
    """The newest thing that the user said, and not a function for them."""
    said = [
        index
        for index, content in enumerate(contents)
        if content["role"] == "user" and not _members(content, "functionResponse")
    ]
    return said[-1] if said else 0


def _check_tools(tools: Sequence[Body]) -> list[str]:
    names: list[str] = []
    for tool in tools:
        if not tool:
            raise refused("* GenerateContentRequest.tools[0].tool_type: required one_of must have one field.")
        declarations: list[Body] = tool.get("functionDeclarations") or []
        for declaration in declarations:
            _check_declaration(declaration)
            if declaration["name"] in names:
                raise refused(f"Duplicate function declaration found: {declaration['name']}")
            names.append(declaration["name"])
    return names


def _check_declaration(declaration: Body) -> None:
    if not re.fullmatch(_FUNCTION_NAME, declaration.get("name", "")):
        raise refused(
            "Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, "
            "0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64."
        )
    if "parameters" in declaration and "parametersJsonSchema" in declaration:
        raise refused("parameters and parametersJsonSchema are mutually exclusive.")
    schema = declaration.get("parametersJsonSchema")
    if schema is not None and schema.get("type") != "object":
        raise refused(f"The parameters schema of function {declaration['name']} should be of type OBJECT.")


def _check_choice(config: Body, names: Sequence[str]) -> None:
    calling: Body = config.get("functionCallingConfig") or {}
    if calling and not names:
        raise refused("Function calling config is set without function_declarations.")
    allowed: list[str] = calling.get("allowedFunctionNames") or []
    if allowed and calling.get("mode") not in ("ANY", "VALIDATED"):
        raise refused(
            "Allowed function names may only be set when the function calling mode is ANY or VALIDATED."
        )
    if unknown := [name for name in allowed if name not in names]:
        raise refused(f"Allowed function name {unknown[0]} is not among the function_declarations.")


def _check_generation(config: Body, model: str, names: Sequence[str]) -> None:
    for name, (low, high) in _RANGES.items():
        if not low <= config.get(name, low) <= high:
            raise refused(f"{name} must be in the range [{low}, {high}].")
    if config.get("maxOutputTokens", 1) < 1:
        raise refused("max_output_tokens must be positive.")
    if len(config.get("stopSequences") or []) > 5:
        raise refused("The number of stop sequences must be at most 5.")
    # A script holds one answer, so that more can't be asked for here.
    if config.get("candidateCount", 1) != 1:
        raise refused("Multiple candidates is not enabled for this model.")
    _check_format(config, model, names)
    _check_thinking(config.get("thinkingConfig") or {}, model)


def _check_format(config: Body, model: str, names: Sequence[str]) -> None:
    kind = config.get("responseMimeType", "text/plain")
    schemas = [name for name in ("responseSchema", "responseJsonSchema") if name in config]
    if len(schemas) > 1:
        raise refused("Only one of response_schema and response_json_schema may be set.")
    if schemas and kind != "application/json":
        raise refused(f"{schemas[0]} is only supported with response_mime_type application/json.")
    if names and kind == "application/json" and generation(model) < (3, 0):
        raise refused("Function calling with a response mime type: 'application/json' is unsupported")


def _check_thinking(config: Body, model: str) -> None:
    family = generation(model)
    if config and family < (2, 5):
        raise refused("Thinking is not enabled for this model.")
    level, budget = str(config.get("thinkingLevel") or "").upper(), config.get("thinkingBudget")
    if level and budget is not None:
        raise refused("You can only set only one of thinking budget and thinking level.")
    if level and family < (3, 0):
        raise refused("Thinking level is not supported for this model.")
    refused_levels = ("MINIMAL", "MEDIUM") if family == (3, 0) else ("MINIMAL",)
    if "pro" in model and level in refused_levels:
        raise refused(f"Thinking level {level} is not supported for this model. Please retry with another.")
    least = 128 if "pro" in model else 0
    if budget is not None and not (budget == -1 or least <= budget <= 32_768):
        raise refused(
            f"The thinking budget {budget} is invalid. Please choose a value between {least} and 32768."
        )
