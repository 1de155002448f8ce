"""Every operation that is served: the only table of them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel

from supercompat.api.active_run import wish_of
from supercompat.api.event_ids import last_id_of, wants_ids
from supercompat.api.exchange import Request
from supercompat.services.assistants import Assistants
from supercompat.services.chat import Chat
from supercompat.services.context import Contexts
from supercompat.services.events import Events
from supercompat.services.images import Image, Images
from supercompat.services.messages import Messages
from supercompat.services.runs import Runs, is_resting
from supercompat.services.steps import Steps
from supercompat.services.threads import Threads
from supercompat.storage_adapters.protocol import Page
from supercompat.wire import requests as wire
from supercompat.wire.objects import Run, WireObject

#: What an operation gives back; `codec.encode` knows each kind.
Answer: TypeAlias = WireObject | Image | Page[Any] | Mapping[str, Any] | AsyncGenerator[bytes, None]

#: Milliseconds after which the SDK's poll helper asks again (C-176).
POLL_AFTER = "250"


@dataclass(frozen=True, slots=True)
class Services:
    assistants: Assistants
    threads: Threads
    messages: Messages
    runs: Runs
    steps: Steps
    contexts: Contexts
    events: Events
    images: Images
    chat: Chat


@dataclass(frozen=True, slots=True)
class Call:
    """A validated request.

    Args:
        request: as it came.
        ids: what the path holds, in its order.
        body, query: of the types that the route names; None where it names none.
        poll_wait: seconds for which a polled retrieve may wait; 0 for any other request.
        headers: added to the response.
    """

    request: Request
    ids: tuple[str, ...]
    body: Any
    query: Any
    poll_wait: float
    headers: dict[str, str]


Handler: TypeAlias = Callable[[Services, Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation.

    Args:
        path: below `/v1`; `{}` stands for an id, a last `{*}` also for slashes.
        body: type of the request's body.
        query: type of its query.
    """

    method: str
    path: str
    handler: Handler
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None


async def _create_run(services: Services, call: Call) -> Answer:
    wish, ids = wish_of(call.request), wants_ids(call.request)
    includes = bool(call.query.include)
    return await services.runs.create(call.ids[0], call.body, wish, includes=includes, event_ids=ids)


async def _create_thread_and_run(services: Services, call: Call) -> Answer:
    # A new thread has no active run, but a bad header is refused here too.
    wish_of(call.request)
    return await services.runs.create_thread_and_run(call.body, event_ids=wants_ids(call.request))


async def _submit_tool_outputs(services: Services, call: Call) -> Answer:
    ids = wants_ids(call.request)
    return await services.runs.submit_tool_outputs(call.ids[0], call.ids[1], call.body, event_ids=ids)


async def _resume_events(services: Services, call: Call) -> Answer:
    last_id = last_id_of(call.request, call.query)
    return await services.events.resume(call.ids[0], call.ids[1], last_id)


async def _retrieve_run(services: Services, call: Call) -> Run:
    run = await services.runs.retrieve(call.ids[0], call.ids[1], wait=call.poll_wait)
    if not is_resting(run):
        call.headers["openai-poll-after-ms"] = POLL_AFTER
    return run


async def _complete_chat(services: Services, call: Call) -> Answer:
    return await services.chat.complete(call.body.model_dump(exclude_unset=True))


async def _list_models(services: Services, _: Call) -> Mapping[str, Any]:
    return {"object": "list", "data": await services.chat.models()}


ROUTES = (
    Route("POST", "/assistants", lambda s, c: s.assistants.create(c.body), wire.AssistantCreate),
    Route("GET", "/assistants", lambda s, c: s.assistants.list(c.query), query=wire.ListQuery),
    Route("GET", "/assistants/{}", lambda s, c: s.assistants.retrieve(c.ids[0])),
    Route("POST", "/assistants/{}", lambda s, c: s.assistants.modify(c.ids[0], c.body), wire.AssistantModify),
    Route("DELETE", "/assistants/{}", lambda s, c: s.assistants.delete(c.ids[0])),
    Route("POST", "/threads", lambda s, c: s.threads.create(c.body), wire.ThreadCreate),
    Route("POST", "/threads/runs", _create_thread_and_run, wire.ThreadRunCreate),
    Route("GET", "/threads/{}", lambda s, c: s.threads.retrieve(c.ids[0])),
    Route("POST", "/threads/{}", lambda s, c: s.threads.modify(c.ids[0], c.body), wire.ThreadModify),
    Route("DELETE", "/threads/{}", lambda s, c: s.threads.delete(c.ids[0])),
    Route(
        "POST", "/threads/{}/messages", lambda s, c: s.messages.create(c.ids[0], c.body), wire.MessageCreate
    ),
    Route(
        "GET",
        "/threads/{}/messages",
        lambda s, c: s.messages.list(c.ids[0], c.query),
        query=wire.MessageListQuery,
    ),
    Route("GET", "/threads/{}/messages/{}", lambda s, c: s.messages.retrieve(c.ids[0], c.ids[1])),
    Route(
        "POST",
        "/threads/{}/messages/{}",
        lambda s, c: s.messages.modify(c.ids[0], c.ids[1], c.body),
        wire.MessageModify,
    ),
    Route("DELETE", "/threads/{}/messages/{}", lambda s, c: s.messages.delete(c.ids[0], c.ids[1])),
    Route("POST", "/threads/{}/runs", _create_run, wire.RunCreate, wire.IncludeQuery),
    Route("GET", "/threads/{}/runs", lambda s, c: s.runs.list(c.ids[0], c.query), query=wire.ListQuery),
    Route("GET", "/threads/{}/runs/{}", _retrieve_run),
    Route(
        "POST", "/threads/{}/runs/{}", lambda s, c: s.runs.modify(c.ids[0], c.ids[1], c.body), wire.RunModify
    ),
    Route("POST", "/threads/{}/runs/{}/cancel", lambda s, c: s.runs.cancel(c.ids[0], c.ids[1])),
    Route(
        "POST",
        "/threads/{}/runs/{}/submit_tool_outputs",
        _submit_tool_outputs,
        wire.SubmitToolOutputs,
    ),
    Route(
        "GET",
        "/threads/{}/runs/{}/steps",
        lambda s, c: s.steps.list(c.ids[0], c.ids[1], c.query),
        query=wire.StepListQuery,
    ),
    Route(
        "GET",
        "/threads/{}/runs/{}/steps/{}",
        lambda s, c: s.steps.retrieve(c.ids[0], c.ids[1], c.ids[2], c.query),
        query=wire.IncludeQuery,
    ),
    # Extensions: the API has no such operations.
    Route("GET", "/threads/{}/runs/{}/context", lambda s, c: s.contexts.retrieve(c.ids[0], c.ids[1])),
    Route("GET", "/threads/{}/runs/{}/events", _resume_events, query=wire.EventsQuery),
    Route("GET", "/files/{}/content", lambda s, c: s.images.content(c.ids[0])),
    Route("POST", "/chat/completions", _complete_chat, wire.ChatCreate),
    Route("GET", "/models", _list_models),
    Route("GET", "/models/{*}", lambda s, c: s.chat.model(c.ids[0])),
)
