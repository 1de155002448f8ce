"""What a provider is asked for, and what becomes of how it answers."""

from threading import Event
from typing import Any

import groq
import httpx2
import openai
import pytest

from supercompat import (
    AnthropicClientAdapter,
    AzureOpenAIClientAdapter,
    CompletionsRunAdapter,
    GroqClientAdapter,
    OpenAIClientAdapter,
    ResponsesRunAdapter,
    supercompat,
)
from supercompat.client_adapters.registry import adapter_for
from supercompat.errors import ConfigurationError, UnknownClientError
from supercompat.testing import (
    Gate,
    Reply,
    ScriptedServer,
    Usage,
    call,
    drop,
    error,
    reasoning,
    refusal,
    text,
    tool_calls,
)
from tests.responses.conftest import MakeTalk, Talk

NOTHING: dict[str, Any] = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
ADD: dict[str, Any] = {
    "type": "function",
    "function": {"name": "add", "description": "Adds", "strict": True, "parameters": NOTHING},
}
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}}


def test_all_settings(talk: MakeTalk) -> None:
    asked = talk(
        how={"store": True},
        instructions="Be kind.",
        tools=[ADD],
        temperature=0.5,
        top_p=0.9,
        response_format={"type": "json_schema", "json_schema": {"name": "sum", "schema": SCHEMA}},
    )
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
    run = asked.run(
        text("{}"),
        additional_messages=[{"role": "user", "content": [{"type": "text", "text": "This:"}, image]}],
        max_completion_tokens=99,
        metadata={"k": "v"},
        parallel_tool_calls=False,
        tool_choice={"type": "function", "function": {"name": "add"}},
    )
    assert run.status == "completed", run.last_error
    [body] = asked.asked
    said = body.pop("input")
    assert [part["type"] for part in said[1]["content"]] == ["input_text", "input_image"]
    assert said[1]["content"][1] == {
        "type": "input_image",
        "image_url": "data:image/png;base64,AAAA",
        "detail": "low",
    }
    [tool] = body.pop("tools")
    assert (tool["name"], tool["description"], tool["strict"]) == ("add", "Adds", True)
    assert body == {
        "model": "gpt-4.1",
        "instructions": "Be kind.",
        "stream": True,
        "tool_choice": {"type": "function", "name": "add"},
        "parallel_tool_calls": False,
        "text": {"format": {"type": "json_schema", "name": "sum", "schema": SCHEMA}},
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 99,
        "store": True,
        "truncation": "auto",
        "metadata": {"k": "v"},
    }


def test_reasoning_effort(talk: MakeTalk) -> None:
    asked = talk(model="gpt-5", reasoning_effort="low")
    run = asked.run(reasoning("Hm.") + text("Hello").with_usage(Usage(20, 9, cached=4, reasoning=5)))
    assert asked.asked[0]["reasoning"] == {"effort": "low"}
    assert (run.usage.prompt_tokens, run.usage.completion_tokens) == (20, 9)
    details: Any = run.usage.to_dict()
    assert details["prompt_token_details"] == {"cached_tokens": 4}
    assert details["completion_tokens_details"] == {"reasoning_tokens": 5}


def test_instructions_alone(talk: MakeTalk) -> None:
    asked = talk(instructions="Greet.")
    asked.thread_id = asked.client.beta.threads.create().id
    assert asked.run(text("Hello")).status == "completed"
    assert [item["role"] for item in asked.asked[0]["input"]] == ["developer"]


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5"])
def test_rounds_of_tools(talk: MakeTalk, store: bool, model: str) -> None:
    """By the answer that the provider keeps, or with all that it said, its sealed reasoning too."""
    asked = talk(how={"store": store}, model=model, tools=[ADD])
    thought = reasoning("Hm.") if model == "gpt-5" else text("Wait. ")
    run = asked.run(thought + tool_calls(call("add", '{"a":1}'), call("add", '{"a":2}')))
    run = asked.submit(run, thought + tool_calls(call("add", "{}")), add="3")
    run = asked.submit(run, text("Done."), add="4")
    assert run.status == "completed", run.last_error
    first, second, third = asked.asked
    if store:
        assert "previous_response_id" not in first
        assert [item["type"] for item in second["input"]] == ["function_call_output"] * 2
        assert [item["type"] for item in third["input"]] == ["function_call_output"]
        assert len({second["previous_response_id"], third["previous_response_id"]}) == 2
    else:
        kind = "reasoning" if model == "gpt-5" else "message"
        outputs = ["function_call_output"]
        round_one = ["message", kind, "function_call", "function_call", *outputs * 2]
        assert [item["type"] for item in second["input"]] == round_one
        assert [item["type"] for item in third["input"]] == [*round_one, kind, "function_call", *outputs]
        assert all(body["store"] is False for body in asked.asked)
        sealed = [item.get("encrypted_content") for item in third["input"] if item["type"] == "reasoning"]
        assert len(sealed) == (2 if model == "gpt-5" else 0)
        assert all(sealed)
    # Another run begins with the thread alone.
    asked.client.beta.threads.messages.create(asked.thread_id, role="user", content="And?")
    assert asked.run(text("No.")).status == "completed"
    assert "previous_response_id" not in asked.asked[3]


