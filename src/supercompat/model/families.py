"""Facts about model families, and estimates that need no download."""

import re
from typing import Final

from supercompat.model.request import AssistantTurn, ImagePart, ToolTurn, Turn

BYTES_PER_TOKEN: Final = 4
TOKENS_PER_TURN: Final = 4
TOKENS_PER_IMAGE: Final = 765

DEFAULT_WINDOW: Final = 8_192
"""Tokens that a model of an unknown family is taken to hold."""

#: By the beginning of the name, behind what hosts put before it; the first that fits.
_WINDOWS: Final = (
    ("gpt-5", 272_000),
    ("gpt-4.1", 1_047_576),
    ("gpt-4.5|gpt-4o|chatgpt-4o|gpt-4-turbo|gpt-4-1106|gpt-4-0125|gpt-4-vision|o1-mini|o1-preview", 128_000),
    ("gpt-4-32k", 32_768),
    ("gpt-4", 8_192),
    ("gpt-3.5-turbo-instruct", 4_096),
    ("gpt-3.5|gpt-35", 16_385),
    (r"o\d|codex", 200_000),
    ("gpt-oss", 131_072),
    (r"(.*\.)?claude", 200_000),
    ("gemini-1.5-pro", 2_097_152),
    ("gemini-1.0|gemini-pro", 32_768),
    ("gemini", 1_048_576),
    ("gemma-?2", 8_192),
    ("gemma", 131_072),
    ("llama-?4", 131_072),
    (r"(meta-)?llama-?3\.[123]", 131_072),
    ("(meta-)?llama", 8_192),
    ("(open-)?mixtral-8x22b", 65_536),
    ("mixtral|open-mi[sx]tral|mistral-7b", 32_768),
    ("mistral|ministral|pixtral|magistral|devstral|codestral", 131_072),
    ("kimi", 131_072),
    ("deepseek", 65_536),
    (r"qwen-?3|qwq|qwen2\.5", 32_768),
    ("command-a", 256_000),
    ("command-r", 128_000),
    ("grok-[34]", 131_072),
    ("phi-?4", 16_384),
)
_FAMILIES: Final = tuple((re.compile(names), window) for names, window in _WINDOWS)


def context_window(model: str) -> int:
    """How many tokens a model of this name takes, prompt and answer together; `DEFAULT_WINDOW` for an unknown one."""
    name = model.lower().rsplit("/", 1)[-1].removeprefix("ft:")
    return next((window for family, window in _FAMILIES if family.match(name)), DEFAULT_WINDOW)


_REASONING: Final = re.compile(r"o\d|codex|gpt-oss|computer-use|gpt-(?!5-chat)([5-9]|\d\d)")


def is_reasoning(model: str) -> bool:
    """Whether a model of this name, one of OpenAI's, thinks before it answers."""
    return bool(_REASONING.match(model.lower().rsplit("/", 1)[-1].removeprefix("ft:")))


_NEVER_REASONS: Final = re.compile(r"gpt-4|gpt-3|chatgpt")


def may_reason(model: str) -> bool:
    """Whether a model of OpenAI's may be one that thinks, as far as its name tells: a deployment's can be any word."""
    return not _NEVER_REASONS.match(model.lower().rsplit("/", 1)[-1].removeprefix("ft:"))


def estimate_tokens(text: str) -> int:
    """About how many tokens a text takes, rounded up.

    By bytes of UTF-8: what is written in few characters, as Chinese is, takes more tokens a character.
    """
    size = len(text) if text.isascii() else len(text.encode(errors="replace"))
    return -(-size // BYTES_PER_TOKEN)


def estimate_turn(turn: Turn) -> int:
    """About how many tokens a turn takes in a prompt."""
    if isinstance(turn, ToolTurn):
        size = estimate_tokens(turn.output)
    elif isinstance(turn, AssistantTurn):
        calls = "".join(call.name + call.arguments for call in turn.tool_calls)
        size = estimate_tokens(turn.text) + estimate_tokens(calls)
    else:
        size = sum(
            TOKENS_PER_IMAGE if isinstance(part, ImagePart) else estimate_tokens(part.text)
            for part in turn.content
        )
    return TOKENS_PER_TURN + size
