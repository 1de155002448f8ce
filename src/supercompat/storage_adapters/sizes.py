"""How much of a prompt a message or a step takes, so that a storage can tell how much of a thread is worth reading."""

from collections.abc import Sequence

from supercompat.wire.objects import (
    Content,
    ImageFileContent,
    ImageUrlContent,
    Message,
    RefusalContent,
    RunStep,
    StepCall,
    TextContent,
    ToolCallsDetails,
)

#: What an image counts for in `size_of`: about 765 tokens.
IMAGE_SIZE = 3_060

#: What each message, and each call, counts for beside its text.
FRAME_SIZE = 16


def size_of(shown: Message | RunStep) -> int:
    """How much of a prompt it takes, in bytes of UTF-8. A step of which nothing is sent has no size."""
    if isinstance(shown, Message):
        return FRAME_SIZE + sum(_content_size(content) for content in shown.content)
    if not _is_answered(shown):
        return 0
    functions = [call.function for call in _functions(shown)]
    texts = [text for each in functions for text in (each.name, each.arguments, each.output or "")]
    return FRAME_SIZE * len(functions) + sum(_bytes(text) for text in texts)


def _is_answered(step: RunStep) -> bool:
    """Whether it called tools and has all their outputs. One whose pass broke off has no calls at all: they are
    stored when the pass ends."""
    calls = _functions(step)
    return bool(calls) and all(call.function.output is not None for call in calls)


def _functions(step: RunStep) -> Sequence[StepCall]:
    calls = step.step_details.tool_calls if isinstance(step.step_details, ToolCallsDetails) else ()
    return [call for call in calls if isinstance(call, StepCall)]


def _content_size(content: Content) -> int:
    match content:
        case TextContent():
            return _bytes(content.text.value)
        case RefusalContent():
            return _bytes(content.refusal)
        case ImageUrlContent():
            return IMAGE_SIZE
        case ImageFileContent():
            # What a model made is not sent back to it.
            return 0


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))
