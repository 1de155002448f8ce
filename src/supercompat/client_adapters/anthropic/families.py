"""Facts about Claude's families, as far as they decide what can be sent: found in the name of a model.

Names come with prefixes and suffixes: `us.anthropic.claude-opus-4-6-v1`, `claude-opus-4-5@20251101`.
"""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

#: `never`; `budget`, if asked for with a number of tokens; `asked`, if asked for, as deep as the model likes;
#: `default`, unless it is turned off; `always`, which also rules out to force a call.
Thinking: TypeAlias = Literal["never", "budget", "asked", "default", "always"]


@dataclass(frozen=True, slots=True)
class Family:
    """Args:
    max_tokens: for an answer whose length was not asked for. It has to fit, with the prompt, into the context
        of the older families, which refuse what does not.
    thinking: when the model thinks before it answers.
    efforts: the values of `effort` that it takes.
    """

    max_tokens: int
    thinking: Thinking
    efforts: tuple[str, ...] = ()

    @property
    def samples(self) -> bool:
        """Whether the model takes a temperature: those that know every effort don't."""
        return "xhigh" not in self.efforts


_EFFORTS = ("low", "medium", "high", "max")
_ALL_EFFORTS = ("low", "medium", "high", "xhigh", "max")

#: The first that is found in the name counts. What is newer than the last of them is taken to be like it.
_FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"claude-(2|instant|3-(opus|sonnet|haiku))", Family(4_096, "never")),
    (r"claude-3-5", Family(8_192, "never")),
    (r"claude-3-7", Family(32_000, "budget")),
    (r"claude-[a-z]+-4-5", Family(64_000, "budget")),
    (r"claude-[a-z]+-4-6", Family(64_000, "asked", _EFFORTS)),
    (r"claude-[a-z]+-4-[7-9]", Family(64_000, "asked", _ALL_EFFORTS)),
    (r"claude-[a-z]+-4", Family(32_000, "budget")),
    (r"claude-(opus|sonnet)-5(?!-\d)", Family(64_000, "default", _ALL_EFFORTS)),
    (r"claude-", Family(64_000, "always", _ALL_EFFORTS)),
)
_UNKNOWN = Family(8_192, "never")


def family_of(model: str) -> Family:
    """The family of a model. A name that is none of Claude's gets a careful one that is asked for nothing special."""
    return next((family for pattern, family in _FAMILIES if re.search(pattern, model)), _UNKNOWN)
