"""Characters that come in two halves, from providers that cut their texts between UTF-16 units."""

import re
from collections.abc import Hashable

_HALF = re.compile("[\ud800-\udfff]")
_FIRST_HALVES = ("\ud800", "\udbff")


class SurrogateJoiner:
    """Makes whole characters of halves, for any number of texts at once: neither half can be stored or sent."""

    def __init__(self) -> None:
        self._held: dict[Hashable, str] = {}

    def join(self, key: Hashable, piece: str) -> str:
        """The next piece of the text that `key` stands for. A first half at its end is held back until the other
        one comes; a half without the other becomes `\N{REPLACEMENT CHARACTER}`."""
        if not self._held and not _HALF.search(piece):
            return piece
        piece = self._held.pop(key, "") + piece
        low, high = _FIRST_HALVES
        if piece and low <= piece[-1] <= high:
            self._held[key], piece = piece[-1], piece[:-1]
        return piece.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
