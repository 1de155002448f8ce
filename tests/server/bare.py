"""Requests without any HTTP library: every byte of the answer, as it came."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit


class Bare:
    """One connection with one request on it.

    Args:
        room: bytes that the system may receive before they are asked for; None for its own choice.
    """

    def __init__(self, root: str, *, room: int | None = None) -> None:
        address = urlsplit(root)
        self.socket = socket.socket()
        if room is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.settimeout(10)
        self.socket.connect((address.hostname, address.port))
        self._file = self.socket.makefile("rb")

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + data)

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers."""
        status = int(self._file.readline().split()[1])
        lines = iter(self._file.readline, b"\r\n")
        pairs = (line.decode().strip().partition(": ") for line in lines)
        return status, {name: value for name, _, value in pairs}

    def chunks(self) -> Iterator[bytes]:
        """The chunks of the body: each is what was sent at once."""
        while size := int(self._file.readline(), 16):
            chunk = self._file.read(size)
            self._file.readline()
            yield chunk

    def rest(self) -> bytes:
        """What comes before the other side closes the connection."""
        return self._file.read()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> "Bare":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
