"""What Gemini is asked: the translation alone, and that the API takes it whatever the conversation was."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supercompat.client_adapters.fetch import Image
from supercompat.client_adapters.google.contents import BEGINNING, ENDING, UNSIGNED
from supercompat.client_adapters.google.request import request_params
from supercompat.model.request import (
    AssistantTurn,
    FunctionTool,
    ImagePart,
    JsonObjectFormat,
    JsonSchemaFormat,
    ModelRequest,
    NamedTool,
    TextPart,
    ToolCall,
    ToolTurn,
    Turn,
    UserTurn,
)
from supercompat.testing import GoogleServer
from tests.client_adapters.asking import ADD, NOW
from tests.client_adapters.on_google import PLAIN, SIGNS, ask, client_of

SCHEMA = {"type": "object", "properties": {"sum": {"type": "integer"}}}
PIXEL = ImagePart("https://pictures.test/pixel.png")
IMAGES = {PIXEL.url: Image("image/png", b"\x89PNG")}


def contents(*turns: Turn, model: str = PLAIN) -> list[dict[str, Any]]:
    return request_params(ask(turns=turns, model=model), IMAGES)["contents"]


def config(**settings: Any) -> dict[str, Any]:
    """Without what is always there."""
    given = request_params(ask(**{"model": PLAIN, **settings}), {})["config"]
    assert given.pop("automatic_function_calling") == {"disable": True}
    return given


def user(*parts: str | dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def model(*parts: str | dict[str, Any]) -> dict[str, Any]:
    return {**user(*parts), "role": "model"}


def says(text: str) -> UserTurn:
    return UserTurn((TextPart(text),))


def called(call_id: str, name: str = "now", **args: Any) -> dict[str, Any]:
    return {"function_call": {"id": call_id, "name": name, "args": args}}


def answered(call_id: str, output: str, name: str = "now") -> dict[str, Any]:
    return {"function_response": {"id": call_id, "name": name, "response": {"result": output}}}


class TestContents:
    def test_turns_of_one_role_are_joined(self):
        turns = (says("a"), says("b"), AssistantTurn("c"), AssistantTurn("d"), says("e"))
        assert contents(*turns) == [user("a", "b"), model("c", "d"), user("e")]

    def test_a_conversation_is_from_a_user_to_a_user(self):
        assert contents(AssistantTurn("Hi.")) == [user(BEGINNING), model("Hi."), user(ENDING)]
        assert contents() == [user(BEGINNING)]

    def test_empty_texts_are_left_out(self):
        turns = (says("a"), AssistantTurn(""), UserTurn((TextPart(""), TextPart("b"))))
        assert contents(*turns) == [user("a", "b")]

    def test_images_are_bytes(self):
        inline = {"inline_data": {"mime_type": "image/png", "data": b"\x89PNG"}}
        assert contents(UserTurn((TextPart("What?"), PIXEL))) == [user("What?", inline)]

    def test_calls_and_their_outputs(self):
        turns = (
            says("When?"),
            AssistantTurn("Let me see.", (ToolCall("c1", "now", "{}"), ToolCall("c2", "add", '{"a": 1}'))),
            ToolTurn("c1", "now", "noon"),
            ToolTurn("c2", "add", "1"),
            says("Well?"),
        )
        assert contents(*turns) == [
            user("When?"),
            model("Let me see.", called("c1"), called("c2", "add", a=1)),
            user(answered("c1", "noon"), answered("c2", "1", "add"), "Well?"),
        ]

    @pytest.mark.parametrize(
        ("arguments", "args"),
        [
            ("", {}),
            ("[1]", {"arguments": [1]}),
            ("{oops", {"arguments": "{oops"}),
            ("null", {"arguments": None}),
        ],
    )
    def test_arguments_that_are_no_object(self, arguments: str, args: dict[str, Any]):
        turns = (says("a"), AssistantTurn("", (ToolCall("c", "now", arguments),)), ToolTurn("c", "now", "1"))
        assert contents(*turns)[1] == model(called("c", **args))


class TestSignatures:
    CALL = ToolCall("c1", "now", "{}")
    SAID: dict[str, Any] = {"functionCall": {"name": "now", "args": {}}, "thoughtSignature": "c2ln"}  # noqa: RUF012

    def replayed(self, state: Any, asked: str = SIGNS) -> list[dict[str, Any]]:
        turn = AssistantTurn("", (self.CALL, ToolCall("c2", "now", "{}")), state)
        outputs = (ToolTurn("c1", "now", "noon"), ToolTurn("c2", "now", "one"))
        return contents(says("When?"), turn, *outputs, model=asked)[1:]

    def test_what_the_model_said_goes_back_as_it_was(self):
        second: dict[str, Any] = {"functionCall": {"name": "now", "args": {}, "id": "its-own"}}
        state = {"google": {"model": SIGNS, "parts": [self.SAID, second]}}
        said, answers = self.replayed(state)
        assert said["parts"] == [self.SAID, second]
        # By the ids that the model knows its calls by: for the first it knows none.
        ids = [part["function_response"].get("id") for part in answers["parts"]]
        assert ids == [None, "its-own"]

    @pytest.mark.parametrize(
        "state",
        [
            None,
            {"anthropic": {"content": []}},
            {"google": {"model": "gemini-3.1-flash", "parts": [SAID, SAID]}},
            {"google": {"model": SIGNS, "parts": [SAID]}},
            {"google": {"model": SIGNS, "parts": [{"text": "Other words."}, SAID, SAID]}},
            {"google": {"model": SIGNS, "parts": [{"functionCall": {"id": "1"}}, None]}},
            {"google": "nonsense"},
        ],
    )
    def test_what_another_said_is_marked_as_unsigned(self, state: Any):
        said, answers = self.replayed(state)
        assert said["parts"] == [{**called("c1"), "thought_signature": UNSIGNED}, called("c2")]
        assert [part["function_response"]["id"] for part in answers["parts"]] == ["c1", "c2"]

    @pytest.mark.parametrize("asked", [PLAIN, "gemma-4-31b", "gemini-1.5-pro"])
    def test_older_models_know_no_mark(self, asked: str):
        assert self.replayed(None, asked)[0]["parts"] == [called("c1"), called("c2")]

    @pytest.mark.parametrize("asked", ["gemini-flash-latest", "publishers/google/models/gemini-3-pro"])
    def test_newer_models_do(self, asked: str):
        assert self.replayed(None, asked)[0]["parts"][0]["thought_signature"] == UNSIGNED


class TestConfig:
    def test_nothing_is_sent_that_was_not_asked_for(self):
        assert config() == {}

    def test_knobs(self):
        asked = {"temperature": 0.0, "top_p": 0.5, "max_completion_tokens": 9, "stop": ("END",)}
        assert config(**asked, instructions="Be brief.") == {
            "temperature": 0.0,
            "top_p": 0.5,
            "max_output_tokens": 9,
            "stop_sequences": ["END"],
            "system_instruction": {"parts": [{"text": "Be brief."}]},
        }

    def test_tools(self):
        (tools,) = config(tools=(ADD, NOW))["tools"]
        assert tools["function_declarations"] == [
            {"name": "add", "description": "Adds two numbers.", "parameters_json_schema": ADD.parameters},
            {"name": "now", "parameters_json_schema": {"type": "object", "properties": {}}},
        ]

    @pytest.mark.parametrize(
        ("choice", "strict", "expected"),
        [
            (None, False, None),
            (None, True, {"mode": "VALIDATED"}),
            ("auto", False, {"mode": "AUTO"}),
            ("auto", True, {"mode": "VALIDATED"}),
            ("none", True, {"mode": "NONE"}),
            ("required", True, {"mode": "ANY"}),
            (NamedTool("f"), False, {"mode": "ANY", "allowed_function_names": ["f"]}),
        ],
    )
    def test_tool_choice(self, choice: Any, strict: bool, expected: Any):
        given = config(tools=(FunctionTool("f", strict=strict),), tool_choice=choice)
        assert given.get("tool_config") == (expected and {"function_calling_config": expected})

    def test_a_choice_without_tools_is_none(self):
        assert config(tool_choice="auto") == {}

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (JsonObjectFormat(), {}),
            (JsonSchemaFormat("s"), {}),
            (JsonSchemaFormat("s", SCHEMA, strict=True), {"response_json_schema": SCHEMA}),
            (
                JsonSchemaFormat("s", SCHEMA, "The sum."),
                {"response_json_schema": {"description": "The sum.", **SCHEMA}},
            ),
        ],
    )
    def test_formats(self, wanted: Any, expected: dict[str, Any]):
        assert config(response_format=wanted) == {"response_mime_type": "application/json", **expected}
        assert config(response_format=wanted, tools=(NOW,), model=SIGNS).keys() >= expected.keys()

    def test_formats_beside_tools_are_asked_for_in_words_where_they_can_t_be_enforced(self):
        given = config(response_format=JsonSchemaFormat("s", SCHEMA), tools=(NOW,), instructions="Be brief.")
        assert given.keys() == {"tools", "system_instruction"}
        (part,) = given["system_instruction"]["parts"]
        assert part["text"].startswith("Be brief.\n\nAnswer with JSON that fits this JSON schema")
        assert '"sum"' in part["text"]
        given = config(response_format=JsonObjectFormat(), tools=(NOW,))
        assert "JSON object" in given["system_instruction"]["parts"][0]["text"]

    @pytest.mark.parametrize(
        ("name", "effort", "expected"),
        [
            (PLAIN, "none", {"thinking_budget": 0}),
            (PLAIN, "low", {"thinking_budget": 1024}),
            (PLAIN, "high", {"thinking_budget": 24576}),
            ("gemini-2.5-pro", "none", {"thinking_budget": 128}),
            ("gemini-3-flash", "none", {"thinking_level": "MINIMAL"}),
            ("gemini-3-flash", "medium", {"thinking_level": "MEDIUM"}),
            ("gemini-3-pro-preview", "minimal", {"thinking_level": "LOW"}),
            ("gemini-3-pro-preview", "medium", {"thinking_level": "HIGH"}),
            ("gemini-3.1-pro-preview", "medium", {"thinking_level": "MEDIUM"}),
            ("gemini-flash-latest", "xhigh", {"thinking_level": "HIGH"}),
            ("gemini-2.0-flash", "high", None),
            ("gemma-4-31b", "high", None),
            (PLAIN, "of-next-year", None),
        ],
    )
    def test_effort(self, name: str, effort: str, expected: Any):
        assert config(model=name, reasoning_effort=effort).get("thinking_config") == expected


@pytest.fixture(scope="module")
def server() -> Iterator[GoogleServer]:
    with GoogleServer() as server:
        yield server


@pytest.fixture(scope="module")
def client(server: GoogleServer) -> Iterator[Any]:
    client = client_of(server.url)
    yield client
    client.close()


TEXTS = st.sampled_from(["", "Hi.", "\N{SNOWMAN} {x}", "a\nb"])
USERS = st.builds(UserTurn, st.lists(TEXTS.map(TextPart) | st.just(PIXEL), max_size=3).map(tuple))
STATES = st.sampled_from(
    [
        None,
        {"anthropic": {"content": [1]}},
        {"google": {"model": "gemini-2.0-pro", "parts": [{"text": "Hi.", "thoughtSignature": "c2ln"}]}},
    ]
)


@st.composite
def answers(draw: st.DrawFn) -> list[Turn]:
    """What an assistant said, with the outputs of what it called."""
    names = draw(st.lists(st.sampled_from(["now", "add"]), max_size=3))
    calls = tuple(
        ToolCall(f"call_{index}", name, draw(st.sampled_from(["{}", "", '{"a": [1]}', "nonsense"])))
        for index, name in enumerate(names)
    )
    outputs = [ToolTurn(call.id, call.name, draw(TEXTS)) for call in calls]
    return [AssistantTurn(draw(TEXTS), calls, draw(STATES)), *outputs]


HISTORIES = st.lists(USERS.map(lambda turn: [turn]) | answers(), max_size=6).map(
    lambda turns: tuple(turn for some in turns for turn in some)
)
REQUESTS = st.builds(
    ModelRequest,
    model=st.sampled_from([SIGNS, PLAIN, "gemini-3-pro", "gemini-2.5-pro", "gemini-2.0-flash", "gemma-4"]),
    turns=HISTORIES,
    instructions=st.sampled_from([None, "Be brief."]),
    tools=st.sampled_from([(), (ADD, NOW), (FunctionTool("f", strict=True),)]),
    tool_choice=st.sampled_from([None, "none", "auto", "required"]),
    response_format=st.sampled_from([None, JsonObjectFormat(), JsonSchemaFormat("s", SCHEMA)]),
    reasoning_effort=st.sampled_from([None, "none", "minimal", "low", "medium", "high", "xhigh"]),
)


@given(REQUESTS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_api_takes_every_request(server: GoogleServer, client: Any, request: ModelRequest):
    said = list(client.models.generate_content_stream(**request_params(request, IMAGES)))
    assert said
    assert server.requests[-1].status == 200
