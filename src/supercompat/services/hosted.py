"""Tools that are carried out by the provider, and the files that are theirs."""

from collections.abc import Sequence
from typing import Any

from supercompat.engine.transcript import RESOURCES
from supercompat.errors import RequestError
from supercompat.services.core import Core
from supercompat.wire.objects import FunctionTool, JsonObject, Tool

#: What each tool takes of `tool_resources`.
_FILES = {"code_interpreter": "file_ids", "file_search": "vector_store_ids"}


def check_tools(
    core: Core, model: str, tools: Sequence[Tool], choice: str | JsonObject | None = None
) -> None:
    """Refuse tools, and a choice of one, that nobody carries out for this model.

    Raises:
        RequestError: it names the tool, and the run adapter that may have it.
    """
    served = core.supervisor.driver.hosted_tools(model) if _asks_for_any(tools, choice) else frozenset[str]()
    for number, tool in enumerate(tools):
        if not isinstance(tool, FunctionTool) and tool.type not in served:
            raise _unserved(tool.type, f"tools[{number}].type")
    kind = None if choice is None or isinstance(choice, str) else choice["type"]
    if kind not in (None, "function", *served):
        raise _unserved(kind, "tool_choice.type")


def check_resources(core: Core, resources: JsonObject | None, param: str = "tool_resources") -> None:
    """Refuse files of tools that nobody carries out for any model.

    Raises:
        RequestError
    """
    for kind in resources or {}:
        if kind not in core.supervisor.driver.hosted_tools(None):
            raise _unserved(_FILES[kind], f"{param}.{kind}.{_FILES[kind]}")


def shown_resources(resources: JsonObject, tools: Sequence[Tool]) -> JsonObject:
    """An assistant's resources as they are shown: each of its tools has some, if only an empty list (1.4)."""
    kinds = [kind for kind in _FILES if kind in resources or any(tool.type == kind for tool in tools)]
    return {kind: resources.get(kind) or {_FILES[kind]: []} for kind in kinds}


def of_run(tools: Sequence[Tool], *resources: JsonObject) -> dict[str, Any]:
    """What is kept beside a run of the files that its hosted tools take, from all of these together."""
    if all(isinstance(tool, FunctionTool) for tool in tools):
        return {}
    kept = {
        name: list(dict.fromkeys(id for each in resources for id in each.get(kind, {}).get(name, ())))
        for kind, name in _FILES.items()
    }
    return {RESOURCES: {name: ids for name, ids in kept.items() if ids}}


def _asks_for_any(tools: Sequence[Tool], choice: object) -> bool:
    return isinstance(choice, dict) or not all(isinstance(tool, FunctionTool) for tool in tools)


def _unserved(what: str, param: str) -> RequestError:
    return RequestError(
        f"Unsupported value: '{what}'. This run adapter supports only functions, or not this tool with this model. "
        'For hosted tools use ResponsesRunAdapter(), or on a server the setting run_adapter = "responses".',
        param=param,
        code="unsupported_value",
    )
