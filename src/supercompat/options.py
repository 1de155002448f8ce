"""Everything that `supercompat()` can be told beside its three adapters."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any, Final, Literal, TypeAlias, get_args

from supercompat.clock import Clock, SystemClock
from supercompat.errors import ConfigurationError

#: The smallest value of each number.
LEAST = {
    "run_expires_after": 1,
    "lease": 1,
    "active_run_wait": 0,
    "drain": 0,
    "max_concurrent_runs": 0,
    "provider_threads": 1,
}

_TAKEN: Final = {bool: "True or False", int: "a whole number", float: "a number"}

ActiveRunPolicy: TypeAlias = Literal["reject", "wait", "enqueue", "cancel_previous"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of a client, frozen.

    Args:
        run_expires_after: seconds after its creation at which a run that has not ended expires.
        lease: seconds within which the runs of a process that died are taken over by another one.
        on_crash: what happens to a run that had begun to answer when its process died: it fails and its message
            is `incomplete`; or it restarts and what it said is withdrawn.
        active_run: what happens to a new run while its thread has an active one: it is refused; or its creation
            waits until the other one has ended; or it is created at once as `queued`, and begins when those
            before it have ended; or the other one is cancelled, and the creation waits for that. The request
            header `supercompat-active-run` sets it for a single request.
        active_run_wait: seconds that such a creation waits at most; 0 is the same as `"reject"`. It never waits
            longer than the request's own timeout.
        drain: seconds that `close()` waits at most for running runs before it hands them over (with memory
            storage: cancels them).
        max_concurrent_runs: how many runs this process carries out at once (on a server: for one project); a
            request for one more gets a 429 that says when to retry. 0 for no limit.
        provider_threads: how many calls of a synchronous provider client may run at once.
        strict: whether to refuse what only the hosted API refused: more than 32 messages when a thread is
            created, image URLs without a usual ending, and HTTP requests without `OpenAI-Beta: assistants=v2`.
        fetch_images: whether this process fetches images that a message gives by http(s) URL, for providers
            that take only bytes: from public addresses only, with limits on size and time. Otherwise such a
            message fails the run.
        clock: where the time comes from; for tests.

    Raises:
        ConfigurationError: a value is of another type, or out of range.
    """

    run_expires_after: int = 600
    lease: float = 15.0
    on_crash: Literal["fail", "restart"] = "fail"
    active_run: ActiveRunPolicy = "reject"
    active_run_wait: float = 60.0
    drain: float = 10.0
    max_concurrent_runs: int = 0
    provider_threads: int = 64
    strict: bool = False
    fetch_images: bool = True
    clock: Clock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        check_values(self, LEAST)
        if self.on_crash not in ("fail", "restart"):
            raise ConfigurationError('Options(on_crash=…) must be "fail" or "restart".')
        if self.active_run not in get_args(ActiveRunPolicy):
            raise ConfigurationError(
                'Options(active_run=…) must be "reject", "wait", "enqueue" or "cancel_previous".'
            )


def check_values(settings: Any, least: Mapping[str, float]) -> None:
    """Judges what the fields of a dataclass of settings hold.

    Args:
        least: the smallest value of each number.

    Raises:
        ConfigurationError: a value is not of its field's type, or out of range; the message names the field.
    """
    owner = type(settings).__name__
    for each in fields(settings):
        value = getattr(settings, each.name)
        if each.type in _TAKEN and not _is_a(each.type, value):
            raise ConfigurationError(f"{owner}({each.name}=…) takes {_TAKEN[each.type]}, not {value!r}.")
        if each.name in least and not least[each.name] <= value < inf:
            raise ConfigurationError(
                f"{owner}({each.name}=…) must be at least {least[each.name]}, and finite."
            )


def _is_a(kind: Any, value: object) -> bool:
    if kind is bool or isinstance(value, bool):
        return kind is type(value)
    return isinstance(value, (int, float) if kind is float else int)
