"""What OpenAI's model families refuse: facts about names."""

import re

_REASONS = re.compile(r"o\d|gpt-(?!5.*chat)([5-9]|\d\d)|codex|gpt-oss|computer-use")
_NEVER_REASONS = re.compile(r"gpt-4|gpt-3\.5|chatgpt|gpt-5.*chat")
#: Those that do so by an effort of `none`, and those for which that is the default.
_MAY_NOT = re.compile(r"gpt-5\.\d")
_DO_NOT = re.compile(r"gpt-5\.[124]")


def never_reasons(model: str) -> bool:
    """Whether the model is known not to think before it answers."""
    return bool(_NEVER_REASONS.match(_bare(model)))


def is_sampled(model: str, effort: object) -> bool:
    """Whether it takes a temperature at this effort of reasoning, as models of unknown names do."""
    name = _bare(model)
    if effort == "none" and _MAY_NOT.match(name):
        return True
    return not _REASONS.match(name) or (effort is None and bool(_DO_NOT.match(name)))


def _bare(model: str) -> str:
    return model.lower().rsplit("/", 1)[-1].removeprefix("ft:")
