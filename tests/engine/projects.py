"""Many projects in one process, as the server has them, asked without HTTP."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from supercompat import CompletionsRunAdapter, Options
from supercompat.api.exchange import Request
from supercompat.client_adapters.router import ModelRouter
from supercompat.runtime import Composition, Projects
from supercompat.storage_adapters.protocol import StorageAdapter
from supercompat.testing import ScriptedModel


@dataclass(frozen=True)
class Answer:
    """The status of a response, and its body."""

    status: int
    body: dict[str, Any]


@asynccontextmanager
async def projects(
    storage: StorageAdapter, model: ScriptedModel | None = None, options: Options | None = None
) -> AsyncIterator[Projects]:
    """The projects of a storage, at work until the context is left."""
    composition = Composition(
        client=ModelRouter({"*": model or ScriptedModel()}),
        storage=storage,
        run_adapter=CompletionsRunAdapter(),
        options=options or Options(drain=0),
    )
    made = Projects(composition)
    made.start()
    try:
        yield made
    finally:
        await made.close(drain=0)


async def ask(
    made: Projects,
    project: str,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    query: Sequence[tuple[str, str]] = (),
) -> Answer:
    """What a project answers."""
    content = b"" if body is None else json.dumps(body).encode()
    runtime = await made.runtime(project)
    response = await runtime.handle(Request(method, f"/v1{path}", query, body=content))
    if isinstance(response.body, bytes):
        return Answer(response.status, json.loads(response.body))
    frames = [frame async for frame in response.body]
    return Answer(response.status, {"frames": b"".join(frames).decode()})


async def created(made: Projects, project: str, path: str, **body: Any) -> dict[str, Any]:
    """What a project has made."""
    answer = await ask(made, project, "POST", path, body)
    assert answer.status == 200, answer
    return answer.body


async def conversation(made: Projects, project: str) -> tuple[str, str]:
    """The ids of an assistant and of a thread with a question."""
    assistant = await created(made, project, "/assistants", model="gpt-4o")
    thread = await created(made, project, "/threads", messages=[{"role": "user", "content": "Hello"}])
    return assistant["id"], thread["id"]
