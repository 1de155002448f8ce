"""What time it is."""

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Unix seconds."""
        ...


class SystemClock:
    """The machine's own."""

    def now(self) -> float:
        return time.time()
