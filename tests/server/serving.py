"""A real uvicorn on 127.0.0.1, in a thread of the test's process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from supercompat.server.serve import listen


class Announced(uvicorn.Server):
    """Says when it has started, or has not managed to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.is_up.set()


@contextmanager
def served(app: Any, **settings: Any) -> Iterator[str]:
    """The root URL of an ASGI application for as long as the context lasts; then it is stopped in an orderly way."""
    listener = listen("127.0.0.1", 0)
    given: dict[str, Any] = {"http": "h11", "timeout_graceful_shutdown": 5, **settings}
    config = uvicorn.Config(app, ws="none", loop="asyncio", log_config=None, **given)
    server = Announced(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert server.is_up.wait(10)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
