"""Query strings: what they come out as, and what the API says about those that it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from supercompat.api.validation import parse_query
from supercompat.errors import RequestError
from supercompat.wire.requests import IncludeQuery, ListQuery, MessageListQuery, StepListQuery
from tests.api.answers import answer, refused

FILE_CONTENT = "step_details.tool_calls[*].file_search.results[*].content"


def refusal(model: type[BaseModel], *pairs: tuple[str, str]) -> tuple[str, str | None, str | None]:
    return refused(lambda: parse_query(model, pairs))


def test_defaults() -> None:
    assert parse_query(ListQuery, []) == ListQuery(limit=20, order="desc", after=None, before=None)


def test_all_keys() -> None:
    pairs = [
        ("limit", "7"),
        ("after", "msg_1"),
        ("before", "msg_2"),
        ("order", "asc"),
        ("run_id", "run_1"),
        ("x", "1"),
    ]
    expected = MessageListQuery(limit=7, order="asc", after="msg_1", before="msg_2", run_id="run_1")
    assert parse_query(MessageListQuery, pairs) == expected


@pytest.mark.parametrize("limit", ["1", "100"])
def test_limit_at_its_bounds(limit: str) -> None:
    assert parse_query(ListQuery, [("limit", limit)]).limit == int(limit)


@pytest.mark.parametrize(
    ("limit", "problem"),
    [
        ("101", "integer above maximum value. Expected a value <= 100, but got 101"),
        ("9" * 4000, f"integer above maximum value. Expected a value <= 100, but got {'9' * 4000}"),
        ("0", "integer below minimum value. Expected a value >= 1, but got 0"),
        ("-3", "integer below minimum value. Expected a value >= 1, but got -3"),
    ],
)
def test_limit_out_of_bounds(limit: str, problem: str) -> None:
    code = "integer_above_max_value" if "above" in problem else "integer_below_min_value"
    assert refusal(ListQuery, ("limit", limit)) == (f"Invalid 'limit': {problem} instead.", "limit", code)


@pytest.mark.parametrize("limit", ["", "ten", "1.5", " 1", "1_0", "٣", "9" * 5_000])
def test_limit_that_is_no_integer(limit: str) -> None:
    sentence = "Invalid type for 'limit': expected an integer, but got a string instead."
    assert refusal(ListQuery, ("limit", limit)) == (sentence, "limit", "invalid_type")


def test_order() -> None:
    sentence = "Invalid value: 'up'. Supported values are: 'asc' and 'desc'."
    assert refusal(ListQuery, ("order", "up")) == (sentence, "order", "invalid_value")


def test_limit_is_judged_before_order() -> None:
    assert refusal(ListQuery, ("order", "up"), ("limit", "0"))[1] == "limit"


@pytest.mark.parametrize("key", ["limit", "order", "after", "before"])
def test_repeated_key(key: str) -> None:
    sentence = (
        f"Duplicate parameter: '{key}'. You provided multiple values for this parameter, whereas only one is allowed. "
        f"If you are trying to provide a list of values, use the array syntax instead e.g. '{key}[]=<value>'."
    )
    assert refusal(ListQuery, (key, "1"), (key, "1")) == (sentence, key, "duplicate_parameter")


def test_unknown_keys_are_ignored() -> None:
    assert (
        parse_query(ListQuery, [("x", "1"), ("x", "2"), ("limit[]", "1"), ("limit[0]", "2")]) == ListQuery()
    )


@pytest.mark.parametrize("key", ["include", "include[]", "include[0]", "include[12]"])
def test_include_in_its_spellings(key: str) -> None:
    assert parse_query(IncludeQuery, [(key, FILE_CONTENT)]).include == [FILE_CONTENT]
    both = parse_query(StepListQuery, [("limit", "2"), (key, FILE_CONTENT), ("include[]", FILE_CONTENT)])
    assert (both.limit, both.include) == (2, [FILE_CONTENT] * 2)
    sentence = f"Invalid value: 'all'. Supported values are: '{FILE_CONTENT}'."
    assert refusal(IncludeQuery, (key, "all")) == (sentence, "include[0]", "invalid_value")


@given(
    st.lists(st.tuples(st.sampled_from(["limit", "order", "after", "include[]", "include", "x"]), st.text()))
)
def test_any_query(pairs: list[tuple[str, str]]) -> None:
    answered = answer(lambda: parse_query(StepListQuery, pairs))
    if isinstance(answered, RequestError):
        assert str(answered.param).partition("[")[0] in ("limit", "order", "after", "include")
