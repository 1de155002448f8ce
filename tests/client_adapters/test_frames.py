"""Server-sent events out of bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supercompat.client_adapters.openai_wire import FrameReader


def read(*blocks: bytes) -> list[bytes]:
    reader = FrameReader()
    found = [data for block in blocks for data in reader.read(block)]
    return found if reader.done else [*found, *reader.finish()]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: one\n\ndata: two\n\n", [b"one", b"two"]),
        (b"data:one\r\n\r\ndata: two\r\n\r\n", [b"one", b"two"]),
        (b"data: one\ndata: two\n\n", [b"one\ntwo"]),
        (b": OPENROUTER PROCESSING\n\nevent: x\nid: 1\ndata: one\n\n", [b"one"]),
        (b"data: one\n\ndata: [DONE]\n\n", [b"one"]),
        (b"data: one\n\ndata: [DONE]\n\ndata: late\n\n", [b"one"]),
        (b"data: one", [b"one"]),
        (b"\n\n\n", []),
        (b"<html>\n</html>\n", []),
        ("data: \u2028\x0b\x85é\n\n".encode(), ["\u2028\x0b\x85é".encode()]),
    ],
)
def test_events(stream: bytes, events: list[bytes]):
    assert read(stream) == events


def test_what_was_seen():
    reader = FrameReader()
    assert list(reader.read(b"data: one\n\n")) == [b"one"]
    assert (reader.count, reader.done) == (1, False)
    assert list(reader.read(b"data: [DONE]\n\n")) == []
    assert (reader.count, reader.done) == (2, True)


data = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), min_size=1).filter(
    lambda text: not text.startswith("[DONE]")
)


@given(st.lists(data), st.sampled_from(["\n", "\r\n"]), st.data())
def test_however_the_bytes_are_cut(events: list[str], line: str, draw: st.DataObject):
    stream = "".join(f"data: {event}{line}{line}" for event in [*events, "[DONE]"]).encode()
    ends = sorted(draw.draw(st.lists(st.integers(0, len(stream)))))
    blocks = [stream[a:b] for a, b in zip([0, *ends], [*ends, len(stream)], strict=True)]
    assert [event.decode() for event in read(*blocks)] == events
