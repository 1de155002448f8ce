"""The shape of a request: which members there are, and of which type. What they mean together is in `rules`."""

from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

#: Steps of a path that only tell the shapes here apart.
_UNSEEN = ("user", "assistant", "blocks")

Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
CallId: TypeAlias = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _CacheControl(_Shape):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class _Cacheable(_Shape):
    cache_control: _CacheControl | None = None


class _Text(_Cacheable):
    type: Literal["text"]
    text: str
    citations: list[dict[str, Any]] | None = None


class _Base64Source(_Shape):
    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9+/]+={0,2}$")]


class _UrlSource(_Shape):
    type: Literal["url"]
    url: Annotated[str, Field(pattern=r"^https?://")]


class _FileSource(_Shape):
    type: Literal["file"]
    file_id: str


class _Image(_Cacheable):
    type: Literal["image"]
    source: Annotated[_Base64Source | _UrlSource | _FileSource, Discriminator("type")]


class _Document(_Cacheable):
    type: Literal["document"]
    source: dict[str, Any]
    title: str | None = None
    context: str | None = None
    citations: dict[str, Any] | None = None


class _ToolResult(_Cacheable):
    type: Literal["tool_result"]
    tool_use_id: CallId
    content: str | list[Annotated[_Text | _Image | _Document, Discriminator("type")]] | None = None
    is_error: bool | None = None


class _Thinking(_Shape):
    type: Literal["thinking"]
    thinking: str
    signature: str


class _RedactedThinking(_Shape):
    type: Literal["redacted_thinking"]
    data: str


class _ToolUse(_Cacheable):
    type: Literal["tool_use"]
    id: CallId
    name: Annotated[str, Field(min_length=1, max_length=200)]
    input: dict[str, Any]
    caller: dict[str, Any] | None = None


class _ServerBlock(BaseModel):
    """What the provider's own tools say and hear."""

    type: Annotated[str, Field(pattern=r"^(server_tool_use|[a-z_]+_tool_result|container_upload)$")]


def _kind(block: Any) -> str:
    kind = cast(dict[str, Any], block).get("type") if isinstance(block, dict) else None
    known = ("text", "thinking", "redacted_thinking", "tool_use", "document", "image", "tool_result")
    return str(kind) if kind in known else "server"


_UserBlock: TypeAlias = Annotated[_Text | _Image | _Document | _ToolResult, Discriminator("type")]
_AssistantBlock: TypeAlias = Annotated[
    Annotated[_Text, Tag("text")]
    | Annotated[_Thinking, Tag("thinking")]
    | Annotated[_RedactedThinking, Tag("redacted_thinking")]
    | Annotated[_ToolUse, Tag("tool_use")]
    | Annotated[_Document, Tag("document")]
    | Annotated[_ServerBlock, Tag("server")],
    Discriminator(_kind),
]


def _form(content: Any) -> str:
    return "text" if isinstance(content, str) else "blocks"


class _UserMessage(_Shape):
    role: Literal["user"]
    content: Annotated[
        Annotated[str, Tag("text")] | Annotated[list[_UserBlock], Tag("blocks")], Discriminator(_form)
    ]


class _AssistantMessage(_Shape):
    role: Literal["assistant"]
    content: Annotated[
        Annotated[str, Tag("text")] | Annotated[list[_AssistantBlock], Tag("blocks")], Discriminator(_form)
    ]


class _InputSchema(BaseModel):
    type: Literal["object"]


class _Tool(_Cacheable):
    name: Name
    input_schema: _InputSchema
    description: str | None = None
    strict: bool | None = None
    type: Literal["custom"] | None = None
    input_examples: list[dict[str, Any]] | None = None


class _ToolChoice(_Shape):
    type: Literal["auto", "any"]
    disable_parallel_tool_use: bool | None = None


class _NoToolChoice(_Shape):
    type: Literal["none"]


class _NamedToolChoice(_Shape):
    type: Literal["tool"]
    name: str
    disable_parallel_tool_use: bool | None = None


class _ThinkingEnabled(_Shape):
    type: Literal["enabled"]
    budget_tokens: Annotated[int, Field(ge=1024)]
    display: Literal["summarized", "omitted"] | None = None


class _ThinkingOtherwise(_Shape):
    type: Literal["adaptive", "disabled", "between_tools"]
    display: Literal["summarized", "omitted"] | None = None


class _Format(_Shape):
    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class _OutputConfig(_Shape):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: _Format | None = None


class _Request(_Shape):
    model: Annotated[str, Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)]
    messages: list[Annotated[_UserMessage | _AssistantMessage, Discriminator("role")]] = Field(min_length=1)
    system: str | list[_Text] | None = None
    tools: list[_Tool] | None = None
    tool_choice: Annotated[_ToolChoice | _NoToolChoice | _NamedToolChoice, Discriminator("type")] | None = (
        None
    )
    thinking: Annotated[_ThinkingEnabled | _ThinkingOtherwise, Discriminator("type")] | None = None
    output_config: _OutputConfig | None = None
    stop_sequences: list[Annotated[str, Field(pattern=r"\S")]] | None = None
    metadata: dict[str, Any] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    stream: bool | None = None
    cache_control: _CacheControl | None = None
    container: Any = None
    inference_geo: str | None = None
    speed: Literal["standard", "fast"] | None = None
    user_profile_id: str | None = None
    workspace_id: str | None = None


class _SamplingRequest(_Request):
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None


def first_problem(body: dict[str, Any], *, sampling: bool) -> str | None:
    """What is wrong with the shape of a body, in the API's words; None if nothing is.

    Args:
        sampling: whether the version of the API knows `temperature`, `top_p` and `top_k`.
    """
    try:
        (_SamplingRequest if sampling else _Request).model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        *steps, last = (str(step) for step in first["loc"])
        where = [step for step in steps if step not in _UNSEEN]
        return f"{'.'.join([*where, last])}: {first['msg']}"
    return None
