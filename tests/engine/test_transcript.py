"""What fits into a prompt, what is left out, and what never is."""

from typing import Any

import pytest

from supercompat.engine.transcript import BudgetSpentError, Prompt, build_request, read_history
from supercompat.model.families import (
    BYTES_PER_TOKEN,
    DEFAULT_WINDOW,
    TOKENS_PER_IMAGE,
    TOKENS_PER_TURN,
    context_window,
    estimate_tokens,
)
from supercompat.model.request import AssistantTurn, TextPart, ToolTurn, UserTurn
from supercompat.storage_adapters.memory import MemoryStorageAdapter
from supercompat.storage_adapters.protocol import History, Row, RunRow, Transaction
from supercompat.storage_adapters.sizes import FRAME_SIZE, IMAGE_SIZE
from supercompat.wire.objects import (
    Message,
    Run,
    RunStep,
    StepCall,
    StepFunction,
    Text,
    TextContent,
    Thread,
    ToolCallsDetails,
    TruncationStrategy,
)

#: A prompt may take 900 tokens of it, a piece of text here about a hundred.
WINDOW = 1_001
PIECE = "word " * 76


def a_run(private: dict[str, Any] | None = None, **fields: Any) -> RunRow:
    fields = {"max_completion_tokens": 1, **fields}
    run = Run(id="run_1", created_at=1, assistant_id="asst_1", thread_id="thread_1", model="m")
    return RunRow(run.changed(**fields), private or {}, owner="me")


def said(id: str, text: str = PIECE, *, run_id: str | None = None) -> Row[Message]:
    role = "user" if run_id is None else "assistant"
    shown = Message(id=id, created_at=1, thread_id="thread_1", run_id=run_id, role=role)
    return Row(shown.changed(content=[TextContent(text=Text(value=text))]))


def called(id: str, *outputs: str, run_id: str = "run_1", after: str | None = None) -> Row[RunStep]:
    calls = [
        StepCall(id=f"{id}_{number}", function=StepFunction(name="f", arguments="{}", output=output))
        for number, output in enumerate(outputs)
    ]
    step = RunStep(
        id=id,
        created_at=1,
        run_id=run_id,
        assistant_id="asst_1",
        thread_id="thread_1",
        type="tool_calls",
        step_details=ToolCallsDetails(tool_calls=calls),
    )
    return Row(step, {"after": after})


def prompt(*rows: Row[Message] | Row[RunStep], is_cut: bool = False, run: RunRow | None = None) -> Prompt:
    built = build_request(run or a_run(), History(rows, range(len(rows)), None, is_cut), WINDOW)
    assert_whole(built)
    return built


def assert_whole(built: Prompt) -> None:
    """Every output stands behind the call that it answers."""
    open_calls: list[str] = []
    for turn in built.request.turns:
        if isinstance(turn, ToolTurn):
            assert turn.call_id == open_calls.pop(0)
        else:
            assert open_calls == []
            open_calls = [call.id for call in turn.tool_calls] if isinstance(turn, AssistantTurn) else []
    assert open_calls == []


def test_what_fits_is_sent_whole() -> None:
    built = prompt(said("msg_1"), said("msg_2", run_id="run_0"), said("msg_3"))
    assert (built.sent, built.limit) == (("msg_1", "msg_2", "msg_3"), None)
    assert built.tokens == 3 * (4 + 95)


def test_the_oldest_are_left_out_for_the_context_window() -> None:
    rows = [said(f"msg_{number}") for number in range(20)]
    built = prompt(*rows)
    assert built.sent == tuple(f"msg_{number}" for number in range(11, 20))
    assert built.limit == "context_window"
    assert built.tokens <= 900


def test_instructions_and_tools_take_their_part() -> None:
    rows = [said(f"msg_{number}") for number in range(20)]
    assert len(prompt(*rows, run=a_run(instructions=PIECE * 4)).sent) == 5


def test_room_is_kept_for_the_answer() -> None:
    rows = [said(f"msg_{number}") for number in range(20)]
    # A quarter at most, unless the run says that it needs less.
    assert len(prompt(*rows, run=a_run(max_completion_tokens=None)).sent) == 6
    assert len(prompt(*rows, run=a_run(max_completion_tokens=100_000)).sent) == 6
    assert len(prompt(*rows, run=a_run(max_completion_tokens=100)).sent) == 8


def test_what_the_storage_left_out_is_said_too() -> None:
    assert prompt(said("msg_9"), is_cut=True).limit == "context_window"
    by_number = a_run(truncation_strategy=TruncationStrategy(type="last_messages", last_messages=1))
    assert prompt(said("msg_9"), is_cut=True, run=by_number).limit == "last_messages"
    assert prompt(said("msg_9"), run=by_number).limit is None


