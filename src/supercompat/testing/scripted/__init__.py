"""A server on a loopback socket that plays a script, whatever its wire: what all provider fakes are made of."""

from supercompat.testing.scripted.broadcast import Broadcast, Replay
from supercompat.testing.scripted.player import Event, Stream, Wire, encode, last_due
from supercompat.testing.scripted.received import Answer, Received, word_by_word
from supercompat.testing.scripted.server import LoopbackServer, Refused, json_object

__all__ = [
    "Answer",
    "Broadcast",
    "Event",
    "LoopbackServer",
    "Received",
    "Refused",
    "Replay",
    "Stream",
    "Wire",
    "encode",
    "json_object",
    "last_due",
    "word_by_word",
]
