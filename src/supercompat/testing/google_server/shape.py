"""The messages of Gemini's API: which fields there are, of what type. JSON is read as protocol buffers read it: names
in camel or snake case, nulls as absent, unknown names refused."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from supercompat.testing.replies import Failure
from supercompat.testing.scripted.server import Refused

#: The name of a message in `MESSAGES`; `[…]` around what is repeated; or a scalar: `string`, `bool`, `int`, `number`,
#: `bytes`, `object` (any JSON object), or the values of an enumeration, `A|B`.
Kind: TypeAlias = str

MESSAGES: Mapping[str, Mapping[str, Kind]] = {
    "Request": {
        "contents": "[Content]",
        "systemInstruction": "Content",
        "tools": "[Tool]",
        "toolConfig": "ToolConfig",
        "generationConfig": "GenerationConfig",
        "safetySettings": "[object]",
        "cachedContent": "string",
        "serviceTier": "string",
        "store": "bool",
    },
    "Content": {"role": "string", "parts": "[Part]"},
    "Part": {
        "text": "string",
        "inlineData": "Blob",
        "fileData": "FileData",
        "functionCall": "FunctionCall",
        "functionResponse": "FunctionResponse",
        "executableCode": "object",
        "codeExecutionResult": "object",
        "thought": "bool",
        "thoughtSignature": "bytes",
        "videoMetadata": "object",
        "mediaResolution": "object",
        "partMetadata": "object",
    },
    "Blob": {"mimeType": "string", "data": "bytes"},
    "FileData": {"mimeType": "string", "fileUri": "string"},
    "FunctionCall": {"id": "string", "name": "string", "args": "object"},
    "FunctionResponse": {
        "id": "string",
        "name": "string",
        "response": "object",
        "parts": "[object]",
        "willContinue": "bool",
        "scheduling": "string",
    },
    "Tool": {
        "functionDeclarations": "[FunctionDeclaration]",
        "googleSearch": "object",
        "codeExecution": "object",
        "urlContext": "object",
        "fileSearch": "object",
        "computerUse": "object",
        "googleMaps": "object",
    },
    "FunctionDeclaration": {
        "name": "string",
        "description": "string",
        "parameters": "object",
        "parametersJsonSchema": "object",
        "response": "object",
        "responseJsonSchema": "object",
        "behavior": "string",
    },
    "ToolConfig": {"functionCallingConfig": "FunctionCallingConfig", "retrievalConfig": "object"},
    "FunctionCallingConfig": {"mode": "AUTO|ANY|NONE|VALIDATED", "allowedFunctionNames": "[string]"},
    "GenerationConfig": {
        "temperature": "number",
        "topP": "number",
        "topK": "number",
        "candidateCount": "int",
        "maxOutputTokens": "int",
        "stopSequences": "[string]",
        "seed": "int",
        "presencePenalty": "number",
        "frequencyPenalty": "number",
        "responseMimeType": "string",
        "responseSchema": "object",
        "responseJsonSchema": "object",
        "responseModalities": "[string]",
        "responseLogprobs": "bool",
        "logprobs": "int",
        "mediaResolution": "string",
        "thinkingConfig": "ThinkingConfig",
    },
    "ThinkingConfig": {
        "includeThoughts": "bool",
        "thinkingBudget": "int",
        "thinkingLevel": "MINIMAL|LOW|MEDIUM|HIGH",
    },
}


def refused(message: str, *, status: int = 400, reason: str | None = None) -> Refused:
    """To be raised: an error with Google's word for the HTTP status, and a finer one where there is one."""
    return Refused(Failure(status, message, code=reason))


def read(value: object, kind: Kind = "Request", path: str = "") -> Any:
    """The value as the API reads it, with its names in camel case.

    Raises:
        Refused: it is not of the kind.
    """
    if kind.startswith("["):
        if not isinstance(value, list):
            raise _wrong(value, kind, path)
        members = cast(list[object], value)
        return [read(each, kind[1:-1], f"{path}[{index}]") for index, each in enumerate(members)]
    if kind in MESSAGES:
        return _message(value, kind, path)
    if not _is_scalar(value, kind):
        raise _wrong(value, kind, path)
    return value


def _message(value: object, kind: Kind, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(value, kind, path)
    message: dict[str, Any] = {}
    for name, member in cast(dict[str, object], value).items():
        known = camel(name)
        if known not in MESSAGES[kind]:
            where = f" at '{path}'" if path else ""
            why = f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'
            raise refused(why)
        if member is not None:
            place = f"{path}.{_snake(name)}" if path else _snake(name)
            message[known] = read(member, MESSAGES[kind][known], place)
    return message


def _is_scalar(value: object, kind: Kind) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "bytes":
            return isinstance(value, str) and decoded(value) is not None
        case "bool":
            return isinstance(value, bool)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "object":
            return isinstance(value, dict)
        case _:
            return isinstance(value, str) and value.upper() in kind.split("|")


def decoded(text: str) -> bytes | None:
    """The bytes that a base64 text stands for, of either alphabet; None if it stands for none."""
    try:
        return base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
    except binascii.Error:
        return None


def camel(name: str) -> str:
    """`mime_type` as `mimeType`."""
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", name)


def _wrong(value: object, kind: Kind, path: str) -> Refused:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return refused(f"Invalid value at '{path}' ({kind}), {shown[:100]}")
