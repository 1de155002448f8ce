"""Server-sent events, out of blocks of bytes that are cut anywhere."""

from collections.abc import Iterator

DONE = b"[DONE]"


class FrameReader:
    """Puts the blocks of one stream together and takes its events apart.

    The SDKs can do that, but make an object of pydantic's from each event, which takes as long as everything
    else that happens to a chunk on its way.

    Attributes:
        count: how many events there were.
        done: whether the provider has said that nothing follows.
    """

    def __init__(self) -> None:
        self.count = 0
        self.done = False
        # An image in one event comes in many blocks: they are joined once.
        self._rest: list[bytes] = []
        self._data: list[bytes] = []

    def read(self, block: bytes) -> Iterator[bytes]:
        """The data of each event that is complete now; not that of the last, `[DONE]`."""
        self._rest.append(block)
        if b"\n" not in block:
            return
        *lines, rest = b"".join(self._rest).split(b"\n")
        self._rest = [rest]
        for line in lines:
            yield from self._read_line(line.removesuffix(b"\r"))

    def finish(self) -> Iterator[bytes]:
        """The data of an event that the end of the stream cut off from its empty line."""
        yield from self._read_line(b"".join(self._rest))
        yield from self._read_line(b"")

    def _read_line(self, line: bytes) -> Iterator[bytes]:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            data = b"\n".join(self._data)
            self._data.clear()
            self.count += 1
            self.done = self.done or data.startswith(DONE)
            if not self.done:
                yield data
