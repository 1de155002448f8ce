"""How often each caller may ask."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from supercompat.errors import RequestError

MINUTE: Final = 60.0

#: How many callers are remembered; who asked longest ago is forgotten first.
REMEMBERED: Final = 10_000


class RateLimit:
    """So many requests a minute for each caller: all at once, if they come so, then evenly spaced.

    Args:
        per_minute: 0 for no limit.
        clock: seconds.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        # When each caller's requests would have come if they had been evenly spaced.
        self._due: OrderedDict[str, float] = OrderedDict()

    def count(self, caller: str) -> None:
        """Count a request.

        Raises:
            RequestError: 429: it is one too many.
        """
        if not self._per_minute:
            return
        now, spacing = self._clock(), MINUTE / self._per_minute
        due = max(now, self._due.get(caller, now))
        ahead = due + spacing - now - MINUTE
        # What is left of it may be no more than the rounding of floating-point numbers.
        if ahead > spacing / 1000:
            raise _too_many(self._per_minute, ahead)
        self._due[caller] = due + spacing
        self._due.move_to_end(caller)
        if len(self._due) > REMEMBERED:
            self._due.popitem(last=False)


def _too_many(per_minute: int, wait: float) -> RequestError:
    seconds = math.ceil(wait)
    return RequestError(
        f"Rate limit reached on requests per min (RPM): Limit {per_minute}. Please try again in {seconds}s.",
        status=429,
        type="requests",
        code="rate_limit_exceeded",
        retry_after=seconds,
    )
