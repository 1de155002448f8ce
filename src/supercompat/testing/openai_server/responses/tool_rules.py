"""What the Responses API refuses of tools, which are flat here, and of the choice among them."""

from collections.abc import Callable, Mapping
from typing import Final

from supercompat.testing.openai_server.dialects import Dialect
from supercompat.testing.openai_server.fields import Field, refused
from supercompat.testing.openai_server.values import NAME, check_parameters

_HOSTED_CHOICES: Final = (
    "file_search",
    "web_search_preview",
    "web_search",
    "computer",
    "computer_use_preview",
    "image_generation",
    "code_interpreter",
)


def check_tools(request: Field, dialect: Dialect) -> None:
    """The tools, and the choice among them."""
    tools = request.get("tools")
    known = _TOOLS if dialect.keeps_responses else _TOOLS_OF_GROQ
    kinds: list[str] = []
    names: list[str] = []
    for tool in tools.items(maximum=128) if tools else ():
        kind = tool["type"].one_of(*known)
        known[kind](tool)
        kinds.append(kind)
        names += [tool.object()[key] for key in ("name", "server_label") if key in tool.object()]
    if choice := request.get("tool_choice"):
        _check_choice(choice, kinds, names)


def _check_choice(choice: Field, kinds: list[str], names: list[str]) -> None:
    if isinstance(choice.value, str):
        if choice.one_of("none", "auto", "required") == "required" and not kinds:
            raise refused("Tool choice 'required' must be specified with 'tools' parameter.", "tool_choice")
        return
    kind = choice["type"].one_of("function", "mcp", "allowed_tools", *_HOSTED_CHOICES)
    wanted = kind
    if kind == "function":
        choice.only(("type", "name"))
        wanted = choice["name"].string()
    elif kind == "mcp":
        choice.only(("type", "server_label", "name"))
        wanted = choice["server_label"].string()
    elif kind == "allowed_tools":
        choice.only(("type", "mode", "tools"))
        choice["mode"].one_of("auto", "required")
        for tool in choice["tools"].items(minimum=1):
            _check_choice(tool, kinds, names)
        return
    else:
        choice.only(("type",))
    if wanted not in names and wanted not in kinds:
        raise refused(f"Tool choice '{wanted}' not found in 'tools' parameter.", "tool_choice")


def _check_function(tool: Field) -> None:
    name = tool["name"].string(minimum=1, maximum=64, pattern=NAME)
    tool.only(("type", "name", "description", "parameters", "strict", "allowed_callers", "defer_loading"))
    if description := tool.get("description", nullable=True):
        description.string()
    # A function that does not say is made strict as far as it goes, and not refused.
    strict = tool.get("strict", nullable=True)
    is_strict = strict is not None and strict.boolean()
    if parameters := tool.get("parameters", nullable=True):
        check_parameters(parameters, name, is_strict=is_strict)


def _check_file_search(tool: Field) -> None:
    tool.only(("type", "vector_store_ids", "max_num_results", "ranking_options", "filters"))
    for store in tool["vector_store_ids"].items(minimum=1):
        store.string()
    if most := tool.get("max_num_results", nullable=True):
        most.integer(1, 50)
    if ranking := tool.get("ranking_options", nullable=True):
        ranking.only(("ranker", "score_threshold", "hybrid_search"))
        if threshold := ranking.get("score_threshold", nullable=True):
            threshold.number(0, 1)
        if ranker := ranking.get("ranker", nullable=True):
            ranker.one_of("auto", "default-2024-11-15")


def _check_code_interpreter(tool: Field) -> None:
    tool.only(("type", "container", "allowed_callers"))
    container = tool["container"]
    if isinstance(container.value, str):
        if not container.value.startswith("cntr"):
            message = (
                f"Invalid '{container.path}': '{container.value}'. Expected an ID that begins with 'cntr'."
            )
            raise refused(message, container.path, "invalid_value")
        return
    container["type"].one_of("auto")
    container.only(("type", "file_ids", "memory_limit", "network_policy"))
    files = container.get("file_ids", nullable=True)
    for file in files.items() if files else ():
        file.string()


def _check_web_search(tool: Field) -> None:
    tool.only(("type", "filters", "search_context_size", "user_location", "external_web_access"))
    _check_search(tool)


def _check_web_search_preview(tool: Field) -> None:
    tool.only(("type", "search_context_size", "user_location", "search_content_types"))
    _check_search(tool)


def _check_search(tool: Field) -> None:
    if size := tool.get("search_context_size", nullable=True):
        size.one_of("low", "medium", "high")
    if location := tool.get("user_location", nullable=True):
        location.only(("type", "city", "country", "region", "timezone"))


def _check_mcp(tool: Field) -> None:
    tool["server_label"].string(minimum=1, pattern="[a-zA-Z][a-zA-Z0-9_-]*")
    tool.only(
        (
            "type",
            "server_label",
            "server_url",
            "connector_id",
            "server_description",
            "headers",
            "authorization",
            "allowed_tools",
            "require_approval",
            "defer_loading",
        )
    )
    given = [name for name in ("server_url", "connector_id") if tool.object().get(name) is not None]
    if len(given) != 1:
        why = "exactly one of 'server_url' and 'connector_id' must be provided for an MCP tool."
        raise refused(
            f"Invalid '{tool.path}': {why}", f"{tool.path}.server_url", "missing_required_parameter"
        )
    approval = tool.get("require_approval", nullable=True)
    if approval and isinstance(approval.value, str):
        approval.one_of("always", "never")
    elif approval:
        approval.only(("always", "never"))


def _check_image_generation(tool: Field) -> None:
    tool.only(
        (
            "type",
            "action",
            "background",
            "input_fidelity",
            "input_image_mask",
            "model",
            "moderation",
            "output_compression",
            "output_format",
            "partial_images",
            "quality",
            "size",
        )
    )
    if partial := tool.get("partial_images", nullable=True):
        partial.integer(0, 3)
    if form := tool.get("output_format", nullable=True):
        form.one_of("png", "webp", "jpeg")


def _check_computer_use(tool: Field) -> None:
    for side in ("display_width", "display_height"):
        tool[side].integer(1)
    tool["environment"].one_of("windows", "mac", "linux", "ubuntu", "browser")
    tool.only(("type", "display_width", "display_height", "environment"))


def _check_bare(tool: Field) -> None:
    tool.only(("type",))


_TOOLS: Final[Mapping[str, Callable[[Field], None]]] = {
    "function": _check_function,
    "file_search": _check_file_search,
    "code_interpreter": _check_code_interpreter,
    "web_search": _check_web_search,
    "web_search_2025_08_26": _check_web_search,
    "web_search_preview": _check_web_search_preview,
    "web_search_preview_2025_03_11": _check_web_search_preview,
    "mcp": _check_mcp,
    "image_generation": _check_image_generation,
    "computer_use_preview": _check_computer_use,
    "computer": _check_bare,
}
_TOOLS_OF_GROQ: Final[Mapping[str, Callable[[Field], None]]] = {
    "function": _check_function,
    "code_interpreter": _check_code_interpreter,
    "browser_search": _check_bare,
    "mcp": _check_mcp,
}
