"""What the Responses wire remembers, and what it refuses to go on with."""

from typing import Any

import openai
import pytest

from supercompat.testing import (
    ScriptedServer,
    call,
    computer_call,
    mcp_approval,
    reasoning,
    text,
    tool_calls,
)
from tests.testing.openai_server.asking import ask

PATH = "/v1/responses"
GROQ_PATH = "/openai/v1/responses"
USER: dict[str, Any] = {"role": "user", "content": "Hi"}
SEALED = {"include": ["reasoning.encrypted_content"], "store": False}


def calls(call_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}", **more}


def answers(call_id: str, output: Any = "42") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def create(client: openai.OpenAI, given: Any = "Hi", **more: Any) -> Any:
    responses: Any = client.responses
    return responses.create(model="o3", input=given, **more)


def replayed(response: Any) -> list[dict[str, Any]]:
    """The items of a response as they go back."""
    return [item.to_dict() for item in response.output]


REFUSED: list[tuple[list[dict[str, Any]], str]] = [
    ([USER, calls("c1")], "No tool output found for function call c1."),
    ([USER, calls("c1"), USER, answers("c1")], "No tool output found for function call c1."),
    ([USER, calls("c1"), calls("c2"), answers("c1")], "No tool output found for function call c2."),
    ([USER, answers("c1")], "No tool call found for function call output with call_id c1."),
    ([USER, answers("c1"), calls("c1")], "No tool call found for function call output with call_id c1."),
    ([USER, calls("c1"), answers("c2")], "No tool call found for function call output with call_id c2."),
    ([USER, calls("c1"), answers("c1"), answers("c1")], "Duplicate output found for function call c1."),
]
TAKEN: list[list[dict[str, Any]]] = [
    [USER, calls("c1"), answers("c1")],
    [USER, calls("c1"), calls("c2"), answers("c2"), answers("c1"), USER],
    [USER, calls("c1"), answers("c1", [{"type": "input_text", "text": "42"}]), calls("c2"), answers("c2")],
    [USER, calls("c1", id="fc_1", status="completed"), answers("c1"), calls("c1"), answers("c1")],
    [USER, calls("c1"), {"role": "assistant", "content": "Wait."}, answers("c1")],
]


@pytest.mark.parametrize("path", [PATH, GROQ_PATH])
@pytest.mark.parametrize(("given", "words"), REFUSED, ids=range(len(REFUSED)))
def test_calls_are_answered_once_and_at_once(
    server: ScriptedServer, given: list[dict[str, Any]], words: str, path: str
) -> None:
    status, body = ask(server, {"model": "m", "input": given}, path=path)

    assert (status, body["error"].get("param")) == (400, "input")
    assert body["error"]["message"] == words


@pytest.mark.parametrize("path", [PATH, GROQ_PATH])
@pytest.mark.parametrize("given", TAKEN, ids=range(len(TAKEN)))
def test_calls_that_are_answered(server: ScriptedServer, given: list[dict[str, Any]], path: str) -> None:
    status, body = ask(server, {"model": "m", "input": given}, path=path)

    assert status == 200, body


def test_a_call_is_answered_behind_the_response_that_made_it(
    server: ScriptedServer, client: openai.OpenAI
) -> None:
    server.reply(tool_calls(call("f", "{}", id="c1")), text("Done."))
    asked = create(client)

    with pytest.raises(openai.BadRequestError, match="No tool output found for function call c1"):
        create(client, "And?", previous_response_id=asked.id)
    done = create(client, [answers("c1"), USER], previous_response_id=asked.id)

    assert done.output_text == "Done."
    with pytest.raises(openai.BadRequestError, match="Duplicate output found"):
        create(client, [answers("c1")], previous_response_id=done.id)


