"""The events of a response, or a whole one, as model events."""

from collections.abc import Iterator, Mapping
from typing import Any

from supercompat.client_adapters.errors import error_in_answer
from supercompat.client_adapters.openai_responses.items import Item, Said, Searches, new_item
from supercompat.client_adapters.openai_responses.request import COMPUTER, Way
from supercompat.client_adapters.openai_responses.state import KEY, state_of
from supercompat.client_adapters.openai_wire import CallReader
from supercompat.client_adapters.openai_wire import json_values as json
from supercompat.errors import ProviderError
from supercompat.model.events import (
    BackgroundStarted,
    Finished,
    FinishReason,
    ModelEvent,
    ProviderStateReported,
    ReasoningDelta,
    Usage,
    UsageReported,
)

_LAST = {f"response.{status}" for status in ("completed", "incomplete", "failed", "cancelled")}

_OF_MESSAGES = ("response.output_text.", "response.refusal.")

_REASONS: Mapping[str, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}


def is_last(event: Mapping[str, Any]) -> bool:
    """Whether nothing follows this event: the API has no `[DONE]`."""
    return event.get("type") in _LAST or event.get("type") == "error"


class ResponseReader:
    """Reads one answer: `read` for each event, or `read_whole` for the response object.

    Attributes:
        id: of the response, once it is known.
        number: the sequence number of the last event; -1 before the first.
        is_over: nothing more comes of it.
    """

    def __init__(self, way: Way, model: str) -> None:
        self.id = ""
        self.number = -1
        self.is_over = False
        self._way = way
        self._model = model
        self._calls = CallReader()
        self._searches = Searches()
        self._items: dict[int, Item] = {}
        # As they began, and as they ended, by their place in the output.
        self._begun: dict[int, Mapping[str, Any]] = {}
        self._done_items: dict[int, Mapping[str, Any]] = {}
        self._arguments: dict[int, Said] = {}

    def read(self, event: Mapping[str, Any]) -> Iterator[ModelEvent]:
        """What an event adds to the answer.

        Raises:
            ProviderError: the event says that the provider failed, or it asks for what nobody can give.
        """
        number = json.a_number(event.get("sequence_number"))
        self.number = self.number if number is None else number
        kind = json.a_text(event.get("type"))
        index = json.a_number(event.get("output_index")) or 0
        if kind == "error":
            self.is_over = True
            raise error_in_answer({name: event.get(name) for name in ("message", "code", "param")})
        if kind in _LAST:
            yield from self._end(json.an_object(event.get("response")))
        elif kind == "response.output_item.added":
            yield from self._begin(index, json.an_object(event.get("item")))
        elif kind == "response.output_item.done":
            yield from self._done(index, json.an_object(event.get("item")))
        elif kind == "response.function_call_arguments.delta":
            yield from self._write_arguments(index, json.a_piece(event.get("delta")))
        elif kind in ("response.reasoning_text.delta", "response.reasoning_summary_text.delta"):
            yield ReasoningDelta(json.a_text(event.get("delta")))
        elif "response" in event:
            yield from self._open(json.an_object(event.get("response")))
        else:
            if kind.startswith(_OF_MESSAGES):
                # Some servers do not say that a message begins.
                yield from self._begin(index, {"type": "message"})
            if index in self._items:
                yield from self._items[index].read(kind, event)

    def read_whole(self, response: Mapping[str, Any]) -> Iterator[ModelEvent]:
        """All that a response says which was not read as events before."""
        if response.get("error") and "output" not in response:
            raise error_in_answer(response["error"])
        for index, item in _output(response):
            yield from self._done(index, item)
        yield from self._end(response)

    def _open(self, response: Mapping[str, Any]) -> Iterator[ModelEvent]:
        is_first = not self.id
        self.id = json.a_text(response.get("id")) or self.id
        if is_first and self.id and self._way.background:
            yield BackgroundStarted({KEY: {"server": self._way.server, "id": self.id}})

    def _begin(self, index: int, item: Mapping[str, Any]) -> Iterator[ModelEvent]:
        self._begun.setdefault(index, item)
        if item.get("type") == "function_call":
            yield from self._begin_call(index, item)
        elif index not in self._items and (reader := new_item(item, self._searches)):
            self._items[index] = reader
            yield from reader.begin()

    def _begin_call(self, index: int, item: Mapping[str, Any], arguments: str = "") -> Iterator[ModelEvent]:
        function = {"name": item.get("name"), "arguments": arguments}
        yield from self._calls.read({"index": index, "id": item.get("call_id"), "function": function})

    def _done(self, index: int, item: Mapping[str, Any]) -> Iterator[ModelEvent]:
        if index in self._done_items:
            return
        self._done_items[index] = item
        match item.get("type"):
            case "function_call":
                yield from self._finish_call(index, item)
            case "computer_call":
                arguments = _computer_arguments(item)
                yield from self._begin_call(index, {**item, "name": COMPUTER}, arguments)
            case "mcp_approval_request":
                self.is_over = True
                raise ProviderError(
                    f"The MCP server '{item.get('server_label')}' wants approval for '{item.get('name')}', which a "
                    'run can\'t give: set the tool\'s "require_approval" to "never".',
                    code="invalid_prompt",
                )
            case _:
                yield from self._begin(index, item)
                if index in self._items:
                    yield from self._items[index].finish(item)

    def _finish_call(self, index: int, item: Mapping[str, Any]) -> Iterator[ModelEvent]:
        """Some servers send a call, or its arguments, only when it is whole."""
        yield from self._begin_call(index, item)
        arguments = item.get("arguments")
        whole = json.a_text(arguments) or (json.text_of(arguments) if arguments else "")
        rest = self._arguments.setdefault(index, Said()).rest_of(whole)
        yield from self._write_arguments(index, rest)

    def _write_arguments(self, index: int, piece: str) -> Iterator[ModelEvent]:
        if piece := self._arguments.setdefault(index, Said()).add(piece):
            yield from self._calls.read({"index": index, "function": {"arguments": piece}})

    def _complete(self, response: Mapping[str, Any]) -> Iterator[ModelEvent]:
        """Some servers do not say when an item ends, or send no events of it at all."""
        ended = dict(_output(response))
        for index in sorted(self._begun.keys() - self._done_items.keys()):
            last = ended.get(index, {})
            is_same = last.get("type") == self._begun[index].get("type")
            yield from self._done(index, last if is_same else self._begun[index])
        known = {item.get("type") for item in self._done_items.values()}
        for index, item in ended.items():
            # Where places in events and in the whole are not the same, what is known must not come twice.
            if index not in self._done_items and item.get("type") not in known:
                yield from self._done(index, item)

    def _end(self, response: Mapping[str, Any]) -> Iterator[ModelEvent]:
        self.is_over = True
        self.id = json.a_text(response.get("id")) or self.id
        if usage := _usage(json.an_object(response.get("usage"))):
            yield UsageReported(usage)
        if (status := response.get("status")) in ("failed", "cancelled"):
            raise _broken(response, f"The provider ended the response as {status}.")
        if status != "incomplete":
            yield from self._complete(response)
        yield from self._calls.finish()
        items = [self._done_items[at] for at in sorted(self._done_items)]
        # Of some accounts nothing is kept, whatever they ask for.
        stored = self._way.store and response.get("store") is not False
        yield ProviderStateReported(
            state_of(self._way.server, self._model, self.id, stored=stored, items=items)
        )
        yield Finished(self._reason(response))

    def _reason(self, response: Mapping[str, Any]) -> FinishReason:
        if response.get("status") == "incomplete":
            reason = json.an_object(response.get("incomplete_details")).get("reason")
            return _REASONS.get(json.a_text(reason), "length")
        return "tool_calls" if self._calls else "stop"


def _output(response: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    return enumerate(map(json.an_object, json.a_list(response.get("output"))))


def _computer_arguments(item: Mapping[str, Any]) -> str:
    # Older models say one action, newer ones several.
    actions = item.get("actions") or [action for action in (item.get("action"),) if action]
    return json.text_of(
        {"actions": actions, "pending_safety_checks": item.get("pending_safety_checks") or []}
    )


def _broken(response: Mapping[str, Any], fallback: str) -> ProviderError:
    return error_in_answer(response["error"]) if response.get("error") else ProviderError(fallback)


def _usage(usage: Mapping[str, Any]) -> Usage | None:
    if not usage:
        return None
    return Usage(
        prompt=json.a_number(usage.get("input_tokens")) or 0,
        completion=json.a_number(usage.get("output_tokens")) or 0,
        cached=json.a_number(json.an_object(usage.get("input_tokens_details")).get("cached_tokens")) or 0,
        reasoning=json.a_number(json.an_object(usage.get("output_tokens_details")).get("reasoning_tokens"))
        or 0,
    )