def test_an_answer_that_the_provider_forgot(talk: MakeTalk) -> None:
    """The thread is the truth: all of it is sent then."""
    asked = talk(how={"store": True}, tools=[ADD])
    run = asked.run(tool_calls(call("add", "{}")))
    asked.provider.reply(error(400, "Gone.", code="previous_response_not_found"))
    run = asked.submit(run, text("Done."), add="1")
    assert run.status == "completed", run.last_error
    assert [("previous_response_id" in body) for body in asked.asked] == [False, True, False]


def test_a_prompt_budget_is_kept_in_every_round(talk: MakeTalk) -> None:
    """What it leaves out must not come along with the answer that the provider keeps."""
    asked = talk(how={"store": True}, tools=[ADD])
    run = asked.run(tool_calls(call("add", "{}")), max_prompt_tokens=1000)
    assert asked.submit(run, text("Done."), add="1").status == "completed"
    assert "previous_response_id" not in asked.asked[1]


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_completion_tokens"), ("content_filter", "content_filter")]
)
def test_incomplete(talk: MakeTalk, finish: str, reason: str) -> None:
    run = talk().run(text("Hel", finish=finish))
    assert (run.status, run.incomplete_details.reason) == ("incomplete", reason)


def test_failed(talk: MakeTalk) -> None:
    asked = talk()
    run = asked.run(text("Hel").then_fail("Too many.", code="rate_limit_exceeded"))
    assert (run.status, run.last_error.code) == ("failed", "rate_limit_exceeded")
    assert run.last_error.message == "Too many."
    assert asked.answer().status == "incomplete"


def test_refusal(talk: MakeTalk) -> None:
    asked = talk()
    asked.run(refusal("No", "."))
    [part] = asked.answer().content
    assert (part.type, part.refusal) == ("refusal", "No.")


def test_errors(talk: MakeTalk) -> None:
    asked = talk()
    for reply in (error(500, "Down."), text("Hel").then_error("Down."), text("Hel").then_drop(), drop()):
        run = asked.run(reply)
        assert (run.status, run.last_error.code) == ("failed", "server_error")
        assert "Down." in run.last_error.message or run.last_error.message


def test_cancel_closes_the_stream(talk: MakeTalk) -> None:
    asked = talk()
    gate = Gate()
    asked.provider.reply(text("Hel", gate, "lo"))
    run = asked.client.beta.threads.runs.create(asked.thread_id, assistant_id=asked.assistant_id)
    assert gate.reached.wait(10)
    asked.client.beta.threads.runs.cancel(run.id, thread_id=asked.thread_id)
    assert asked.provider.requests[-1].closed.wait(10)
    assert [each.path for each in asked.provider.requests] == ["/v1/responses"]


def test_cancel_in_the_background(talk: MakeTalk) -> None:
    asked = talk(how={"background": True})
    asked.provider.reply(text("Hel", Gate(), "lo"))
    events = asked.client.beta.threads.runs.create(
        asked.thread_id, assistant_id=asked.assistant_id, stream=True
    )
    run: Any = next(event.data for event in events if event.event == "thread.run.in_progress")
    assert next(event for event in events if event.event == "thread.message.delta")
    asked.client.beta.threads.runs.cancel(run.id, thread_id=asked.thread_id)
    assert [event.event for event in events][-2:] == ["thread.run.step.cancelled", "thread.run.cancelled"]
    asked.client.close()
    assert asked.provider.requests[-1].path.endswith("/cancel")


class Slow:
    """A provider that says nothing to a request, not even headers, until it may."""

    def __init__(self) -> None:
        self.is_asked, self.may_answer = Event(), Event()

    def __call__(self, _: object) -> Reply:
        self.is_asked.set()
        assert self.may_answer.wait(10)
        return text("Hel", Gate(), "lo")


