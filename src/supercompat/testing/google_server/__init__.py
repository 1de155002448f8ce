"""A server on a loopback socket that plays a script on Gemini's wire, for tests with the real SDK."""

from supercompat.testing.google_server.server import GoogleServer
from supercompat.testing.google_server.signatures import UNSIGNED

__all__ = ["UNSIGNED", "GoogleServer"]