def test_the_log_shows_what_the_model_is_shown(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(tool_calls(call("f", "{}", id="c1")))
    asked = create(client, "One")

    echoed = create(client, [answers("c1")], previous_response_id=asked.id)

    context = server.requests[1].context
    assert [item["type"] for item in context] == ["message", "function_call", "function_call_output"]
    assert echoed.output_text == "One"


def test_instructions_are_of_one_response(server: ScriptedServer, client: openai.OpenAI) -> None:
    first = create(client, instructions="Be brief.")
    second = create(client, previous_response_id=first.id)

    assert (first.instructions, second.instructions) == ("Be brief.", None)


def test_what_is_not_stored_is_not_found(server: ScriptedServer, client: openai.OpenAI) -> None:
    unstored = create(client, store=False)

    assert unstored.to_dict()["store"] is False
    with pytest.raises(openai.NotFoundError, match=f"Response with id '{unstored.id}' not found"):
        client.responses.retrieve(unstored.id)
    with pytest.raises(openai.BadRequestError) as caught:
        create(client, previous_response_id=unstored.id)
    assert caught.value.code == "previous_response_not_found"


def test_a_stored_response_is_the_one_that_was_answered(
    server: ScriptedServer, client: openai.OpenAI
) -> None:
    *_, last = create(client, stream=True)

    assert client.responses.retrieve(last.response.id).to_dict() == last.response.to_dict()


def test_a_stream_that_was_left_is_not_stored(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(text("Hel").then_hang())

    with create(client, stream=True) as stream:
        response_id = next(stream).response.id
    assert server.requests[0].closed.wait(10)

    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response_id)


def test_what_is_deleted_is_gone(server: ScriptedServer, client: openai.OpenAI) -> None:
    response = create(client)

    status, body = ask(server, None, method="DELETE", path=f"{PATH}/{response.id}")

    assert (status, body) == (200, {"id": response.id, "object": "response", "deleted": True})
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(response.id)


def test_input_items_are_all_that_was_answered(server: ScriptedServer, client: openai.OpenAI) -> None:
    first = create(client, "One")
    second = create(client, [{"role": "user", "content": "Two"}], previous_response_id=first.id)

    listed = client.responses.input_items.list(second.id, order="asc", limit=2)
    newest = client.responses.input_items.list(second.id).data[0]

    assert listed.has_more
    assert [item.content[0].text for item in listed] == ["One", "One", "Two"]  # type: ignore[union-attr]
    assert newest.type == "message"
    assert newest.role == "user"


def test_pages_of_input_items(server: ScriptedServer, client: openai.OpenAI) -> None:
    said = [{"role": "user", "content": str(number)} for number in range(5)]
    response = create(client, said)

    listed = client.responses.input_items.list(response.id, limit=2)

    assert [item.content[0].text for item in listed] == ["4", "3", "2", "1", "0"]  # type: ignore[union-attr]
    assert [request.path.partition("?")[2].count("after=") for request in server.requests[1:]] == [0, 1, 1]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("/input_items?limit=0", 400),
        ("/input_items?limit=x", 400),
        ("/input_items?order=up", 400),
        ("/input_items?after=msg_0", 404),
        ("?stream=true&starting_after=x", 400),
    ],
)
def test_queries_that_are_refused(
    server: ScriptedServer, client: openai.OpenAI, query: str, status: int
) -> None:
    response = create(client, background=True, stream=True)
    response_id = next(response).response.id

    refused, body = ask(server, None, method="GET", path=f"{PATH}/{response_id}{query}")

    assert (refused, body["error"]["type"]) == (status, "invalid_request_error")


