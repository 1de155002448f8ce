"""Who may import whom: the contracts of `[tool.importlinter]` in pyproject.toml, on the source and on offenders."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = ROOT / "pyproject.toml"
CONTRACTS = tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]
NAMES: dict[str, str] = {contract["id"]: contract["name"] for contract in CONTRACTS}

# A package of the source's shape, to plant offenders in.
SKELETON = [
    "__init__",
    "runtime",
    "api.__init__",
    "client_adapters.__init__",
    "client_adapters.anthropic.__init__",
    "client_adapters.base",
    "client_adapters.google.__init__",
    "client_adapters.groq",
    "client_adapters.mistral.__init__",
    "client_adapters.openai",
    "engine.__init__",
    "model.__init__",
    "run_adapters.__init__",
    "services.__init__",
    "storage_adapters.__init__",
    "storage_adapters.sql.__init__",
    "testing.__init__",
    "transport.__init__",
    "wire.__init__",
]

# Contract, importing module, imported module: what the contract is there to stop.
OFFENDERS = [
    ("floors", "model.offender", "supercompat.engine"),
    ("floors", "services.offender", "supercompat.run_adapters"),
    ("floors", "client_adapters.offender", "supercompat.storage_adapters"),
    ("composition", "transport.offender", "supercompat.runtime"),
    ("composition", "engine.offender", "supercompat"),
    ("api", "api.offender", "supercompat.engine"),
    ("seams", "engine.offender", "supercompat.storage_adapters.sql"),
    ("seams", "services.offender", "supercompat.client_adapters.base"),
    ("drivers", "run_adapters.offender", "supercompat.engine"),
    ("translators", "client_adapters.offender", "supercompat.wire"),
    ("rows", "storage_adapters.offender", "supercompat.model"),
    ("providers", "client_adapters.groq", "supercompat.client_adapters.openai"),
    ("testing", "testing.offender", "supercompat.runtime"),
    ("database", "storage_adapters.offender", "sqlalchemy"),
    ("http", "transport.httpx1", "httpx2"),
    ("http", "client_adapters.google.offender", "httpcore"),
    ("sdks", "client_adapters.offender", "openai"),
    ("sdks", "client_adapters.anthropic.request", "anthropic"),
    ("sdks", "client_adapters.groq", "google"),
    ("demo", "runtime", "rich"),
    ("demo", "transport.offender", "starlette"),
]


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    """Judge the package `supercompat` that lies in `directory`."""
    command = [
        Path(sys.executable).with_name("lint-imports"),
        "--no-logo",
        "--no-cache",
        "--config",
        PYPROJECT,
    ]
    environment = os.environ | {"PYTHONPATH": str(directory), "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


def plant(directory: Path, module: str, statement: str = "") -> None:
    path = directory.joinpath("supercompat", *module.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(f"{statement}\n")


@pytest.fixture
def skeleton(tmp_path: Path) -> Path:
    for module in SKELETON:
        plant(tmp_path, module)
    return tmp_path


def test_the_source_keeps_every_contract() -> None:
    result = lint(ROOT / "src")

    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(NAMES)} kept, 0 broken" in result.stdout


def test_every_contract_finds_its_offenders(skeleton: Path) -> None:
    assert lint(skeleton).returncode == 0
    for _, importer, imported in OFFENDERS:
        plant(skeleton, importer, f"import {imported}")

    result = lint(skeleton)

    _, _, report = result.stdout.partition("Broken contracts")
    assert f"0 kept, {len(NAMES)} broken" in result.stdout, result.stdout + result.stderr
    for contract, importer, imported in OFFENDERS:
        _, found, section = report.partition(f"{NAMES[contract]}\n---")
        assert found, contract
        section, _, _ = section.partition("\n---")
        assert f"supercompat.{importer} -> {imported} (" in section, (
            contract,
            importer,
            imported,
            result.stdout,
        )


def test_a_package_that_no_floor_names_is_found(skeleton: Path) -> None:
    plant(skeleton, "cellar.__init__")

    result = lint(skeleton)

    assert result.returncode == 1
    assert f"{NAMES['floors']} BROKEN" in result.stdout
    assert "cellar" in result.stdout
