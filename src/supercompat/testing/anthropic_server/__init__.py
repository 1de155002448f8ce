"""A server on a loopback socket that plays a script on Anthropic's wire, for tests with the real SDK."""

from supercompat.testing.anthropic_server.server import AnthropicServer, echo

__all__ = ["AnthropicServer", "echo"]
