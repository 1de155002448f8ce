"""`Options(strict=True)`: what the hosted API refused is refused, and else taken."""

from functools import partial

import pytest
from openai import OpenAI

from supercompat import Options
from tests.contract.conftest import MakeClient
from tests.contract.wire import Json, Refusal, error_of, post, refused, send

STRICT = Options(strict=True, drain=0)
HEADER = "OpenAI-Beta"
NO_BETA = (
    "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting the header "
    "'OpenAI-Beta: assistants=v2'."
)


@pytest.fixture
def strict(make_client: MakeClient) -> OpenAI:
    return make_client(options=STRICT, default_headers={HEADER: "assistants=v2"})


def saying(*contents: object) -> list[Json]:
    return [{"role": "user", "content": content} for content in contents]


def image(url: str) -> list[Json]:
    return [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]


@pytest.mark.conforms("C-065")
def test_how_many_messages_a_thread_begins_with(client: OpenAI, strict: OpenAI) -> None:
    few, many = saying(*["Hi"] * 32), saying(*["Hi"] * 33)
    too_long = (
        "Invalid '{}': array too long. "
        "Expected an array with maximum length 32, but got an array with length 33 instead."
    )
    assistant = strict.beta.assistants.create(model="gpt-4o-mini").id
    assert post(strict, "/threads", {"messages": few})["object"] == "thread"
    assert post(client, "/threads", {"messages": many})["object"] == "thread"
    code = "array_above_max_length"
    assert refused(partial(post, strict, "/threads", {"messages": many})) == Refusal(
        400, too_long.format("messages"), "messages", code
    )
    run: Json = {"assistant_id": assistant, "thread": {"messages": many}}
    assert refused(partial(post, strict, "/threads/runs", run)) == Refusal(
        400, too_long.format("thread.messages"), "thread.messages", code
    )


@pytest.mark.parametrize(
    "url", ["https://a.example/a.PNG", "http://a.example/b/a.jpeg?size=3", "https://a.example/a.webp#x"]
)
def test_images_that_are_taken(strict: OpenAI, url: str) -> None:
    thread = post(strict, "/threads", {"messages": saying(image(url))})
    assert (
        post(strict, f"/threads/{thread['id']}/messages", saying(image(url))[0])["object"] == "thread.message"
    )


def test_images_that_are_refused(client: OpenAI, strict: OpenAI) -> None:
    thread = post(strict, "/threads", {})["id"]
    assistant = strict.beta.assistants.create(model="gpt-4o-mini").id
    for url in ("https://a.example/a.svg", "https://a.example/png", "https://a.example/a?name=a.png"):
        bad = saying(image(url))
        said = "Invalid '{}'. Expected url to end in a supported format: .jpeg, .jpg, .png, .gif, .webp."
        for path, body, place in (
            (f"/threads/{thread}/messages", bad[0], "content[1].image_url.url"),
            ("/threads", {"messages": [*saying("Hi"), *bad]}, "messages[1].content[1].image_url.url"),
            (
                f"/threads/{thread}/runs",
                {"assistant_id": assistant, "additional_messages": bad},
                "additional_messages[0].content[1].image_url.url",
            ),
            (
                "/threads/runs",
                {"assistant_id": assistant, "thread": {"messages": bad}},
                "thread.messages[0].content[1].image_url.url",
            ),
        ):
            assert refused(partial(post, strict, path, body)) == Refusal(400, said.format(place), place, None)
        assert post(client, f"/threads/{thread}/messages", bad[0])["object"] == "thread.message"
    data = saying(image("data:image/png;base64,AAAA"))[0]
    assert refused(partial(post, strict, f"/threads/{thread}/messages", data)).code == "invalid_value"
    assert post(client, f"/threads/{thread}/messages", data)["object"] == "thread.message"


@pytest.mark.conforms("C-004", "C-005")
def test_the_beta_header(client: OpenAI, make_client: MakeClient) -> None:
    strict = make_client(options=STRICT)
    for path in ("/assistants", "/threads/thread_1/messages"):
        for value in ({}, {HEADER: "assistants=v1"}, {HEADER: "realtime=v1"}):
            answered = send(strict, "GET", path, headers=value)
            assert answered.status_code == 400
            assert error_of(answered) == {
                "message": NO_BETA,
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_beta",
            }
            assert send(client, "GET", path, headers=value).status_code in (200, 404)
    for value in ("assistants=v2", "realtime=v1, assistants=v2"):
        assert send(strict, "GET", "/assistants", headers={HEADER: value}).status_code == 200
    # It is asked for before the address is looked at, and only of the Assistants API (C-006).
    assert error_of(send(strict, "GET", "/assistants/a/b/c"))["code"] == "invalid_beta"
    assert send(strict, "GET", "/models").status_code == 200
    for extension in ("context", "events"):
        assert send(strict, "GET", f"/threads/thread_1/runs/run_1/{extension}").status_code == 404