def cancelled(asked: Talk, slow: Slow) -> str:
    """The id of a run that is cancelled before the provider has named its answer."""
    asked.provider.reply(slow)
    runs = asked.client.beta.threads.runs
    run = runs.create(asked.thread_id, assistant_id=asked.assistant_id)
    assert slow.is_asked.wait(10)
    assert runs.cancel(run.id, thread_id=asked.thread_id).status == "cancelling"
    return run.id


def test_cancel_before_the_answer_has_a_name(talk: MakeTalk) -> None:
    """It would go on at the provider for nothing."""
    asked, slow = talk(how={"background": True}), Slow()
    run_id = cancelled(asked, slow)
    slow.may_answer.set()
    assert asked.client.beta.threads.runs.poll(run_id, thread_id=asked.thread_id).status == "cancelled"
    asked.client.close()
    assert asked.provider.requests[-1].path.endswith("/cancel")


@pytest.mark.slow
def test_cancel_does_not_wait_for_long_for_the_name(talk: MakeTalk) -> None:
    asked, slow = talk(how={"background": True}), Slow()
    run_id = cancelled(asked, slow)
    assert asked.client.beta.threads.runs.poll(run_id, thread_id=asked.thread_id).status == "cancelled"
    slow.may_answer.set()
    assert asked.provider.requests[0].closed.wait(10)


def test_a_line_that_drops_in_the_background(talk: MakeTalk) -> None:
    """The rest is read by the number of the last event that came."""
    asked = talk(how={"background": True})
    run = asked.run(text("Hel", "lo").then_drop())
    assert run.status == "completed"
    again = asked.provider.requests[1]
    assert again.method == "GET"
    assert "starting_after=" in again.path