def test_thoughts_go_back_with_what_they_led_to(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(reasoning("Hm.") + tool_calls(call("f", "{}", id="c1")), text("Done."))
    thought, made = replayed(create(client, **SEALED))

    with pytest.raises(openai.BadRequestError) as without_call:
        create(client, [USER, thought], **SEALED)
    with pytest.raises(openai.BadRequestError) as without_thought:
        create(client, [USER, made, answers("c1")], **SEALED)
    done = create(client, [USER, thought, made, answers("c1")], **SEALED)

    assert str(without_call.value.body["message"]).endswith("without its required following item.")  # type: ignore[index]
    assert f"without its required 'reasoning' item: '{thought['id']}'" in without_thought.value.message
    assert done.output_text == "Done."


def test_a_call_without_its_id_needs_no_thought(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(reasoning("Hm.") + tool_calls(call("f", "{}", id="c1")), text("Done."))
    create(client, **SEALED)

    assert create(client, [USER, calls("c1"), answers("c1")], **SEALED).output_text == "Done."


def test_thoughts_that_were_not_stored_have_to_be_sealed(
    server: ScriptedServer, client: openai.OpenAI
) -> None:
    server.reply(*[reasoning("Hm.") + text("Yes.")] * 2)
    forgotten = replayed(create(client, store=False))
    kept = replayed(create(client))

    with pytest.raises(openai.NotFoundError, match="Items are not persisted when `store` is set to false"):
        create(client, [USER, *forgotten, USER])
    assert create(client, [USER, *kept, USER]).status == "completed"


def test_sealed_thoughts_are_not_to_be_changed(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(reasoning("Hm.") + text("Yes."))
    thought, said = replayed(create(client, **SEALED))

    with pytest.raises(openai.BadRequestError) as caught:
        create(client, [USER, thought | {"encrypted_content": "gAAAAnother"}, said, USER])

    assert caught.value.code == "invalid_encrypted_content"


def test_an_item_is_not_sent_twice(server: ScriptedServer, client: openai.OpenAI) -> None:
    response = create(client)

    with pytest.raises(openai.BadRequestError, match="Duplicate item found with id msg_"):
        create(client, [*replayed(response), USER], previous_response_id=response.id)


def test_items_may_be_referred_to(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(tool_calls(call("f", "{}", id="c1")))
    (made,) = create(client).output
    reference = {"type": "item_reference", "id": made.id}

    assert create(client, [USER, reference, answers("c1")]).status == "completed"
    with pytest.raises(openai.NotFoundError, match="Item with id 'fc_0' not found"):
        create(client, [USER, {"type": "item_reference", "id": "fc_0"}])


def test_a_computer_call_is_answered_with_a_screenshot(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(computer_call({"type": "wait"}, call_id="c1", safety_checks=[{"id": "s1", "code": "x"}]))
    asked = create(client)
    seen = {"type": "computer_screenshot", "image_url": "https://a.example/a.png"}
    shown: dict[str, Any] = {"type": "computer_call_output", "call_id": "c1", "output": seen}

    with pytest.raises(openai.BadRequestError, match="No computer screenshot output found"):
        create(client, "And?", previous_response_id=asked.id)
    with pytest.raises(openai.BadRequestError, match="No tool call found for function call output"):
        create(client, [answers("c1")], previous_response_id=asked.id)
    with pytest.raises(openai.BadRequestError, match="Safety check s1"):
        create(client, [shown], previous_response_id=asked.id)
    shown["acknowledged_safety_checks"] = [{"id": "s1"}]
    assert create(client, [shown], previous_response_id=asked.id).status == "completed"


def test_an_approval_is_of_a_request(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(mcp_approval("docs", "ask"), text("Asked."))
    (wanted,) = (asked := create(client)).output
    approval = {"type": "mcp_approval_response", "approval_request_id": wanted.id, "approve": True}

    assert create(client, [approval], previous_response_id=asked.id).output_text == "Asked."
    with pytest.raises(openai.BadRequestError, match="No approval request found"):
        create(client, [{**approval, "approval_request_id": "mcpr_0"}], previous_response_id=asked.id)


def test_what_is_forgotten_is_not_gone_on_from(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(reasoning("Hm.") + text("Hello"))
    response = create(client)
    server.forget()
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    with pytest.raises(openai.BadRequestError, match="not found"):
        create(client, previous_response_id=response.id)
    with pytest.raises(openai.NotFoundError, match="not persisted"):
        create(client, [USER, *replayed(response)])


def test_thoughts_are_for_models_that_think(server: ScriptedServer, client: openai.OpenAI) -> None:
    server.reply(reasoning("Hm.") + text("Hello"))
    response = create(client)
    responses: Any = client.responses
    with pytest.raises(openai.BadRequestError, match="Reasoning input items"):
        responses.create(model="gpt-4.1", input=[USER, *replayed(response)])
