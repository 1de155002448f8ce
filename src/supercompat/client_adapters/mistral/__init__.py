"""Mistral, through its own SDK."""

from supercompat.client_adapters.mistral.client import MistralClientAdapter

__all__ = ["MistralClientAdapter"]
