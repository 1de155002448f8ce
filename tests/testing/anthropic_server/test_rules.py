"""What Anthropic's fake refuses, and in which words; what stands right beside it is taken."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from supercompat.testing import AnthropicServer, reasoning, text

KEY = {"authorization": "Bearer test"}
VERSION = {"anthropic-version": "2026-10-21"}
OLD = {"anthropic-version": "2023-06-01"}
USER = {"role": "user", "content": "Hi"}
TOOL: dict[str, Any] = {"name": "add", "input_schema": {"type": "object", "properties": {}}}
CALL: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}}
CALLED = {"role": "assistant", "content": [CALL]}
RESULT: dict[str, Any] = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "3"}
ANSWERED = {"role": "user", "content": [RESULT]}
CLOSED = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer() as server:
        yield server


def ask(
    server: AnthropicServer,
    body: Any,
    headers: dict[str, str] | None = None,
    *,
    path: str = "/v1/messages",
    key: dict[str, str] = KEY,
) -> tuple[int, dict[str, Any]]:
    """Status and JSON of one answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = Request(server.url + path, data, {**key, **(VERSION if headers is None else headers)})
    try:
        with urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def question(*messages: Any, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": "claude-haiku-4-5",
        "max_tokens": 100,
        "messages": list(messages) or [USER],
    }
    body.update(more)
    return {name: value for name, value in body.items() if value is not ...}


def refusal_of(server: AnthropicServer, body: Any, headers: dict[str, str] | None = None) -> str:
    status, answer = ask(server, body, headers)
    assert status == 400, answer
    assert answer["type"] == "error"
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["request_id"].startswith("req_")
    return answer["error"]["message"]


def formatted(schema: dict[str, Any]) -> dict[str, Any]:
    return {"format": {"type": "json_schema", "schema": schema}}


TAKEN: list[dict[str, Any]] = [
    question(),
    question(
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]}, system="Be kind.", stop_sequences=["."]
    ),
    question(USER, CALLED, ANSWERED, tools=[TOOL]),
    question(
        USER, CALLED, {"role": "user", "content": [RESULT, {"type": "text", "text": "?"}]}, tools=[TOOL]
    ),
    question(
        tools=[{**TOOL, "strict": True, "input_schema": CLOSED}], tool_choice={"type": "tool", "name": "add"}
    ),
    question(
        model="claude-opus-5-5",
        output_config={"effort": "max", **formatted(CLOSED)},
    ),
    question(max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024}),
    question(USER, {"role": "assistant", "content": "{"}),
]


@pytest.mark.parametrize("body", TAKEN)
def test_taken(server: AnthropicServer, body: dict[str, Any]):
    server.reply(text("Hello"))
    status, answer = ask(server, body)
    assert (status, answer.get("role")) == (200, "assistant"), answer
    assert server.pending == 0


