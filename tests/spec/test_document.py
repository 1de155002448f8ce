"""The judge itself: it knows what is right, and sees what is not."""

import copy
from typing import Any

from tests.spec.document import differences, document, problems_of_answer, problems_of_event

STEP: dict[str, Any] = {
    "id": "step_1",
    "object": "thread.run.step",
    "created_at": 1,
    "run_id": "run_1",
    "assistant_id": "asst_1",
    "thread_id": "thread_1",
    "type": "tool_calls",
    "status": "completed",
    "cancelled_at": None,
    "completed_at": 2,
    "expires_at": None,
    "failed_at": None,
    "last_error": None,
    "step_details": {
        "type": "tool_calls",
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "f", "arguments": "{}", "output": None},
            }
        ],
    },
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
PATH = "/threads/thread_1/runs/run_1/steps/step_1"
ERROR = {"message": "m", "type": "t", "param": None, "code": None}


def test_what_is_right() -> None:
    assert problems_of_answer("GET", PATH, 200, STEP) == []
    page = {"object": "list", "data": [STEP], "first_id": "step_1", "last_id": "step_1", "has_more": False}
    assert problems_of_answer("GET", PATH.rpartition("/")[0], 200, page) == []
    assert problems_of_event("thread.run.step.completed", STEP) == []
    assert problems_of_event("done", "[DONE]") == []
    assert problems_of_answer("GET", "/threads", 404, {"error": ERROR}) == []
    assert problems_of_event("error", {"error": ERROR}) == []


def test_what_is_wrong() -> None:
    missing, unknown, deep, other = (copy.deepcopy(STEP) for _ in range(4))
    del missing["usage"]
    unknown["extra"] = None
    deep["step_details"]["tool_calls"][0]["function"]["output"] = 1
    other["status"] = "queued"
    wrong: list[Any] = [missing, unknown, deep, other, {}, [], None]
    for step in wrong:
        assert problems_of_answer("GET", PATH, 200, step)
        assert problems_of_event("thread.run.step.completed", step)
    assert problems_of_event("thread.run.completed", STEP)
    assert problems_of_event("thread.run.step.begun", STEP)
    assert problems_of_answer("GET", PATH, 404, {"error": ERROR | {"extra": 1}})
    assert problems_of_event("error", ERROR)


def test_an_operation_goes_by_its_own_path() -> None:
    """`/threads/runs` is spelt out, and so not a thread named `runs`."""
    assert problems_of_answer("POST", "/threads/runs", 200, {})
    thread: Any = {
        "id": "thread_1",
        "object": "thread",
        "created_at": 1,
        "tool_resources": {},
        "metadata": {},
    }
    assert problems_of_answer("POST", "/threads/thread_1", 200, thread) == []
    assert problems_of_answer("POST", "/threads/runs", 200, thread)
    # Nothing is known of what the document leaves out.
    assert problems_of_answer("POST", "/chat/completions", 200, {}) == []


def test_differences_say_what_and_why() -> None:
    for difference in differences():
        assert difference["schema"] in document()["components"]["schemas"]
        assert difference["reason"]
        assert difference.keys() <= {"schema", "at", "merge", "optional", "reason"}
        assert difference.keys() & {"merge", "optional"}
