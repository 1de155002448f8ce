"""The bodies and queries of requests, as strict types (sections 1.2 and 1.3 of the specification).

Nothing is coerced and unknown fields are refused. Where the API admits null it comes out as None, the same as an
absent field: `model_fields_set` tells them apart. Tools, message parts and truncation come out as the wire objects
that are stored, their defaults filled in; response format and tool choice as they came (C-033).

What a type can't say is refused through `refusal`, in the shape of pydantic's own errors; which words the caller
reads is not decided here. Unions are told apart by hand, so that an error's place is a place in the body.
"""

import json
import re
from typing import Annotated, Any, Literal, TypeAlias, cast, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
)

from supercompat.wire.objects import (
    CodeInterpreterTool,
    Content,
    FileSearchSettings,
    FileSearchTool,
    FunctionDefinition,
    FunctionTool,
    ImageUrl,
    ImageUrlContent,
    JsonObject,
    ProviderTool,
    ProviderToolType,
    Text,
    TextContent,
    Tool,
    TruncationStrategy,
)
from supercompat.wire.refusals import by_type, refusal, unserved, unserved_type, word_or_object

#: Characters.
MAX_TEXT = 256_000
#: The largest integer that every JSON reader keeps exact; one more still fits a database's 64 bits.
MAX_INTEGER = 2**53 - 1


