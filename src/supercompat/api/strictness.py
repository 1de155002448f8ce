"""What the hosted API refused and we take, unless `Options(strict=True)` asks for the same refusals."""

import re
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from supercompat.api.exchange import Request
from supercompat.api.validation import refusal_at
from supercompat.errors import RequestError
from supercompat.wire.objects import ImageUrlContent
from supercompat.wire.requests import MessageCreate, RunCreate, ThreadCreate, ThreadRunCreate

#: Messages with which a thread may begin (E17).
MAX_FIRST_MESSAGES = 32

BETA = "assistants=v2"
NO_BETA = (
    "You must provide the 'OpenAI-Beta' header to access the Assistants API. "
    f"Please try again by setting the header 'OpenAI-Beta: {BETA}'."
)

_EXTENSION = re.compile(r"/runs/[^/]+/(context|events)$")

IMAGE_ENDINGS = ".jpeg, .jpg, .png, .gif, .webp"


def demand_beta(request: Request) -> None:
    """Refuse a request for the Assistants API that does not name its version 2 (C-004, C-005). What the hosted API
    never had asks for none: an `EventSource` could not send it.

    Raises:
        RequestError: E3.
    """
    named = [name.strip() for name in request.headers.get("openai-beta", "").split(",")]
    is_its = re.search(r"/(assistants|threads)(/|$)", request.path) and not _EXTENSION.search(request.path)
    if is_its and BETA not in named:
        raise RequestError(NO_BETA, code="invalid_beta")


def demand_limits(body: BaseModel | None) -> None:
    """Refuse a valid body that goes beyond limits which only the hosted API had.

    Raises:
        RequestError: a thread begins with too many messages (E17, C-065), or the address of an image has another
            ending than those of the formats (E54), or none, as a data URL.
    """
    for place, thread in _threads(body):
        if len(thread.messages) > MAX_FIRST_MESSAGES:
            raise refusal_at(f"{place}messages", thread.messages, "too_long", max_length=MAX_FIRST_MESSAGES)
    for place, message in _messages(body):
        for index, part in enumerate(message.parts()):
            if isinstance(part, ImageUrlContent):
                _demand_image(f"{place}content[{index}].image_url.url", part.image_url.url)


def _demand_image(place: str, url: str) -> None:
    if not re.match("https?:", url, re.IGNORECASE):
        raise refusal_at(place, url, "invalid_url")
    if not re.search(r"\.(jpe?g|png|gif|webp)$", re.sub(r"[?#].*", "", url), re.IGNORECASE):
        raise refusal_at(place, url, "unknown_image", endings=IMAGE_ENDINGS)


def _threads(body: BaseModel | None) -> Iterator[tuple[str, ThreadCreate]]:
    if isinstance(body, ThreadCreate):
        yield "", body
    elif isinstance(body, ThreadRunCreate):
        yield "thread.", body.thread


def _messages(body: BaseModel | None) -> Iterator[tuple[str, MessageCreate]]:
    if isinstance(body, MessageCreate):
        yield "", body
    elif isinstance(body, RunCreate):
        yield from _numbered("additional_messages", body.additional_messages or [])
    for place, thread in _threads(body):
        yield from _numbered(f"{place}messages", thread.messages)


def _numbered(place: str, messages: Sequence[MessageCreate]) -> Iterator[tuple[str, MessageCreate]]:
    for index, message in enumerate(messages):
        yield f"{place}[{index}].", message
