"""Anthropic's Messages API <-> the neutral model types."""

from supercompat.client_adapters.anthropic.client import AnthropicClientAdapter

__all__ = ["AnthropicClientAdapter"]