def test_a_provider_that_is_away_for_a_moment(provider: ScriptedServer) -> None:
    """What it does in the background goes on meanwhile; the rest is asked for again."""

    class Away(httpx2.HTTPTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            if request.method == "GET" and failures:
                if failures.pop() == "refused":
                    raise httpx2.ConnectError("refused", request=request)
                return httpx2.Response(503, json={"error": {"message": "Overloaded."}}, request=request)
            return super().handle_request(request)

    failures = ["overloaded", "refused"]
    provider.reply(text("Hel", "lo").then_drop())
    with (
        httpx2.Client(transport=Away()) as http,
        openai.OpenAI(
            base_url=provider.base_url, api_key="test-key", max_retries=0, http_client=http
        ) as inner,
        supercompat(client=inner, run_adapter=ResponsesRunAdapter(background=True)) as client,
    ):
        assistant = client.beta.assistants.create(model="gpt-4.1")
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
        runs = client.beta.threads.runs
        run = runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        assert (run.status, run.last_error) == ("completed", None)
        [answer, _] = client.beta.threads.messages.list(thread.id)
        assert [part.text.value for part in answer.content if part.type == "text"] == ["Hello"]
    assert not failures


def test_groq() -> None:
    with (
        ScriptedServer() as server,
        groq.Groq(base_url=server.url, api_key="test-key", max_retries=0) as inner,
    ):
        server.reply(tool_calls(call("add", "{}")), text("2"), text('{"a":1}'))
        with supercompat(client=inner, run_adapter=ResponsesRunAdapter()) as client:
            tools: Any = [ADD]
            assistant = client.beta.assistants.create(model="openai/gpt-oss-20b", tools=tools)
            thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
            of_thread: Any = {"thread_id": thread.id, "assistant_id": assistant.id}
            run = client.beta.threads.runs.create_and_poll(**of_thread)
            assert run.required_action, run.last_error
            [waiting] = run.required_action.submit_tool_outputs.tool_calls
            run = client.beta.threads.runs.submit_tool_outputs_and_poll(
                run_id=run.id,
                thread_id=thread.id,
                tool_outputs=[{"tool_call_id": waiting.id, "output": "2"}],
            )
            assert run.status == "completed", run.last_error
            schema: Any = {"type": "json_schema", "json_schema": {"name": "sum", "schema": SCHEMA}}
            run = client.beta.threads.runs.create_and_poll(**of_thread, tools=[], response_format=schema)
            assert run.status == "completed", run.last_error
        assert {each.path for each in server.requests} == {"/openai/v1/responses"}
        assert [each.body.get("stream") for each in server.requests] == [True, True, None]


def test_azure() -> None:
    with ScriptedServer() as server:
        inner = openai.AzureOpenAI(
            azure_endpoint=server.url, api_key="test-key", api_version="2025-04-01-preview"
        )
        with inner, supercompat(client=inner, run_adapter=ResponsesRunAdapter()) as client:
            assistant = client.beta.assistants.create(model="my-gpt")
            thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
            run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
            assert run.status == "completed", run.last_error
        [asked] = server.requests
        assert asked.path == "/openai/responses?api-version=2025-04-01-preview"
        assert isinstance(adapter_for(inner), AzureOpenAIClientAdapter)
    with openai.OpenAI(api_key="test-key") as other, pytest.raises(UnknownClientError):
        AzureOpenAIClientAdapter(other)  # pyright: ignore[reportArgumentType]


def test_providers_without_the_api_are_refused() -> None:
    anthropic = pytest.importorskip("anthropic")
    with openai.OpenAI(api_key="test-key") as known, anthropic.Anthropic(api_key="test-key") as other:
        routes = {"claude-*": AnthropicClientAdapter(other), "*": OpenAIClientAdapter(known)}
        with pytest.raises(ConfigurationError, match=r"claude-.*CompletionsRunAdapter"):
            supercompat(client=routes, run_adapter=ResponsesRunAdapter())
    with (
        groq.Groq(api_key="test-key") as inner,
        pytest.raises(ConfigurationError, match="background can't be"),
    ):
        supercompat(client=GroqClientAdapter(inner), run_adapter=ResponsesRunAdapter(background=True))
    with pytest.raises(ConfigurationError, match="store=False"):
        ResponsesRunAdapter(store=False, background=True)


def test_several_providers() -> None:
    with ScriptedServer() as server, ScriptedServer() as second:
        with (
            openai.OpenAI(base_url=server.base_url, api_key="test-key") as one,
            groq.Groq(base_url=second.url, api_key="test-key") as two,
            supercompat(
                client={"gpt-4*": one, "*": two},
                run_adapter=ResponsesRunAdapter(),
                models={"mine": "gpt-4.1"},
            ) as client,
        ):
            thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
            search: Any = [{"type": "web_search"}]
            assistant = client.beta.assistants.create(model="mine", tools=search)
            for model in ("mine", "openai/gpt-oss-20b"):
                client.beta.threads.runs.create_and_poll(
                    thread_id=thread.id, assistant_id=assistant.id, model=model, tools=[]
                )
            with pytest.raises(openai.BadRequestError, match="web_search"):
                client.beta.assistants.create(model="openai/gpt-oss-20b", tools=search)
        assert [each.body["model"] for each in server.requests] == ["gpt-4.1"]
        assert [each.body["model"] for each in second.requests] == ["openai/gpt-oss-20b"]


@pytest.mark.parametrize("kind", ["file_search", "code_interpreter", "web_search", "mcp"])
def test_hosted_tools_need_this_run_adapter(provider: ScriptedServer, kind: str) -> None:
    with (
        openai.OpenAI(base_url=provider.base_url, api_key="test-key") as inner,
        supercompat(client=inner, run_adapter=CompletionsRunAdapter()) as client,
    ):
        tools: Any = [ADD, {"type": kind}]
        with pytest.raises(openai.BadRequestError, match=r"ResponsesRunAdapter\(\)") as refused:
            client.beta.assistants.create(model="gpt-4.1", tools=tools)
        assert (refused.value.param, refused.value.code) == ("tools[1].type", "unsupported_value")
        assistant = client.beta.assistants.create(model="gpt-4.1")
        thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
        with pytest.raises(openai.BadRequestError, match=kind):
            client.beta.threads.runs.create(thread.id, assistant_id=assistant.id, tools=tools)
    assert provider.requests == []


def test_what_is_left_of_a_limit(talk: MakeTalk) -> None:
    """The API takes no limit below 16."""
    asked = talk(tools=[ADD])
    run = asked.run(tool_calls(call("add", "{}")).with_usage(Usage(5, 25)), max_completion_tokens=30)
    run = asked.submit(run, text("Done.").with_usage(Usage(7, 3, cached=2, reasoning=1)), add="1")
    assert run.status == "completed", run.last_error
    assert [body["max_output_tokens"] for body in asked.asked] == [30, 16]
    assert run.usage.to_dict() == {
        "prompt_tokens": 12,
        "completion_tokens": 28,
        "total_tokens": 40,
        "prompt_token_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
