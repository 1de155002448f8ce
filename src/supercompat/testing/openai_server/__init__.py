"""A server on a loopback socket that plays a script on OpenAI's wire, for tests with the real SDKs."""

from supercompat.testing.openai_server.server import ScriptedServer, echo
from supercompat.testing.replies import (
    EMPTY_CHUNK,
    Call,
    Failure,
    Gate,
    Reply,
    Usage,
    call,
    drop,
    error,
    hang,
    reasoning,
    refusal,
    text,
    tool_calls,
)
from supercompat.testing.scripted import Answer, Received

__all__ = [
    "EMPTY_CHUNK",
    "Answer",
    "Call",
    "Failure",
    "Gate",
    "Received",
    "Reply",
    "ScriptedServer",
    "Usage",
    "call",
    "drop",
    "echo",
    "error",
    "hang",
    "reasoning",
    "refusal",
    "text",
    "tool_calls",
]
