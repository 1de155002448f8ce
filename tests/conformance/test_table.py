from pathlib import Path

import pytest

from tests.conformance.checklist import load_checklist
from tests.conformance.score import Score
from tests.conformance.table import BEGIN, END, main


@pytest.fixture
def score_file(tmp_path: Path) -> Path:
    score = Score.of(load_checklist(), passed={"C-123", "C-131"}, failed={"C-124"})
    path = tmp_path / "conformance.json"
    path.write_text(score.model_dump_json(), encoding="utf-8")
    return path


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(f"# Title\n\n{BEGIN}\n{END}\n\nMore.\n", encoding="utf-8")
    return path


def test_it_prints_a_row_a_group_and_one_for_all(
    score_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(score_file)]) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header == "| Group | P1 | P2 | Deferred |"
    assert [row.split(" | ")[0] for row in rows] == [
        *(f"| {group.name}" for group in load_checklist().groups),
        "| All",
    ]
    assert "| Steps | 1/7 | 1/4 | – |" in rows
    assert "| Files, stores, models, Responses | 0/3 | – | 16 |" in rows


def test_a_written_page_passes_the_check_and_keeps_the_rest(score_file: Path, page: Path) -> None:
    assert main([str(score_file), "--check", str(page)]) == 1
    assert main([str(score_file), "--write", str(page)]) == 0
    assert main([str(score_file), "--check", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# Title\n\n{BEGIN}\n| Group |")
    assert text.endswith(f"|\n{END}\n\nMore.\n")


def test_a_second_write_replaces_the_first(score_file: Path, page: Path) -> None:
    main([str(score_file), "--write", str(page)])
    first = page.read_text(encoding="utf-8")
    main([str(score_file), "--write", str(page)])
    assert page.read_text(encoding="utf-8") == first


def test_an_old_table_fails_the_check_and_is_left_alone(
    score_file: Path, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(score_file), "--write", str(page)])
    old = page.read_text(encoding="utf-8")
    newer = Score.of(load_checklist(), passed={"C-123"}, failed=())
    score_file.write_text(newer.model_dump_json(), encoding="utf-8")
    assert main([str(score_file), "--check", str(page)]) == 1
    assert "out of date" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == old


@pytest.mark.parametrize(
    "text",
    ["", BEGIN, END, f"{END}{BEGIN}", f"{END}{BEGIN}{END}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"],
)
def test_a_page_without_one_pair_of_markers_is_refused(score_file: Path, page: Path, text: str) -> None:
    page.write_text(text, encoding="utf-8")
    assert main([str(score_file), "--write", str(page)]) == 1
    assert page.read_text(encoding="utf-8") == text
