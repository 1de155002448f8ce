"""What OpenAI's model families refuse: facts about names."""

import re

_REASONS = re.compile(r"o\d|gpt-5(?!.*chat)|codex|gpt-oss|computer-use")
_REASONS_ON_DEMAND = re.compile(r"gpt-5\.\d")
_NEVER_REASONS = re.compile(r"gpt-4|gpt-3\.5|chatgpt|gpt-5.*chat")


def never_reasons(model: str) -> bool:
    """Whether the model is known not to think before it answers."""
    return bool(_NEVER_REASONS.match(_bare(model)))


def is_sampled(model: str, effort: object) -> bool:
    """Whether it takes a temperature at this effort of reasoning, as models of unknown names do."""
    if _REASONS_ON_DEMAND.match(_bare(model)):
        return effort in (None, "none")
    return not _REASONS.match(_bare(model))


def _bare(model: str) -> str:
    return model.lower().rsplit("/", 1)[-1].removeprefix("ft:")
