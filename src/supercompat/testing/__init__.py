"""What tests are written with.

`ScriptedModel` answers in process; `ScriptedServer`, `AnthropicServer`, `GoogleServer` and `MistralServer` are real
servers that speak and enforce a provider's wire, for the real SDKs. All play the same replies.
"""

from supercompat.testing.anthropic_server import AnthropicServer
from supercompat.testing.clock import FakeClock
from supercompat.testing.google_server import GoogleServer
from supercompat.testing.hosted import (
    code_interpreter,
    computer_call,
    container_file_citation,
    file_citation,
    file_path,
    file_search,
    image_generation,
    mcp_approval,
    mcp_call,
    mcp_tools,
    url_citation,
    web_search,
)
from supercompat.testing.mistral_server import MistralServer
from supercompat.testing.model import ScriptedModel
from supercompat.testing.openai_server import ScriptedServer
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
from supercompat.testing.scripted import Received

__all__ = [
    "EMPTY_CHUNK",
    "AnthropicServer",
    "Call",
    "Failure",
    "FakeClock",
    "Gate",
    "GoogleServer",
    "MistralServer",
    "Received",
    "Reply",
    "ScriptedModel",
    "ScriptedServer",
    "Usage",
    "call",
    "code_interpreter",
    "computer_call",
    "container_file_citation",
    "drop",
    "error",
    "file_citation",
    "file_path",
    "file_search",
    "hang",
    "image_generation",
    "mcp_approval",
    "mcp_call",
    "mcp_tools",
    "reasoning",
    "refusal",
    "text",
    "tool_calls",
    "url_citation",
    "web_search",
]
