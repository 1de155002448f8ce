"""What `supercompat serve` can be told: in a file, then in variables, then by flags; what comes later wins.

The settings are the fields of `Serving`, `ServerOptions` and `Options`: their docstrings are the help.
"""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final, Literal, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from supercompat.errors import ConfigurationError
from supercompat.options import Options
from supercompat.run_adapters.base import RunAdapter
from supercompat.run_adapters.completions import CompletionsRunAdapter
from supercompat.run_adapters.responses import ResponsesRunAdapter
from supercompat.server.options import ServerOptions
from supercompat.server.providers import ProviderSettings
from supercompat.storage_adapters.sql.adapter import SQLAlchemyStorageAdapter

FILE: Final = "supercompat.toml"
PREFIX: Final = "SUPERCOMPAT_"

#: The variable that names the file, and the table of it that is no setting of its own.
CONFIG: Final = "config"
PROVIDERS: Final = "providers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What is served, where, and by whom.

    Args:
        host: the address to listen on; without API keys it must be a loopback address.
        port: the port to listen on; 0 for a free one, which is printed.
        database_url: where everything is kept: `sqlite:///FILE`, or `postgresql://USER:PASSWORD@HOST/NAME`,
            whose tables `supercompat db upgrade` creates.
        database_schema: the PostgreSQL schema with the tables, if it is not the first of the search path.
        workers: how many processes serve; more than one needs PostgreSQL.
        provider: who answers: `openai`, `azure`, `groq`, `anthropic`, `mistral` or `google`, each with the key
            in its usual variable, or a name from `[providers]` in the file. By default the only one that is
            configured.
        models: model aliases, from the name that assistants use to the one that the provider knows:
            `gpt-4o=llama-3.3-70b-versatile`.
        routes: who answers for which models: `claude-*=anthropic,*=groq`; the first match wins.
        run_adapter: how runs are carried out: through chat completions, or through the provider's Responses API
            with its hosted tools.
        background: whether the provider continues a run through the Responses API when this process ends.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    # It may have a password in it.
    database_url: str = field(default="sqlite:///supercompat.db", repr=False)
    database_schema: str | None = None
    workers: int = 1
    provider: str | None = None
    models: Mapping[str, str] = field(default_factory=dict[str, str])
    routes: Mapping[str, str] = field(default_factory=dict[str, str])
    run_adapter: Literal["completions", "responses"] = "completions"
    background: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigurationError("port must be between 0 and 65535.")
        if self.workers < 1:
            raise ConfigurationError("workers must be at least 1.")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Args:
        kind: its type.
        default: None if there is none.
        help: what it means, in a sentence or two.
        owner: the class that it is a field of.
    """

    name: str
    kind: Any
    default: Any
    help: str
    owner: type

    @property
    def variable(self) -> str:
        return f"{PREFIX}{self.name.upper()}"

    @property
    def flag(self) -> str:
        return "--database" if self.name == "database_url" else f"--{self.name.replace('_', '-')}"

    def read(self, given: "Given") -> Any:
        """The value that was given, as the type that it has to be.

        Raises:
            ConfigurationError: it can't be; the message says where it was given, and does not repeat it.
        """
        value = given.value
        if isinstance(value, str) and get_origin(self.kind) is Mapping:
            value = _pairs(value, given.where)
        elif isinstance(value, str) and get_origin(self.kind) is Sequence:
            value = _items(value)
        try:
            return TypeAdapter(self.kind).validate_python(value)
        except ValidationError as error:
            raise ConfigurationError(f"{given.where}: {error.errors()[0]['msg']}.") from None


@dataclass(frozen=True, slots=True)
class Given:
    """A value, and where it was given."""

    value: Any
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything that was settled."""

    serving: Serving = field(default_factory=Serving)
    server: ServerOptions = field(default_factory=ServerOptions)
    options: Options = field(default_factory=lambda: Options(**DEFAULTS))
    providers: Mapping[str, ProviderSettings] = field(default_factory=dict[str, ProviderSettings])


def _settings(owner: type, **defaults: Any) -> list[Setting]:
    kinds, texts = get_type_hints(owner), _described(owner)
    return [
        Setting(each.name, kinds[each.name], defaults.get(each.name, _default(each)), texts[each.name], owner)
        for each in fields(owner)
        if each.name in texts and each.name != "clock"
    ]


def _default(each: Any) -> Any:
    return None if each.default is MISSING else each.default


def _described(owner: type) -> dict[str, str]:
    """What the docstring says of each field."""
    _, _, arguments = cleandoc(owner.__doc__ or "").partition("Args:\n")
    found = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", arguments.partition("\n\n")[0], re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


#: Where a server differs from a client of one program. Whoever writes messages could else have addresses fetched.
DEFAULTS: Final[Mapping[str, Any]] = {"fetch_images": False, "max_concurrent_runs": 256}

SETTINGS: Final = (
    *_settings(Serving),
    *_settings(ServerOptions),
    *_settings(Options, **DEFAULTS),
)


