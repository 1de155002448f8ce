"""What one project gets when it asks for another's: every operation of the route table, by every id that it takes.

`python -m tests.server.isolation` writes the table at the end of `docs/keys.md` anew.
"""

import json
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from supercompat.api.routes import ROUTES, Route
from tests.engine.projects import Answer

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"
HEADER = "| operation | asked for | own | another project's | nobody's |"

#: Asks as a project: its name, method, path below `/v1`, body, query.
Ask = Callable[[str, str, str, Mapping[str, Any] | None, Sequence[tuple[str, str]]], Awaitable[Answer]]

#: Ids by what they are ids of.
Ids = Mapping[str, str]

TOOL = {"type": "function", "function": {"name": "get_time"}}

# A file's id has that of its step in it, and so comes before it.
PREFIXES = {
    "file": "file-",
    "assistant": "asst_",
    "thread": "thread_",
    "message": "msg_",
    "run": "run_",
    "step": "step_",
    "call": "call_",
}


@dataclass(frozen=True)
class Case:
    """How an operation is asked for.

    Args:
        body: `{assistant}` and the like stand for ids.
        waiting: whether its run is one that waits for tool outputs; else it is one that has ended.
        is_shared: whether what it names belongs to no project, but to the provider.
    """

    body: Any = None
    waiting: bool = False
    is_shared: bool = False


HELLO = {"role": "user", "content": "Hello"}
CHAT = {"model": "gpt-4o", "messages": [HELLO]}
MINE = {"metadata": {"by": "me"}}
OUTPUTS = {"tool_outputs": [{"tool_call_id": "{call}", "output": "12:00"}]}

#: Every operation. One that is not here fails a test.
CASES = {
    "POST /assistants": Case({"model": "gpt-4o"}),
    "GET /assistants": Case(),
    "GET /assistants/{assistant}": Case(),
    "POST /assistants/{assistant}": Case(MINE),
    "DELETE /assistants/{assistant}": Case(),
    "POST /threads": Case({"messages": [HELLO]}),
    "POST /threads/runs": Case({"assistant_id": "{assistant}", "thread": {"messages": [HELLO]}}),
    "GET /threads/{thread}": Case(),
    "POST /threads/{thread}": Case(MINE),
    "DELETE /threads/{thread}": Case(),
    "POST /threads/{thread}/messages": Case(HELLO),
    "GET /threads/{thread}/messages": Case(),
    "GET /threads/{thread}/messages/{message}": Case(),
    "POST /threads/{thread}/messages/{message}": Case(MINE),
    "DELETE /threads/{thread}/messages/{message}": Case(),
    "POST /threads/{thread}/runs": Case({"assistant_id": "{assistant}"}),
    "GET /threads/{thread}/runs": Case(),
    "GET /threads/{thread}/runs/{run}": Case(),
    "POST /threads/{thread}/runs/{run}": Case(MINE),
    "POST /threads/{thread}/runs/{run}/cancel": Case(waiting=True),
    "POST /threads/{thread}/runs/{run}/submit_tool_outputs": Case(OUTPUTS, waiting=True),
    "GET /threads/{thread}/runs/{run}/steps": Case(),
    "GET /threads/{thread}/runs/{run}/steps/{step}": Case(),
    "GET /threads/{thread}/runs/{run}/context": Case(),
    "GET /threads/{thread}/runs/{run}/events": Case(),
    "GET /files/{file}/content": Case(),
    "POST /chat/completions": Case(CHAT),
    "GET /models": Case(),
    "GET /models/{model}": Case(is_shared=True),
}


@dataclass(frozen=True)
class Attempt:
    """One way to ask for what may be another's.

    Args:
        place: which ids of the path, or which field of the body or the query; as Markdown.
        foreign: of what kinds they are. All other ids are the asker's own.
        query: the field of the query, and of what kind its id is.
    """

    operation: str
    case: Case
    place: str
    foreign: frozenset[str]
    query: tuple[str, str] | None = None


@dataclass(frozen=True)
class Belongings:
    """What a project has: a thread with a run that has ended, and one with a run that waits."""

    ended: Ids
    waiting: Ids

    def of(self, case: Case) -> Ids:
        return self.waiting if case.waiting else self.ended

    def all(self) -> set[str]:
        return {*self.ended.values(), *self.waiting.values()}


