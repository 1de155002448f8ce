"""How far estimates of tokens are from what providers count, model by model."""

#: Prompts of fewer tokens say little: what a provider adds to each of them weighs too much.
LEAST_TOKENS = 500

#: A count beyond these is of something else than the prompt, as where a server counts only what it had not cached.
PLAUSIBLE = (0.5, 4.0)


class Estimates:
    """What is learnt from the usage that providers report, for as long as this runtime lives."""

    def __init__(self) -> None:
        self._corrections: dict[str, float] = {}

    def correction(self, model: str) -> float:
        """How many tokens the provider counts for one that was estimated, by its last report; 1.0 before any."""
        return self._corrections.get(model, 1.0)

    def learn(self, model: str, *, estimated: int, counted: int) -> None:
        """Take note of a report.

        Args:
            estimated: tokens of the prompt by estimate, not corrected.
            counted: tokens of the prompt as they were reported.
        """
        least, most = PLAUSIBLE
        if estimated >= LEAST_TOKENS and least <= counted / estimated <= most:
            self._corrections[model] = counted / estimated