class Body(BaseModel):
    """Base of all request bodies."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


def _finite(value: JsonObject) -> JsonObject:
    # 1e999 is valid JSON, but becomes an infinity, which no JSON can show again.
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        raise refusal("number_out_of_range", value) from None
    return value


JsonSchema: TypeAlias = Annotated[JsonObject, AfterValidator(_finite)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=64, pattern="^[a-zA-Z0-9_-]+$")]
Instructions: TypeAlias = Annotated[str, Field(max_length=MAX_TEXT)]
Temperature: TypeAlias = Annotated[float, Field(ge=0, le=2)]
TopP: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
ReasoningEffort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Metadata: TypeAlias = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]


class FunctionBody(Body):
    name: Name
    description: str = ""
    parameters: JsonSchema = Field(default_factory=dict)
    strict: bool | None = None


class FunctionToolBody(Body):
    type: Literal["function"]
    function: FunctionBody


def _function_tool(value: JsonObject) -> FunctionTool:
    function = FunctionToolBody.model_validate(value).function
    given = {name: value for name, value in function if name in function.model_fields_set}
    given["strict"] = bool(function.strict)
    return FunctionTool(function=FunctionDefinition.model_validate(given))


class CodeInterpreterBody(Body):
    type: Literal["code_interpreter"]


class HybridSearch(Body):
    embedding_weight: float
    text_weight: float


class RankingOptions(Body):
    ranker: Literal["auto", "default_2024_08_21"] = "default_2024_08_21"
    score_threshold: Annotated[float, Field(ge=0, le=1)]
    hybrid_search: HybridSearch | None = None


class FileSearchOptions(Body):
    max_num_results: Annotated[int, Field(ge=1, le=50)] | None = None
    ranking_options: RankingOptions | None = None


class FileSearchBody(Body):
    type: Literal["file_search"]
    file_search: FileSearchOptions = Field(default_factory=FileSearchOptions)


def _code_interpreter(value: JsonObject) -> CodeInterpreterTool:
    CodeInterpreterBody.model_validate(value)
    return CodeInterpreterTool()


def _file_search(value: JsonObject) -> FileSearchTool:
    options = FileSearchBody.model_validate(value).file_search
    given: JsonObject = {"max_num_results": options.max_num_results}
    if options.ranking_options is not None:
        given["ranking_options"] = options.ranking_options.model_dump()
    return FileSearchTool(file_search=FileSearchSettings.model_validate(given))


# Alternatives stand in the order in which the hosted API lists them.
_TOOL = by_type(code_interpreter=_code_interpreter, function=_function_tool, file_search=_file_search)
_PROVIDER_TOOLS: tuple[str, ...] = get_args(ProviderToolType)


def _tool(value: Any) -> Tool:
    """A tool of the API, or one of the Responses API, which its provider judges."""
    given = cast(JsonObject, value) if isinstance(value, dict) else {}
    if given.get("type") in _PROVIDER_TOOLS:
        return ProviderTool.model_validate(_finite(given))
    return _TOOL(value)


AnyTool: TypeAlias = Annotated[Tool, PlainValidator(_tool)]


class CodeInterpreterResources(Body):
    file_ids: Annotated[list[str], Field(max_length=20)] = []


class FileSearchResources(Body):
    vector_store_ids: Annotated[list[str], Field(max_length=1)] = []
    vector_stores: Annotated[list[Any], unserved("vector_stores")] = []


class ToolResourcesBody(Body):
    code_interpreter: CodeInterpreterResources | None = None
    file_search: FileSearchResources | None = None


def _tool_resources(value: Any) -> JsonObject:
    given = ToolResourcesBody.model_validate(value)
    resources: JsonObject = {}
    if given.code_interpreter and given.code_interpreter.file_ids:
        resources["code_interpreter"] = {"file_ids": given.code_interpreter.file_ids}
    if given.file_search and given.file_search.vector_store_ids:
        resources["file_search"] = {"vector_store_ids": given.file_search.vector_store_ids}
    return resources


ToolResources: TypeAlias = Annotated[JsonObject, PlainValidator(_tool_resources)]


class TextFormat(Body):
    type: Literal["text"]


class JsonObjectFormat(Body):
    type: Literal["json_object"]


class JsonSchemaBody(Body):
    name: Name
    description: str = ""
    # pydantic has a method of the wire's name.
    schema_: JsonSchema = Field(alias="schema", default_factory=dict)
    strict: bool | None = None


class JsonSchemaFormat(Body):
    type: Literal["json_schema"]
    json_schema: JsonSchemaBody


_FORMAT = by_type(
    json_object=JsonObjectFormat.model_validate,
    json_schema=JsonSchemaFormat.model_validate,
    text=TextFormat.model_validate,
)
ResponseFormat: TypeAlias = Annotated[str | JsonObject, PlainValidator(word_or_object(_FORMAT, "auto"))]


class NamedFunction(Body):
    name: Name


class FunctionChoice(Body):
    type: Literal["function"]
    function: NamedFunction


class ToolTypeChoice(Body):
    type: str


_CHOICE = by_type(
    code_interpreter=ToolTypeChoice.model_validate,
    function=FunctionChoice.model_validate,
    file_search=ToolTypeChoice.model_validate,
)


def _choice(value: Any) -> Any:
    given = cast(JsonObject, value)
    return ToolTypeChoice.model_validate(given) if given.get("type") in _PROVIDER_TOOLS else _CHOICE(value)


ToolChoice: TypeAlias = Annotated[
    str | JsonObject, PlainValidator(word_or_object(_choice, "none", "auto", "required"))
]


class TruncationBody(Body):
    type: Literal["auto", "last_messages"]
    last_messages: Count | None = None


def _truncation(value: Any) -> TruncationStrategy:
    body = TruncationBody.model_validate(value)
    if body.type == "last_messages" and body.last_messages is None:
        kind = "int_type" if "last_messages" in body.model_fields_set else "missing"
        raise refusal(kind, None, "last_messages")
    return TruncationStrategy(type=body.type, last_messages=body.last_messages)


Truncation: TypeAlias = Annotated[TruncationStrategy, PlainValidator(_truncation)]


class TextPart(Body):
    type: Literal["text"]
    text: Annotated[str, Field(max_length=MAX_TEXT)]


def _url(value: str) -> str:
    # The hosted API refused data URLs; here they carry images that need no download.
    if not re.match(r"https?://[^/\s]|data:image/", value, re.IGNORECASE):
        raise refusal("invalid_url", value)
    return value


class ImageUrlBody(Body):
    url: Annotated[str, AfterValidator(_url)]
    detail: Literal["auto", "low", "high"] = "auto"


class ImageUrlPart(Body):
    type: Literal["image_url"]
    image_url: ImageUrlBody


def _text(value: JsonObject) -> TextContent:
    return TextContent(text=Text(value=TextPart.model_validate(value).text))


def _image(value: JsonObject) -> ImageUrlContent:
    image = ImageUrlPart.model_validate(value).image_url
    return ImageUrlContent(image_url=ImageUrl(url=image.url, detail=image.detail))


_PART = by_type(text=_text, image_url=_image, image_file=unserved_type)
_PARTS: TypeAdapter[list[Content]] = TypeAdapter(
    Annotated[list[Annotated[Content, PlainValidator(_PART)]], Field(min_length=1)],
    config=ConfigDict(defer_build=True),
)


def _content(value: Any) -> str | list[Content]:
    if not isinstance(value, str | list):
        raise refusal("union_type", value, expected="one of a string or array of objects")
    if isinstance(value, list):
        parts = _PARTS.validate_python(value)
        if all(isinstance(part, TextContent) and not part.text.value for part in parts):
            raise refusal("empty_content", parts)
        return parts
    if not value:
        raise refusal("empty_content", value)
    if len(value) > MAX_TEXT:
        raise refusal("string_too_long", value, max_length=MAX_TEXT)
    return value


class MessageCreate(Body):
    role: Literal["user", "assistant"]
    content: Annotated[str | list[Content], PlainValidator(_content)]
    attachments: Annotated[list[Any], unserved("attachments")] = []
    metadata: Metadata | None = None

    def parts(self) -> list[Content]:
        """The content as it is stored: a string is one text part (C-049)."""
        if isinstance(self.content, str):
            return [TextContent(text=Text(value=self.content))]
        return self.content


class MessageModify(Body):
    metadata: Metadata | None = None


class AssistantFields(Body):
    """What creating and modifying an assistant have in common."""

    name: Annotated[str, Field(max_length=256)] | None = None
    description: Annotated[str, Field(max_length=512)] | None = None
    instructions: Instructions | None = None
    tools: Annotated[list[AnyTool], Field(max_length=128)] = []
    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    reasoning_effort: ReasoningEffort | None = None
    response_format: ResponseFormat | None = None


class AssistantCreate(AssistantFields):
    model: str


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise refusal("string_type", value)
    return value


class AssistantModify(AssistantFields):
    # May be absent, but not null.
    model: Annotated[str | None, PlainValidator(_string)] = None


class ThreadCreate(Body):
    messages: list[MessageCreate] = []
    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None


class ThreadModify(Body):
    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None


class RunOptions(Body):
    """What all new runs may say. None leaves the choice to the assistant, or to the wire object's default."""

    assistant_id: str
    model: str | None = None
    instructions: Instructions | None = None
    tools: Annotated[list[AnyTool], Field(max_length=20)] | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    reasoning_effort: ReasoningEffort | None = None
    response_format: ResponseFormat | None = None
    max_prompt_tokens: Count | None = None
    max_completion_tokens: Annotated[int, Field(ge=16, le=MAX_INTEGER)] | None = None
    truncation_strategy: Truncation | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool = True
    stream: bool | None = None


class RunCreate(RunOptions):
    additional_instructions: str | None = None
    additional_messages: list[MessageCreate] | None = None


class ThreadRunCreate(RunOptions):
    thread: ThreadCreate = Field(default_factory=ThreadCreate)
    tool_resources: ToolResources | None = None


class RunModify(Body):
    metadata: Metadata | None = None


class ToolOutput(Body):
    tool_call_id: str
    output: str | None = None


class SubmitToolOutputs(Body):
    tool_outputs: list[ToolOutput]
    stream: bool | None = None


class ChatCreate(BaseModel):
    """A chat completion: passed through, so that its provider judges the rest."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, defer_build=True)

    model: str
    messages: list[Any]


class Query(Body):
    """Base of all query strings: unlike in a body, unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore")


class ListQuery(Query):
    # Errors are answered in this order: those of the limit come first.
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


class MessageListQuery(ListQuery):
    run_id: str | None = None


class IncludeQuery(Query):
    include: list[Literal["step_details.tool_calls[*].file_search.results[*].content"]] = []


class StepListQuery(ListQuery, IncludeQuery):
    pass


class EventsQuery(Query):
    """An extension. The id of the last event that the reader has, where it can't be sent as a header."""

    last_event_id: str | None = None
