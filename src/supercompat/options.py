"""Everything that `supercompat()` can be told beside its three adapters."""

from dataclasses import dataclass, field
from typing import Literal

from supercompat.clock import Clock, SystemClock
from supercompat.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of a client, frozen.

    Args:
        run_expires_after: seconds after its creation at which a run that has not ended expires.
        lease: seconds within which the runs of a process that died are taken over by another one.
        on_crash: what becomes of a run that had said something when its process died: it fails, its message is
            `incomplete`; or it restarts, and what it said is withdrawn.
        drain: seconds for which `close()` waits for running runs before it hands them over (with memory
            storage: cancels them).
        provider_threads: how many calls of a synchronous provider client may be under way at once.
        fetch_images: whether images that a message gives by http(s) URL are fetched by this process, for providers
            that take only bytes: from public addresses, within limits of size and time. Otherwise such a message
            ends the run with an error.
        clock: what time it is; for tests.

    Raises:
        ConfigurationError: a value is out of range.
    """

    run_expires_after: int = 600
    lease: float = 15.0
    on_crash: Literal["fail", "restart"] = "fail"
    drain: float = 10.0
    provider_threads: int = 64
    fetch_images: bool = True
    clock: Clock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        for name, least in (("run_expires_after", 1), ("lease", 1), ("drain", 0), ("provider_threads", 1)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"Options({name}=…) must be at least {least}.")
        if self.on_crash not in ("fail", "restart"):
            raise ConfigurationError('Options(on_crash=…) must be "fail" or "restart".')
