"""What came in: the log of a scripted server, and what can be made of it."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from supercompat.testing.replies import Failure, Reply, text


@dataclass(eq=False)
class Received:
    """One request that came in, and what became of it.

    Attributes:
        method: such as `POST`.
        path: as sent, such as `/v1/chat/completions`.
        headers: names in lower case.
        body: the JSON object that was sent; empty if there was none.
        context: all that the model is shown, where the provider keeps conversations: the items of the responses
            that this one goes on from, and its own input, oldest first.
        status: the HTTP status that was answered; None until then.
        finished: set when the whole answer has been handed to the network.
        closed: set as soon as the peer closed the connection before that. Neither is set
            while the answer is under way, nor when the server itself dropped the connection.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any] = field(default_factory=dict[str, Any])
    context: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]], repr=False)
    status: int | None = None
    finished: threading.Event = field(default_factory=threading.Event, repr=False)
    closed: threading.Event = field(default_factory=threading.Event, repr=False)


Answer: TypeAlias = Reply | Failure | Callable[[Received], Reply | Failure]
"""A reply, an error, or a function of the request that makes one; it is called on the server's thread."""


def word_by_word(said: str) -> Reply:
    """An answer that says this, one delta a word."""
    return text(*re.findall(r"\s*\S+", said))
