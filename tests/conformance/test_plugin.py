from collections.abc import Callable
from typing import TypeAlias

import pytest

from tests.conformance.checklist import load_checklist
from tests.conformance.score import Score

Run: TypeAlias = Callable[..., pytest.RunResult]
ScoreOf: TypeAlias = Callable[[str], Score]

# Other plugins are imported anew by each run, which takes longer than the run.
PLUGINS = ("--disable-plugin-autoload", "-p", "tests.conformance.plugin")


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Runs pytest on one module with the given text."""

    def run_module(text: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_sample=f"import pytest\n{text}")
        return pytester.runpytest_inprocess(*PLUGINS, "--strict-markers", *arguments)

    return run_module


@pytest.fixture
def score_of(run: Run, pytester: pytest.Pytester) -> ScoreOf:
    """The score of a conformance run of one module with the given text."""

    def score(text: str) -> Score:
        run(text, "--conformance", "--conformance-json", "score.json")
        return Score.model_validate_json((pytester.path / "score.json").read_text(encoding="utf-8"))

    return score


def passed_items(score: Score) -> set[str]:
    """The numbers of the items that passed."""
    others = {*score.failed, *score.not_covered, *score.deferred}
    return {number for number in load_checklist().items if number not in others}


def test_an_item_passes_when_a_test_that_names_it_passed(score_of: ScoreOf) -> None:
    score = score_of("""
@pytest.mark.conforms("C-066", "C-067")
def test_create(): pass
""")
    assert passed_items(score) == {"C-066", "C-067"}


def test_markers_of_module_class_function_and_parameter_add_up(score_of: ScoreOf) -> None:
    score = score_of("""
pytestmark = pytest.mark.conforms("C-001")

@pytest.mark.conforms("C-002")
class TestCreate:
    @pytest.mark.conforms("C-007")
    @pytest.mark.parametrize("body", [pytest.param("{", marks=pytest.mark.conforms("C-010"))])
    def test_body(self, body): pass
""")
    assert passed_items(score) == {"C-001", "C-002", "C-007", "C-010"}


@pytest.mark.parametrize(
    "other",
    [
        "def test_other(): assert False",
        "@pytest.mark.xfail(strict=True)\ndef test_other(): assert False",
        "@pytest.mark.xfail(strict=True)\ndef test_other(): pass",
        "@pytest.mark.xfail(strict=False)\ndef test_other(): pass",
        "def test_other(missing_fixture): pass",
        "def test_other(breaks_at_teardown): pass",
        "def test_other(subtests):\n    with subtests.test():\n        assert False",
    ],
    ids=["failed", "xfailed", "xpassed-strict", "xpassed", "setup-error", "teardown-error", "failed-subtest"],
)
def test_one_test_that_did_not_pass_fails_the_item(score_of: ScoreOf, other: str) -> None:
    score = score_of(f"""
@pytest.fixture
def breaks_at_teardown():
    yield
    raise OSError

@pytest.mark.conforms("C-066", "C-067")
def test_create(): pass

@pytest.mark.conforms("C-066")
{other}
""")
    assert score.failed == ["C-066"]
    assert "C-066" not in score.not_covered
    assert passed_items(score) == {"C-067"}
    assert score.overall.tally.passed == 1


@pytest.mark.parametrize(
    "body",
    [
        "pytest.skip('not here')",
        "with subtests.test():\n        pass\n    pytest.skip('not here')",
    ],
    ids=["test", "test-after-a-passed-subtest"],
)
def test_skipped_tests_do_not_count(score_of: ScoreOf, body: str) -> None:
    score = score_of(f"""
@pytest.mark.conforms("C-066")
def test_skipped(subtests):
    {body}

@pytest.mark.conforms("C-067")
@pytest.mark.parametrize("door", ["synchronous", "asynchronous"])
def test_on_one_door(door):
    if door == "asynchronous":
        pytest.skip("not here")
""")
    assert not score.failed
    assert passed_items(score) == {"C-067"}


def test_a_test_that_was_cut_short_does_not_count(score_of: ScoreOf) -> None:
    score = score_of("""
@pytest.fixture
def ended():
    yield
    pytest.exit('enough')

@pytest.mark.conforms("C-066")
def test_create(ended): pass
""")
    assert "C-066" in score.not_covered


def test_deferred_items_stay_outside_of_the_score(score_of: ScoreOf) -> None:
    number, reason = next(iter(load_checklist().deferred.items()))
    score = score_of(f"""
