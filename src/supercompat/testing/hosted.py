"""Replies that only the Responses API has: tools that the provider runs itself, and annotations of text.

`file_search("budget", results=[…]) + text("See the report.", file_citation("file-1", "report.pdf"))`. Every function
that takes a gate waits at it inside the item, behind what it streams. The ids of items are new each time.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from supercompat.testing.replies import Annotation, Fragment, Gate, Hosted, Reply, Step


def file_search(
    *queries: str | Gate, results: Sequence[Mapping[str, Any]] = (), status: str = "completed"
) -> Reply:
    """A `file_search_call`.

    Args:
        results: such as `{"file_id": "file-1", "filename": "a.txt", "score": 0.9, "text": "…", "attributes": {}}`;
            shown if the request includes `file_search_call.results`.
        status: `failed` or `incomplete` for one that came to nothing.
    """
    asked = [query for query in queries if isinstance(query, str)]
    fields = {"queries": asked, "results": [dict(result) for result in results]}
    return _hosted("file_search_call", fields, status, _gates(queries))


def code_interpreter(
    *code: str | Gate,
    logs: str | Sequence[str] = (),
    images: Sequence[str] = (),
    container_id: str = "cntr_scripted",
    status: str = "completed",
) -> Reply:
    """A `code_interpreter_call`; each string is one delta of its code.

    `logs` and `images` (URLs) are its outputs, shown if the request includes `code_interpreter_call.outputs`.
    """
    written = [logs] if isinstance(logs, str) else logs
    outputs = [{"type": "logs", "logs": each} for each in written]
    outputs += [{"type": "image", "url": url} for url in images]
    fields = {"container_id": container_id, "outputs": outputs}
    return _hosted("code_interpreter_call", fields, status, _fragments(code))


def web_search(
    query: str = "",
    *gates: Gate,
    sources: Sequence[str] = (),
    action: Mapping[str, Any] | None = None,
    status: str = "completed",
) -> Reply:
    """A `web_search_call`.

    Args:
        sources: URLs, shown if the request includes `web_search_call.action.sources`.
        action: another one than the search for `query`, such as `{"type": "open_page", "url": "https://…"}`.
    """
    found = [{"type": "url", "url": url} for url in sources]
    search = {"type": "search", "query": query, "queries": [query], "sources": found}
    return _hosted("web_search_call", {"action": dict(action or search)}, status, gates)


def mcp_tools(server_label: str, *tools: Mapping[str, Any] | str | Gate, error: str | None = None) -> Reply:
    """An `mcp_list_tools`; of a tool that is given by its name the rest is made up. With `error` it failed."""
    listed = [_mcp_tool(tool) for tool in tools if not isinstance(tool, Gate)]
    fields = {"server_label": server_label, "tools": listed, "error": error}
    return _hosted("mcp_list_tools", fields, "failed" if error else "completed", _gates(tools))


def _mcp_tool(tool: Mapping[str, Any] | str) -> dict[str, Any]:
    given: Mapping[str, Any] = {"name": tool} if isinstance(tool, str) else tool
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    return {"annotations": None, "description": None, "input_schema": schema, **given}


def mcp_call(
    server_label: str,
    name: str,
    *arguments: str | Gate,
    output: str | None = None,
    error: str | None = None,
    approval_request_id: str | None = None,
) -> Reply:
    """An `mcp_call`; each string is one delta of its JSON arguments. With `error` the tool failed, in these words."""
    content = [{"type": "text", "text": error}]
    fields = {
        "server_label": server_label,
        "name": name,
        "output": output,
        "error": {"type": "mcp_tool_execution_error", "content": content} if error else None,
        "approval_request_id": approval_request_id,
    }
    return _hosted("mcp_call", fields, "failed" if error else "completed", _fragments(arguments))


def mcp_approval(server_label: str, name: str, arguments: str = "{}") -> Reply:
    """An `mcp_approval_request`, with which a response ends; the next one answers it."""
    fields = {"server_label": server_label, "name": name, "arguments": arguments}
    return _hosted("mcp_approval_request", fields, "completed", ())


def image_generation(
    result: str | None,
    *partial: str | Gate,
    revised_prompt: str | None = None,
    size: str = "1024x1024",
    quality: str = "high",
    background: str = "opaque",
    output_format: str = "png",
    status: str = "completed",
) -> Reply:
    """An `image_generation_call`; the images, unfinished ones first, are bytes in base64."""
    fields = {
        "result": result,
        "revised_prompt": revised_prompt,
        "size": size,
        "quality": quality,
        "background": background,
        "output_format": output_format,
    }
    return _hosted("image_generation_call", fields, status, _fragments(partial))


def computer_call(
    *actions: Mapping[str, Any], call_id: str | None = None, safety_checks: Sequence[Mapping[str, Any]] = ()
) -> Reply:
    """A `computer_call`, which the client carries out and answers with a `computer_call_output`.

    The actions are such as `{"type": "click", "button": "left", "x": 1, "y": 2}`; a single one is the call's `action`,
    unless the request has the tool `computer`, whose calls have a list of `actions`. Safety checks are such as
    `{"id": "cu_sc_1", "code": "…", "message": "…"}`.
    """
    fields = {
        "call_id": call_id,
        "actions": [dict(action) for action in actions],
        "pending_safety_checks": [dict(check) for check in safety_checks],
    }
    return _hosted("computer_call", fields, "completed", ())


def url_citation(
    url: str, title: str = "", *, start: int | None = None, end: int | None = None
) -> Annotation:
    """Where the piece of text before it comes from; `start` and `end` are places in the whole part of text."""
    return Annotation(
        {"type": "url_citation", "start_index": start, "end_index": end, "url": url, "title": title}
    )


def file_citation(file_id: str, filename: str, *, index: int | None = None) -> Annotation:
    """The file that the piece of text before it is from; `index` is its end, unless it is given."""
    return Annotation({"type": "file_citation", "index": index, "file_id": file_id, "filename": filename})


def file_path(file_id: str, *, index: int | None = None) -> Annotation:
    """The file that the piece of text before it is the path of."""
    return Annotation({"type": "file_path", "file_id": file_id, "index": index})


def container_file_citation(
    container_id: str, file_id: str, filename: str, *, start: int | None = None, end: int | None = None
) -> Annotation:
    """The file in a container that the piece of text before it links to."""
    return Annotation(
        {
            "type": "container_file_citation",
            "container_id": container_id,
            "start_index": start,
            "end_index": end,
            "file_id": file_id,
            "filename": filename,
        }
    )


def _hosted(kind: str, fields: Mapping[str, Any], status: str, more: Iterable[Step]) -> Reply:
    return Reply((Hosted(kind, {**fields, "status": status}), *more))


def _gates(parts: Iterable[object]) -> list[Step]:
    return [part for part in parts if isinstance(part, Gate)]


def _fragments(parts: Iterable[str | Gate]) -> list[Step]:
    return [part if isinstance(part, Gate) else Fragment(part) for part in parts]
