"""How a request speaks of the ids of events: an extension, for streams that can be continued."""

from supercompat.api.exchange import Request
from supercompat.errors import RequestError
from supercompat.wire.requests import EventsQuery

HEADER = "supercompat-event-ids"
LAST = "last-event-id"


def wants_ids(request: Request) -> bool:
    """Whether the events of the stream that is asked for are to have ids. Without a word they are as the API's own.

    Raises:
        RequestError: the header is neither `true` nor `false`.
    """
    value = request.headers.get(HEADER, "false").strip().lower()
    if value not in ("true", "false"):
        raise RequestError(
            f"Invalid '{HEADER}' header: '{value}'. Supported values are: 'true' and 'false'.",
            param=HEADER,
            code="invalid_value",
        )
    return value == "true"


def last_id_of(request: Request, query: EventsQuery) -> str | None:
    """The id of the last event that the reader has; None if it has none.

    The header goes before the query: a browser that comes back sends it beside the URL that it was given.
    """
    return request.headers.get(LAST, "").strip() or query.last_event_id or None
