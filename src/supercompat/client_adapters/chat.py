"""Chat completions for providers that have none: a request's body -> `ModelRequest`, model events -> the answer."""

import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Discriminator, Field, Strict, ValidationError

from supercompat.client_adapters.base import ChatAnswer
from supercompat.errors import ProviderError
from supercompat.model import request as model
from supercompat.model.events import (
    Finished,
    ModelEvent,
    ProviderStateReported,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallArguments,
    ToolCallStarted,
    Usage,
    UsageReported,
)

#: What asks for something that no neutral request can say, and that must not be dropped in silence.
_UNSERVED = ("audio", "function_call", "functions", "logprobs", "top_logprobs", "web_search_options")

Number: TypeAlias = Annotated[float, Strict()]
Count: TypeAlias = Annotated[int, Strict(), Field(ge=1)]


class _Text(BaseModel):
    type: Literal["text"]
    text: str


class _ImageUrl(BaseModel):
    url: str
    detail: str = "auto"


class _Image(BaseModel):
    type: Literal["image_url"]
    image_url: _ImageUrl


class _Refusal(BaseModel):
    type: Literal["refusal"]
    refusal: str


class _CalledFunction(BaseModel):
    name: str
    arguments: str


class _Call(BaseModel):
    id: str
    type: Literal["function"]
    function: _CalledFunction


class _System(BaseModel):
    role: Literal["system", "developer"]
    content: str | list[_Text]


class _User(BaseModel):
    role: Literal["user"]
    content: str | list[Annotated[_Text | _Image, Discriminator("type")]]


class _Assistant(BaseModel):
    role: Literal["assistant"]
    content: str | list[Annotated[_Text | _Refusal, Discriminator("type")]] | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    provider_state: dict[str, Any] | None = None


class _ToolOutput(BaseModel):
    role: Literal["tool"]
    tool_call_id: str
    content: str | list[_Text]


_Message: TypeAlias = Annotated[_System | _User | _Assistant | _ToolOutput, Discriminator("role")]


class _Function(BaseModel):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(BaseModel):
    type: Literal["function"]
    function: _Function


class _NamedFunction(BaseModel):
    name: str


class _Choice(BaseModel):
    type: Literal["function"]
    function: _NamedFunction


class _Schema(BaseModel):
    name: str
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    description: str | None = None
    strict: bool | None = None


class _PlainFormat(BaseModel):
    type: Literal["text", "json_object"]


class _SchemaFormat(BaseModel):
    type: Literal["json_schema"]
    json_schema: _Schema


class _Body(BaseModel):
    model: str = Field(min_length=1)
    messages: list[_Message] = Field(min_length=1)
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Choice | None = None
    parallel_tool_calls: bool | None = None
    response_format: Annotated[_PlainFormat | _SchemaFormat, Discriminator("type")] | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    reasoning_effort: str | None = None
    stop: str | list[str] | None = None


def request_of(params: Mapping[str, Any], *, stop: bool = False) -> model.ModelRequest:
    """The body of a chat-completions request as a model request.

    System and developer messages become the instructions, wherever they stand. Tuning knobs and labels that
    no neutral request has (`seed`, `logit_bias`, penalties, `user`, `metadata`, …) are ignored. The
    `provider_state` of an assistant message, which `chat_answer` gave, goes back to its provider.

    Args:
        stop: whether the adapter sends `ModelRequest.stop`; else a request with stop sequences is refused.

    Raises:
        ProviderError: status 400, for what can't be served.
    """
    _check_served(params, stop=stop)
    try:
        body = _Body.model_validate(dict(params))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise _refused(f"Invalid '{where}': {first['msg']}.", where) from None
    system = [_joined(message.content) for message in body.messages if isinstance(message, _System)]
    return model.ModelRequest(
        model=body.model,
        turns=tuple(_turns(body.messages)),
        instructions="\n\n".join(filter(None, system)) or None,
        tools=tuple(_tool(tool.function) for tool in body.tools or ()),
        tool_choice=model.NamedTool(body.tool_choice.function.name)
        if isinstance(body.tool_choice, _Choice)
        else body.tool_choice,
        parallel_tool_calls=body.parallel_tool_calls,
        response_format=_response_format(body.response_format),
        temperature=body.temperature,
        top_p=body.top_p,
        max_completion_tokens=body.max_completion_tokens or body.max_tokens,
        reasoning_effort=body.reasoning_effort,
        stop=(body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ()),
    )


async def chat_answer(events: AsyncIterator[ModelEvent], params: Mapping[str, Any]) -> ChatAnswer:
    """The events of one answer in the shape that `params`, the request's body, asks for.

    Chunks read the events as they are read themselves. Reasoning is in `reasoning_content`, and what the provider
    wants back unchanged in `provider_state`, of the message or of a delta.

    Raises:
        ProviderError: the answer broke off; also while the chunks are read.
    """
    envelope = {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion.chunk" if params.get("stream") else "chat.completion",
        "created": int(time.time()),
        "model": params.get("model"),
    }
    if params.get("stream"):
        options: Mapping[str, Any] = params.get("stream_options") or {}
        with_usage = bool(options.get("include_usage"))
        return ChatAnswer(chunks=_Chunks(events, envelope, with_usage=with_usage))
    answer = _Folded()
    async for event in events:
        answer.add(event)
    return ChatAnswer(body={**envelope, **answer.body()})


