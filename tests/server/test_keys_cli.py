"""`supercompat keys`, and what `supercompat serve` says without any."""

import re
from pathlib import Path

import pytest

from supercompat.server.cli import main


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> list[str]:
    """The option that names a database."""
    if request.param == "postgresql":
        return ["--database", request.getfixturevalue("postgres_url")]
    return ["--database", f"sqlite:///{request.getfixturevalue('tmp_path') / 'rows.db'}"]


def test_a_key_is_made_listed_and_revoked(database: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "--project", "shop", "--name", "the app\033[2J", *database]) == 0
    said = capsys.readouterr()
    key = said.out.strip()
    assert re.fullmatch(r"sk-sc-[0-9a-f]{16}-[\w-]{43}", key)
    id = f"key_{key.split('-')[2]}"
    assert said.err == f"{id} opens the project shop. It is not shown again.\n"

    assert main(["keys", "create", *database]) == 0
    other = capsys.readouterr().out.strip()
    assert main(["keys", "list", *database]) == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["ID", "KEY", "PROJECT", "CREATED", "REVOKED", "NAME"]
    assert re.fullmatch(rf"{id}  \S+…{re.escape(key[-4:])}  shop     [-\d]+ [:\d]+Z +the app\?\[2J", first)
    assert re.fullmatch(rf"key_\w+  \S+…{re.escape(other[-4:])}  default  [-\d]+ [:\d]+Z", second)

    assert main(["keys", "revoke", id, *database]) == 0
    assert f"{id} of the project shop is revoked" in capsys.readouterr().out
    assert main(["keys", "list", *database]) == 0
    first = capsys.readouterr().out.splitlines()[1]
    assert len(re.findall(r"[-\d]{10} [:\d]{5}Z", first)) == 2
    assert key not in first


def test_what_can_not_be_done(database: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["revoke", "key_x"], "There is no key key_x. 'supercompat keys list' shows those there are."),
        (["create", "--project", "a b"], "'a b' can't be a project's name"),
    ):
        assert main(["keys", *arguments, *database]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert message in said.err


def test_tables_that_are_missing(empty_postgres_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "--database", empty_postgres_url]) == 1
    assert "supercompat db upgrade" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_server_without_keys_serves_its_own_machine_only(
    tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    database = f"sqlite:///{tmp_path / 'rows.db'}"
    assert main(["serve", "--host", host, "--database", database]) == 1
    said = capsys.readouterr().err
    assert said.startswith("supercompat: Without API keys ")
    assert "supercompat keys create" in said
