"""What the API takes from which of its models: facts, no behaviour."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """Args:
    max_tokens: the most that may be asked for.
    thinking: the values of `thinking.type` that are taken.
    efforts: the values of `output_config.effort` that are taken.
    samples: whether a temperature other than the default is taken, by the version of the API that knows it.
    prefills: whether the conversation may end with the assistant.
    thinks: whether it thinks unless told otherwise.
    binds: whether thinking is refused behind any other conversation than that which it was said in.
    """

    max_tokens: int
    thinking: tuple[str, ...] = ()
    efforts: tuple[str, ...] = ()
    samples: bool = False
    prefills: bool = False
    thinks: bool = False
    binds: bool = False

    @property
    def can_force(self) -> bool:
        """Whether a call can be forced: not where thinking can't be turned off."""
        return not self.binds


_ALL = ("low", "medium", "high", "xhigh", "max")
_OLD = ("enabled", "disabled")
_KNOWN = (
    (r"claude-3-(opus|sonnet|haiku)", Rules(4_096, samples=True, prefills=True)),
    (r"claude-3-5", Rules(8_192, samples=True, prefills=True)),
    (r"claude-3-7", Rules(64_000, _OLD, samples=True, prefills=True)),
    (r"claude-opus-4-5", Rules(64_000, _OLD, ("low", "medium", "high"), samples=True, prefills=True)),
    (r"claude-[a-z]+-4-5", Rules(64_000, _OLD, samples=True, prefills=True)),
    (
        r"claude-[a-z]+-4-6",
        Rules(128_000, (*_OLD, "adaptive"), ("low", "medium", "high", "max"), samples=True),
    ),
    (r"claude-[a-z]+-4-[78]", Rules(128_000, ("disabled", "adaptive"), _ALL)),
    (r"claude-sonnet-4", Rules(64_000, _OLD, samples=True, prefills=True)),
    (r"claude-opus-4", Rules(32_000, _OLD, samples=True, prefills=True)),
    (r"claude-(opus|sonnet)-5(?!-\d)", Rules(128_000, ("disabled", "adaptive"), _ALL, thinks=True)),
    (
        r"claude-(sonnet|haiku)-5-5",
        Rules(128_000, ("adaptive", "between_tools"), _ALL, thinks=True, binds=True),
    ),
    (r"claude-", Rules(128_000, ("adaptive",), _ALL, thinks=True, binds=True)),
)
_UNKNOWN = Rules(128_000, samples=True)


def rules_for(model: str) -> Rules:
    """What holds for a model: the first of the families that its name fits, of which the last are the newest."""
    return next((rules for pattern, rules in _KNOWN if re.search(pattern, model)), _UNKNOWN)