def test_calls_are_never_parted_from_their_outputs() -> None:
    rows = [
        said("msg_1"),
        said("msg_2", run_id="run_0"),
        called("step_1", PIECE, PIECE, run_id="run_0"),
        *(said(f"msg_{number}") for number in range(3, 10)),
    ]
    # There is room for one of the two outputs.
    assert prompt(*rows).sent == tuple(f"msg_{number}" for number in range(3, 10))
    built = prompt(*rows[:-3])
    assert built.sent == ("msg_1", "msg_2", "step_1", "msg_3", "msg_4", "msg_5", "msg_6")
    turn = built.request.turns[1]
    assert isinstance(turn, AssistantTurn)
    assert (bool(turn.text), len(turn.tool_calls)) == (True, 2)


def test_the_newest_question_and_the_newest_outputs_stay() -> None:
    rows = [said("msg_1"), said("msg_2"), *(called(f"step_{number}", PIECE * 5) for number in range(5))]
    built = prompt(*rows)
    assert built.sent == ("msg_2", "step_4")
    assert built.limit == "context_window"
    asked, _, answered = built.request.turns
    assert asked == UserTurn((TextPart(PIECE),))
    assert isinstance(answered, ToolTurn)


def test_a_question_that_is_longer_than_the_window_is_for_the_provider_to_judge() -> None:
    built = prompt(said("msg_1"), said("msg_2", PIECE * 20))
    assert (built.sent, built.limit) == (("msg_2",), "context_window")
    assert built.tokens > WINDOW


@pytest.mark.conforms("C-114")
def test_a_budget_that_has_no_room_for_the_question_is_spent() -> None:
    limited = a_run(max_prompt_tokens=300)
    built = prompt(*(said(f"msg_{number}") for number in range(5)), run=limited)
    assert (built.sent, built.limit) == (("msg_2", "msg_3", "msg_4"), "max_prompt_tokens")
    # What earlier passes took counts.
    later = a_run(
        {"usage": {"prompt": 150, "completion": 0, "cached": 0, "reasoning": 0}}, max_prompt_tokens=300
    )
    assert prompt(*(said(f"msg_{number}") for number in range(5)), run=later).sent == ("msg_4",)
    for rows in ([said("msg_1", PIECE * 4)], [said("msg_1", PIECE * 3), called("step_1", PIECE)]):
        with pytest.raises(BudgetSpentError, match="max_prompt_tokens"):
            prompt(*rows, run=limited)
    spent = a_run(
        {"usage": {"prompt": 300, "completion": 0, "cached": 0, "reasoning": 0}}, max_prompt_tokens=300
    )
    with pytest.raises(BudgetSpentError, match="max_prompt_tokens"):
        prompt(said("msg_1", "Hi"), run=spent)


async def test_no_more_is_read_than_fits() -> None:
    store = MemoryStorageAdapter().open()

    def work(tx: Transaction) -> tuple[History, Prompt]:
        tx.threads.insert(Row(Thread(id="thread_1", created_at=1)))
        tx.messages.insert(*(said(f"msg_{number}") for number in range(1000)))
        history = read_history(tx, a_run(), WINDOW)
        return history, build_request(a_run(), history, WINDOW)

    history, built = await store.transact(work)
    assert (len(history.rows), len(built.sent), built.limit) == (10, 9, "context_window")
    await store.aclose()


def test_tokens_are_estimated_by_bytes() -> None:
    assert [estimate_tokens(text) for text in ("", "a", "word", "words", "Grüße", "時間", "🎉")] == [
        0,
        1,
        1,
        2,
        2,
        2,
        1,
    ]


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("gpt-4o-mini", 128_000),
        ("gpt-4.1-nano-2025-04-14", 1_047_576),
        ("gpt-4", 8_192),
        ("gpt-4-turbo", 128_000),
        ("gpt-3.5-turbo-0125", 16_385),
        ("o3-mini", 200_000),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", 128_000),
        ("claude-sonnet-4-5", 200_000),
        ("anthropic/claude-3-haiku", 200_000),
        ("gemini-2.5-flash", 1_048_576),
        ("mistral-large-latest", 131_072),
        ("open-mixtral-8x22b", 65_536),
        ("llama-3.3-70b-versatile", 131_072),
        ("meta-llama/llama-4-scout-17b-16e-instruct", 131_072),
        ("llama3-8b-8192", 8_192),
        ("openai/gpt-oss-120b", 131_072),
        ("my-own-model", DEFAULT_WINDOW),
    ],
)
def test_context_windows(model: str, window: int) -> None:
    assert context_window(model) == window


def test_storages_measure_as_the_estimate_does() -> None:
    """They know nothing of models, and give as much of a thread as the estimate lets through, or more."""
    assert IMAGE_SIZE == TOKENS_PER_IMAGE * BYTES_PER_TOKEN
    assert FRAME_SIZE == TOKENS_PER_TURN * BYTES_PER_TOKEN
