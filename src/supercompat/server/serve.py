"""`supercompat serve`: the API over HTTP."""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, get_args, get_origin

from supercompat.errors import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from supercompat.server.settings import Configuration, Setting
    from supercompat.storage_adapters.protocol import StorageAdapter

#: Seconds beyond the drain after which uvicorn waits no more. The worker has broken connections off by then, unless the
#: database is away.
GRACE = 15

#: Connections that wait to be accepted.
BACKLOG = 2048

#: Longer than proxies keep an idle connection, so that they never send a request into one that is being closed.
KEEP_CONNECTION = 75

LOGGING: Mapping[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
    "loggers": {"uvicorn.error": {"level": "INFO"}, "supercompat": {"level": "INFO"}},
}


def add(commands: Any) -> None:
    """Add the command to those of `supercompat`."""
    from supercompat.server.settings import FILE, SETTINGS

    serve: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="serve the API over HTTP, for OpenAI's SDKs in any language",
        description=f"Serves the API on http://127.0.0.1:8000/v1. Set each option in {FILE} (with '_' for "
        "'-'), in the environment variable shown, or by its flag; the later wins. API keys come from the environment "
        "or from files: a provider's usual variable, such as GROQ_API_KEY, or GROQ_API_KEY_FILE. "
        "Needs the extra: pip install 'supercompat[server]'",
    )
    serve.add_argument("--demo", action="store_true", help="let a small local model answer: no key needed")
    add_settings(serve, [each.name for each in SETTINGS])
    serve.set_defaults(command=_serve)


def add_settings(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Add the flags of these settings, and the one for the file."""
    from supercompat.server.settings import FILE, SETTINGS

    parser.add_argument("--config", type=Path, metavar="FILE", help=f"(default: {FILE}, if there is one)")
    groups: dict[type, Any] = {}
    for setting in SETTINGS:
        if setting.name in names:
            if setting.owner not in groups:
                groups[setting.owner] = parser.add_argument_group(_title(setting.owner))
            groups[setting.owner].add_argument(setting.flag, dest=setting.name, **_shape(setting))


def configured(arguments: argparse.Namespace) -> "Configuration":
    """What the flags, the variables and the file say together.

    Raises:
        ConfigurationError: a name or a value makes no sense.
    """
    from supercompat.server.settings import SETTINGS, load

    flags = {each.name: getattr(arguments, each.name) for each in SETTINGS if hasattr(arguments, each.name)}
    return load(flags, file=arguments.config)


def _title(owner: type) -> str:
    return {"Serving": "what, where, by whom", "ServerOptions": "network"}.get(owner.__name__, "runs")


def _shape(setting: "Setting") -> dict[str, Any]:
    text = f"{setting.help.replace('`', '')} [{setting.variable}] (default: {shown_default(setting)})"
    shape: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text.replace("%", "%%")}
    if setting.kind is bool:
        return {**shape, "action": argparse.BooleanOptionalAction}
    choices = [str(choice) for choice in get_args(setting.kind) if isinstance(choice, str)]
    return {**shape, "metavar": "|".join(choices) or _metavar(setting.kind)}


def _metavar(kind: Any) -> str:
    if get_origin(kind) is not None:
        return {Mapping: "NAME=VALUE,…", Sequence: "A,B,…"}.get(get_origin(kind), "TEXT")
    return "N" if kind in (int, float) else "TEXT"


def shown_default(setting: "Setting") -> str:
    """The default as text."""
    if isinstance(setting.default, bool):
        return "yes" if setting.default else "no"
    return str(setting.default) if setting.default not in (None, (), {}) else "none"


def _serve(arguments: argparse.Namespace) -> int:
    for package in ("starlette", "uvicorn"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "server")
    configuration = configured(arguments)
    serving = configuration.serving
    if serving.workers > 1 and serving.database_url.partition(":")[0].partition("+")[0] == "sqlite":
        raise ConfigurationError(
            f"{serving.workers} worker processes need PostgreSQL: SQLite has one writer. Give --database "
            "postgresql://USER:PASSWORD@HOST/NAME, or leave --workers at 1."
        )
    with _answered_by(configuration, demo=arguments.demo) as configuration:
        return _run(configuration)


@contextmanager
def _answered_by(configuration: "Configuration", *, demo: bool) -> Iterator["Configuration"]:
    """The configuration; for the demo, with the local model as the only provider for as long as the context lasts."""
    if not demo:
        yield configuration
        return
    for package in ("xllamacpp", "platformdirs"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "demo")
    from supercompat.server.local_model import CONTEXT_TOKENS, local_model
    from supercompat.server.model_file import model_file
    from supercompat.server.providers import ProviderSettings

    with local_model(model_file(_say)) as model:
        _say(f"{model.name} answers, whatever model is asked for")
        local = ProviderSettings(
            kind="openai",
            base_url=model.base_url,
            adapter={"forced_tool_choice": "json_schema", "context_window": CONTEXT_TOKENS},
        )
        yield replace(
            configuration,
            providers={"demo": local},
            serving=replace(configuration.serving, provider="demo", routes={}),
        )


def _run(configuration: "Configuration") -> int:
    import uvicorn
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    from supercompat.server.connections import Connection
    from supercompat.server.providers import Providers
    from supercompat.server.settings import run_adapter_of, storage_of
    from supercompat.server.worker import Worker

    serving = configuration.serving
    # Here, what is wrong is one sentence; in the processes that serve it would be a traceback.
    routes = Providers(configuration.providers).routes(serving.routes, serving.provider)
    run_adapter_of(configuration).check(routes)
    asyncio.run(_prepare(storage_of(configuration), serving.host))
    with _listening(serving.host, serving.port) as listener:
        config = uvicorn.Config(
            Worker(configuration),
            factory=True,
            workers=serving.workers,
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=dict(LOGGING),
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_CONNECTION,
            timeout_graceful_shutdown=int(configuration.options.drain) + GRACE,
        )
        if serving.workers > 1:
            processes = Multiprocess(config, [listener])
            processes.run()
            failed = any(each.exitcode == STARTUP_FAILURE for each in processes.processes)
            return 1 if failed else 0
        # uvicorn raises the signal again once it has stopped: all is well then.
        signal.signal(signal.SIGTERM, _ignore)
        uvicorn.Server(config).run([listener])
        return 0


def _ignore(number: int, frame: FrameType | None) -> None: ...


async def _prepare(storage: "StorageAdapter", host: str) -> None:
    """Look whether the database can be used, and whether its keys allow to listen on `host`. A file of SQLite is made,
    or upgraded.

    Raises:
        ConfigurationError: they don't.
        StorageError
    """
    from supercompat.server.authentication import check_host

    store = storage.open()
    try:
        await check_host(store, host)
    finally:
        await store.aclose()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        listener = listen(host, port)
    except OSError as error:
        raise ConfigurationError(f"Can't listen on {host}:{port}: {error.strerror or error}.") from None
    with listener:
        place = f"[{host}]" if ":" in host else host
        _say(f"Serving on http://{place}:{listener.getsockname()[1]}/v1")
        yield listener


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        OSError
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # asyncio knows by the protocol, which create_server() leaves out, that each event is to be sent at once: else the
    # system holds small ones back until the reader has confirmed the last, some 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
