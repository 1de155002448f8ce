"""Facts about model families, and estimates that need no download."""

from supercompat.model.request import AssistantTurn, ImagePart, ToolTurn, Turn

CHARACTERS_PER_TOKEN = 4
TOKENS_PER_TURN = 4
TOKENS_PER_IMAGE = 765


def estimate_tokens(text: str) -> int:
    """About how many tokens a text takes, rounded up."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


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
