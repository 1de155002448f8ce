"""`asgi_app()`. It is here by itself so that its name can be imported without Starlette, which is an extra."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from supercompat.errors import MissingExtraError
from supercompat.options import Options
from supercompat.run_adapters.base import RunAdapter
from supercompat.server.options import ServerOptions
from supercompat.storage_adapters.protocol import StorageAdapter
from supercompat.transport.sdk import compose

if TYPE_CHECKING:
    from starlette.applications import Starlette


def asgi_app(
    *,
    client: object,
    storage: StorageAdapter | None = None,
    run_adapter: RunAdapter | None = None,
    models: Mapping[str, str] | None = None,
    options: Options | None = None,
    server: ServerOptions | None = None,
) -> "Starlette":
    """The API as an ASGI application, to be served on its own or mounted in Starlette or FastAPI.

    Nothing starts before the first request, since a mounted application is not told when the server starts; it ends
    with its event loop. It asks nobody for a key: that is up to the application in which it is mounted.

    Args:
        client, storage, run_adapter, models, options: as for `supercompat()`.
        server: settings of the HTTP side.

    Raises:
        ConfigurationError: something given can't work.
        MissingExtraError: Starlette is not installed.
    """
    if find_spec("starlette") is None:
        raise MissingExtraError("starlette", "server")
    from supercompat.server.asgi import application
    from supercompat.server.doors import OneDoor

    return application(OneDoor(compose(client, storage, run_adapter, models, options)), server)