@pytest.mark.conforms("{number}")
def test_early(): pass
""")
    assert score.deferred[number] == reason
    assert not score.deferred.keys() & score.not_covered
    assert score.overall.tally.passed == 0
    assert score.overall.tally.total == len(load_checklist().items) - len(score.deferred)


def test_groups_are_tallied_by_priority(score_of: ScoreOf) -> None:
    score = score_of("""
@pytest.mark.conforms("C-123", "C-124", "C-131")
def test_steps(): pass
""")
    steps = next(group for group in score.groups if group.name == "Steps")
    tallies = {priority: (tally.passed, tally.total) for priority, tally in steps.priorities.items()}
    assert tallies == {"P1": (2, 7), "P2": (1, 4), "P3": (0, 0)}
    assert steps.deferred == 0
    assert score.overall.tally.passed == 3


def test_only_marked_tests_run(run: Run) -> None:
    text = """
@pytest.mark.conforms("C-066")
def test_marked(): pass
def test_unmarked(): pass
"""
    run(text, "--conformance").assert_outcomes(passed=1, deselected=1)
    run(text).assert_outcomes(passed=2)


def test_items_without_tests_leave_the_exit_status_alone(run: Run) -> None:
    passing = '@pytest.mark.conforms("C-066")\ndef test_create(): pass\n'
    assert run(passing, "--conformance").ret == pytest.ExitCode.OK
    failing = passing.replace("pass", "assert False")
    assert run(failing, "--conformance").ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ('"C-1000"', "*test_sample.py::test_create: * no item 'C-1000'*"),
        ('"c-066"', "*test_sample.py::test_create: * no item 'c-066'*"),
        ('"C-066, C-067"', "*test_sample.py::test_create: * no item 'C-066, C-067'*"),
        ('["C-066"]', "*test_sample.py::test_create: write the marker as *"),
        ("66", "*test_sample.py::test_create: write the marker as *"),
        ("", "*test_sample.py::test_create: write the marker as *"),
        ('"C-066", because="yes"', "*test_sample.py::test_create: write the marker as *"),
    ],
)
def test_a_wrong_marker_stops_collection_and_names_the_test(run: Run, arguments: str, complaint: str) -> None:
    result = run(f"@pytest.mark.conforms({arguments})\ndef test_create(): pass\n")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ERROR collecting*", complaint])


def test_the_summary_shows_scores_and_lists(run: Run) -> None:
    result = run(
        """
@pytest.mark.conforms("C-123")
def test_one_step(): pass

@pytest.mark.conforms("C-124")
def test_two_steps(): assert False
""",
        "--conformance",
    )
    checklist = load_checklist()
    reason = checklist.deferred["C-177"]
    result.stdout.fnmatch_lines(
        [
            "*= conformance =*",
            "not covered:",
            f"  C-125 P1 {checklist.items['C-125'].title}",
            "failed:",
            f"  C-124 P1 {checklist.items['C-124'].title}",
            "deferred:",
            f"  {reason}: *C-177*",
            "group * P1 * P2 * P3 * deferred",
            "Steps *1/7 *14 %*0/4 *0 %*",
            "All *",
            f"conformance: 1 of {len(checklist.items) - len(checklist.deferred)} items (0 %)",
        ]
    )


def test_a_run_without_the_option_prints_no_score(run: Run) -> None:
    run("def test_create(): pass\n").stdout.no_fnmatch_line("*conformance*")


def test_the_file_needs_the_option(run: Run) -> None:
    result = run("def test_create(): pass\n", "--conformance-json", "score.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--conformance-json needs --conformance*"])


def test_reports_that_crossed_processes_count(score_of: ScoreOf, pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
import json
import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item):
    hook, config = item.config.hook, item.config
    sent = json.dumps(hook.pytest_report_to_serializable(config=config, report=(yield)))
    return hook.pytest_report_from_serializable(config=config, data=json.loads(sent))
""")
    score = score_of("""
@pytest.mark.conforms("C-066")
def test_create(): pass

@pytest.mark.conforms("C-067")
def test_copy(): assert False
""")
    assert passed_items(score) == {"C-066"}
    assert score.failed == ["C-067"]


def test_a_worker_leaves_the_score_to_its_controller(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest("def pytest_configure(config): config.workerinput = {}")
    result = run(
        '@pytest.mark.conforms("C-066")\ndef test_create(): pass\n',
        "--conformance",
        "--conformance-json",
        "score.json",
    )
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*conformance*")
    assert not (pytester.path / "score.json").exists()