BUDGET = {"type": "enabled", "budget_tokens": 1024}
WORDS = {"type": "text", "text": "?"}
NEWEST = "claude-opus-5-5"


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def image(**source: str) -> dict[str, Any]:
    return question(user({"type": "image", "source": source}))


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("max_tokens: Field required", question(max_tokens=...)),
    ("model: Field required", question(model=...)),
    ("messages: Field required", question(messages=...)),
    ("messages: List should have at least 1 item", question(messages=[])),
    ("max_tokens: Input should be greater than or equal to 1", question(max_tokens=0)),
    ("max_tokens: 64001 > 64000", question(max_tokens=64001)),
    ("seed: Extra inputs are not permitted", question(seed=7)),
    ("temperature: Extra inputs are not permitted", question(temperature=1.0)),
    ("top_p: Extra inputs are not permitted", question(top_p=1.0)),
    ("top_k: Extra inputs are not permitted", question(top_k=1)),
    ("messages.0: Unable to extract tag using discriminator 'role'", question({"content": "Hi"})),
    ("messages.0: Input tag 'system'", question({"role": "system", "content": "Hi"})),
    ('first message must use the "user" role', question({"role": "assistant", "content": "Hi"}, USER)),
    ("roles must alternate", question(USER, USER)),
    (
        "does not support assistant message prefill",
        question(USER, {"role": "assistant", "content": "{"}, model="claude-opus-5"),
    ),
    ("all messages must have non-empty content", question(user())),
    ("system: text content blocks must be non-empty", question(system=[{"type": "text", "text": ""}])),
    ("messages: text content blocks must be non-empty", question(user({"type": "text", "text": ""}))),
    ("must contain non-whitespace text", question({"role": "user", "content": " \n"})),
    (
        "`tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
        question(USER, CALLED, USER, tools=[TOOL]),
    ),
    ("`tool_use` ids were found without", question(USER, CALLED, tools=[TOOL])),
    ("unexpected `tool_use_id` found in `tool_result` blocks: toolu_1", question(ANSWERED, tools=[TOOL])),
    ("must come first", question(USER, CALLED, user(WORDS, RESULT), tools=[TOOL])),
    ("must have a single result", question(USER, CALLED, user(RESULT, RESULT), tools=[TOOL])),
    ("`tool_use` ids must be unique", question(USER, assistant(CALL, CALL), ANSWERED, tools=[TOOL])),
    ("`tool_use` ids must be unique", question(USER, CALLED, ANSWERED, CALLED, ANSWERED, tools=[TOOL])),
    (
        "should match pattern '^[a-zA-Z0-9_-]+$'",
        question(USER, assistant({**CALL, "id": "call:1"}), USER, tools=[TOOL]),
    ),
    ("must define tools", question(USER, CALLED, ANSWERED)),
    ("input_schema: Field required", question(tools=[{"name": "add"}])),
    ("input_schema.type", question(tools=[{"name": "add", "input_schema": {"type": "array"}}])),
    ("tools.0.name: String should match", question(tools=[{**TOOL, "name": "a b"}])),
    ("Tool names must be unique", question(tools=[TOOL, TOOL])),
    ("'additionalProperties' must be explicitly set to false", question(tools=[{**TOOL, "strict": True}])),
    (
        "property 'minimum' is not supported",
        question(output_config=formatted({"type": "integer", "minimum": 1})),
    ),
    ("tool_choice: may only be specified while providing tools", question(tool_choice={"type": "auto"})),
    ("Tool 'sub' not found", question(tools=[TOOL], tool_choice={"type": "tool", "name": "sub"})),
    (
        "tool_choice.none.disable_parallel_tool_use",
        question(tools=[TOOL], tool_choice={"type": "none", "disable_parallel_tool_use": True}),
    ),
    ("forced tool use is not supported", question(model=NEWEST, tools=[TOOL], tool_choice={"type": "any"})),
    (
        "Thinking may not be enabled when tool_choice forces tool use",
        question(max_tokens=2000, thinking=BUDGET, tools=[TOOL], tool_choice={"type": "any"}),
    ),
    (
        "budget_tokens: Input should be greater than or equal to 1024",
        question(thinking={"type": "enabled", "budget_tokens": 99}),
    ),
    ("`max_tokens` must be greater than", question(max_tokens=1024, thinking=BUDGET)),
    ('"thinking.type.adaptive" is not supported', question(thinking={"type": "adaptive"})),
    ('"thinking.type.disabled" is not supported', question(model=NEWEST, thinking={"type": "disabled"})),
    (
        "not supported with effort max",
        question(model="claude-opus-5", thinking={"type": "disabled"}, output_config={"effort": "max"}),
    ),
    ("output_config.effort: 'high' is not supported", question(output_config={"effort": "high"})),
    (
        "must start with a thinking block",
        question(USER, CALLED, ANSWERED, max_tokens=2000, tools=[TOOL], thinking=BUDGET),
    ),
    (
        "`document` blocks are not permitted",
        question(USER, assistant({"type": "document", "source": {}}), USER),
    ),
    ("media_type", image(type="base64", media_type="image/jpg", data="aGk=")),
    ("source.url", image(type="url", url="data:,")),
]


@pytest.mark.parametrize(("words", "body"), REFUSED)
def test_refused(server: AnthropicServer, words: str, body: dict[str, Any]):
    assert words in refusal_of(server, body)


