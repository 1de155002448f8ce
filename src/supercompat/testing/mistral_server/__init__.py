"""A server on a loopback socket that plays a script on Mistral's wire, for tests with the real SDK."""

from supercompat.testing.mistral_server.server import MistralServer

__all__ = ["MistralServer"]
