"""The header by which a single request says what becomes of its run while the thread has an active one."""

import re
from typing import cast, get_args

from supercompat.api.exchange import Request
from supercompat.errors import RequestError
from supercompat.options import ActiveRunPolicy
from supercompat.services.turns import Wish

HEADER = "supercompat-active-run"
POLICIES: tuple[str, ...] = get_args(ActiveRunPolicy)

#: Those whose creation may wait.
WAITING = ("wait", "cancel_previous")

#: `wait`, or `wait; seconds=20`.
VALUE = re.compile(
    r"\s*(?P<policy>[^;\s]+)\s*(?:;\s*seconds\s*=\s*(?P<seconds>[0-9]{1,9}(?:\.[0-9]{1,9})?)\s*)?"
)


def wish_of(request: Request) -> Wish:
    """What the request says of its turn, by its header, or else nothing.

    Raises:
        RequestError: the header's value is none that is supported.
    """
    text = request.headers.get(HEADER)
    if text is None:
        return Wish(timeout=request.read_timeout, caller=request.caller)
    value = VALUE.fullmatch(text)
    if value is None or value["policy"] not in (POLICIES if value["seconds"] is None else WAITING):
        raise RequestError(_refusal(text), param=HEADER, code="invalid_value")
    return Wish(
        policy=cast(ActiveRunPolicy, value["policy"]),
        seconds=None if value["seconds"] is None else float(value["seconds"]),
        timeout=request.read_timeout,
        caller=request.caller,
    )


def _refusal(text: str) -> str:
    *others, last = [f"'{policy}'" for policy in POLICIES]
    return (
        f"Invalid '{HEADER}' header: '{text}'. Supported values are: {', '.join(others)}, and {last}; "
        f"{' and '.join(WAITING)} also with the seconds that they may take, as in 'wait; seconds=20'."
    )
