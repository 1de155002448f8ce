"""`supercompat serve`: the API over HTTP."""

import argparse
import os
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any

from supercompat.errors import ConfigurationError, MissingExtraError

DATABASE = "SUPERCOMPAT_DATABASE_URL"


def add(commands: Any) -> None:
    """Add the command to those of `supercompat`."""
    serve: argparse.ArgumentParser = commands.add_parser("serve", help="serve the API over HTTP")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, default=8000, help="its port (default: 8000; 0 for a free one)")
    serve.add_argument(
        "--database",
        metavar="URL",
        default=os.environ.get(DATABASE, "sqlite:///supercompat.db"),
        help=f"(default: the variable {DATABASE}, else sqlite:///supercompat.db)",
    )
    serve.set_defaults(command=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    for package in ("starlette", "uvicorn"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "server")
    require_loopback(arguments.host)
    import uvicorn

    from supercompat.options import Options
    from supercompat.server.asgi import asgi_app
    from supercompat.server.providers import from_environment
    from supercompat.storage_adapters.sql import SQLAlchemyStorageAdapter

    app = asgi_app(
        client=from_environment(),
        storage=SQLAlchemyStorageAdapter(arguments.database),
        options=Options(fetch_images=False),
    )
    uvicorn.run(app, host=arguments.host, port=arguments.port, loop="asyncio", http="h11", access_log=False)
    return 0


def require_loopback(host: str) -> None:
    """Refuse an address that others can reach.

    Raises:
        ConfigurationError: it is one.
    """
    try:
        is_loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ConfigurationError(
            f"Without API keys the server listens on this machine alone: --host 127.0.0.1, not {host}."
        )
