"""Since when a database can be used."""

from time import monotonic


class Presence:
    """Whether a database has been there for a while: who can't reach it can't renew a lease either.

    Args:
        gap: seconds without a sight of it after which it counts as away.
        grace: seconds for which it has to be back.
    """

    def __init__(self, *, gap: float, grace: float) -> None:
        self._gap = gap
        self._grace = grace
        self._seen: float | None = None
        self._back_since = float("-inf")

    @property
    def is_settled(self) -> bool:
        """Whether it is neither away nor just back. Before the first sight nothing speaks against it."""
        now = monotonic()
        return self._seen is None or (now - self._seen <= self._gap and now - self._back_since >= self._grace)

    def seen(self) -> None:
        """It was reached."""
        now = monotonic()
        if self._seen is not None and now - self._seen > self._gap:
            self._back_since = now
        self._seen = now