def _check_served(params: Mapping[str, Any], *, stop: bool) -> None:
    unserved = [name for name in _UNSERVED if params.get(name)]
    if params.get("n") not in (None, 1):
        unserved.append("n")
    if params.get("modalities") not in (None, ["text"]):
        unserved.append("modalities")
    if params.get("stop") and not stop:
        unserved.append("stop")
    if unserved:
        raise _refused(f"'{unserved[0]}' is not supported with this provider.", unserved[0])


def _refused(message: str, param: str) -> ProviderError:
    body: dict[str, object] = {"type": "invalid_request_error", "param": param, "code": "unsupported_value"}
    return ProviderError(message, code="invalid_prompt", status=400, body=body)


def _turns(messages: Sequence[_System | _User | _Assistant | _ToolOutput]) -> Iterator[model.Turn]:
    names: dict[str, str] = {}
    for index, message in enumerate(messages):
        match message:
            case _System():
                continue
            case _User(content=str(text)):
                yield model.UserTurn((model.TextPart(text),))
            case _User():
                yield model.UserTurn(
                    tuple(_part(part) for part in message.content if not isinstance(part, str))
                )
            case _Assistant():
                calls = [_call(call) for call in message.tool_calls or ()]
                names.update((call.id, call.name) for call in calls)
                text = _joined(message.content) or message.refusal or ""
                yield model.AssistantTurn(text, tuple(calls), message.provider_state)
            case _ToolOutput(tool_call_id=call_id):
                if call_id not in names:
                    where = f"messages.{index}.tool_call_id"
                    raise _refused(
                        f"Invalid '{where}': no earlier message has a call with the id '{call_id}'.", where
                    )
                yield model.ToolTurn(call_id, names[call_id], _joined(message.content))


def _joined(content: str | Sequence[_Text | _Refusal] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text if isinstance(part, _Text) else part.refusal for part in content)


def _part(part: _Text | _Image) -> model.Part:
    if isinstance(part, _Text):
        return model.TextPart(part.text)
    return model.ImagePart(part.image_url.url, part.image_url.detail)


def _call(call: _Call) -> model.ToolCall:
    return model.ToolCall(call.id, call.function.name, call.function.arguments)


def _tool(function: _Function) -> model.FunctionTool:
    schema = function.parameters or {"type": "object", "properties": {}}
    return model.FunctionTool(function.name, function.description, schema, bool(function.strict))


def _response_format(wanted: _PlainFormat | _SchemaFormat | None) -> model.ResponseFormat | None:
    if isinstance(wanted, _SchemaFormat):
        schema = wanted.json_schema
        return model.JsonSchemaFormat(schema.name, schema.schema_, schema.description, schema.strict)
    return model.JsonObjectFormat() if wanted and wanted.type == "json_object" else None


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def _broken_off() -> ProviderError:
    return ProviderError("The provider's answer broke off before it was finished.")


def _delta(event: ModelEvent) -> dict[str, Any] | None:
    """What an event adds to the message; None if it says something about the answer instead."""
    match event:
        case TextDelta(text):
            return {"content": text}
        case RefusalDelta(text):
            return {"refusal": text}
        case ReasoningDelta(text):
            return {"reasoning_content": text}
        case ToolCallStarted(index, call_id, name):
            function = {"name": name, "arguments": ""}
            return {"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]}
        case ToolCallArguments(index, text):
            return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}
        case ProviderStateReported(state):
            return {"provider_state": dict(state)}
        case _:
            return None


class _Chunks:
    """Not a generator: it holds nothing that would have to be closed."""

    def __init__(
        self, events: AsyncIterator[ModelEvent], envelope: Mapping[str, Any], *, with_usage: bool
    ) -> None:
        self._events = events
        self._envelope = envelope
        self._usage = Usage()
        self._with_usage = with_usage
        self._began = False
        self._finished = False

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self

    async def __anext__(self) -> dict[str, Any]:
        if not self._began:
            self._began = True
            return self._choice({"role": "assistant", "content": ""})
        async for event in self._events:
            if isinstance(event, UsageReported):
                self._usage = event.usage
            elif isinstance(event, Finished):
                self._finished = True
                return self._choice({}, event.reason)
            elif (delta := _delta(event)) is not None:
                return self._choice(delta)
        if not self._finished:
            raise _broken_off()
        if not self._with_usage:
            raise StopAsyncIteration
        self._with_usage = False
        return {**self._envelope, "choices": [], "usage": _usage(self._usage)}

    def _choice(self, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**self._envelope, "choices": [choice]}


class _Folded:
    """A whole answer, out of its events."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._calls: list[dict[str, Any]] = []
        self._state: dict[str, Any] = {}
        self._usage = Usage()
        self._reason = ""

    def add(self, event: ModelEvent) -> None:
        match event:
            case UsageReported(usage):
                self._usage = usage
            case Finished(reason):
                self._reason = reason
            case ToolCallArguments(index, text):
                self._calls[index]["function"]["arguments"] += text
            case ToolCallStarted(_, call_id, name):
                function = {"name": name, "arguments": ""}
                self._calls.append({"id": call_id, "type": "function", "function": function})
            case ProviderStateReported():
                self._state = _delta(event) or {}
            case _:
                for name, text in (_delta(event) or {}).items():
                    self._texts[name] = self._texts.get(name, "") + text

    def body(self) -> dict[str, Any]:
        if not self._reason:
            raise _broken_off()
        message = {"role": "assistant", "content": None, "refusal": None, **self._texts, **self._state}
        if self._calls:
            message["tool_calls"] = self._calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._reason}
        return {"choices": [choice], "usage": _usage(self._usage)}