class TestVersions:
    def test_the_header_is_required(self, server: AnthropicServer):
        assert "anthropic-version" in refusal_of(server, question(), {})
        assert "anthropic-version" in refusal_of(server, question(), {"anthropic-version": "2024-01-01"})

    def test_the_old_one_takes_a_temperature(self, server: AnthropicServer):
        assert ask(server, question(temperature=0.5), OLD)[0] == 200
        assert "less than or equal to 1" in refusal_of(server, question(temperature=1.5), OLD)
        assert "cannot both be specified" in refusal_of(server, question(temperature=0.5, top_p=1.0), OLD)
        assert "only takes the default" in refusal_of(
            server, question(temperature=0.5, model="claude-opus-5"), OLD
        )
        thinking = {"type": "enabled", "budget_tokens": 1024}
        assert "may only be set to 1" in refusal_of(
            server, question(temperature=0.5, max_tokens=2000, thinking=thinking), OLD
        )


class TestThinking:
    MODEL = "claude-opus-5-5"

    def thought(self, server: AnthropicServer, **more: Any) -> list[dict[str, Any]]:
        """What the model answers to `question`, with its thinking first."""
        server.reply(reasoning("H", "m.") + text("Yes."))
        _, answer = ask(server, question(**{"model": self.MODEL, **more}))
        return answer["content"]

    def back(self, content: Any, **more: Any) -> dict[str, Any]:
        said = {"role": "assistant", "content": content}
        return question(USER, said, USER, **{"model": self.MODEL, **more})

    def test_is_taken_back(self, server: AnthropicServer):
        content = self.thought(server)
        assert (content[0]["type"], content[0]["thinking"]) == ("thinking", "Hm.")
        assert ask(server, self.back(content))[0] == 200

    def test_is_not_taken_back_changed(self, server: AnthropicServer):
        thought, words = self.thought(server)
        for change in ({"thinking": "Ha."}, {"signature": "?"}, {"signature": thought["signature"][:-8]}):
            assert "Invalid `signature`" in refusal_of(server, self.back([{**thought, **change}, words]))

    def test_is_bound_to_the_conversation(self, server: AnthropicServer):
        content = self.thought(server)
        assert "bound to a different conversation" in refusal_of(
            server, self.back(content, system="Be brief.")
        )
        assert "bound to a different conversation" in refusal_of(server, self.back(content, tools=[TOOL]))

    def test_of_another_model_is_ignored(self, server: AnthropicServer):
        content = self.thought(server, model="claude-opus-5")
        assert ask(server, self.back(content, system="Be brief."))[0] == 200

    def test_older_models_do_not_look_around(self, server: AnthropicServer):
        content = self.thought(server, model="claude-haiku-4-5")
        assert ask(server, self.back(content, model="claude-haiku-4-5", system="Be brief."))[0] == 200


class TestAccess:
    def test_a_key_is_required(self, server: AnthropicServer):
        status, answer = ask(server, question(), key={})
        assert (status, answer["error"]["type"]) == (401, "authentication_error")
        assert ask(server, question(), key={"x-api-key": "test"})[0] == 200

    def test_only_json_objects(self, server: AnthropicServer):
        for body in (b"{", b"[]", b"NaN"):
            assert "not valid JSON" in refusal_of(server, body)

    def test_other_paths(self, server: AnthropicServer):
        status, answer = ask(server, question(), path="/v1/complete")
        assert (status, answer["error"]["type"]) == (404, "not_found_error")

    def test_only_models_that_exist(self):
        with AnthropicServer(models=["claude-haiku-4-5"]) as server:
            assert ask(server, question())[0] == 200
            status, answer = ask(server, question(model="claude-opus-5"))
            assert (status, answer["error"]["message"]) == (404, "model: claude-opus-5")

    def test_vertex_has_the_version_in_the_body(self, server: AnthropicServer):
        path = "/v1/projects/p/locations/global/publishers/anthropic/models/claude-haiku-4-5:rawPredict"
        body = question(model=...)
        assert ask(server, {**body, "anthropic_version": "vertex-2023-10-16"}, {}, path=path)[0] == 200
        assert ask(server, body, {}, path=path)[1]["error"]["message"] == "anthropic_version: Field required"
        body |= {"anthropic_version": "2026-10-21", "model": "m"}
        assert "model: Extra inputs" in ask(server, body, {}, path=path)[1]["error"]["message"]
