"""Whatever is done to a valid body, it validates or is refused with the name of what was done to it."""

import json
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from supercompat.api.validation import MALFORMED_JSON, parse_json, validate
from supercompat.errors import RequestError
from tests.api.answers import answer
from tests.api.bodies import COMPLETE, complete, places

Place: TypeAlias = tuple[Any, Any, str]

WORDS = [
    "",
    "auto",
    "text",
    "image_url",
    "image_file",
    "function",
    "file_search",
    "last_messages",
    "json_object",
]
KEYS = ["type", "text", "name", "[key]"]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=70) | st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=8,
)
models = st.sampled_from(list(COMPLETE))
many = settings(max_examples=400)


def check(model: type[BaseModel], body: object, mutated: str) -> None:
    answered = answer(lambda: validate(model, body))
    if not isinstance(answered, RequestError):
        json.dumps(dict(answered), default=dict, allow_nan=False)
        return
    assert answered.status == 400
    assert answered.param is not None
    # Another `type` makes other fields required or unknown, so that what stands beside it may be blamed.
    blamed = mutated.removesuffix(".type")
    assert answered.param.startswith(blamed) or blamed.startswith(answered.param), answered.message


@pytest.mark.parametrize("model", COMPLETE)
def test_complete_bodies_are_valid(model: type[BaseModel]) -> None:
    assert validate(model, complete(model)).model_fields_set == COMPLETE[model].keys()


@many
@given(models, st.data())
def test_replaced_value(model: type[BaseModel], data: st.DataObject) -> None:
    body = complete(model)
    container, step, path = data.draw(st.sampled_from(list(places(body))))
    container[step] = data.draw(json_values)
    check(model, body, path)


@many
@given(models, st.data())
def test_removed_value(model: type[BaseModel], data: st.DataObject) -> None:
    body = complete(model)
    container, step, path = data.draw(st.sampled_from(list(places(body))))
    del container[step]
    check(model, body, path)


@many
@given(models, st.data())
def test_added_key(model: type[BaseModel], data: st.DataObject) -> None:
    body = complete(model)
    holders = [
        (container[step], path) for container, step, path in places(body) if isinstance(container[step], dict)
    ]
    holder, path = data.draw(st.sampled_from([(body, ""), *holders]))
    key = data.draw(st.text(max_size=70).filter(lambda key: key not in holder))
    holder[key] = data.draw(json_values)
    check(model, body, f"{path}.{key}" if path else key)


@many
@given(models, json_values)
def test_any_value_as_a_body(model: type[BaseModel], value: object) -> None:
    answered = answer(lambda: validate(model, value))
    assert not isinstance(answered, RequestError) or answered.status == 400


@many
@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_as_json(body: bytes) -> None:
    answered = answer(lambda: parse_json(body))
    assert not isinstance(answered, RequestError) or answered.message == MALFORMED_JSON
