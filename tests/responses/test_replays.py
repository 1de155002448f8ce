"""What a provider is reminded of that it does not know any more, can't read, or never kept."""

from typing import Any

import pytest

from supercompat.testing import call, error, image_generation, reasoning, text, tool_calls
from tests.responses.conftest import MakeTalk, Talk
from tests.responses.raw_events import EventServer, answered, done, message

ADD: dict[str, Any] = {"type": "function", "function": {"name": "add"}}
THINK = reasoning("Hm.") + text("Wait. ") + tool_calls(call("add", "{}"))
SAID = ["message", "message", "function_call", "function_call_output"]

#: The words of OpenAI, of its organizations of which nothing is kept, and of vLLM.
FORGOTTEN = [
    error(400, "Gone.", code="previous_response_not_found"),
    error(400, "Previous response cannot be used for this organization due to Zero Data Retention."),
    error(404, "Response with id 'resp_1' not found."),
]
#: Of OpenAI, and of Azure.
UNREADABLE = [
    error(400, "It could not be verified.", code="invalid_encrypted_content"),
    error(400, "The encrypted content gAAA...wXBV could not be verified."),
    error(404, "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false."),
    error(
        400, "Item 'fc_1' of type 'function_call' was provided without its required 'reasoning' item: 'rs_1'."
    ),
]


def reminded_of(asked: Talk) -> list[dict[str, Any]]:
    return asked.asked[-1]["input"]


def kinds(asked: Talk) -> list[str]:
    return [item["type"] for item in reminded_of(asked)]


def test_answers_that_are_deleted(talk: MakeTalk) -> None:
    """The thread is the truth. Ids that mean nothing any more, and reasoning that is only an id, are refused."""
    asked = talk(how={"store": True}, model="gpt-5", tools=[ADD])
    run = asked.run(THINK)
    asked.provider.forget()
    run = asked.submit(run, tool_calls(call("add", "{}")), add="1")
    assert [("previous_response_id" in body) for body in asked.asked] == [False, True, False]
    assert kinds(asked) == SAID
    assert not any("id" in item for item in reminded_of(asked))
    asked.provider.forget()
    run = asked.submit(run, text("Done."), add="2")
    assert run.status == "completed", run.last_error
    assert kinds(asked) == [*SAID, "function_call", "function_call_output"]


@pytest.mark.parametrize("refused", FORGOTTEN)
def test_an_answer_that_the_provider_does_not_keep(talk: MakeTalk, refused: Any) -> None:
    asked = talk(how={"store": True}, tools=[ADD])
    run = asked.run(tool_calls(call("add", "{}")))
    asked.provider.reply(refused)
    run = asked.submit(run, text("Done."), add="1")
    assert run.status == "completed", run.last_error
    assert [("previous_response_id" in body) for body in asked.asked] == [False, True, False]


@pytest.mark.parametrize("refused", UNREADABLE)
def test_reasoning_that_can_not_be_read(talk: MakeTalk, refused: Any) -> None:
    """As another account's, when the key was changed."""
    asked = talk(how={"store": False}, model="gpt-5", tools=[ADD])
    run = asked.run(THINK)
    asked.provider.reply(refused)
    run = asked.submit(run, text("Done."), add="1")
    assert run.status == "completed", run.last_error
    assert "reasoning" in [item["type"] for item in asked.asked[1]["input"]]
    assert kinds(asked) == SAID


@pytest.mark.parametrize("store", [False, True])
def test_a_refusal_of_something_else_is_not_tried_again(talk: MakeTalk, store: bool) -> None:
    asked = talk(how={"store": store}, tools=[ADD])
    run = asked.run(tool_calls(call("add", "{}")))
    asked.provider.reply(error(400, "This item of the menu is too long."))
    run = asked.submit(run, add="1")
    assert (run.status, run.last_error.code) == ("failed", "invalid_prompt")
    assert len(asked.asked) == 2


def test_another_model_is_not_sent_the_reasoning(talk: MakeTalk) -> None:
    asked = talk(how={"store": False}, model="gpt-5", tools=[ADD])
    run = asked.run(THINK)
    assert asked.submit(run, text("One."), add="1").status == "completed"
    run = asked.run(text("Again one."), model="gpt-4.1")
    assert run.status == "completed", run.last_error
    assert kinds(asked) == [*SAID, "message"]


@pytest.mark.parametrize(("model", "tries"), [("my-deployment", 1), ("gpt-5-chat-latest", 2), ("gpt-4.1", 1)])
def test_reasoning_of_a_deployment(talk: MakeTalk, model: str, tries: int) -> None:
    """Its name need not say whether it reasons. It is asked for its reasoning until it has none."""
    asked = talk(how={"store": False}, azure=True, model=model, tools=[ADD])
    thinks = model == "my-deployment"
    run = asked.run(THINK if thinks else tool_calls(call("add", "{}")))
    run = asked.submit(run, text("Done."), add="1")
    assert run.status == "completed", run.last_error
    assert ("reasoning" in kinds(asked)) is thinks
    assert len(asked.asked) == tries + 1


def test_reasoning_of_a_model_whose_name_does_not_say_so(talk: MakeTalk) -> None:
    """On a server that is not known: what it thought comes without its content, and means nothing without it."""
    asked = talk(how={"store": False}, model="my-deployment", tools=[ADD])
    run = asked.run(THINK)
    run = asked.submit(run, text("Done."), add="1")
    assert run.status == "completed", run.last_error
    assert kinds(asked) == SAID


def test_what_is_kept_is_named(talk: MakeTalk) -> None:
    """Where a budget decides what is sent, and the provider keeps its answers: images go by their ids."""
    asked = talk(how={"store": True}, model="gpt-5", tools=[ADD, {"type": "image_generation"}])
    drawn = reasoning("Hm.") + image_generation("AAAA") + tool_calls(call("add", "{}"))
    run = asked.run(drawn, max_prompt_tokens=1000)
    run = asked.submit(run, text("Done."), add="1")
    assert run.status == "completed", run.last_error
    assert kinds(asked) == ["message", "reasoning", "item_reference", "function_call", "function_call_output"]


def test_an_answer_that_says_it_is_not_kept(talk: MakeTalk) -> None:
    """Whatever was asked for: of some organizations nothing is."""
    thought: dict[str, Any] = {"id": "rs_1", "type": "reasoning", "summary": []}
    called = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{}"}
    first = answered(done(0, thought), done(1, called), store=False)
    with EventServer(first, answered(done(0, message("Done.")))) as server:
        asked = talk(server=server, how={"store": True}, tools=[ADD])
        run = asked.submit(asked.run_as_scripted(), add="1")
    assert run.status == "completed"
    assert "previous_response_id" not in asked.asked[-1]
    assert kinds(asked) == ["message", "function_call", "function_call_output"]
    assert not any("id" in item for item in reminded_of(asked))
