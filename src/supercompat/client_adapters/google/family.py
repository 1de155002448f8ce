"""What Google's models can do, by their names: facts and no behaviour."""

import re
from typing import Any

#: A name without a number, such as `gemini-flash-latest`, means the newest generation.
_NEWEST = (99, 0)

_BUDGETS = {
    "none": 0,
    "minimal": 1_024,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 24_576,
}
_LEVELS = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
}

#: The least that a Pro model of generation 2.5 thinks, in tokens: it can't be told not to.
_LEAST_BUDGET_OF_PRO = 128


def generation(model: str) -> tuple[int, int] | None:
    """Such as `(2, 5)`; None for what is no Gemini model, or does not say that it is one."""
    found = re.search(r"gemini-(\d+)(?:\.(\d+))?", model)
    if found is None:
        return _NEWEST if "gemini" in model else None
    return int(found[1]), int(found[2] or 0)


def checks_signatures(model: str) -> bool:
    """Whether a call that is replayed without the signature of the thought behind it is refused."""
    return (generation(model) or (0, 0)) >= (3, 0)


def takes_json_with_tools(model: str) -> bool:
    """Whether an answer can be held to JSON while there are functions to call."""
    return (generation(model) or (0, 0)) >= (3, 0)


def thinking_config(model: str, effort: str | None) -> dict[str, Any] | None:
    """How much is to be thought, in the words of the model's generation; None where nothing is to be said, since
    nothing was asked for or the model knows no such setting."""
    family = generation(model)
    if family is None or family < (2, 5) or effort not in _LEVELS:
        return None
    if family < (3, 0):
        budget = _BUDGETS[effort]
        return {"thinking_budget": max(budget, _LEAST_BUDGET_OF_PRO) if "pro" in model else budget}
    level = _LEVELS[effort]
    if "pro" in model:
        level = "LOW" if level == "MINIMAL" else level
        # The first of the generation knew but two levels.
        level = "HIGH" if family == (3, 0) and level == "MEDIUM" else level
    return {"thinking_level": level}
