"""The provider: a local server that answers every chat completion on the same schedule, in a process of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.processes import started
from supercompat.testing.openai_server import ScriptedServer, text

#: Seconds from the request to the first piece of text, and from one piece to the next.
FIRST = 0.05
INTERVAL = 0.01
PIECES = 50


@contextmanager
def paced_server() -> Iterator[str]:
    """Starts the server; gives its base URL."""
    with started("benchmarks.paced") as process:
        yield process.read()


def _serve() -> None:
    reply = text(*["token "] * PIECES).paced(first=FIRST, interval=INTERVAL)
    with ScriptedServer(default=reply) as server:
        print(server.base_url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _serve()