def load(
    flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ, file: Path | None = None
) -> Configuration:
    """The configuration.

    Args:
        flags: what the command line says, by names of settings.
        file: the one that the command line names. By default that of the variable SUPERCOMPAT_CONFIG, else
            `supercompat.toml` in the working directory, if there is one.

    Raises:
        ConfigurationError: a name or a value makes no sense, or an API key is in the file.
    """
    named = file or (Path(path) if (path := environment.get(f"{PREFIX}{CONFIG.upper()}")) else None)
    tables = _read(named or Path(FILE), is_optional=named is None)
    providers = _providers(tables.pop(PROVIDERS, {}), str(named or FILE))
    given = {
        **_from_file(tables, str(named or FILE)),
        **_from_environment(environment),
        **{each.name: Given(flags[each.name], each.flag) for each in SETTINGS if each.name in flags},
    }
    values = {each: each.read(given[each.name]) for each in SETTINGS if each.name in given}

    def of(owner: type) -> dict[str, Any]:
        return {each.name: value for each, value in values.items() if each.owner is owner}

    return Configuration(
        serving=Serving(**of(Serving)),
        server=ServerOptions(**of(ServerOptions)),
        options=Options(**{**DEFAULTS, **of(Options)}),
        providers=providers,
    )


def storage_of(configuration: Configuration) -> SQLAlchemyStorageAdapter:
    """The storage.

    Raises:
        ConfigurationError: the URL can't be served.
    """
    serving = configuration.serving
    return SQLAlchemyStorageAdapter(serving.database_url, schema=serving.database_schema)


def run_adapter_of(configuration: Configuration) -> RunAdapter:
    """How runs are carried out.

    Raises:
        ConfigurationError: `background` is asked for where it can't be.
    """
    serving = configuration.serving
    if serving.run_adapter == "responses":
        return ResponsesRunAdapter(background=serving.background)
    if serving.background:
        raise ConfigurationError('background needs run_adapter = "responses".')
    return CompletionsRunAdapter()


def _read(file: Path, *, is_optional: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if is_optional:
            return {}
        raise ConfigurationError(f"There is no file {file}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} can't be read: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not TOML: {error}.") from None


def _from_file(tables: Mapping[str, Any], file: str) -> dict[str, Given]:
    names = [each.name for each in SETTINGS]
    for name in tables:
        if name not in names:
            raise _unknown(name, [*names, PROVIDERS], file)
    return {name: Given(value, f"{file}: {name}") for name, value in tables.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, Given]:
    """What the variables say; an empty one says nothing."""
    names = {each.variable: each.name for each in SETTINGS}
    given: dict[str, Given] = {}
    for variable, value in environment.items():
        if variable.startswith(PREFIX) and variable != f"{PREFIX}{CONFIG.upper()}":
            if variable not in names:
                raise _unknown(variable, [*names], "the environment")
            if value:
                given[names[variable]] = Given(value, variable)
    return given


def _unknown(
    name: str, names: Sequence[str], where: str, known: str = "'supercompat serve --help' shows all of them."
) -> ConfigurationError:
    if _is_secret(name):
        return _misplaced(name, where)
    close = get_close_matches(name, names, 1)
    hint = f"Is {close[0]} meant?" if close else known
    return ConfigurationError(f"{where}: {name} is no setting. {hint}")


def _providers(given: Any, file: str) -> dict[str, ProviderSettings]:
    try:
        tables = TypeAdapter(dict[str, dict[str, Any]]).validate_python(given)
    except ValidationError:
        raise ConfigurationError(f"{file}: {PROVIDERS} takes tables, as in [providers.local].") from None
    return {name: _provider(table, f"{file}: {PROVIDERS}.{name}") for name, table in tables.items()}


def _provider(table: Mapping[str, Any], where: str) -> ProviderSettings:
    names = [*ProviderSettings.model_fields]
    for name in table:
        if name not in names:
            raise _unknown(name, names, where, f"Known are: {', '.join(names)}.")
    try:
        return ProviderSettings.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(map(str, (where, *first["loc"])))
        raise ConfigurationError(f"{path}: {first['msg']}.") from None


def _is_secret(name: str) -> bool:
    return re.search(r"(\b|_)(key|secret|token|password)", name, re.IGNORECASE) is not None


def _misplaced(name: str, where: str) -> ConfigurationError:
    return ConfigurationError(
        f"{where}: {name} is not read here. API keys come from a provider's usual variable, as GROQ_API_KEY, or from a "
        "file that GROQ_API_KEY_FILE names; in a table [providers.NAME], api_key_env and api_key_file say where."
    )


def _pairs(text: str, where: str) -> dict[str, str]:
    pairs = [item.partition("=") for item in _items(text)]
    if not all(name.strip() and equals and value.strip() for name, equals, value in pairs):
        raise ConfigurationError(f"{where}: it takes pairs, as in NAME=VALUE,NAME=VALUE.")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
