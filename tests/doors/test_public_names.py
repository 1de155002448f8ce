"""What the package shows, and what it does not load before it is needed."""

import subprocess
import sys
from types import ModuleType

import pytest

import supercompat
import supercompat.testing

#: Loaded by whoever uses them, never by `import supercompat`.
HEAVY = (
    "alembic",
    "anyio",
    "groq",
    "httpx",
    "httpx2",
    "mistralai",
    "openai",
    "pydantic",
    "sqlalchemy",
    "starlette",
    "uvicorn",
)


def loaded_by(program: str) -> set[str]:
    """The top-level modules that are loaded once the program has run in a fresh interpreter."""
    shown = "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program + shown], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_import_loads_nothing_else() -> None:
    assert loaded_by("import supercompat").isdisjoint(HEAVY)


def test_storages_load_no_sdk_and_sdks_no_storage() -> None:
    assert loaded_by(
        "from supercompat import MemoryStorageAdapter, Options, SQLAlchemyStorageAdapter"
    ).isdisjoint({"alembic", "groq", "httpx", "httpx2", "openai", "sqlalchemy"})
    assert loaded_by("from supercompat import supercompat").isdisjoint({"alembic", "groq", "sqlalchemy"})


@pytest.mark.parametrize("module", [supercompat, supercompat.testing])
def test_all_is_what_is_there(module: ModuleType) -> None:
    assert list(module.__all__) == sorted(module.__all__, key=lambda name: (not name.isupper(), name))
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_dir_is_all() -> None:
    assert dir(supercompat) == sorted(supercompat.__all__)


def test_each_name_is_defined_where_it_is_said_to_be() -> None:
    for name in supercompat.__all__:
        named = getattr(supercompat, name)
        assert named.__module__.startswith("supercompat."), name
        assert named.__name__ == name
        assert named.__doc__, name


def test_every_name_is_there_without_any_extra() -> None:
    program = """
import importlib, importlib.util, sys

def found(name, package=None, find=importlib.util.find_spec):
    return None if name in MISSING else find(name, package)

MISSING = ("anthropic", "google", "greenlet", "groq", "mistralai", "psycopg", "rich", "starlette", "uvicorn")
sys.modules.update(dict.fromkeys(MISSING))
importlib.util.find_spec = found
from supercompat import *
from supercompat.testing import ScriptedModel
try:
    asgi_app(client=ScriptedModel())
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("MissingExtraError starlette")
    assert "supercompat[server]" in done.stdout


def test_what_is_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Supercompat'"):
        supercompat.Supercompat  # noqa: B018
