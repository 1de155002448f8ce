"""A clock that a test sets."""


class FakeClock:
    """Stands still until it is told otherwise: `supercompat(…, options=Options(clock=FakeClock()))`.

    It decides what is stored and shown (creation, leases, whether a run's time is over when somebody looks at it),
    not how long anything waits.

    Args:
        now: Unix seconds at which it starts.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