@dataclass
class Asking:
    """Asks as projects, each with what it has."""

    ask: Ask

    async def seed(self, project: str) -> Belongings:
        """Give a project something of everything. The model calls a tool if it is given one, and draws if not."""
        assistant = (await self._made(project, "/assistants", {"model": "gpt-4o"}))["id"]
        found = [await self._conversation(project, assistant, tools) for tools in ([], [TOOL])]
        return Belongings(*found)

    async def attempt(self, project: str, attempt: Attempt, ids: Ids) -> Answer:
        path = attempt.operation.partition(" ")[2].format(**ids, model="gpt-4o")
        query = [] if attempt.query is None else [(attempt.query[0], ids[f"queried {attempt.query[1]}"])]
        body = filled(attempt.case.body, ids)
        return await self.ask(project, attempt.operation.partition(" ")[0], path, body, query)

    async def _conversation(self, project: str, assistant: str, tools: list[Any]) -> Ids:
        thread = (await self._made(project, "/threads", {"messages": [HELLO]}))["id"]
        path = f"/threads/{thread}"
        run = await self._made(project, f"{path}/runs", {"assistant_id": assistant, "tools": tools})
        while run["status"] not in {"completed", "requires_action"}:
            run = await self._got(project, f"{path}/runs/{run['id']}")
        calls = run["required_action"]["submit_tool_outputs"]["tool_calls"] if tools else [{"id": "call_0"}]
        message = (await self._got(project, f"{path}/messages"))["data"][0]
        images = [part["image_file"]["file_id"] for part in message["content"] if "image_file" in part]
        step = (await self._got(project, f"{path}/runs/{run['id']}/steps"))["data"][0]["id"]
        file = images[0] if images else f"file-{step}-0"
        ids = {"file": file, "assistant": assistant, "thread": thread, "message": message["id"]}
        return {**ids, "run": run["id"], "step": step, "call": calls[0]["id"]}

    async def _made(self, project: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = await self.ask(project, "POST", path, body, ())
        assert answer.status == 200, answer
        return answer.body

    async def _got(self, project: str, path: str) -> dict[str, Any]:
        answer = await self.ask(project, "GET", path, None, ())
        assert answer.status == 200, answer
        return answer.body


def operation(route: Route) -> str:
    """What a route is called in `CASES`: each id by what comes before it in the path."""

    def named(found: re.Match[str]) -> str:
        return f"{found['plural']}s/{{{found['plural']}}}"

    return f"{route.method} {re.sub(r'(?P<plural>[a-z]+)s/{[*]?}', named, route.path)}"


def attempts() -> list[Attempt]:
    """Every way to ask for what may be another's, and each operation that takes no id."""
    return [attempt for route in ROUTES for attempt in _attempts(route)]


def _attempts(route: Route) -> Iterator[Attempt]:
    name = operation(route)
    case = CASES[name]
    of_path = [] if case.is_shared else re.findall(r"{(\w+)}", name)
    of_body = re.findall(r'"(\w+)": "{(\w+)}"', json.dumps(case.body))
    of_query = [] if route.query is None else _queried(route)
    if not (of_path or of_body or of_query):
        yield Attempt(name, case, "", frozenset())
    for size in range(1, len(of_path) + 1):
        for kinds in combinations(of_path, size):
            place = " ".join(f"`{{{kind}}}`" for kind in kinds)
            yield Attempt(name, case, place, frozenset(kinds))
    for place, kind in of_body:
        yield Attempt(name, case, f"`{place}`", frozenset([kind]))
    for place, kind in of_query:
        yield Attempt(name, case, f"`{place}`", frozenset([f"queried {kind}"]), (place, kind))


def _queried(route: Route) -> list[tuple[str, str]]:
    assert route.query is not None
    listed = route.path.rpartition("/")[2].removesuffix("s")
    kinds = {"after": listed, "before": listed, "run_id": "run"}
    return [(name, kind) for name, kind in kinds.items() if name in route.query.model_fields]


def refusal(attempt: Attempt) -> int:
    """The status of the answer when the ids are another project's, or nobody's."""
    return {"`tool_call_id`": 400, "`run_id`": 200}.get(attempt.place, 404)


def table() -> str:
    """Operations by projects, as Markdown: the status of each answer."""
    rows = [
        "| operation | asked for | own | another project's | nobody's |",
        "| --- | --- | --- | --- | --- |",
    ]
    for attempt in attempts():
        status = refusal(attempt) if attempt.foreign else "–"
        shown = f"{status}, an empty list" if status == 200 else status
        rows.append(f"| `{attempt.operation}` | {attempt.place or '–'} | 200 | {shown} | {shown} |")
    return "\n".join(rows)


def asked_ids(attempt: Attempt, own: Ids, other: Ids) -> Ids:
    """The ids of one request: those that are asked for are another's."""
    every = {**own, **{f"queried {kind}": id for kind, id in own.items()}}
    return {
        kind: other[kind.removeprefix("queried ")] if kind in attempt.foreign else id
        for kind, id in every.items()
    }


def unknown() -> Ids:
    """Ids of nothing."""
    return {kind: f"{prefix}{secrets.token_hex(12)}" for kind, prefix in PREFIXES.items()}


def filled(body: Any, ids: Ids) -> Any:
    """The body with ids in their places."""
    if isinstance(body, dict):
        return {name: filled(value, ids) for name, value in body.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(body, list):
        return [filled(value, ids) for value in body]  # pyright: ignore[reportUnknownVariableType]
    return body.format(**ids) if isinstance(body, str) else body


def without(answer: Answer, ids: Ids) -> tuple[int, str]:
    """The status and the body, in which each id is named by what it is the id of."""
    text = json.dumps(answer.body)
    for kind, id in ids.items():
        text = text.replace(id, f"<{kind.removeprefix('queried ')}>")
    return answer.status, text


if __name__ == "__main__":
    before, _, _ = PAGE.read_text(encoding="utf-8").partition(HEADER)
    PAGE.write_text(f"{before}{table()}\n", encoding="utf-8")
