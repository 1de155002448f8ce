"""A scripted server and the real SDK pointed at it, without retries."""

from tests.testing.openai_server.conftest import anyio_backend, client, groq_client, server

__all__ = ["anyio_backend", "client", "groq_client", "server"]
