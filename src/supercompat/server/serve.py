"""`supercompat serve`: the API over HTTP."""

import argparse
import asyncio
from importlib.util import find_spec
from typing import Any

from supercompat.errors import MissingExtraError
from supercompat.server.database import add_database, storage_of


def add(commands: Any) -> None:
    """Add the command to those of `supercompat`."""
    serve: argparse.ArgumentParser = commands.add_parser("serve", help="serve the API over HTTP")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, default=8000, help="its port (default: 8000; 0 for a free one)")
    add_database(serve)
    serve.set_defaults(command=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    for package in ("starlette", "uvicorn"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "server")
    import uvicorn

    from supercompat.options import Options
    from supercompat.server.asgi import application
    from supercompat.server.project_doors import ProjectDoors, check_host
    from supercompat.server.providers import from_environment
    from supercompat.transport.sdk import compose

    storage = storage_of(arguments)
    # psycopg can't use the loop that is Windows' default.
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(check_host(storage, arguments.host))
    composition = compose(from_environment(), storage, None, None, Options(fetch_images=False))
    app = application(ProjectDoors(composition, host=arguments.host))
    uvicorn.run(app, host=arguments.host, port=arguments.port, loop="asyncio", http="h11", access_log=False)
    return 0
